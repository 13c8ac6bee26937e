"""Tests of studies and figures."""
