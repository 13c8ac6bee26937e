"""Tests of the apiserver package."""
