"""Nominated pods and DefaultPreemption: which pods would have to go so that one fits.

Trying a node means really taking pods off it, running the same filters as the full pass on that one node, and
putting them back. Sources: framework/preemption/preemption.go, plugins/defaultpreemption and
RunFilterPluginsWithNominatedPods of Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.accounts import account, bind
from kcore.scheduler.codes import NOT_TRIED, OUTSIDE
from kcore.scheduler.columns import FLAG_AFFINITY_TOTAL
from kcore.scheduler.cycle import count_feasible, filter_range, prefilter, score_nodes, select_node
from kcore.scheduler.plugins.gpu_share import (
    SHARES,
    account_devices,
    keep_devices,
    promise_devices,
    restore_devices,
    take_devices,
)

NO_VICTIMS = -1
"""The node has no pod of lower priority."""
STILL_REJECTED = -2
"""The pod does not fit even without all of them; the verdict says why."""


@kernel
def shift_counts(term, first, last, row, amount, domain, node, counts):
    """Add ``amount`` to the node's domain in every term on that ledger row; return how many terms that were."""
    changed = 0
    for index in range(first, last):
        if term[index, 0] == row:
            value = domain[term[index, 1], node]
            if value >= 0:
                counts[index - first, value] += amount
                changed += 1
    return changed


@kernel
def shift(nodes, pods, demands, requests, demand, pod, node, sign, scratch):
    """Put a pod on the node (sign 1) or take it off (-1) as PreFilterExtensions' AddPod and RemovePod see it.

    Accounts change, and with them the counts per domain that the PreFilter of ``demand`` left in ``scratch``.
    """
    account(nodes, pods, requests, pod, node, sign)
    if pods.nominated[pod] < 0:
        # a nominated pod has no devices yet: fits_node promises it some
        account_devices(nodes, pods, requests, pod, node, sign)
    hard, affinity = demands.spread_hard, demands.affinity
    anti, existing = demands.anti_affinity, demands.existing_anti_affinity
    spec_class = pods.spec_class[pod]
    contribution = pods.contribution
    for index in range(contribution.ptr[spec_class], contribution.ptr[spec_class + 1]):
        row = contribution.item[index, 0]
        amount = sign * contribution.item[index, 2]
        first = hard.ptr[demand]
        for constraint in range(first, hard.ptr[demand + 1]):
            if hard.item[constraint, 0] == row and scratch.spread_eligible[constraint - first, node] != 0:
                scratch.spread[constraint - first, nodes.domain[hard.item[constraint, 1], node]] += amount
        changed = shift_counts(
            affinity.item, affinity.ptr[demand], affinity.ptr[demand + 1], row, amount, nodes.domain, node,
            scratch.affinity,
        )  # fmt: skip
        scratch.flag[FLAG_AFFINITY_TOTAL] += changed * amount
        shift_counts(
            anti.item, anti.ptr[demand], anti.ptr[demand + 1], row, amount, nodes.domain, node,
            scratch.anti_affinity,
        )  # fmt: skip
        shift_counts(
            existing.item, existing.ptr[demand], existing.ptr[demand + 1], row, amount, nodes.domain, node,
            scratch.existing_anti_affinity,
        )  # fmt: skip


@kernel
def copy_column(source, node, target):
    """Keep a node's column of the ledger.

    Ports are a set there, so that taking pods off and putting them back does not undo itself.
    """
    for row in range(source.shape[0]):
        target[row] = source[row, node]


@kernel
def restore_column(source, node, target):
    """Put a node's column of the ledger back."""
    for row in range(target.shape[0]):
        target[row, node] = source[row]


