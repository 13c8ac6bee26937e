"""One scheduling cycle: PreFilter, Filter, Score, select, assume, over all nodes.

The kernels of the plugins are put together here in the order that the profile asks for. A node is evaluated by the
plugins until the first rejects it. The same kernels serve a full pass and, on a range of one node, preemption and
nominated pods: a pod is put on or taken off the node for real (:func:`shift`), the range is evaluated, and the
change undone.
"""

from __future__ import annotations

import numpy as np

from kcore.kernel import kernel
from kcore.scheduler.codes import (
    BALANCED_ALLOCATION,
    DEAD,
    FIRST_POLICY,
    GPU_SHARE,
    IMAGE_LOCALITY,
    INTER_POD_AFFINITY,
    MAX_NODE_SCORE,
    NODE_AFFINITY,
    NODE_NAME,
    NODE_PORTS,
    NODE_RESOURCES_FIT,
    NODE_UNSCHEDULABLE,
    POD_TOPOLOGY_SPREAD,
    REJECT_EXISTING_ANTI_AFFINITY,
    REJECT_POD_ANTI_AFFINITY,
    TAINT_TOLERATION,
)
from kcore.scheduler.columns import FLAG_AFFINITY_SKIPPED, FLAG_AFFINITY_TOTAL
from kcore.scheduler.fields import (
    AFFINITY,
    ANY_HARD_TAINT,
    ANY_SOFT_TAINT,
    CONTAINERS,
    ENFORCED,
    HAS_NAMES,
    REQUIRE_ALL_TOPOLOGIES,
    SCORES_AFFINITY,
    SCORES_PODS,
    SELECTOR,
    SELF_AFFINITY,
    TOLERATES_CORDON,
    TOLERATION,
)
from kcore.scheduler.fields import NODE_NAME as WANTED_NAME
from kcore.scheduler.plugins.gpu_share import device_filter
from kcore.scheduler.plugins.image_locality import any_image_scores, image_score
from kcore.scheduler.plugins.inter_pod_affinity import affinity_filter as pod_affinity_filter
from kcore.scheduler.plugins.inter_pod_affinity import anti_affinity_filter, count_terms, preference_score
from kcore.scheduler.plugins.node_affinity import (
    affinity_filter,
    affinity_score,
    restrict_to_names,
    select_nodes,
)
from kcore.scheduler.plugins.node_ports import ports_filter
from kcore.scheduler.plugins.node_resources import (
    add_balanced_score,
    add_fit_score,
    fit_filter,
    is_best_effort,
)
from kcore.scheduler.plugins.node_static import (
    name_filter,
    taint_filter,
    taint_score,
    unschedulable_filter,
)
from kcore.scheduler.plugins.normalize import add_default_normalized, add_min_max_normalized
from kcore.scheduler.plugins.pod_topology_spread import (
    add_soft_normalized,
    count_hard,
    soft_score,
    spread_filter,
)
from kcore.scheduler.plugins.policies.scoring import add_policy_score
from kcore.scheduler.plugins.resource_pair import (
    add_pair_scores,
    pair_weights,
    scored_amounts,
)

NO_TOTAL = -(1 << 62)
NO_RANK = 1 << 30


@kernel
def fill(value, count, values):
    """Set ``values[:count]``."""
    for node in range(count):
        values[node] = value


@fill.over_arrays("count")
def fill_arrays(value, count, values):
    """As :func:`fill`."""
    values[:count] = value


@kernel
def prefilter(nodes, demands, settings, demand, scratch):
    """Compute what the filters need of the whole cluster: selected nodes and counts per topology domain."""
    count = nodes.slots[0]
    fixed = demands.fixed[demand]
    if fixed[SELECTOR] >= 0 or fixed[AFFINITY] >= 0:
        select_nodes(
            fixed[SELECTOR],
            fixed[AFFINITY],
            demands.term,
            demands.requirement,
            demands.value,
            nodes.label,
            nodes.number,
            nodes.is_number,
            0,
            count,
            scratch.selected,
        )
    else:
        fill(1, count, scratch.selected)
    for index in range(settings.filters.shape[0]):
        plugin = settings.filters[index]
        if plugin == POD_TOPOLOGY_SPREAD:
            first, last = demands.spread_hard.ptr[demand], demands.spread_hard.ptr[demand + 1]
            if first < last:
                count_hard(
                    demands.spread_hard.item,
                    first,
                    last,
                    nodes.domain,
                    nodes.domain_count,
                    nodes.ledger,
                    scratch.selected,
                    nodes.taint_set,
                    demands.tolerates[fixed[TOLERATION]],
                    count,
                    scratch.complete,
                    scratch.spread,
                    scratch.spread_least,
                    scratch.spread_eligible,
                )
        elif plugin == INTER_POD_AFFINITY:
            count_pod_affinity(nodes, demands, demand, scratch)


