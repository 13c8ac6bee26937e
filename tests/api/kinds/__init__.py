"""Tests of kcore.api.kinds."""
