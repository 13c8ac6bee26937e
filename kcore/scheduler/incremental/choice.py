"""The choice of a node: Filter, Score and normalization over groups, in the full pass's words and order.

All nodes of a group have the same verdict beyond the node itself and the same raw scores of every plugin that is
normalized, so a pass over groups is the full pass with equal nodes taken together.
"""

from __future__ import annotations

import math

import numpy as np

from kcore.kernel import inner_kernel, kernel
from kcore.scheduler.codes import MAX_NODE_SCORE
from kcore.scheduler.cycle import NO_RANK, NO_TOTAL
from kcore.scheduler.incremental.columns import (
    AFFINITY,
    AFFINITY_DOMAIN,
    AFFINITY_SINGLE,
    AFFINITY_WEIGHT,
    ANTI_DOMAIN,
    COLUMNS,
    COMPLETE,
    CONSTANT,
    COUNT,
    COUNTER,
    DOMAIN,
    DOMAINS,
    DOMAINS_MIN,
    ELIGIBLE,
    FIRST,
    GROUPS,
    HARD_DOMAIN,
    HARD_SINGLE,
    KIND,
    LIMIT,
    OWN,
    PREFERENCE,
    PREFERENCE_DOMAIN,
    PREFERENCE_SINGLE,
    PREFERENCE_WEIGHT,
    SELF,
    SIMPLE,
    SOFT_DOMAIN,
    SOFT_HOSTNAME,
    SOFT_SINGLE,
    SOFT_WEIGHT,
    TAINT,
    TAINT_WEIGHT,
    VIEW,
)
from kcore.scheduler.incremental.tree import FANOUT, first_leaf, next_leaf
from kcore.scheduler.plugins.arithmetic import divide, round_half_away
from kcore.scheduler.plugins.normalize import NO_SCORE
from kcore.scheduler.plugins.pod_topology_spread import NO_COUNT

SOFT = 0
PAIR = 1


@kernel
def find_least(views, counters, shapes, row, choice):
    """The least count over domains of every hard spreading constraint."""
    shape = shapes.fixed[row]
    view = shape[VIEW]
    first, last = views.term.ptr[view], views.term.ptr[view + 1]
    for index in range(first, last):
        term = views.term.item[index]
        least = NO_COUNT
        if term[KIND] == HARD_DOMAIN:
            start, size = counters.fixed[term[COUNTER], 2], counters.fixed[term[COUNTER], 3]
            for domain in range(start, start + size):
                if counters.present[domain] != 0:
                    least = min(least, counters.pods[domain])
        elif term[KIND] == HARD_SINGLE:
            for group in range(shape[FIRST], shape[FIRST] + shape[GROUPS]):
                if shapes.size[group] > 0 and shapes.value[group, term[ELIGIBLE]] != 0:
                    least = min(least, shapes.value[group, term[COUNT]])
        choice.least[index - first] = least


@kernel
def is_first_of_kind(views, counters, view):
    """Tell whether no pod matches the required affinity terms anywhere and the pod matches its own."""
    if views.fixed[view, SELF] == 0:
        return False
    total = 0
    for index in range(views.term.ptr[view], views.term.ptr[view + 1]):
        term = views.term.item[index]
        if term[KIND] == AFFINITY_DOMAIN or term[KIND] == AFFINITY_SINGLE:
            total += counters.total[term[COUNTER]]
    return total == 0


@kernel
def group_passes(views, counters, view, value, first_of_kind, least):
    """PodTopologySpread's and InterPodAffinity's filters on the nodes with these values."""
    first, last = views.term.ptr[view], views.term.ptr[view + 1]
    for index in range(first, last):
        term = views.term.item[index]
        kind = term[KIND]
        if kind in (HARD_DOMAIN, HARD_SINGLE):
            if kind == HARD_DOMAIN:
                place = counters.fixed[term[COUNTER], 2] + value[term[DOMAIN]]
                count = counters.pods[place] if counters.present[place] != 0 else 0
            else:
                count = value[term[COUNT]] if value[term[ELIGIBLE]] != 0 else 0
            lowest = 0 if term[DOMAINS] < term[DOMAINS_MIN] else least[index - first]
            if count + term[OWN] - lowest > term[LIMIT]:
                return False
        elif kind == AFFINITY_DOMAIN:
            place = counters.fixed[term[COUNTER], 2] + value[term[DOMAIN]]
            if counters.pods[place] <= 0 and not first_of_kind:
                return False
        elif kind == AFFINITY_SINGLE:
            if value[term[COUNT]] > 0 and not first_of_kind:
                return False
        elif kind == ANTI_DOMAIN:
            domain = value[term[DOMAIN]]
            if domain >= 0 and counters.pods[counters.fixed[term[COUNTER], 2] + domain] > 0:
                return False
    return True