@kernel
def count_pod_affinity(nodes, demands, demand, scratch):
    """InterPodAffinity's PreFilter: counts per domain for the three kinds of required terms."""
    count = nodes.slots[0]
    first, last = demands.affinity.ptr[demand], demands.affinity.ptr[demand + 1]
    scratch.flag[FLAG_AFFINITY_TOTAL] = count_terms(
        demands.affinity.item,
        first,
        last,
        nodes.domain,
        nodes.domain_count,
        nodes.ledger,
        count,
        scratch.affinity,
    )
    own = last - first
    first, last = demands.anti_affinity.ptr[demand], demands.anti_affinity.ptr[demand + 1]
    count_terms(
        demands.anti_affinity.item,
        first,
        last,
        nodes.domain,
        nodes.domain_count,
        nodes.ledger,
        count,
        scratch.anti_affinity,
    )
    own += last - first
    first, last = demands.existing_anti_affinity.ptr[demand], demands.existing_anti_affinity.ptr[demand + 1]
    existing = count_terms(
        demands.existing_anti_affinity.item,
        first,
        last,
        nodes.domain,
        nodes.domain_count,
        nodes.ledger,
        count,
        scratch.existing_anti_affinity,
    )
    scratch.flag[FLAG_AFFINITY_SKIPPED] = 1 if own == 0 and existing == 0 else 0


@kernel
def start_verdicts(alive, verdict):
    """Let every node pass and mark dead slots."""
    for node in range(verdict.shape[0]):
        verdict[node] = 0 if alive[node] != 0 else DEAD


@start_verdicts.over_arrays("verdict")
def start_verdicts_arrays(alive, verdict):
    """As :func:`start_verdicts`."""
    verdict[:] = np.where(alive != 0, 0, DEAD)


@kernel
def filter_range(nodes, demands, requests, settings, demand, request, start, stop, anywhere, scratch):
    """Fill ``scratch.verdict[start:stop]`` with 0 or the first rejection of each node, in the profile's order.

    ``anywhere`` asks the filters about nodes outside the PreFilterResult, too.
    """
    start_verdicts(nodes.alive[start:stop], scratch.verdict[start:stop])
    fixed = demands.fixed[demand]
    if fixed[HAS_NAMES] != 0 and not anywhere:
        restrict_to_names(
            nodes.label[0],
            demands.names,
            demands.names.ptr[demand],
            demands.names.ptr[demand + 1],
            start,
            stop,
            scratch.verdict,
        )
    for index in range(settings.filters.shape[0]):
        run_filter(
            settings.filters[index], nodes, demands, requests, settings, demand, request, start, stop, scratch
        )


@kernel
def run_filter(plugin, nodes, demands, requests, settings, demand, request, start, stop, scratch):
    """Run one in-tree filter plugin on the nodes of the range that no earlier one has rejected."""
    fixed = demands.fixed[demand]
    verdict = scratch.verdict
    if plugin == NODE_RESOURCES_FIT:
        fit_filter(
            nodes.allocatable,
            nodes.requested,
            nodes.pods_allowed[start:stop],
            nodes.pod_count[start:stop],
            requests.amount[request],
            settings.fit_ignored,
            start,
            verdict[start:stop],
            scratch.detail[start:stop],
        )
    elif plugin == NODE_UNSCHEDULABLE:
        if fixed[TOLERATES_CORDON] == 0:
            unschedulable_filter(nodes.unschedulable[start:stop], verdict[start:stop])
    elif plugin == NODE_NAME:
        if fixed[WANTED_NAME] >= 0:
            name_filter(nodes.label[0][start:stop], fixed[WANTED_NAME], verdict[start:stop])
    elif plugin == TAINT_TOLERATION:
        if fixed[ANY_HARD_TAINT] != 0:
            tolerates = demands.tolerates[fixed[TOLERATION]]
            taint_filter(nodes.taint_set[start:stop], tolerates, verdict[start:stop])
    elif plugin == NODE_AFFINITY:
        needs_selection = fixed[SELECTOR] >= 0 or fixed[AFFINITY] >= 0
        if needs_selection or fixed[ENFORCED] >= 0:
            affinity_filter(
                needs_selection,
                fixed[ENFORCED],
                scratch.selected,
                demands.term,
                demands.requirement,
                demands.value,
                nodes.label,
                nodes.number,
                nodes.is_number,
                start,
                stop,
                verdict,
            )
    elif plugin == NODE_PORTS:
        first, last = demands.ports.ptr[demand], demands.ports.ptr[demand + 1]
        ports_filter(demands.ports, first, last, nodes.ledger, start, verdict[start:stop])
    elif plugin == GPU_SHARE:
        device_filter(nodes, requests, request, start, stop, verdict)
    elif plugin == POD_TOPOLOGY_SPREAD:
        first, last = demands.spread_hard.ptr[demand], demands.spread_hard.ptr[demand + 1]
        if first < last:
            spread_filter(
                demands.spread_hard.item,
                first,
                last,
                nodes.domain,
                scratch.spread,
                scratch.spread_least,
                start,
                verdict[start:stop],
            )
    elif plugin == INTER_POD_AFFINITY and scratch.flag[FLAG_AFFINITY_SKIPPED] == 0:
        first_of_kind = scratch.flag[FLAG_AFFINITY_TOTAL] == 0 and fixed[SELF_AFFINITY] != 0
        affinity, anti, existing = demands.affinity, demands.anti_affinity, demands.existing_anti_affinity
        pod_affinity_filter(
            affinity.item,
            affinity.ptr[demand],
            affinity.ptr[demand + 1],
            nodes.domain,
            scratch.affinity,
            first_of_kind,
            start,
            verdict[start:stop],
        )
        anti_affinity_filter(
            anti.item,
            anti.ptr[demand],
            anti.ptr[demand + 1],
            nodes.domain,
            scratch.anti_affinity,
            REJECT_POD_ANTI_AFFINITY,
            start,
            verdict[start:stop],
        )
        anti_affinity_filter(
            existing.item,
            existing.ptr[demand],
            existing.ptr[demand + 1],
            nodes.domain,
            scratch.existing_anti_affinity,
            REJECT_EXISTING_ANTI_AFFINITY,
            start,
            verdict[start:stop],
        )


