"""Studies over the engine."""
