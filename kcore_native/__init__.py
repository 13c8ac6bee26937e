"""Compiled, sans-IO parts of kcore."""