@kernel
def fits_node(nodes, pods, demands, requests, settings, pod, node, nominated, anywhere, scratch):
    """Tell whether the pod passes the filters on the node, with and without the pods nominated to it.

    Only nominated pods of equal or higher priority count. ``scratch.verdict[node]`` says why not. ``anywhere`` is
    for nodes outside the PreFilterResult.
    """
    demand, request = pods.demand[pod], pods.request[pod]
    added = 0
    if nominated.shape[0] > 0:
        copy_column(nodes.ledger, node, scratch.column[0])
        keep_devices(nodes.gpu_left, node, scratch.gpu_left)
    for index in range(nominated.shape[0]):
        other = nominated[index]
        if other != pod and pods.nominated[other] == node and pods.priority[other] >= pods.priority[pod]:
            shift(nodes, pods, demands, requests, demand, other, node, 1, scratch)
            if settings.gpu[SHARES] != 0:
                promise_devices(nodes, requests, pods.request[other], node)
            added += 1
    filter_range(nodes, demands, requests, settings, demand, request, node, node + 1, anywhere, scratch)
    if added == 0:
        return scratch.verdict[node] == 0
    for index in range(nominated.shape[0]):
        other = nominated[index]
        if other != pod and pods.nominated[other] == node and pods.priority[other] >= pods.priority[pod]:
            shift(nodes, pods, demands, requests, demand, other, node, -1, scratch)
    restore_column(scratch.column[0], node, nodes.ledger)
    restore_devices(scratch.gpu_left, node, nodes.gpu_left)
    if scratch.verdict[node] != 0:
        return False
    filter_range(nodes, demands, requests, settings, demand, request, node, node + 1, anywhere, scratch)
    return scratch.verdict[node] == 0


@kernel
def filter_cluster(nodes, pods, demands, requests, settings, pod, nominated, scratch):
    """Run PreFilter and Filter on all nodes, nominated pods respected; return the number of feasible nodes.

    A pod that is itself nominated to a node tries that node first and looks no further if it fits.
    """
    count = nodes.slots[0]
    demand, request = pods.demand[pod], pods.request[pod]
    prefilter(nodes, demands, settings, demand, scratch)
    own = pods.nominated[pod]
    own_verdict = 0
    if own >= 0 and nodes.alive[own] != 0:
        if fits_node(nodes, pods, demands, requests, settings, pod, own, nominated, True, scratch):
            for node in range(count):
                scratch.verdict[node] = NOT_TRIED
            scratch.verdict[own] = 0
            return 1
        own_verdict = scratch.verdict[own]
    filter_range(nodes, demands, requests, settings, demand, request, 0, count, False, scratch)
    for index in range(nominated.shape[0]):
        node = pods.nominated[nominated[index]]
        if node >= 0 and scratch.verdict[node] != OUTSIDE:
            fits_node(nodes, pods, demands, requests, settings, pod, node, nominated, False, scratch)
    if own_verdict != 0 and scratch.verdict[own] == OUTSIDE:
        # the nominated node was asked all the same, and its answer stays in the diagnosis
        scratch.verdict[own] = own_verdict
    return count_feasible(scratch.verdict, count)


@kernel
def schedule_range(
    nodes, pods, demands, requests, settings, queue, draws, start, stop, nominated, scratch, placed, score
):
    """Schedule ``queue[start:stop]`` one after another; stop at the first pod that fits nowhere.

    Every node is evaluated for every pod. ``placed[i]`` and ``score[i]`` get the node and its total. Returns the
    position of the pod that failed (its verdicts are in ``scratch``), or ``stop``. A pod that gets its nominated
    node keeps the nomination on record; the caller drops it from ``nominated``.
    """
    count = nodes.slots[0]
    for position in range(start, stop):
        pod = queue[position]
        if filter_cluster(nodes, pods, demands, requests, settings, pod, nominated, scratch) == 0:
            return position
        score_nodes(nodes, demands, requests, settings, pods.demand[pod], pods.request[pod], scratch)
        node = select_node(scratch.verdict, scratch.total, nodes.rank, draws[position], count)
        placed[position] = node
        score[position] = scratch.total[node]
        pods.nominated[pod] = -1
        take_devices(nodes, pods, requests, settings, pod, node, draws[position])
        bind(nodes, pods, requests, pod, node)
    return stop


@kernel
def more_important(pods, first, second):
    """Order by priority, then by earlier start; equal ones stay in the order in which they came."""
    if pods.priority[first] != pods.priority[second]:
        return pods.priority[first] > pods.priority[second]
    if pods.start[first] != pods.start[second]:
        return pods.start[first] < pods.start[second]
    return first < second


@kernel
def sort_by_importance(pods, chosen, start, stop):
    """Sort ``chosen[start:stop]``, the most important pod first (insertion: a node has few pods)."""
    for index in range(start + 1, stop):
        pod = chosen[index]
        place = index
        while place > start and more_important(pods, pod, chosen[place - 1]):
            chosen[place] = chosen[place - 1]
            place -= 1
        chosen[place] = pod


