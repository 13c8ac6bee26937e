"""Tests of simulation, studies and figures."""
