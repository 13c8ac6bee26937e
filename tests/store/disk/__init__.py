"""Tests of the log's records and of the data directory."""
