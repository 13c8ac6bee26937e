"""One node for one shape: does it pass the filters that look at the node alone, what does it score, where does it belong.

The twins are the loops over all nodes in ``plugins/`` and ``cycle.py``; the arithmetic is shared with them.
"""

from __future__ import annotations

import numpy as np

from kcore.kernel import inner_kernel
from kcore.scheduler.codes import CPU, MEMORY
from kcore.scheduler.columns import I64, NodeColumns
from kcore.scheduler.incremental.columns import (
    ADD,
    ADMITTED,
    BALANCED_WEIGHT,
    COLUMNS,
    FILTERS_FIT,
    FILTERS_GPU,
    FIT_WEIGHT,
    OPERATION,
    POLICY,
    PRIORITY,
    REQUEST,
    ROW,
    STATIC_COLUMNS,
    TARGET,
    TOPOLOGY,
    VIEW,
    WEIGHT,
    Counters,
    Views,
)
from kcore.scheduler.plugins.gpu_share import (
    device_verdict,
    keep_devices,
    promise_devices,
    restore_devices,
)
from kcore.scheduler.plugins.node_resources import add_balanced_score, add_fit_score, is_best_effort
from kcore.scheduler.plugins.policies.scoring import policy_scores
from kcore.scheduler.plugins.resource_pair import pair_score, pair_weights, scored_amounts

INFEASIBLE = -1
"""Local score of a node that a filter rejects; scores themselves are never negative."""


@inner_kernel
def has_room(nodes, amount, ignored, node, extra, extra_pods):
    """NodeResourcesFit's Filter on one node, with ``extra[resource]`` and ``extra_pods`` added to what is there."""
    if nodes.pod_count[node] + extra_pods + 1 > nodes.pods_allowed[node]:
        return False
    for row in range(amount.shape[0]):
        wanted = amount[row]
        if wanted > 0 and ignored[row] == 0:
            used = nodes.requested[row, node] + (extra[row] if extra_pods > 0 else 0)
            if wanted > nodes.allocatable[row, node] - used:
                return False
    return True


@inner_kernel
def rows_are_empty(empty, first, last, domain, ledger, node):
    """NodePorts, and anti-affinity by one-node topologies: none of the rows counts a pod on the node."""
    for index in range(first, last):
        topology = empty.item[index, 1]
        if ledger[empty.item[index, 0], node] > 0 and (topology < 0 or domain[topology, node] >= 0):
            return False
    return True


@inner_kernel
def fits_beside_nominated(nodes, pods, requests, settings, views, shape, node, nominated, choice):
    """The same filters with the pods of equal or higher priority that are nominated to the node added to it."""
    view, priority = shape[VIEW], shape[PRIORITY]
    amount = requests.amount[shape[REQUEST]]
    extra = choice.amount
    for row in range(amount.shape[0]):
        extra[row] = 0
    count = 0
    empty = views.empty
    contribution = pods.contribution
    for index in range(nominated.shape[0]):
        other = nominated[index]
        if pods.nominated[other] != node or pods.priority[other] < priority:
            continue
        count += 1
        for row in range(amount.shape[0]):
            extra[row] += requests.amount[pods.request[other], row]
        spec_class = pods.spec_class[other]
        for item in range(contribution.ptr[spec_class], contribution.ptr[spec_class + 1]):
            added = (
                contribution.item[item, 3] if contribution.item[item, 3] != 0 else contribution.item[item, 2]
            )
            for wanted in range(empty.ptr[view], empty.ptr[view + 1]):
                topology = empty.item[wanted, 1]
                here = topology < 0 or nodes.domain[topology, node] >= 0
                if added > 0 and here and empty.item[wanted, 0] == contribution.item[item, 0]:
                    return False
    if views.fixed[view, FILTERS_FIT] != 0 and not has_room(
        nodes, amount, settings.fit_ignored, node, extra, count
    ):
        return False
    if views.fixed[view, FILTERS_GPU] == 0:
        return True
    keep_devices(nodes.gpu_left, node, choice.gpu_left)
    for index in range(nominated.shape[0]):
        other = nominated[index]
        if pods.nominated[other] == node and pods.priority[other] >= priority:
            promise_devices(nodes, requests, pods.request[other], node)
    verdict = device_verdict(nodes, requests, shape[REQUEST], node)
    restore_devices(choice.gpu_left, node, nodes.gpu_left)
    return verdict == 0


