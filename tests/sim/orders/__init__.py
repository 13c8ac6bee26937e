"""Orders that drive a simulation from Python."""
