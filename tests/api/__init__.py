"""Tests of kcore.api."""
