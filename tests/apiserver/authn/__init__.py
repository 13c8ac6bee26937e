"""Tests of kcore.apiserver.authn."""
