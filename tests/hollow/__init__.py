"""Tests of kcore.hollow."""
