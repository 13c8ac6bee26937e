"""Tests of the compiled schemas and of the walk by them."""