@kernel
def filter_groups(views, counters, shapes, row, choice):
    """Mark the groups that have a feasible node; return whether there is any."""
    shape = shapes.fixed[row]
    view = shape[VIEW]
    find_least(views, counters, shapes, row, choice)
    first_of_kind = is_first_of_kind(views, counters, view)
    found = False
    for group in range(shape[FIRST], shape[FIRST] + shape[GROUPS]):
        passes = shapes.tree[shapes.tree_start[group]] >= 0 and group_passes(
            views, counters, view, shapes.value[group], first_of_kind, choice.least
        )
        choice.passes[group - shape[FIRST]] = 1 if passes else 0
        found = found or passes
    return found


@kernel
def count_shared(views, counters, shapes, row, choice):
    """For every soft constraint log(size + 2): of the domains, or of nodes, that feasible nodes share."""
    shape = shapes.fixed[row]
    view = shape[VIEW]
    complete = views.fixed[view, COMPLETE]
    first, last = views.term.ptr[view], views.term.ptr[view + 1]
    for index in range(first, last):
        term = views.term.item[index]
        kind = term[KIND]
        if kind != SOFT_DOMAIN and kind != SOFT_HOSTNAME and kind != SOFT_SINGLE:
            continue
        choice.mark[0] += 1
        size = 0
        without = 0
        for group in range(shape[FIRST], shape[FIRST] + shape[GROUPS]):
            value = shapes.value[group]
            if choice.passes[group - shape[FIRST]] == 0 or value[complete] == 0:
                continue
            if kind == SOFT_HOSTNAME:
                size += shapes.feasible[group]
            elif value[term[DOMAIN]] < 0:
                without = 1
            elif kind == SOFT_SINGLE:
                size += shapes.feasible[group]
            else:
                place = counters.fixed[term[COUNTER], 2] + value[term[DOMAIN]]
                size += 1 if choice.seen[place] != choice.mark[0] else 0
                choice.seen[place] = choice.mark[0]
        choice.factor[index - first] = math.log(float(size + without + 2))


@kernel
def group_raw(views, counters, view, value, factor):
    """The raw scores of PodTopologySpread (-1: not scored) and InterPodAffinity for the nodes with these values."""
    first, last = views.term.ptr[view], views.term.ptr[view + 1]
    complete, preference = views.fixed[view, COMPLETE], views.fixed[view, PREFERENCE]
    number = 0.0
    pair = value[preference] if preference >= 0 else 0
    for index in range(first, last):
        term = views.term.item[index]
        kind = term[KIND]
        if kind in (SOFT_DOMAIN, SOFT_HOSTNAME, SOFT_SINGLE):
            domain = value[term[DOMAIN]]
            if kind == SOFT_DOMAIN:
                count = counters.pods[counters.fixed[term[COUNTER], 2] + max(domain, 0)]
            else:
                count = value[term[COUNT]]
            slack = float(term[LIMIT] - 1)
            number += count * factor[index - first] + slack if domain >= 0 else 0.0
        elif kind == PREFERENCE_DOMAIN:
            domain = value[term[DOMAIN]]
            if domain >= 0:
                pair += term[LIMIT] * counters.pods[counters.fixed[term[COUNTER], 2] + domain]
    soft = -1
    if complete >= 0 and value[complete] != 0:
        soft = round_half_away(number)
    return soft, pair


@kernel
def prefers(views, counters, view):
    """Tell whether any pod is matched by a preference, so that InterPodAffinity scores at all."""
    total = 0
    for index in range(views.term.ptr[view], views.term.ptr[view + 1]):
        term = views.term.item[index]
        if term[KIND] == PREFERENCE_DOMAIN or term[KIND] == PREFERENCE_SINGLE:
            total += counters.total[term[COUNTER]]
    return total != 0


@kernel
def default_normalized(raw, most, reverse):
    """100 * raw / most, or 100 minus that."""
    if most == 0:
        return MAX_NODE_SCORE if reverse else 0
    score = divide(MAX_NODE_SCORE * raw, most)
    return MAX_NODE_SCORE - score if reverse else score


@kernel
def score_groups(views, counters, shapes, row, choice):
    """Leave in ``choice.raw[0]`` what the nodes of each feasible group score beside their local scores."""
    shape = shapes.fixed[row]
    view = shape[VIEW]
    fixed = views.fixed[view]
    start, stop = shape[FIRST], shape[FIRST] + shape[GROUPS]
    if fixed[SOFT_WEIGHT] != 0:
        count_shared(views, counters, shapes, row, choice)
    pairs = fixed[PREFERENCE_WEIGHT] != 0 and prefers(views, counters, view)
    soft_least, soft_most, pair_least, pair_most = NO_SCORE, 0, NO_SCORE, -NO_SCORE
    taint_most, affinity_most = 0, 0
    for group in range(start, stop):
        index = group - start
        if choice.passes[index] == 0:
            continue
        value = shapes.value[group]
        soft, pair = group_raw(views, counters, view, value, choice.factor)
        choice.raw[SOFT, index] = soft
        choice.raw[PAIR, index] = pair
        if soft >= 0:
            soft_least, soft_most = min(soft_least, soft), max(soft_most, soft)
        pair_least, pair_most = min(pair_least, pair), max(pair_most, pair)
        if fixed[TAINT] >= 0:
            taint_most = max(taint_most, value[fixed[TAINT]])
        if fixed[AFFINITY] >= 0:
            affinity_most = max(affinity_most, value[fixed[AFFINITY]])
    for group in range(start, stop):
        index = group - start
        if choice.passes[index] == 0:
            continue
        value = shapes.value[group]
        score = fixed[CONSTANT]
        if fixed[TAINT] >= 0:
            score += fixed[TAINT_WEIGHT] * default_normalized(value[fixed[TAINT]], taint_most, True)
        if fixed[AFFINITY] >= 0:
            score += fixed[AFFINITY_WEIGHT] * default_normalized(value[fixed[AFFINITY]], affinity_most, False)
        soft = choice.raw[SOFT, index]
        if fixed[SOFT_WEIGHT] != 0 and soft >= 0:
            normal = MAX_NODE_SCORE
            if soft_most != 0:
                normal = divide(MAX_NODE_SCORE * (soft_most + soft_least - soft), soft_most)
            score += fixed[SOFT_WEIGHT] * normal
        if pairs and pair_most > pair_least:
            span = float(pair_most - pair_least)
            normal = int(100.0 * (float(choice.raw[PAIR, index] - pair_least) / span))
            score += fixed[PREFERENCE_WEIGHT] * normal
        choice.raw[SOFT, index] = score


