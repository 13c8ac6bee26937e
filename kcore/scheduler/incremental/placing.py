"""The loop over a queue: each pod gets the best node of its shape, and the node is noted as touched."""

from __future__ import annotations

import numpy as np

from kcore.kernel import inner_kernel, kernel
from kcore.scheduler.cycle import filter_range, prefilter, score_nodes, select_node
from kcore.scheduler.incremental.choice import choose_node
from kcore.scheduler.incremental.columns import (
    CONSTANT,
    CURSOR,
    FILTERS_DOMAINS,
    FIRST,
    FIRST_GROUP,
    POLICY,
    PRIORITY,
    REQUEST,
    SHAPE_FIELDS,
    SIMPLE,
    TURN,
    VIEW,
)
from kcore.scheduler.incremental.groups import catch_up, put_pod, touch
from kcore.scheduler.incremental.local import INFEASIBLE
from kcore.scheduler.incremental.refusing import EVICTS, has_space, is_current, refuse
from kcore.scheduler.incremental.scan import can_scan, pick_best, scan_nodes
from kcore.scheduler.incremental.tree import FANOUT, build_tree
from kcore.scheduler.preemption import filter_cluster

DONE = 0
REJECTED = 1
"""A nominated pod fits nowhere; the verdicts are in scratch."""
UNKNOWN = 2
"""The pod's shape has no row yet."""
OVERFLOW = 3
"""The shape has more groups than there is room for."""
FULL = 4
"""No more refusals can be written down."""
PROMISED = 5
"""The pod before was refused, and a node is to be promised to it."""
CONTRADICTION = 6
"""The full pass finds a node where the shape has none: a fault of the engine."""

NOT_KEPT = -2
"""Row of a shape that is left to the full pass."""
NOT_BUILT = -1
NEVER = -(1 << 40)
"""Cursor of a shape that is yet to be filled."""

STALE_MIN = 16
STALE_SHARE = 3
"""A simple shape that missed more touches than that, and one for so many nodes, is not caught up with but scanned."""
UNSCANNED_SHARE = 8
"""Where it cannot be scanned: the touches from which it takes the full pass."""


