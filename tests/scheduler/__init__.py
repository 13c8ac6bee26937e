"""Tests of kcore.scheduler; importable as a package so that builders can be shared between them."""
