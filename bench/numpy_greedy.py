"""The alternative to kernels: the same decisions by whole-array NumPy operations, one pod after another.

What one would write in an afternoon for a cluster whose nodes have neither taints nor images:
NodeResourcesFit with LeastAllocated, BalancedAllocation and, where pods have applications, their zone
affinity and soft zone spread. Ties go to the first node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SPREAD_WEIGHT = 2
AFFINITY_WEIGHT = 2


@dataclass
class Zones:
    """Where the pods of each application are, by zone."""

    zone: np.ndarray  # int64[node]
    count: np.ndarray  # int64[app, zone]
    app: np.ndarray  # int64[pod]


def balance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """100 less the distance of the two shares from their mean, in per cent. int64[node]."""
    return ((1 - np.abs(np.minimum(first, 1.0) - np.minimum(second, 1.0)) / 2) * 100).astype(np.int64)


def place(
    capacity: np.ndarray, used: np.ndarray, allowed: np.ndarray, pods: np.ndarray, wanted: np.ndarray,
    zones: Zones | None = None,
) -> np.ndarray:  # fmt: skip
    """The node of each pod, -1 for none. ``capacity``, ``used`` are int64[2, node], ``wanted`` int64[pod, 2].

    ``used``, ``pods`` (int64[node], how many) and the zones' counts are changed.
    """
    chosen = np.full(len(wanted), -1, dtype=np.int32)
    for pod, amount in enumerate(wanted):
        after = used + amount[:, np.newaxis]
        feasible = (after <= capacity).all(axis=0) & (pods < allowed)
        if zones is not None:
            feasible &= zones.count[zones.app[pod]][zones.zone] > 0
        if not feasible.any():
            continue
        total = (100 * (capacity - after) // capacity).sum(axis=0) // 2
        shares, before = after / capacity, used / capacity
        total += 50 + (50 + balance(shares[0], shares[1]) - balance(before[0], before[1])) // 2
        if zones is not None:
            total += zone_scores(zones, int(zones.app[pod]), feasible)
        node = int(np.argmax(np.where(feasible, total, -1)))
        chosen[pod] = node
        used[:, node] += amount
        pods[node] += 1
        if zones is not None:
            zones.count[zones.app[pod], zones.zone[node]] += 1
    return chosen


def zone_scores(zones: Zones, app: int, feasible: np.ndarray) -> np.ndarray:
    """Spread's and affinity's weighted scores for one pod, with maxSkew 1. int64[node]."""
    around = zones.count[app][zones.zone]
    present = len(np.unique(zones.zone[feasible]))
    raw = np.floor(around * math.log(present + 2) + 0.5).astype(np.int64)
    least, most = raw[feasible].min(), raw[feasible].max()
    spread = 100 * (most + least - raw) // most if most else np.full(len(raw), 100)
    least, most = around[feasible].min(), around[feasible].max()
    liked = (
        (100 * ((around - least) / (most - least))).astype(np.int64) if most > least else np.zeros_like(raw)
    )
    return SPREAD_WEIGHT * spread + AFFINITY_WEIGHT * liked