@kernel
def run_score(plugin, weight, nodes, demands, requests, settings, demand, request, scratch):
    """Add one in-tree score plugin's weighted, normalized scores to ``scratch.total``; return 0 if it skips the pod.

    ``scratch.raw`` holds its raw scores afterwards where it has a normalization; otherwise raw and normalized are
    the same. Totals of infeasible nodes are without meaning.
    """
    count = nodes.slots[0]
    fixed = demands.fixed[demand]
    verdict, raw, total = scratch.verdict, scratch.raw, scratch.total
    tolerates = demands.tolerates[fixed[TOLERATION]]
    if plugin == NODE_RESOURCES_FIT:
        add_fit_score(
            nodes.allocatable,
            nodes.requested,
            nodes.nonzero,
            requests.amount[request],
            requests.nonzero[request],
            requests.exception[request],
            requests.score,
            settings.fit_strategy[0],
            settings.fit_resources,
            settings.fit_shape,
            weight,
            count,
            scratch.number,
            total,
        )
    elif plugin == BALANCED_ALLOCATION:
        amount = requests.amount[request]
        if is_best_effort(amount, settings.balanced_resources):
            return 0
        add_balanced_score(
            nodes.allocatable,
            nodes.requested,
            amount,
            settings.balanced_resources,
            weight,
            count,
            verdict,
            scratch.number,
            total,
        )
    elif plugin == TAINT_TOLERATION:
        if fixed[ANY_SOFT_TAINT] == 0:
            # no soft taint anywhere that is not tolerated: raw scores 0, normalized 100
            fill(0, count, raw)
            add_default_normalized(verdict, raw, True, weight, count, total)
        else:
            taint_score(nodes.taint_set, tolerates, count, raw)
            add_default_normalized(verdict, raw, True, weight, count, total)
    elif plugin == NODE_AFFINITY:
        if fixed[SCORES_AFFINITY] == 0:
            return 0
        affinity_score(
            demands.preferred,
            demands.preferred.ptr[demand],
            demands.preferred.ptr[demand + 1],
            demands.term,
            demands.requirement,
            demands.value,
            nodes.label,
            nodes.number,
            nodes.is_number,
            0,
            count,
            verdict,
            raw,
        )
        add_default_normalized(verdict, raw, False, weight, count, total)
    elif plugin == POD_TOPOLOGY_SPREAD:
        first, last = demands.spread_soft.ptr[demand], demands.spread_soft.ptr[demand + 1]
        if first == last:
            return 0
        soft_score(
            demands.spread_soft.item,
            first,
            last,
            fixed[REQUIRE_ALL_TOPOLOGIES] != 0,
            nodes.domain,
            nodes.domain_count,
            nodes.ledger,
            scratch.selected,
            nodes.taint_set,
            tolerates,
            verdict,
            count,
            scratch.complete,
            scratch.admitted,
            scratch.soft,
            scratch.soft_present,
            scratch.number[0],
            raw,
        )
        add_soft_normalized(verdict, raw, weight, count, total)
    elif plugin == INTER_POD_AFFINITY:
        first, last = demands.pod_preference.ptr[demand], demands.pod_preference.ptr[demand + 1]
        if fixed[SCORES_PODS] == 0:
            return 0
        if (
            preference_score(
                demands.pod_preference.item,
                first,
                last,
                nodes.domain,
                nodes.domain_count,
                nodes.ledger,
                count,
                scratch.preference,
                raw,
            )
            == 0
        ):
            return 0
        add_min_max_normalized(verdict, raw, weight, count, total)
    elif plugin == IMAGE_LOCALITY:
        first, last = demands.images.ptr[demand], demands.images.ptr[demand + 1]
        if first < last and any_image_scores(demands.images, first, last, nodes.image_most):
            image_score(demands.images, first, last, fixed[CONTAINERS], nodes.image, count, raw)
            add_raw(raw, weight, count, total)
    elif plugin >= FIRST_POLICY:
        add_policy_score(plugin, weight, nodes, requests, settings, request, count, verdict, total)
    return 1


