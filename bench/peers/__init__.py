"""kcore beside other schedulers, on the same inputs in the same run."""
