"""Whole clusters of the store in one process, on virtual time and one seed, with faults as workloads."""
