"""Controllers: on paper, and in a cluster in this process."""
