"""Turning raw scores into 0..100 and adding them to the total, as helper.DefaultNormalizeScore and its kin do."""

from __future__ import annotations

import numpy as np

from kcore.kernel import kernel
from kcore.scheduler.codes import MAX_NODE_SCORE
from kcore.scheduler.plugins.arithmetic import divide

NO_SCORE = 1 << 62


@kernel
def add_default_normalized(verdict, raw, reverse, weight, count, total):
    """Add weight * (100 * raw / max raw), or 100 minus that where ``reverse``; raw scores are >= 0."""
    most = 0
    for node in range(count):
        most = max(most, raw[node] if verdict[node] == 0 else 0)
    if most == 0:
        if reverse:
            for node in range(count):
                total[node] += weight * MAX_NODE_SCORE
        return
    for node in range(count):
        # raw scores of infeasible nodes may exceed the maximum; their totals are never read
        score = divide(MAX_NODE_SCORE * raw[node], most)
        total[node] += weight * (MAX_NODE_SCORE - score if reverse else score)


@add_default_normalized.over_arrays("count")
def add_default_normalized_arrays(verdict, raw, reverse, weight, count, total):
    """As :func:`add_default_normalized`, and 0 for nodes that are not feasible."""
    scores = np.where(verdict[:count] == 0, raw[:count], 0)
    most = int(scores.max(initial=0))
    if most == 0:
        if reverse:
            total[:count] += weight * MAX_NODE_SCORE
        return
    scores = MAX_NODE_SCORE * scores // most
    total[:count] += weight * (MAX_NODE_SCORE - scores if reverse else scores)


@kernel
def add_min_max_normalized(verdict, raw, weight, count, total):
    """Add weight * int(100 * ((raw - min) / (max - min))) in doubles, as InterPodAffinity does; 0 if all are equal."""
    least = NO_SCORE
    most = -NO_SCORE
    for node in range(count):
        least = min(least, raw[node] if verdict[node] == 0 else NO_SCORE)
        most = max(most, raw[node] if verdict[node] == 0 else -NO_SCORE)
    if most <= least:
        return
    span = float(most - least)
    for node in range(count):
        # raw scores of infeasible nodes may lie outside; their totals are never read
        total[node] += weight * int(100.0 * (float(raw[node] - least) / span))


@add_min_max_normalized.over_arrays("count")
def add_min_max_normalized_arrays(verdict, raw, weight, count, total):
    """As :func:`add_min_max_normalized`."""
    feasible = verdict[:count] == 0
    scores = raw[:count]
    least = int(scores.min(initial=NO_SCORE, where=feasible))
    most = int(scores.max(initial=-NO_SCORE, where=feasible))
    if most <= least:
        return
    total[:count] += weight * (100.0 * ((scores - least) / float(most - least))).astype(np.int64)
