"""Revisions of keys in memory: commands, store, leases, watches. Compiled, sans-IO; see docs/design."""
