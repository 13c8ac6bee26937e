"""Tests of kcore.apiserver.authz."""
