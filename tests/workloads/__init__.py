"""Tests of benchmark workloads."""
