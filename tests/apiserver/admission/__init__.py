"""Tests of kcore.apiserver.admission."""
