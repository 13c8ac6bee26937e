"""One look at all nodes for a simple shape: every node's local score at once, in vector instructions.

What ``local_score`` says of one node this says of all, for shapes of which nothing is kept or too much was missed.
It serves the default resource scores (``plugins/resource_pair.py``); other profiles take the full pass.
"""

from __future__ import annotations

import numpy as np

from kcore.kernel import inner_kernel, kernel
from kcore.scheduler.codes import CPU, MEMORY
from kcore.scheduler.cycle import NO_RANK
from kcore.scheduler.incremental.columns import (
    BALANCED_WEIGHT,
    FILTERS_FIT,
    FILTERS_GPU,
    FIT_WEIGHT,
    POLICY,
    REQUEST,
    SIMPLE,
    VIEW,
)
from kcore.scheduler.incremental.local import INFEASIBLE, fits_beside_nominated, rows_are_empty
from kcore.scheduler.plugins.node_resources import is_best_effort
from kcore.scheduler.plugins.resource_pair import (
    CAPACITY,
    REQUESTED,
    pair_score,
    pair_score_arrays,
    pair_weights,
    scored_amounts,
)

ANYTHING = -1e300
"""What a node must have left of a resource that the pod does not ask for."""


@kernel
def can_scan(nodes, requests, settings, views, view, request):
    """Tell whether :func:`scan_nodes` knows all that the profile asks of a node for this view."""
    return views.fixed[view, SIMPLE] != 0 and scores_by_pair(nodes, requests, settings, views, view, request)


@kernel
def scores_by_pair(nodes, requests, settings, views, view, request):
    """Tell whether the local score of a node is what :func:`scan_nodes` makes of it, whatever its group."""
    fixed = views.fixed[view]
    if fixed[FILTERS_FIT] == 0 or nodes.paired[1] == 0:
        return False
    if fixed[FILTERS_GPU] != 0 or fixed[POLICY] != 0:
        return False
    amount = requests.amount[request]
    weight, balanced_weight = fixed[FIT_WEIGHT], fixed[BALANCED_WEIGHT]
    fit, balanced = pair_weights(nodes, settings, (weight, balanced_weight), amount)
    if is_best_effort(amount, settings.balanced_resources):
        balanced_weight = 0
    return fit == weight and balanced == balanced_weight


@kernel
def least_left(amount, ignored, row):
    """What a node must have left of CPU or memory, as a double."""
    return float(amount[row]) if amount[row] > 0 and ignored[row] == 0 else ANYTHING


@inner_kernel
def score_one(
    pair, pods_allowed, pod_count, allowed, addend, cpu, memory, cpu_left, memory_left, scored, fit, balanced, node
):  # fmt: skip
    """The node's score, INFEASIBLE where it is not allowed or lacks CPU, memory or room for pods."""
    score = pair_score(pair, node, cpu, memory, scored[0], scored[1], fit, balanced)
    passes = (
        (allowed[node] != 0)
        & (pod_count[node] < pods_allowed[node])
        & (pair[CAPACITY, node] - pair[REQUESTED, node] >= cpu_left)
        & (pair[CAPACITY + 1, node] - pair[REQUESTED + 1, node] >= memory_left)
    )
    return np.int32(score) + addend[node] if passes else INFEASIBLE


@kernel
def score_all(pair, pods_allowed, pod_count, allowed, addend, amount, ignored, scored, weights, total):
    """Fill ``total`` with :func:`score_one` of every node."""
    cpu, memory = float(amount[CPU]), float(amount[MEMORY])
    cpu_left, memory_left = least_left(amount, ignored, CPU), least_left(amount, ignored, MEMORY)
    fit, balanced = float(weights[0]), float(weights[1])
    for node in range(total.shape[0]):
        total[node] = score_one(
            pair, pods_allowed, pod_count, allowed, addend, cpu, memory, cpu_left, memory_left, scored, fit,
            balanced, node,
        )  # fmt: skip


@score_all.over_arrays("total")
def score_all_arrays(pair, pods_allowed, pod_count, allowed, addend, amount, ignored, scored, weights, total):
    """As :func:`score_all`."""
    count = len(total)
    pair = pair[:, :count]
    weighted = (float(weights[0]), float(weights[1]))
    score = pair_score_arrays(pair, float(amount[CPU]), float(amount[MEMORY]), scored, weighted)
    passes = (allowed[:count] != 0) & (pod_count[:count] < pods_allowed[:count])
    for row in (CPU, MEMORY):
        passes &= pair[CAPACITY + row] - pair[REQUESTED + row] >= least_left(amount, ignored, row)
    total[:] = np.where(passes, score.astype(np.int32) + addend[:count], INFEASIBLE)


@kernel
def score_some(
    pair, pods_allowed, pod_count, allowed, addend, amount, ignored, scored, weights, some, count, total
):  # fmt: skip
    """Fill ``total[index]`` with :func:`score_one` of ``some[index]``."""
    cpu, memory = float(amount[CPU]), float(amount[MEMORY])
    cpu_left, memory_left = least_left(amount, ignored, CPU), least_left(amount, ignored, MEMORY)
    fit, balanced = float(weights[0]), float(weights[1])
    for index in range(count):
        total[index] = score_one(
            pair, pods_allowed, pod_count, allowed, addend, cpu, memory, cpu_left, memory_left, scored, fit,
            balanced, some[index],
        )  # fmt: skip