@kernel
def add_raw(raw, weight, count, total):
    """Add weight * raw score, where it is within 0..100 already."""
    for node in range(count):
        total[node] += weight * raw[node]


@add_raw.over_arrays("count")
def add_raw_arrays(raw, weight, count, total):
    """As :func:`add_raw`."""
    total[:count] += weight * raw[:count]


@kernel
def weight_of(settings, plugin):
    """The weight of a score plugin of the profile, 0 where it is not enabled."""
    for index in range(settings.scores.shape[0]):
        if settings.scores[index] == plugin:
            return settings.weights[index]
    return 0


@kernel
def score_nodes(nodes, demands, requests, settings, demand, request, scratch):
    """Fill ``scratch.total`` with the sum of weighted scores."""
    count, total = nodes.slots[0], scratch.total
    fixed = demands.fixed[demand]
    # the default resource plugins share a pass, and a plugin that scores all nodes alike needs none
    amount = requests.amount[request]
    weights = weight_of(settings, NODE_RESOURCES_FIT), weight_of(settings, BALANCED_ALLOCATION)
    fit, balanced = pair_weights(nodes, settings, weights, amount)
    taints = fixed[ANY_SOFT_TAINT] != 0
    same = 0 if taints else weight_of(settings, TAINT_TOLERATION) * MAX_NODE_SCORE
    fill(same, count, total)
    if fit + balanced > 0:
        first, second = scored_amounts(requests, request)
        add_pair_scores(nodes.pair, amount, first, second, fit, balanced, count, total)
    for index in range(settings.scores.shape[0]):
        plugin = settings.scores[index]
        if (plugin == NODE_RESOURCES_FIT and fit > 0) or (plugin == BALANCED_ALLOCATION and balanced > 0):
            continue
        if plugin == TAINT_TOLERATION and not taints:
            continue
        run_score(
            plugin, settings.weights[index], nodes, demands, requests, settings, demand, request, scratch
        )


@kernel
def count_feasible(verdict, stop):
    """Count the nodes that passed."""
    count = 0
    for node in range(stop):
        count += 1 if verdict[node] == 0 else 0
    return count


@count_feasible.over_arrays("stop")
def count_feasible_arrays(verdict, stop):
    """As :func:`count_feasible`."""
    return int(np.count_nonzero(verdict[:stop] == 0))


@kernel
def select_node(verdict, total, rank, draw, count):
    """Return the feasible node with the highest total: of ties the first by name, or the one that ``draw`` picks.

    ``draw`` is a number in [0, 1) for a random choice among the ties, or negative for the first; -1 if none is
    feasible.
    """
    best = NO_TOTAL
    for node in range(count):
        best = max(best, total[node] if verdict[node] == 0 else NO_TOTAL)
    if best == NO_TOTAL:
        return -1
    if draw >= 0:
        ties = 0
        for node in range(count):
            ties += 1 if (verdict[node] == 0) & (total[node] == best) else 0
        wanted = int(draw * ties)
        for node in range(count):
            if verdict[node] == 0 and total[node] == best:
                if wanted == 0:
                    return node
                wanted -= 1
    first = NO_RANK
    for node in range(count):
        first = min(first, rank[node] if (verdict[node] == 0) & (total[node] == best) else NO_RANK)
    for node in range(count):
        if rank[node] == first and verdict[node] == 0:
            return node
    return -1


@select_node.over_arrays("count")
def select_node_arrays(verdict, total, rank, draw, count):
    """As :func:`select_node`."""
    feasible = np.flatnonzero(verdict[:count] == 0)
    if not len(feasible):
        return -1
    totals = total[feasible]
    tied = feasible[totals == totals.max()]
    return int(tied[int(draw * len(tied)) if draw >= 0 else rank[tied].argmin()])
