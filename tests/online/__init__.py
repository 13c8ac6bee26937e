"""The scheduler of a living cluster."""