@inner_kernel
def resource_score(nodes, requests, settings, fixed, request, node, scratch):
    """Weighted scores of NodeResourcesFit and NodeResourcesBalancedAllocation on one node."""
    amount = requests.amount[request]
    weight, balanced_weight = fixed[FIT_WEIGHT], fixed[BALANCED_WEIGHT]
    fit, balanced = pair_weights(nodes, settings, (weight, balanced_weight), amount)
    score = 0
    if fit + balanced > 0:
        first, second = scored_amounts(requests, request)
        cpu, memory = float(amount[CPU]), float(amount[MEMORY])
        score += int(pair_score(nodes.pair, node, cpu, memory, first, second, float(fit), float(balanced)))
    if weight != 0 and fit == 0:
        total = scratch.total[node : node + 1]
        total[0] = 0
        add_fit_score(
            nodes.allocatable[:, node : node + 1], nodes.requested[:, node : node + 1],
            nodes.nonzero[:, node : node + 1], amount, requests.nonzero[request], requests.exception[request],
            requests.score, settings.fit_strategy[0], settings.fit_resources, settings.fit_shape, weight, 1,
            scratch.number, total,
        )  # fmt: skip
        score += total[0]
    resources = settings.balanced_resources
    if balanced_weight != 0 and balanced == 0 and not is_best_effort(amount, resources):
        total, verdict = scratch.total[node : node + 1], scratch.verdict[node : node + 1]
        total[0] = 0
        verdict[0] = 0
        add_balanced_score(
            nodes.allocatable[:, node : node + 1], nodes.requested[:, node : node + 1], amount, resources,
            balanced_weight, 1, verdict, scratch.number, total,
        )  # fmt: skip
        score += total[0]
    return score


@inner_kernel
def local_score(nodes, pods, requests, settings, views, shape, node, nominated, promised, choice, scratch):
    """The node's local score for a shape, or INFEASIBLE."""
    view = shape[VIEW]
    fixed = views.fixed[view]
    request = shape[REQUEST]
    if views.allowed[view, node] == 0:
        return INFEASIBLE
    if fixed[FILTERS_FIT] != 0 and not has_room(
        nodes, requests.amount[request], settings.fit_ignored, node, choice.amount, 0
    ):
        return INFEASIBLE
    if fixed[FILTERS_GPU] != 0 and device_verdict(nodes, requests, request, node) != 0:
        return INFEASIBLE
    empty = views.empty
    first, last = empty.ptr[view], empty.ptr[view + 1]
    if not rows_are_empty(empty, first, last, nodes.domain, nodes.ledger, node):
        return INFEASIBLE
    if promised[node] != 0 and not fits_beside_nominated(
        nodes, pods, requests, settings, views, shape, node, nominated, choice
    ):
        return INFEASIBLE
    score = resource_score(nodes, requests, settings, fixed, request, node, scratch)
    if fixed[POLICY] != 0:
        score += policy_scores(nodes, requests, settings, request, node)
    return score + views.addend[view, node]


@inner_kernel
def node_values(nodes, views, counters, view, static_group, node, value):
    """Fill ``value[column]`` with what the node's group must have: static columns, then counts of pods."""
    fixed = views.fixed[view]
    for column in range(fixed[STATIC_COLUMNS]):
        value[column] = views.static_value[static_group, column]
    for column in range(fixed[STATIC_COLUMNS], fixed[COLUMNS]):
        value[column] = 0
    dynamic = views.dynamic
    for index in range(dynamic.ptr[view], dynamic.ptr[view + 1]):
        item = dynamic.item[index]
        count = nodes.ledger[item[ROW], node]
        if item[OPERATION] == ADD:
            here = item[TOPOLOGY] < 0 or nodes.domain[item[TOPOLOGY], node] >= 0
            if here and (item[ADMITTED] < 0 or counters.mask[item[ADMITTED], node] != 0):
                value[item[TARGET]] += item[WEIGHT] * count
        elif count <= 0:
            # ALL_POSITIVE: the column counts the terms without a match
            value[item[TARGET]] += 1


def dynamic_values(nodes: NodeColumns, views: Views, counters: Counters, view: int, members: I64) -> I64:
    """The columns of :func:`node_values` that placements change, of every node of ``members``."""
    first = int(views.fixed[view, STATIC_COLUMNS])
    values = np.zeros((len(members), int(views.fixed[view, COLUMNS]) - first), dtype=np.int64)
    dynamic = views.dynamic
    for item in dynamic.item[dynamic.ptr[view] : dynamic.ptr[view + 1]].tolist():
        count = nodes.ledger[item[ROW], members]
        column = values[:, item[TARGET] - first]
        if item[OPERATION] != ADD:
            column += count <= 0
            continue
        counts = np.ones(len(members), dtype=bool)
        if item[TOPOLOGY] >= 0:
            counts &= nodes.domain[item[TOPOLOGY], members] >= 0
        if item[ADMITTED] >= 0:
            counts &= counters.mask[item[ADMITTED], members] != 0
        column += np.where(counts, item[WEIGHT] * count, 0)
    return values
