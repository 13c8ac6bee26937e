"""The loop over a queue: each pod gets the best node of its shape, and the node is noted as touched."""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.cycle import bind, filter_range, prefilter, score_nodes
from kcore.scheduler.incremental.choice import choose_node
from kcore.scheduler.incremental.columns import FILTERS_DOMAINS, VIEW
from kcore.scheduler.incremental.groups import catch_up, count_pod, touch

DONE = 0
NOWHERE = 1
"""The pod fits nowhere."""
UNKNOWN = 2
"""The pod has no shape yet."""
FULL = 3
"""The pod needs a full pass: its shape is not kept, or a nomination may matter to it."""
OVERFLOW = 4
"""The shape has more groups than there is room for."""


@kernel
def place_range(
    nodes, pods, requests, settings, views, counters, shapes, touched, choice, shape_of, queue, draws, start,
    stop, nominated, scratch, placed, score,
):  # fmt: skip
    """Schedule ``queue[start:stop]`` until a pod needs something else; return its position and why, or (stop, DONE).

    ``shape_of[position]`` is a row of ``shapes``, -1 unknown, -2 none. Results as ``schedule_range`` leaves them.
    """
    for position in range(start, stop):
        pod, row = queue[position], shape_of[position]
        if row < 0:
            return position, UNKNOWN if row == -1 else FULL
        if nominated.shape[0] > 0 and (
            pods.nominated[pod] >= 0 or views.fixed[shapes.fixed[row, VIEW], FILTERS_DOMAINS] != 0
        ):
            return position, FULL
        if not catch_up(
            nodes, pods, requests, settings, views, counters, shapes, row, touched, nominated, choice, scratch
        ):
            return position, OVERFLOW
        node, total = choose_node(nodes, views, counters, shapes, row, draws[position], choice)
        if node < 0:
            return position, NOWHERE
        placed[position] = node
        score[position] = total
        bind(nodes, pods, requests, pod, node)
        count_pod(nodes, pods, counters, pod, node, 1)
        touch(touched, node)
    return stop, DONE


@kernel
def view_columns(nodes, demands, requests, settings, demand, scratch):
    """Leave in scratch the verdicts, selected nodes and scores of ``settings`` (plugins that no placement moves)."""
    prefilter(nodes, demands, settings, demand, scratch)
    filter_range(nodes, demands, requests, settings, demand, 0, 0, nodes.slots[0], False, scratch)
    score_nodes(nodes, demands, requests, settings, demand, 0, scratch)
