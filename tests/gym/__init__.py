"""Environments over the engine."""
