"""Whole clusters under faults: simulated ones in virtual time (``python -m tests.cluster``), real processes (``.faults``)."""
