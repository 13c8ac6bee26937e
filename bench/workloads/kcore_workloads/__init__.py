"""Benchmark workloads in the format of scheduler_perf, shipped in the wheel; bench/README.md says what they are."""
