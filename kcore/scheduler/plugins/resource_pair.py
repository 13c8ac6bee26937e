"""CPU and memory of every node as doubles, kept beside the integers: the default resource scores without a division.

NodeResourcesFit (LeastAllocated) and NodeResourcesBalancedAllocation, both over CPU and memory with weight 1, are
what nearly every profile scores by. Dividing is most of their time, as is turning 64-bit integers into doubles and
back, for which processors before AVX-512 have no instruction. So capacities, their reciprocals and what is requested
are kept as doubles, and a quotient is a product with the reciprocal, corrected until it is exact. The twins are
``add_fit_score`` and ``add_balanced_score``.

A resource of which the node has nothing counts for neither plugin: such a node holds values with which the same
formulas say so (``OVERFULL``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kcore.kernel import Instruction, inner_kernel, kernel
from kcore.scheduler.codes import CPU, MEMORY
from kcore.scheduler.plugins.node_resources import is_best_effort, is_cpu_and_memory, is_default_fit

if TYPE_CHECKING:
    from kcore.scheduler.columns import F64, I64, U8

# rows of NodeColumns.pair, those of memory after those of CPU
CAPACITY = 0
RECIPROCAL = 2
REQUESTED = 4
NONZERO = 6
BALANCE = 8
"""BalancedAllocation's balance without the pod, 50 to 100."""
HALVES = 9
"""One over the number of resources that the node has: the mean of two scores, or the only one."""
PAIR_FIELDS = 10

CAPACITY_MAX = 1 << 46
"""Up to this capacity 100 times what is free is exact as a double; 64 TiB of memory."""
OVERFULL = float(1 << 60)
WEIGHTS_MAX = 1 << 20
"""Up to these weights a sum of both scores fits an int32."""


def _emit_quotient(builder: Any, arguments: list[Any]) -> Any:
    """Two corrections by fused multiply-adds; the result is the correctly rounded quotient (Markstein 1990)."""
    numerator, denominator, reciprocal = arguments
    quotient = builder.fmul(numerator, reciprocal)
    for _ in range(2):
        remainder = builder.fma(builder.fneg(quotient), denominator, numerator)
        quotient = builder.fma(remainder, reciprocal, quotient)
    return quotient


quotient = Instruction(lambda numerator, denominator, reciprocal: numerator / denominator, _emit_quotient)
"""``numerator / denominator`` rounded as IEEE 754 asks, given the rounded reciprocal of the denominator."""


@inner_kernel
def floor_quotient(numerator, denominator, reciprocal):
    """The floor of a quotient of at most 100, for whole numbers below 2**53, as a double."""
    whole = np.floor(numerator * reciprocal)
    remainder = numerator - whole * denominator
    return whole + (1.0 if remainder >= denominator else 0.0) - (1.0 if remainder < 0.0 else 0.0)


@inner_kernel
def balance_of(first, second):
    """int((1 - standard deviation) * 100) of two fractions, each capped at 1, as a double."""
    return np.floor((1.0 - abs((min(first, 1.0) - min(second, 1.0)) / 2.0)) * 100.0)


@kernel
def scored_amounts(requests, request):
    """CPU and memory that LeastAllocated counts for a pod, as doubles."""
    exception = requests.exception[request]
    if exception >= 0:
        return float(requests.score[exception, CPU]), float(requests.score[exception, MEMORY])
    return float(requests.nonzero[request, CPU]), float(requests.nonzero[request, MEMORY])


@inner_kernel
def pair_score(pair, node, cpu, memory, scored_cpu, scored_memory, fit_weight, balanced_weight):
    """Weighted LeastAllocated and BalancedAllocation of one node for a pod, as a double.

    The pod asks for ``cpu`` and ``memory``; LeastAllocated counts ``scored_cpu`` and ``scored_memory``.
    """
    capacity, memory_capacity = pair[CAPACITY, node], pair[CAPACITY + 1, node]
    reciprocal, memory_reciprocal = pair[RECIPROCAL, node], pair[RECIPROCAL + 1, node]
    free = max(capacity - (pair[NONZERO, node] + scored_cpu), 0.0)
    memory_free = max(memory_capacity - (pair[NONZERO + 1, node] + scored_memory), 0.0)
    both = floor_quotient(100.0 * free, capacity, reciprocal)
    both += floor_quotient(100.0 * memory_free, memory_capacity, memory_reciprocal)
    fit = np.floor(both * pair[HALVES, node])
    after = balance_of(
        quotient(pair[REQUESTED, node] + cpu, capacity, reciprocal),
        quotient(pair[REQUESTED + 1, node] + memory, memory_capacity, memory_reciprocal),
    )
    balanced = 50.0 + np.floor((50.0 + after - pair[BALANCE, node]) * 0.5)
    return fit_weight * fit + balanced_weight * balanced


