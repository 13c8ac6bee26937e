"""What the two resource scorers share. Source: noderesources/resource_allocation.go and the three strategies."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from kcore.scheduler.profile import ResourceSpec, ScoringStrategy
from tests.naive.arithmetic import divide, round_half_up
from tests.naive.cluster import NodeInfo
from tests.naive.framework import MAX_NODE_SCORE
from tests.naive.quantity import ResourceList, milli, whole
from tests.naive.requests import is_scalar

UTILIZATION_MAX = 100
SHAPE_SCORE_MAX = 10


class Load(NamedTuple):
    """One resource of one node; ``allocatable`` 0 means that the resource does not count."""

    with_pod: int
    without_pod: int
    allocatable: int


def amounts(requests: ResourceList, resources: Sequence[ResourceSpec]) -> list[int]:
    """What the pod asks of each of the resources: milli-units of cpu, whole units of the rest."""
    return [
        (milli if resource.name == "cpu" else whole)(requests.get(resource.name, Fraction(0)))
        for resource in resources
    ]


def loads(
    node_info: NodeInfo, resources: Sequence[ResourceSpec], asked: Sequence[int], *, non_zero: bool
) -> list[Load]:
    """The node's load per resource; scalar resources that the pod does not ask for do not count."""
    cpu_memory = node_info.non_zero_requested if non_zero else node_info.requested
    result = []
    for resource, amount in zip(resources, asked, strict=True):
        name = resource.name
        if name == "cpu":
            allocatable, requested = node_info.allocatable.milli_cpu, cpu_memory.milli_cpu
        elif name == "memory":
            allocatable, requested = node_info.allocatable.memory, cpu_memory.memory
        elif name == "ephemeral-storage":
            allocatable = node_info.allocatable.ephemeral_storage
            requested = node_info.requested.ephemeral_storage
        else:
            allocatable = node_info.allocatable.scalars.get(name, 0)
            requested = node_info.requested.scalars.get(name, 0)
        if allocatable == 0 or (amount == 0 and is_scalar(name)):
            result.append(Load(0, 0, 0))
        else:
            result.append(Load(requested + amount, requested, allocatable))
    return result


def least_allocated(load: Load) -> int:
    """The free share, 0..100."""
    if load.with_pod > load.allocatable:
        return 0
    return (load.allocatable - load.with_pod) * MAX_NODE_SCORE // load.allocatable


def most_allocated(load: Load) -> int:
    """The used share, 0..100."""
    return min(load.with_pod, load.allocatable) * MAX_NODE_SCORE // load.allocatable


def broken_linear(shape: Sequence[tuple[int, int]], utilization: int) -> int:
    """The value at ``utilization`` of the line through the points, flat outside of them."""
    for index, (right, right_score) in enumerate(shape):
        if utilization <= right:
            if index == 0:
                return right_score
            left, left_score = shape[index - 1]
            return left_score + divide((right_score - left_score) * (utilization - left), right - left)
    return shape[-1][1]


def requested_to_capacity_ratio(shape: Sequence[tuple[int, int]], load: Load) -> int:
    """The shape's score (scaled to 0..100) at the used share."""
    scaled = [(utilization, score * (MAX_NODE_SCORE // SHAPE_SCORE_MAX)) for utilization, score in shape]
    if load.with_pod > load.allocatable:
        return broken_linear(scaled, UTILIZATION_MAX)
    return broken_linear(scaled, load.with_pod * UTILIZATION_MAX // load.allocatable)


def strategy_score(strategy: ScoringStrategy, node_loads: Sequence[Load]) -> int:
    """The weighted mean over the resources that count; under RequestedToCapacityRatio those that score 0 do not."""
    total, weights = 0, 0
    ratio = strategy.type == "RequestedToCapacityRatio"
    for resource, load in zip(strategy.resources, node_loads, strict=True):
        if load.allocatable == 0:
            continue
        if ratio:
            score = requested_to_capacity_ratio(strategy.shape, load)
            if score <= 0:
                continue
        elif strategy.type == "MostAllocated":
            score = most_allocated(load)
        else:
            score = least_allocated(load)
        total += score * resource.weight
        weights += resource.weight
    if weights == 0:
        return 0
    return round_half_up(total / weights) if ratio else total // weights
