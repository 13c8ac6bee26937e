"""NodeResourcesFit and NodeResourcesBalancedAllocation.

Sources: plugins/noderesources of Kubernetes 1.36 (fit.go, least_allocated.go, most_allocated.go,
requested_to_capacity_ratio.go, balanced_allocation.go, resource_allocation.go).
"""

from __future__ import annotations

import math

import numpy as np

from kcore.kernel import inner_kernel, kernel
from kcore.scheduler.codes import DETAIL_PODS, DETAIL_UNRESOLVABLE, MAX_NODE_SCORE, MEMORY, REJECT_FIT
from kcore.scheduler.plugins.arithmetic import divide, divide_toward_zero, round_half_away

LEAST_ALLOCATED = 0
MOST_ALLOCATED = 1
REQUESTED_TO_CAPACITY_RATIO = 2

# columns of a strategy's resource
ROW = 0
WEIGHT = 1
IS_SCALAR = 2


@kernel
def fit_filter(allocatable, requested, pods_allowed, pod_count, amount, ignored, start, verdict, detail):
    """Reject nodes without room; ``detail`` gets a bit for every resource that lacks (codes.py).

    ``pods_allowed``, ``pod_count``, ``verdict`` and ``detail`` are slices of the nodes from ``start`` on.
    """
    size = verdict.shape[0]
    first = next_wanted(amount, ignored, 0)
    second = next_wanted(amount, ignored, first + 1)
    if first == amount.shape[0]:
        for node in range(size):
            detail[node] = DETAIL_PODS if pod_count[node] + 1 > pods_allowed[node] else 0
    else:
        # two resources in one pass; a lone one twice, which sets the same bits
        second = second if second < amount.shape[0] else first
        wanted, other = amount[first], amount[second]
        short, other_short = 1 << (first + 1), 1 << (second + 1)
        capacity, used = allocatable[first][start:], requested[first][start:]
        other_capacity, other_used = allocatable[second][start:], requested[second][start:]
        for node in range(size):
            lacking = DETAIL_PODS if pod_count[node] + 1 > pods_allowed[node] else 0
            lacking = lacking | lacks(wanted, capacity[node], used[node], short)
            detail[node] = lacking | lacks(other, other_capacity[node], other_used[node], other_short)
        row = next_wanted(amount, ignored, second + 1)
        while row < amount.shape[0]:
            wanted, short = amount[row], 1 << (row + 1)
            capacity, used = allocatable[row][start:], requested[row][start:]
            for node in range(size):
                detail[node] = detail[node] | lacks(wanted, capacity[node], used[node], short)
            row = next_wanted(amount, ignored, row + 1)
    for node in range(size):
        passes = (verdict[node] != 0) | (detail[node] == 0)
        verdict[node] = verdict[node] if passes else REJECT_FIT


@fit_filter.over_arrays("verdict")
def fit_filter_arrays(
    allocatable, requested, pods_allowed, pod_count, amount, ignored, start, verdict, detail
):
    """As :func:`fit_filter`."""
    nodes = slice(start, start + len(verdict))
    detail[:] = np.where(pod_count + 1 > pods_allowed, DETAIL_PODS, 0)
    for row in np.flatnonzero((amount > 0) & (ignored[: len(amount)] == 0)).tolist():
        wanted, capacity = amount[row], allocatable[row, nodes]
        detail |= np.where(wanted > capacity - requested[row, nodes], 1 << (row + 1), 0)
        detail |= np.where(wanted > capacity, DETAIL_UNRESOLVABLE, 0)
    verdict[(verdict == 0) & (detail != 0)] = REJECT_FIT


@kernel
def next_wanted(amount, ignored, row):
    """The first resource from ``row`` on that the pod asks for and the filter looks at, or how many there are."""
    while row < amount.shape[0] and (amount[row] <= 0 or ignored[row] != 0):
        row += 1
    return row


@inner_kernel
def lacks(wanted, capacity, used, short):
    """The bits for a resource of which a node has too little, and of which it never has enough."""
    return (short if wanted > capacity - used else 0) | (DETAIL_UNRESOLVABLE if wanted > capacity else 0)


@kernel
def least_allocated(capacity, used):
    """100 * (capacity - used) / capacity, 0 where used exceeds capacity (capacity > 0)."""
    free = capacity - used
    return divide(MAX_NODE_SCORE * (free if free > 0 else 0), capacity)


@kernel
def most_allocated(capacity, used):
    """100 * used / capacity, 100 where used exceeds capacity (capacity > 0)."""
    return divide(MAX_NODE_SCORE * min(used, capacity), capacity)


@kernel
def ratio_by_shape(capacity, used, shape):
    """The shape's broken line at the utilisation in per cent (capacity > 0)."""
    utilisation = 100 if used > capacity else divide(100 * used, capacity)
    for point in range(shape.shape[0]):
        if utilisation <= shape[point, 0]:
            if point == 0:
                return shape[0, 1]
            low, high = shape[point - 1], shape[point]
            return low[1] + divide_toward_zero((high[1] - low[1]) * (utilisation - low[0]), high[0] - low[0])
    return shape[shape.shape[0] - 1, 1]


