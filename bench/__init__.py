"""Benchmarks: pytest-benchmark suites, one file per question; README.md says how figures are made."""
