"""Tests of kcore.apiserver.bootstrap."""
