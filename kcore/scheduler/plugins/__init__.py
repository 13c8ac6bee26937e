"""The in-tree plugins, one file each, and the contract for those of users."""