@inner_kernel
def touches_max(nodes):
    """So many touched nodes are asked one by one rather than all nodes at once."""
    return max(nodes.slots[0] // STALE_SHARE, STALE_MIN)


@inner_kernel
def is_for_scan(nodes, pods, requests, settings, views, shapes, row, touched, nominated, pod, choice):
    """Tell whether all nodes are to be scanned for the pod; ``choice.shape`` is its shape then."""
    if pods.nominated[pod] >= 0:
        return False
    shape = choice.shape
    if row >= 0:
        kept = shapes.fixed[row]
        if views.fixed[kept[VIEW], SIMPLE] == 0 or touched.sequence[0] - kept[CURSOR] <= touches_max(nodes):
            return False
        for field in range(SHAPE_FIELDS):
            shape[field] = kept[field]
    else:
        view = views.of_demand[pods.demand[pod]]
        if view < 0:
            return False
        shape[VIEW], shape[REQUEST], shape[PRIORITY] = view, pods.request[pod], pods.priority[pod]
    if nominated.shape[0] > 0 and views.fixed[shape[VIEW], FILTERS_DOMAINS] != 0:
        return False
    return can_scan(nodes, requests, settings, views, shape[VIEW], shape[REQUEST])


@kernel
def keep_local(verdict, total, constant, count, local):
    """Make local scores of the totals of a full pass: less what all nodes have, INFEASIBLE where one was rejected."""
    for node in range(count):
        local[node] = total[node] - constant if verdict[node] == 0 else INFEASIBLE


@keep_local.over_arrays("count")
def keep_local_arrays(verdict, total, constant, count, local):
    """As :func:`keep_local`."""
    local[:count] = np.where(verdict[:count] == 0, total[:count] - constant, INFEASIBLE)


@kernel
def refill(views, shapes, row, touched, total):
    """Make the only group of a simple shape anew from the local scores of a scan."""
    shape = shapes.fixed[row]
    view, group = shape[VIEW], shape[FIRST]
    size, start = views.static_size[views.fixed[view, FIRST_GROUP]], shapes.tree_start[group]
    places = views.node_at[view]
    feasible = 0
    for leaf in range(shapes.size[group]):
        score = total[places[leaf]]
        feasible += 1 if score >= 0 else 0
        shapes.tree[start + FANOUT + leaf] = score
    shapes.feasible[group] = feasible
    build_tree(shapes.tree, start, size)
    shape[CURSOR] = touched.sequence[0]


@refill.over_arrays("total")
def refill_arrays(views, shapes, row, touched, total):
    """As :func:`refill`."""
    shape = shapes.fixed[row]
    view, group = shape[VIEW], shape[FIRST]
    size, start = int(views.static_size[views.fixed[view, FIRST_GROUP]]), int(shapes.tree_start[group])
    scores = total[views.node_at[view, : shapes.size[group]]]
    shapes.tree[start + FANOUT : start + FANOUT + len(scores)] = scores
    shapes.feasible[group] = np.count_nonzero(scores >= 0)
    build_tree(shapes.tree, start, size)
    shape[CURSOR] = touched.sequence[0]


@kernel
def scan(
    nodes, pods, requests, settings, views, shapes, row, touched, nominated, draw, choice
):  # fmt: skip
    """Decide by a look at all nodes: the node and its total, (-1, 0) for none.

    A shape whose turns have come to follow each other closely is made anew by the way.
    """
    shape = choice.shape
    total = choice.total[: nodes.slots[0]]
    scan_nodes(nodes, pods, requests, settings, views, shape, nominated, choice, total)
    if row >= 0:
        if touched.sequence[0] - shape[TURN] <= touches_max(nodes):
            refill(views, shapes, row, touched, total)
        shapes.fixed[row, TURN] = touched.sequence[0]
    node, best = pick_best(total, nodes.rank, draw)
    if node < 0:
        return -1, 0
    return node, best + views.fixed[shape[VIEW], CONSTANT]


@inner_kernel
def is_for_full_pass(nodes, pods, views, shapes, row, touched, nominated, pod):
    """Tell whether every node is to be asked: no row, too much missed, or nominations that may matter."""
    if row < 0:
        return True
    shape = shapes.fixed[row]
    fixed = views.fixed[shape[VIEW]]
    missed = touched.sequence[0] - shape[CURSOR]
    # policies are asked node by node in the full pass as well
    share = 1 if fixed[POLICY] != 0 else UNSCANNED_SHARE
    if fixed[SIMPLE] != 0 and missed > max(nodes.slots[0] // share, STALE_MIN):
        return True
    return nominated.shape[0] > 0 and (pods.nominated[pod] >= 0 or fixed[FILTERS_DOMAINS] != 0)


@kernel
def ask_all(
    nodes, pods, demands, requests, settings, views, shapes, row, touched, pod, draw, nominated, choice, scratch
):  # fmt: skip
    """The full pass for one pod, which makes a simple shape anew by the way: the node and its total, (-1, 0) for none."""
    node, total = -1, 0
    if filter_cluster(nodes, pods, demands, requests, settings, pod, nominated, scratch) > 0:
        score_nodes(nodes, demands, requests, settings, pods.demand[pod], pods.request[pod], scratch)
        node = select_node(scratch.verdict, scratch.total, nodes.rank, draw, nodes.slots[0])
        total = scratch.total[node]
    if row >= 0 and pods.nominated[pod] < 0 and views.fixed[shapes.fixed[row, VIEW], SIMPLE] != 0:
        constant = views.fixed[shapes.fixed[row, VIEW], CONSTANT]
        keep_local(scratch.verdict, scratch.total, constant, nodes.slots[0], choice.total)
        refill(views, shapes, row, touched, choice.total)
    return node, total


@kernel
def place_range(
    nodes, pods, demands, requests, settings, views, counters, shapes, touched, choice, row_of, number, queue, draws,
    start, stop, nominated, scratch, trials, refusals, placed, score,
):  # fmt: skip
    """Decide for ``queue[start:stop]`` until one needs something else; return its position and why, or (stop, DONE).

    ``row_of[position]`` is a row of ``shapes``, NOT_BUILT or NOT_KEPT; ``number[position]`` the number of the pod's
    shape. Results as ``schedule_range`` leaves them; pods that fit nowhere are in the log of ``refusals``.
    """
    for position in range(start, stop):
        pod, row = queue[position], row_of[position]
        if row == NOT_BUILT:
            return position, UNKNOWN
        node, total, asked, full = -1, 0, False, False
        if is_for_scan(nodes, pods, requests, settings, views, shapes, row, touched, nominated, pod, choice):
            node, total = scan(
                nodes, pods, requests, settings, views, shapes, row, touched, nominated, draws[position], choice
            )  # fmt: skip
            asked = node < 0 and not (row >= 0 and is_current(nodes, trials, touched, number[position]))
        elif is_for_full_pass(nodes, pods, views, shapes, row, touched, nominated, pod):
            full = True
        else:
            if not catch_up(
                nodes, pods, requests, settings, views, counters, shapes, row, touched, nominated, choice, scratch
            ):  # fmt: skip
                return position, OVERFLOW
            node, total = choose_node(nodes, views, counters, shapes, row, draws[position], choice)
            shapes.fixed[row, TURN] = touched.sequence[0]
            asked = node < 0 and not is_current(nodes, trials, touched, number[position])
        if full or asked:
            node, total = ask_all(
                nodes, pods, demands, requests, settings, views, shapes, row, touched, pod, draws[position], nominated,
                choice, scratch,
            )  # fmt: skip
            if node >= 0 and asked:
                return position, CONTRADICTION
            asked = node < 0
        if node < 0:
            if pods.nominated[pod] >= 0:
                return position, REJECTED
            if not has_space(refusals):
                return position, FULL
            stands = row >= 0 and views.fixed[shapes.fixed[row, VIEW], FILTERS_DOMAINS] == 0
            node = refuse(
                nodes, pods, demands, requests, settings, counters, touched, pod, position, draws[position],
                number[position], asked, stands, nominated, scratch, trials, refusals,
            )  # fmt: skip
            if node >= 0:
                if refusals.option[EVICTS] == 0:
                    return position + 1, PROMISED
                placed[position] = node
            continue
        placed[position] = node
        score[position] = total
        if pods.nominated[pod] >= 0:
            touch(touched, pods.nominated[pod])
            pods.nominated[pod] = -1
        put_pod(nodes, pods, requests, settings, counters, touched, pod, node, draws[position])
    return stop, DONE


@kernel
def view_columns(nodes, demands, requests, settings, demand, scratch):
    """Leave in scratch the verdicts, selected nodes and scores of ``settings`` (plugins that no placement moves)."""
    prefilter(nodes, demands, settings, demand, scratch)
    filter_range(nodes, demands, requests, settings, demand, 0, 0, nodes.slots[0], False, scratch)
    score_nodes(nodes, demands, requests, settings, demand, 0, scratch)
