"""Tests of tables; recorded cells."""
