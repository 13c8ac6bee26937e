"""Tests of kcore.apiserver."""