@kernel
def drop_full(allocatable, requested, wanted, total):
    """Make nodes infeasible that lack another resource."""
    for node in range(total.shape[0]):
        total[node] = INFEASIBLE if wanted > allocatable[node] - requested[node] else total[node]


@drop_full.over_arrays("total")
def drop_full_arrays(allocatable, requested, wanted, total):
    """As :func:`drop_full`."""
    total[wanted > allocatable[: len(total)] - requested[: len(total)]] = INFEASIBLE


@kernel
def drop_occupied(domain, ledger, total):
    """Make nodes infeasible on which a row that must be empty counts a pod (``domain`` >= 0 where it matters)."""
    for node in range(total.shape[0]):
        total[node] = INFEASIBLE if (ledger[node] > 0) & (domain[node] >= 0) else total[node]


@drop_occupied.over_arrays("total")
def drop_occupied_arrays(domain, ledger, total):
    """As :func:`drop_occupied`."""
    total[(ledger[: len(total)] > 0) & (domain[: len(total)] >= 0)] = INFEASIBLE


@kernel
def scan_nodes(nodes, pods, requests, settings, views, shape, nominated, choice, total):
    """Fill ``total[node]`` with every node's local score for a shape, INFEASIBLE where a filter rejects it."""
    view, request = shape[VIEW], shape[REQUEST]
    fixed = views.fixed[view]
    amount = requests.amount[request]
    count = total.shape[0]
    weights = pair_weights(nodes, settings, (fixed[FIT_WEIGHT], fixed[BALANCED_WEIGHT]), amount)
    score_all(
        nodes.pair, nodes.pods_allowed, nodes.pod_count, views.allowed[view], views.addend[view], amount,
        settings.fit_ignored, scored_amounts(requests, request), weights, total,
    )  # fmt: skip
    for row in range(MEMORY + 1, amount.shape[0]):
        if amount[row] > 0 and settings.fit_ignored[row] == 0:
            drop_full(nodes.allocatable[row], nodes.requested[row], amount[row], total)
    for index in range(views.empty.ptr[view], views.empty.ptr[view + 1]):
        row, topology = views.empty.item[index, 0], views.empty.item[index, 1]
        # a row that matters on every node is judged by itself
        domain = nodes.domain[topology] if topology >= 0 else nodes.rank
        drop_occupied(domain, nodes.ledger[row], total)
    for index in range(nominated.shape[0]):
        node = pods.nominated[nominated[index]]
        if 0 <= node < count and total[node] >= 0:
            if not fits_beside_nominated(
                nodes, pods, requests, settings, views, shape, node, nominated, choice
            ):
                total[node] = INFEASIBLE


@kernel
def scan_some(nodes, pods, requests, settings, views, shape, nominated, promised, choice, count):
    """Fill ``choice.total[index]`` with what :func:`scan_nodes` says of the nodes ``choice.some[:count]``."""
    view, request = shape[VIEW], shape[REQUEST]
    fixed = views.fixed[view]
    amount = requests.amount[request]
    some, total = choice.some, choice.total
    weights = pair_weights(nodes, settings, (fixed[FIT_WEIGHT], fixed[BALANCED_WEIGHT]), amount)
    score_some(
        nodes.pair, nodes.pods_allowed, nodes.pod_count, views.allowed[view], views.addend[view], amount,
        settings.fit_ignored, scored_amounts(requests, request), weights, some, count, total,
    )  # fmt: skip
    for row in range(MEMORY + 1, amount.shape[0]):
        if amount[row] > 0 and settings.fit_ignored[row] == 0:
            for index in range(count):
                left = nodes.allocatable[row, some[index]] - nodes.requested[row, some[index]]
                total[index] = INFEASIBLE if amount[row] > left else total[index]
    empty = views.empty
    first, last = empty.ptr[view], empty.ptr[view + 1]
    if first < last:
        for index in range(count):
            if not rows_are_empty(empty, first, last, nodes.domain, nodes.ledger, some[index]):
                total[index] = INFEASIBLE
    if nominated.shape[0] > 0:
        for index in range(count):
            if promised[some[index]] != 0 and total[index] >= 0:
                if not fits_beside_nominated(
                    nodes, pods, requests, settings, views, shape, some[index], nominated, choice
                ):
                    total[index] = INFEASIBLE


@kernel
def pick_best(total, rank, draw):
    """The node with the greatest total, and that: of equals as ``select_node`` chooses; (-1, INFEASIBLE) for none."""
    best = INFEASIBLE
    for node in range(total.shape[0]):
        best = max(best, total[node])
    if best < 0:
        return -1, INFEASIBLE
    if draw >= 0:
        ties = 0
        for node in range(total.shape[0]):
            ties += 1 if total[node] == best else 0
        wanted = int(draw * ties)
        for node in range(total.shape[0]):
            if total[node] == best:
                if wanted == 0:
                    return node, best
                wanted -= 1
    first = NO_RANK
    for node in range(total.shape[0]):
        first = min(first, rank[node] if total[node] == best else NO_RANK)
    for node in range(total.shape[0]):
        if rank[node] == first and total[node] == best:
            return node, best
    return -1, INFEASIBLE


@pick_best.over_arrays("total")
def pick_best_arrays(total, rank, draw):
    """As :func:`pick_best`."""
    best = int(total.max())
    if best < 0:
        return -1, INFEASIBLE
    tied = np.flatnonzero(total == best)
    return int(tied[int(draw * len(tied)) if draw >= 0 else rank[tied].argmin()]), best
