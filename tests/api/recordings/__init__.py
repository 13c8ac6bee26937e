"""What Go itself said: ``*.go`` run on random documents gave ``*.json.gz`` (structured-merge-diff, and the patches)."""