def pair_score_arrays(
    pair: F64, cpu: float, memory: float, scored: tuple[float, float], weights: tuple[float, float]
) -> F64:
    """As :func:`pair_score`, of every node that ``pair`` has."""
    halves = []
    for row, amount in enumerate(scored):
        free = np.maximum(pair[CAPACITY + row] - (pair[NONZERO + row] + amount), 0.0)
        free *= 100.0
        whole = np.floor(free * pair[RECIPROCAL + row])
        rest = free - whole * pair[CAPACITY + row]
        halves.append(whole + (rest >= pair[CAPACITY + row]) - (rest < 0.0))
    fit = np.floor((halves[0] + halves[1]) * pair[HALVES])
    first, second = (
        np.minimum((pair[REQUESTED + row] + amount) / pair[CAPACITY + row], 1.0)
        for row, amount in enumerate((cpu, memory))
    )
    after = np.floor((1.0 - np.abs((first - second) / 2.0)) * 100.0)
    balanced = 50.0 + np.floor((50.0 + after - pair[BALANCE]) * 0.5)
    score: F64 = weights[0] * fit + weights[1] * balanced
    return score


@kernel
def pair_weights(nodes, settings, weights, amount):
    """The weights by which :func:`pair_score` serves LeastAllocated and BalancedAllocation, 0 where it does not.

    ``weights`` are the two plugins' in the profile.
    """
    fit, balanced = weights
    exact = nodes.paired[0] != 0 and fit + balanced <= WEIGHTS_MAX
    resources = settings.fit_resources
    if not (exact and is_default_fit(settings.fit_strategy[0], resources)):
        fit = 0
    resources = settings.balanced_resources
    if not (exact and is_cpu_and_memory(resources)) or is_best_effort(amount, resources):
        balanced = 0
    return fit, balanced


@kernel
def add_pair_scores(pair, amount, scored_cpu, scored_memory, fit_weight, balanced_weight, count, total):
    """Add :func:`pair_score` of every node to ``total``, in one pass."""
    cpu, memory = float(amount[CPU]), float(amount[MEMORY])
    fit, balanced = float(fit_weight), float(balanced_weight)
    for node in range(count):
        score = pair_score(pair, node, cpu, memory, scored_cpu, scored_memory, fit, balanced)
        total[node] += np.int32(score)


@add_pair_scores.over_arrays("count")
def add_pair_scores_arrays(
    pair, amount, scored_cpu, scored_memory, fit_weight, balanced_weight, count, total
):
    """As :func:`add_pair_scores`."""
    scored, weights = (scored_cpu, scored_memory), (float(fit_weight), float(balanced_weight))
    score = pair_score_arrays(pair[:, :count], float(amount[CPU]), float(amount[MEMORY]), scored, weights)
    total[:count] += score.astype(np.int32)


@inner_kernel
def renew_pair(pair, requested, nonzero, node):
    """Bring a node's doubles up to date with its integers after something was put on it or taken off."""
    if pair[HALVES, node] != 0.5:
        # it lacks a resource: the balance cannot change, and what it lacks stays overfull
        for row in range(2):
            if pair[NONZERO + row, node] < OVERFULL:
                pair[NONZERO + row, node] = nonzero[row, node]
        return
    first, second = float(requested[CPU, node]), float(requested[MEMORY, node])
    pair[REQUESTED, node], pair[REQUESTED + 1, node] = first, second
    pair[NONZERO, node], pair[NONZERO + 1, node] = nonzero[CPU, node], nonzero[MEMORY, node]
    pair[BALANCE, node] = balance_of(
        quotient(first, pair[CAPACITY, node], pair[RECIPROCAL, node]),
        quotient(second, pair[CAPACITY + 1, node], pair[RECIPROCAL + 1, node]),
    )


def make_pair(allocatable: I64, requested: I64, nonzero: I64, alive: U8) -> tuple[F64, U8]:
    """The doubles of all nodes, ``float64[PAIR_FIELDS, node]``; whether they are exact, and every node has both."""
    pair = np.zeros((PAIR_FIELDS, allocatable.shape[1]))
    capacity = allocatable[[CPU, MEMORY]]
    has = capacity > 0
    pair[CAPACITY : CAPACITY + 2] = np.maximum(capacity, 1)
    pair[RECIPROCAL : RECIPROCAL + 2] = 1.0 / pair[CAPACITY : CAPACITY + 2]
    pair[REQUESTED : REQUESTED + 2] = np.where(has.all(axis=0), requested[[CPU, MEMORY]], OVERFULL)
    pair[NONZERO : NONZERO + 2] = np.where(has, nonzero, OVERFULL)
    fractions = np.minimum(pair[REQUESTED : REQUESTED + 2] / pair[CAPACITY : CAPACITY + 2], 1.0)
    pair[BALANCE] = np.floor((1.0 - np.abs((fractions[0] - fractions[1]) / 2.0)) * 100.0)
    pair[HALVES] = np.where(has.all(axis=0), 0.5, 1.0)
    return pair, np.array([(capacity <= CAPACITY_MAX).all(), has[:, alive != 0].all()], dtype=np.uint8)
