"""What a step is worth: terms by name, weighted sums of them, or a function of the cluster before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from kcore.api.errors import InputError
from kcore.gym import stepping

REWARDS: dict[str, int] = {
    "placed": stepping.PLACED,
    "unschedulable": stepping.UNSCHEDULABLE,
    "utilisation": stepping.UTILISATION,
    "balance": stepping.BALANCE,
    "fragmentation": stepping.FRAGMENTATION,
    "nodes_used": stepping.NODES_USED,
}
"""The terms that rewards are made of.

placed          1 for the pod that was placed
unschedulable   -1 for every pod that was passed over after it, because it fits nowhere any more
utilisation     what the pod takes of the cluster's resources, the mean over resources: an episode adds up to the
                part of the cluster that it has allocated
balance         what the chosen node's imbalance falls by: the standard deviation of its shares in use over its
                resources, as NodeResourcesBalancedAllocation sees it
fragmentation   what the chosen node's fragments fall by: its free resources (mean of the parts of the largest
                node's) times the share of the queue's kinds of pods that do not fit into them; after Weng et al.,
                Beware of Fragmentation, USENIX ATC 2023, with all resources in place of GPUs
nodes_used      -1 for the first pod on an empty node
"""

TYPICAL_MAX = 32
"""Kinds of pods that ``fragmentation`` asks about: the most frequent requests of the queue."""


class Columns(NamedTuple):
    """The cluster as a reward function sees it; the node axis is last and in the order of actions."""

    allocatable: np.ndarray  # int64[resource, node] milli-CPU, bytes, counts; the environment's ``resources``
    requested: np.ndarray  # int64[resource, node]
    pods_allowed: np.ndarray  # int64[node]
    pod_count: np.ndarray  # int64[node]


RewardFunction = Callable[[Columns, Columns, dict[str, Any]], float]
Reward = str | Mapping[str, float] | RewardFunction


def coefficients(reward: Reward) -> np.ndarray:
    """``float64[term]`` of a reward by name or by weights; all 0 for a function.

    Raises:
        InputError: there is no term of that name, or a weight is no number.
    """
    found = np.zeros(len(REWARDS))
    if isinstance(reward, str):
        reward = {reward: 1.0}
    if not isinstance(reward, Mapping):
        if not callable(reward):
            raise InputError(
                f"{reward!r} is no reward", field="reward", expected="a name, weights by name, or a function"
            )
        return found
    for name, weight in reward.items():
        if name not in REWARDS:
            raise InputError(
                f"there is no reward {name!r}", field="reward", expected=f"one of {', '.join(REWARDS)}"
            )
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not np.isfinite(weight):
            raise InputError(f"{weight!r} is not a number", field=f"reward[{name}]", expected="a number")
        found[REWARDS[name]] = weight
    return found


def typical_requests(amount: np.ndarray, request: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The most frequent requests of the queue: ``int64[kind, resource row]`` and ``float64[kind]``, their shares.

    ``amount[request, resource row]`` are the distinct requests, ``request[position]`` those of the queue.
    """
    kinds, counts = np.unique(amount[request], axis=0, return_counts=True)
    often = np.argsort(-counts, kind="stable")[:TYPICAL_MAX]
    return np.ascontiguousarray(kinds[often]), counts[often] / counts[often].sum()
