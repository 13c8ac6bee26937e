"""Tests of the protobuf codec; its recordings."""
