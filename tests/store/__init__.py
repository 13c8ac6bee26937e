"""Tests of kcore.store."""
