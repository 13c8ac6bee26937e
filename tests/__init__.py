"""Tests of kcore; importable as a package so that twins and harnesses can be shared between them."""
