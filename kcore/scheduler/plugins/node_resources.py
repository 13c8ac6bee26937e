"""NodeResourcesFit and NodeResourcesBalancedAllocation.

Sources: plugins/noderesources of Kubernetes 1.36 (fit.go, least_allocated.go, most_allocated.go,
requested_to_capacity_ratio.go, balanced_allocation.go, resource_allocation.go).
"""

from __future__ import annotations

import math

from kcore.kernel import kernel
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


@kernel
def next_wanted(amount, ignored, row):
    """The first resource from ``row`` on that the pod asks for and the filter looks at, or how many there are."""
    while row < amount.shape[0] and (amount[row] <= 0 or ignored[row] != 0):
        row += 1
    return row


@kernel
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
    if is_default_fit(strategy, resources):
        first, second = resources[0, ROW], resources[1, ROW]
        _add_pair_least_allocated(
            allocatable[first], allocatable[second], nonzero[first], nonzero[second],
            score_amount[score_row, first] if score_row >= 0 else pod_nonzero[first],
            score_amount[score_row, second] if score_row >= 0 else pod_nonzero[second],
            resources[0, WEIGHT], resources[1, WEIGHT], weight, count, total,
        )  # fmt: skip
        return
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
    """Tell whether the strategy is LeastAllocated of CPU and memory."""
    return (
        strategy == LEAST_ALLOCATED and resources.shape[0] == 2 and resources[0, ROW] + resources[1, ROW] == 1
    )


@kernel
def _add_pair_least_allocated(
    first_capacity, second_capacity, first_used, second_used, first_wanted, second_wanted, first_weight,
    second_weight, weight, count, total,
):  # fmt: skip
    """LeastAllocated of CPU and memory, the default, in one pass."""
    for node in range(count):
        total[node] += weight * pair_least_allocated(
            first_capacity[node], second_capacity[node], first_used[node] + first_wanted,
            second_used[node] + second_wanted, first_weight, second_weight,
        )  # fmt: skip


@kernel
def pair_least_allocated(
    first_capacity, second_capacity, first_used, second_used, first_weight, second_weight
):
    """The weighted mean of LeastAllocated over two resources of one node."""
    first = least_allocated(max(first_capacity, 1), first_used)
    second = least_allocated(max(second_capacity, 1), second_used)
    first_share = first_weight if first_capacity > 0 else 0
    second_share = second_weight if second_capacity > 0 else 0
    if first_weight == 1 and second_weight == 1:
        both = first_share + second_share == 2
        return (first * first_share + second * second_share) >> (1 if both else 0)
    shares = max(first_share + second_share, 1)
    # both are integers below 2**53, so the rounded quotient's floor is the integer quotient
    return int(float(first * first_share + second * second_share) / shares)


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
def pair_balance(first, second):
    """:func:`balance` of two fractions, each capped at 1."""
    return int((1 - abs((min(first, 1.0) - min(second, 1.0)) / 2)) * 100.0)


@kernel
def add_balanced_score(allocatable, requested, amount, resources, weight, count, verdict, number, total):
    """Add weight * (50 + (50 + balance with the pod - balance without it) / 2)."""
    if is_balanced_pair(resources):
        _add_pair_balanced_score(
            allocatable[resources[0, ROW]], allocatable[resources[1, ROW]],
            requested[resources[0, ROW]], requested[resources[1, ROW]],
            amount[resources[0, ROW]], amount[resources[1, ROW]], weight, count, total,
        )  # fmt: skip
        return
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
def is_balanced_pair(resources):
    """Tell whether BalancedAllocation looks at two resources that every pod has."""
    return resources.shape[0] == 2 and resources[0, IS_SCALAR] == 0 and resources[1, IS_SCALAR] == 0


@kernel
def _add_pair_balanced_score(
    first_capacity, second_capacity, first_used, second_used, first_wanted, second_wanted,
    weight, count, total,
):  # fmt: skip
    """The common case of two resources, in a form that vectorises."""
    for node in range(count):
        total[node] += weight * pair_balanced(
            first_capacity[node], second_capacity[node], first_used[node], second_used[node], first_wanted,
            second_wanted,
        )  # fmt: skip


@kernel
def pair_balanced(first_capacity, second_capacity, first_used, second_used, first_wanted, second_wanted):
    """BalancedAllocation of two resources of one node; a resource without capacity is left out."""
    both = (first_capacity > 0) & (second_capacity > 0)
    first = max(first_capacity, 1)
    second = max(second_capacity, 1)
    after = pair_balance((first_used + first_wanted) / first, (second_used + second_wanted) / second)
    before = pair_balance(first_used / first, second_used / second)
    # with fewer than two resources the deviation is 0 on both sides
    return 50 + (50 + (after - before if both else 0)) // 2


@kernel
def add_pair_scores(
    nodes_allocatable, nodes_requested, nodes_nonzero, amount, pod_nonzero, fit_resources, balanced_resources,
    fit_weight, balanced_weight, count, total,
):  # fmt: skip
    """LeastAllocated and BalancedAllocation of the same two resources, the default, in one pass."""
    first, second = fit_resources[0, ROW], fit_resources[1, ROW]
    first_capacity, second_capacity = nodes_allocatable[first], nodes_allocatable[second]
    first_nonzero, second_nonzero = nodes_nonzero[first], nodes_nonzero[second]
    first_used, second_used = nodes_requested[first], nodes_requested[second]
    first_wanted, second_wanted = amount[first], amount[second]
    first_default, second_default = pod_nonzero[first], pod_nonzero[second]
    for node in range(count):
        fit = pair_least_allocated(
            first_capacity[node], second_capacity[node], first_nonzero[node] + first_default,
            second_nonzero[node] + second_default, 1, 1,
        )  # fmt: skip
        balanced = pair_balanced(
            first_capacity[node], second_capacity[node], first_used[node], second_used[node], first_wanted,
            second_wanted,
        )  # fmt: skip
        total[node] += fit_weight * fit + balanced_weight * balanced


@kernel
def are_default_pairs(strategy, fit_resources, balanced_resources):
    """Tell whether :func:`add_pair_scores` is for these: CPU and memory, each with weight 1, for both plugins."""
    return (
        is_default_fit(strategy, fit_resources)
        and fit_resources[0, WEIGHT] == 1
        and fit_resources[1, WEIGHT] == 1
        and is_balanced_pair(balanced_resources)
        and balanced_resources[0, ROW] == fit_resources[0, ROW]
        and balanced_resources[1, ROW] == fit_resources[1, ROW]
    )


@kernel
def is_best_effort(amount, resources):
    """Tell whether the pod asks for none of the resources, so that BalancedAllocation skips it."""
    for index in range(resources.shape[0]):
        if amount[resources[index, ROW]] != 0:
            return False
    return True
