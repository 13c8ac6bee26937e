"""The loop over a queue: each pod gets the best node of its shape, and the node is noted as touched."""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.cycle import filter_range, prefilter, score_nodes, select_node
from kcore.scheduler.incremental.choice import choose_node
from kcore.scheduler.incremental.columns import (
    CONSTANT,
    CURSOR,
    FILTERS_DOMAINS,
    FIRST,
    FIRST_GROUP,
    POLICY,
    SIMPLE,
    VIEW,
)
from kcore.scheduler.incremental.groups import catch_up, put_pod, touch
from kcore.scheduler.incremental.local import INFEASIBLE
from kcore.scheduler.incremental.refusing import EVICTS, has_space, is_current, refuse
from kcore.scheduler.incremental.tree import build_tree
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

STALE_MIN = 64
STALE_SHARE = 8
"""A simple shape that missed more touches than that, and one for so many nodes, is made anew by a full pass."""


@kernel
def is_stale(nodes, views, shape, touched):
    """Tell whether asking all nodes at once is quicker than asking those that were touched one by one."""
    missed = touched.sequence[0] - shape[CURSOR]
    fixed = views.fixed[shape[VIEW]]
    if fixed[POLICY] != 0:
        # policies are asked node by node in the full pass as well
        return fixed[SIMPLE] != 0 and missed > nodes.slots[0]
    return fixed[SIMPLE] != 0 and missed > max(nodes.slots[0] // STALE_SHARE, STALE_MIN)


@kernel
def refill(views, shapes, row, touched, scratch):
    """Make the only group of a simple shape anew from the verdicts and totals of a full pass."""
    shape = shapes.fixed[row]
    view, group = shape[VIEW], shape[FIRST]
    constant = views.fixed[view, CONSTANT]
    static_group = views.fixed[view, FIRST_GROUP]
    size, start = views.static_size[static_group], shapes.tree_start[group]
    places = views.node_at[view]
    feasible = 0
    for leaf in range(shapes.size[group]):
        node = places[leaf]
        passes = scratch.verdict[node] == 0
        feasible += 1 if passes else 0
        shapes.tree[start + size + leaf] = scratch.total[node] - constant if passes else INFEASIBLE
    shapes.feasible[group] = feasible
    build_tree(shapes.tree, start, size)
    shape[CURSOR] = touched.sequence[0]


@kernel
def is_for_full_pass(nodes, pods, views, shapes, row, touched, nominated, pod):
    """Tell whether every node is to be asked: no row, too much missed, or nominations that may matter."""
    if row < 0:
        return True
    shape = shapes.fixed[row]
    if is_stale(nodes, views, shape, touched):
        return True
    return nominated.shape[0] > 0 and (
        pods.nominated[pod] >= 0 or views.fixed[shape[VIEW], FILTERS_DOMAINS] != 0
    )


@kernel
def ask_all(
    nodes, pods, demands, requests, settings, views, shapes, row, touched, pod, draw, nominated, scratch
):  # fmt: skip
    """The full pass for one pod, which makes a simple shape anew by the way: the node and its total, (-1, 0) for none."""
    node, total = -1, 0
    if filter_cluster(nodes, pods, demands, requests, settings, pod, nominated, scratch) > 0:
        score_nodes(nodes, demands, requests, settings, pods.demand[pod], pods.request[pod], scratch)
        node = select_node(scratch.verdict, scratch.total, nodes.rank, draw, nodes.slots[0])
        total = scratch.total[node]
    if row >= 0 and pods.nominated[pod] < 0 and views.fixed[shapes.fixed[row, VIEW], SIMPLE] != 0:
        refill(views, shapes, row, touched, scratch)
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
        node, total, asked = -1, 0, False
        full = is_for_full_pass(nodes, pods, views, shapes, row, touched, nominated, pod)
        if not full:
            if not catch_up(
                nodes,
                pods,
                requests,
                settings,
                views,
                counters,
                shapes,
                row,
                touched,
                nominated,
                choice,
                scratch,
            ):
                return position, OVERFLOW
            node, total = choose_node(nodes, views, counters, shapes, row, draws[position], choice)
            asked = node < 0 and not is_current(nodes, trials, touched, number[position])
        if full or asked:
            node, total = ask_all(
                nodes, pods, demands, requests, settings, views, shapes, row, touched, pod, draws[position], nominated,
                scratch,
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
