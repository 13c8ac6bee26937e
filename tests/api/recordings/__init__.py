"""What structured-merge-diff v6.3.2 itself said: ``structured_merge.go`` run on scenarios, one a line."""
