"""The Raft core against the rules of the paper, against its slow twin, and under random faults."""
