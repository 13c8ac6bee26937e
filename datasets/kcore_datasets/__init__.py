"""Small data files of our own, shipped in the wheel; sources and licences are in datasets/README.md."""