@inner_kernel
def group_node(views, shapes, view, group, leaf):
    """The node at a leaf of the group's tree."""
    static_group = shapes.value[group, views.fixed[view, COLUMNS]]
    return views.node_at[view, views.static_offset[static_group] + leaf]


@kernel
def draw_tied(nodes, views, shapes, row, best, draw, choice):
    """Of all nodes with the total ``best`` the one that ``draw`` in [0, 1) picks, counted by slot."""
    shape = shapes.fixed[row]
    view = shape[VIEW]
    ties = 0
    for group in range(shape[FIRST], shape[FIRST] + shape[GROUPS]):
        index = group - shape[FIRST]
        start = shapes.tree_start[group]
        if choice.passes[index] == 0 or choice.raw[SOFT, index] + shapes.tree[start] != best:
            continue
        size = views.static_size[shapes.value[group, views.fixed[view, COLUMNS]]]
        leaf = first_leaf(shapes.tree, start, size)
        while leaf >= 0:
            choice.tied[group_node(views, shapes, view, group, leaf)] = 1
            ties += 1
            leaf = next_leaf(shapes.tree, start, size, leaf)
    wanted = int(draw * ties)
    found = -1
    for node in range(nodes.slots[0]):
        if choice.tied[node] != 0:
            if wanted == 0:
                found = node
            wanted -= 1
            choice.tied[node] = 0
    return found


@draw_tied.over_arrays()
def draw_tied_arrays(nodes, views, shapes, row, best, draw, choice):
    """As :func:`draw_tied`."""
    shape = shapes.fixed[row]
    view, first = shape[VIEW], shape[FIRST]
    found = []
    for group in range(first, first + shape[GROUPS]):
        start, index = shapes.tree_start[group], group - first
        if choice.passes[index] == 0 or choice.raw[SOFT, index] + shapes.tree[start] != best:
            continue
        static_group = shapes.value[group, views.fixed[view, COLUMNS]]
        leaves = shapes.tree[start + FANOUT : start + FANOUT + views.static_size[static_group]]
        node_at = views.node_at[view, views.static_offset[static_group] :]
        found.append(node_at[np.flatnonzero(leaves == shapes.tree[start])])
    if not found:
        return -1
    tied = np.sort(np.concatenate(found))
    return tied[int(draw * len(tied))]


@inner_kernel
def choose_node(nodes, views, counters, shapes, row, draw, choice):
    """Return the best node for the shape and its total, as select_node does after a full pass; (-1, 0) if none is feasible."""
    shape = shapes.fixed[row]
    view = shape[VIEW]
    fixed = views.fixed[view]
    if fixed[SIMPLE] != 0:
        if shapes.tree[shapes.tree_start[shape[FIRST]]] < 0:
            return -1, 0
        choice.passes[0] = 1
        choice.raw[SOFT, 0] = fixed[CONSTANT]
    else:
        if not filter_groups(views, counters, shapes, row, choice):
            return -1, 0
        score_groups(views, counters, shapes, row, choice)
    best = NO_TOTAL
    chosen = -1
    chosen_rank = NO_RANK
    for group in range(shape[FIRST], shape[FIRST] + shape[GROUPS]):
        index = group - shape[FIRST]
        if choice.passes[index] == 0:
            continue
        start = shapes.tree_start[group]
        total = choice.raw[SOFT, index] + shapes.tree[start]
        if total < best:
            continue
        size = views.static_size[shapes.value[group, fixed[COLUMNS]]]
        node = group_node(views, shapes, view, group, first_leaf(shapes.tree, start, size))
        rank = nodes.rank[node]
        if total > best or rank < chosen_rank:
            best, chosen, chosen_rank = total, node, rank
    if draw >= 0:
        chosen = draw_tied(nodes, views, shapes, row, best, draw, choice)
    return chosen, best