@kernel
def add_fit_score(
    allocatable, requested, nonzero, amount, pod_nonzero, score_row, score_amount, strategy, resources, shape,
    weight, count, number, total,
):  # fmt: skip
    """Add weight * the strategy's score: the weighted mean over its resources of what each one scores.

    CPU and memory count with defaults for what is not requested (``nonzero``, ``pod_nonzero``); a scalar resource
    counts only for pods that ask for it, and no resource where the node has none. A pod with a ``score_row`` >= 0
    is scored by ``score_amount[score_row]``. ``number[0:2]`` is scratch.
    """
    score_sum, weight_sum = number[0], number[1]
    for node in range(count):
        score_sum[node] = 0.0
        weight_sum[node] = 0.0
    for index in range(resources.shape[0]):
        row = resources[index, ROW]
        factor = resources[index, WEIGHT]
        wanted = pod_nonzero[row] if row <= MEMORY else amount[row]
        if score_row >= 0:
            wanted = score_amount[score_row, row]
        if resources[index, IS_SCALAR] != 0 and wanted == 0:
            continue
        capacity = allocatable[row]
        used = nonzero[row] if row <= MEMORY else requested[row]
        if strategy == LEAST_ALLOCATED:
            for node in range(count):
                score = least_allocated(max(capacity[node], 1), used[node] + wanted)
                counts = capacity[node] != 0
                score_sum[node] += factor * score if counts else 0
                weight_sum[node] += factor if counts else 0
        elif strategy == MOST_ALLOCATED:
            for node in range(count):
                score = most_allocated(max(capacity[node], 1), used[node] + wanted)
                counts = capacity[node] != 0
                score_sum[node] += factor * score if counts else 0
                weight_sum[node] += factor if counts else 0
        else:
            for node in range(count):
                if capacity[node] != 0:
                    score = ratio_by_shape(capacity[node], used[node] + wanted, shape)
                    if score > 0:
                        score_sum[node] += factor * score
                        weight_sum[node] += factor
    if strategy == REQUESTED_TO_CAPACITY_RATIO:
        for node in range(count):
            if weight_sum[node] > 0:
                total[node] += weight * round_half_away(score_sum[node] / weight_sum[node])
    else:
        # both sums are integers below 2**53, so the rounded quotient's floor is the integer quotient
        for node in range(count):
            total[node] += weight * int(score_sum[node] / max(weight_sum[node], 1.0))


@kernel
def is_default_fit(strategy, resources):
    """Tell whether the strategy is LeastAllocated of CPU and memory, of equal weight."""
    return strategy == LEAST_ALLOCATED and is_cpu_and_memory(resources)


@kernel
def is_cpu_and_memory(resources):
    """Tell whether the resources are CPU and memory, in any order, with weight 1."""
    return (
        resources.shape[0] == 2
        and resources[0, ROW] + resources[1, ROW] == MEMORY
        and resources[0, WEIGHT] == 1
        and resources[1, WEIGHT] == 1
    )


@kernel
def balance(fractions, count, mean):
    """int((1 - standard deviation) * 100) of the fractions, as balancedResourceScore computes it."""
    deviation = 0.0
    if count == 2:
        deviation = abs((fractions[0] - fractions[1]) / 2)
    elif count > 2:
        square_sum = 0.0
        for index in range(count):
            square_sum = square_sum + (fractions[index] - mean) * (fractions[index] - mean)
        deviation = math.sqrt(square_sum / count)
    return int((1 - deviation) * 100.0)


@kernel
def add_balanced_score(allocatable, requested, amount, resources, weight, count, verdict, number, total):
    """Add weight * (50 + (50 + balance with the pod - balance without it) / 2)."""
    with_pod, without_pod = number[0], number[1]
    for node in range(count):
        if verdict[node] != 0:
            continue
        used = 0
        sum_with = 0.0
        sum_without = 0.0
        for index in range(resources.shape[0]):
            row = resources[index, ROW]
            capacity = allocatable[row, node]
            if capacity == 0 or (resources[index, IS_SCALAR] != 0 and amount[row] == 0):
                continue
            with_pod[used] = min((requested[row, node] + amount[row]) / capacity, 1.0)
            without_pod[used] = min(requested[row, node] / capacity, 1.0)
            sum_with += with_pod[used]
            sum_without += without_pod[used]
            used += 1
        divisor = max(used, 1)
        after = balance(with_pod, used, sum_with / divisor)
        before = balance(without_pod, used, sum_without / divisor)
        total[node] += weight * (50 + (50 + after - before) // 2)


@kernel
def is_best_effort(amount, resources):
    """Tell whether the pod asks for none of the resources, so that BalancedAllocation skips it."""
    for index in range(resources.shape[0]):
        if amount[resources[index, ROW]] != 0:
            return False
    return True
