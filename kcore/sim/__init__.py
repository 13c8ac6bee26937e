"""Studies over the engine: what could have been reached."""
