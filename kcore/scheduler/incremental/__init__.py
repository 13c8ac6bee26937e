"""The incremental engine: the sequential result without evaluating every node for every pod."""
