"""The registry over a store that keeps nothing."""