@kernel
def violates_budget(pods, pod, budget_left):
    """Charge the pod's eviction to every budget that covers it; tell whether one is overdrawn."""
    violated = False
    budget = pods.budget
    spec_class = pods.spec_class[pod]
    for index in range(budget.ptr[spec_class], budget.ptr[spec_class + 1]):
        row = budget.item[index, 0]
        budget_left[row] -= 1
        if budget_left[row] < 0:
            violated = True
    return violated


@kernel
def reprieve(nodes, pods, demands, requests, settings, pod, node, victim, nominated, scratch):
    """Put the victim back if the pod still fits beside it; tell whether it stayed."""
    demand = pods.demand[pod]
    shift(nodes, pods, demands, requests, demand, victim, node, 1, scratch)
    if fits_node(nodes, pods, demands, requests, settings, pod, node, nominated, True, scratch):
        return True
    shift(nodes, pods, demands, requests, demand, victim, node, -1, scratch)
    return False


@kernel
def select_victims(
    nodes, pods, demands, requests, settings, pod, node, nominated, budget_allowed, budget_left, scratch,
    victims, violating, start,
):  # fmt: skip
    """Find the least set of pods to evict from the node so that the pod fits there.

    Writes the victims, most important first, to ``victims[start:]`` and returns ``(their number or NO_VICTIMS or
    STILL_REJECTED, how many of them violate a disruption budget)``. ``violating`` and ``budget_left`` are scratch.
    Everything else is left as it was found.
    """
    demand = pods.demand[pod]
    stop = start
    other = nodes.first_pod[node]
    while other >= 0:
        if pods.priority[other] < pods.priority[pod]:
            victims[stop] = other
            stop += 1
        other = pods.next[other]
    if stop == start:
        return NO_VICTIMS, 0
    sort_by_importance(pods, victims, start, stop)
    copy_column(nodes.ledger, node, scratch.column[1])
    for index in range(start, stop):
        shift(nodes, pods, demands, requests, demand, victims[index], node, -1, scratch)
    if not fits_node(nodes, pods, demands, requests, settings, pod, node, nominated, True, scratch):
        for index in range(start, stop):
            shift(nodes, pods, demands, requests, demand, victims[index], node, 1, scratch)
        restore_column(scratch.column[1], node, nodes.ledger)
        return STILL_REJECTED, 0
    for row in range(budget_allowed.shape[0]):
        budget_left[row] = budget_allowed[row]
    for index in range(start, stop):
        violating[index - start] = 1 if violates_budget(pods, victims[index], budget_left) else 0
    violation_count = 0
    # two rounds: pods whose eviction violates a budget are reprieved first
    for wanted in range(1, -1, -1):
        for index in range(start, stop):
            if violating[index - start] != wanted:
                continue
            if reprieve(
                nodes, pods, demands, requests, settings, pod, node, victims[index], nominated, scratch
            ):
                violating[index - start] = 2
            else:
                violating[index - start] = 3
                violation_count += wanted
    kept = start
    for index in range(start, stop):
        if violating[index - start] == 3:
            victims[kept] = victims[index]
            shift(nodes, pods, demands, requests, demand, victims[kept], node, 1, scratch)
            kept += 1
    restore_column(scratch.column[1], node, nodes.ledger)
    return kept - start, violation_count


@kernel
def dry_run(
    nodes, pods, demands, requests, settings, pod, order, candidates_max, nominated, budget_allowed, budget_left,
    scratch, victims, violating, candidate, bounds, outcome,
):  # fmt: skip
    """Try preemption on the nodes of ``order`` until enough candidates are found; return how many there are.

    ``candidate[i]`` is (node, violations) with victims ``victims[bounds[i]:bounds[i + 1]]``. ``outcome[k]`` is what
    became of ``order[k]``: the number of victims, NO_VICTIMS, STILL_REJECTED, or 0 if it was not tried.
    """
    found = 0
    clean = 0
    bounds[0] = 0
    for index in range(order.shape[0]):
        outcome[index] = 0
    for index in range(order.shape[0]):
        node = order[index]
        count, violation_count = select_victims(
            nodes, pods, demands, requests, settings, pod, node, nominated, budget_allowed, budget_left, scratch,
            victims, violating, bounds[found],
        )  # fmt: skip
        outcome[index] = count
        if count <= 0:
            continue
        candidate[found, 0] = node
        candidate[found, 1] = violation_count
        bounds[found + 1] = bounds[found] + count
        found += 1
        clean += 1 if violation_count == 0 else 0
        if clean > 0 and found >= candidates_max:
            break
    return found
