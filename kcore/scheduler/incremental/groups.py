"""The groups of a shape: which one a node belongs to, kept true as placements change the nodes."""

from __future__ import annotations

import numpy as np

from kcore.kernel import inner_kernel, kernel
from kcore.scheduler.accounts import bind
from kcore.scheduler.incremental.columns import (
    COLUMNS,
    CURSOR,
    FIRST,
    FIRST_GROUP,
    GROUPS,
    GROUPS_MAX,
    HEADS,
    REQUEST,
    STATIC_COLUMNS,
    STATIC_GROUPS,
    TREE,
    TREE_STOP,
    VIEW,
)
from kcore.scheduler.incremental.local import INFEASIBLE, dynamic_values, local_score, node_values
from kcore.scheduler.incremental.scan import can_scan, scan_nodes, scan_some, scores_by_pair
from kcore.scheduler.incremental.tree import FANOUT, build_tree, set_leaf
from kcore.scheduler.plugins.gpu_share import take_devices

NO_GROUP = -1
SOME_MIN = 4
"""So many touched nodes are looked at together rather than one after the other."""


@kernel
def has_values(own, value, start, stop):
    """Tell whether a group's columns are ``value``."""
    for column in range(start, stop):
        if own[column] != value[column]:
            return False
    return True


@kernel
def find_group(views, shapes, row, static_group, value):
    """The group of the static group's nodes with these values: known, emptied and free again, or new.

    NO_GROUP where the shape has no more room for groups.
    """
    shape = shapes.fixed[row]
    fixed = views.fixed[shape[VIEW]]
    head = shape[HEADS] + static_group - fixed[FIRST_GROUP]
    free = NO_GROUP
    group = shapes.head[head]
    while group >= 0:
        if has_values(shapes.value[group], value, fixed[STATIC_COLUMNS], fixed[COLUMNS]):
            return group
        if shapes.size[group] == 0:
            free = group
        group = shapes.following[group]
    if free < 0:
        places = views.static_places[static_group]
        if shape[GROUPS] >= shape[GROUPS_MAX] or shape[TREE] + places > shape[TREE_STOP]:
            return NO_GROUP
        free = shape[FIRST] + shape[GROUPS]
        shape[GROUPS] += 1
        shapes.tree_start[free] = shape[TREE]
        for place in range(places):
            shapes.tree[shape[TREE] + place] = INFEASIBLE
        shape[TREE] += places
        shapes.size[free] = 0
        shapes.feasible[free] = 0
        shapes.value[free, fixed[COLUMNS]] = static_group
        shapes.following[free] = shapes.head[head]
        shapes.head[head] = free
    for column in range(fixed[COLUMNS]):
        shapes.value[free, column] = value[column]
    return free


@inner_kernel
def set_score(shapes, group, size, leaf, score):
    """Give a node of the group its local score, or INFEASIBLE."""
    start = shapes.tree_start[group]
    before = shapes.tree[start + FANOUT + leaf]
    if before != score:
        shapes.feasible[group] += (1 if score >= 0 else 0) - (1 if before >= 0 else 0)
        set_leaf(shapes.tree, start, size, leaf, score)


@kernel
def settle_node(
    nodes, pods, requests, settings, views, counters, shapes, row, node, nominated, promised, choice, scratch
):
    """Bring the node's group and local score up to date for a shape; False where there is no room for its group."""
    shape = shapes.fixed[row]
    view = shape[VIEW]
    static_group = views.group[view, node]
    if static_group < 0:
        return True
    score = local_score(
        nodes, pods, requests, settings, views, shape, node, nominated, promised, choice, scratch
    )
    size, leaf = views.static_size[static_group], views.leaf[view, node]
    group = shapes.group[row, node]
    fixed = views.fixed[view]
    if fixed[COLUMNS] > fixed[STATIC_COLUMNS]:
        node_values(nodes, views, counters, view, static_group, node, choice.value)
        if not has_values(shapes.value[group], choice.value, fixed[STATIC_COLUMNS], fixed[COLUMNS]):
            shapes.size[group] -= 1
            set_score(shapes, group, size, leaf, INFEASIBLE)
            group = find_group(views, shapes, row, static_group, choice.value)
            if group == NO_GROUP:
                return False
            shapes.group[row, node] = group
            shapes.size[group] += 1
    set_score(shapes, group, size, leaf, score)
    return True


@kernel
def build_shape(
    nodes, pods, requests, settings, views, counters, shapes, row, touched, nominated, choice, scratch
):
    """Put every node into its group; False where the shape has no room for all groups."""
    shape = shapes.fixed[row]
    view = shape[VIEW]
    fixed = views.fixed[view]
    for static_group in range(fixed[STATIC_GROUPS]):
        shapes.head[shape[HEADS] + static_group] = NO_GROUP
    for node in range(nodes.slots[0]):
        static_group = views.group[view, node]
        shapes.group[row, node] = NO_GROUP
        if static_group < 0:
            continue
        score = local_score(
            nodes, pods, requests, settings, views, shape, node, nominated, touched.promised, choice, scratch
        )
        node_values(nodes, views, counters, view, static_group, node, choice.value)
        group = find_group(views, shapes, row, static_group, choice.value)
        if group == NO_GROUP:
            return False
        shapes.group[row, node] = group
        shapes.size[group] += 1
        shapes.tree[shapes.tree_start[group] + FANOUT + views.leaf[view, node]] = score
        shapes.feasible[group] += 1 if score >= 0 else 0
    for group in range(shape[FIRST], shape[FIRST] + shape[GROUPS]):
        start = shapes.tree_start[group]
        static_group = shapes.value[group, fixed[COLUMNS]]
        build_tree(shapes.tree, start, views.static_size[static_group])
    shape[CURSOR] = touched.sequence[0]
    return True


@build_shape.over_arrays()
def build_shape_arrays(
    nodes, pods, requests, settings, views, counters, shapes, row, touched, nominated, choice, scratch
):
    """As :func:`build_shape`."""
    shape, count = shapes.fixed[row], int(nodes.slots[0])
    view = shape[VIEW]
    fixed = views.fixed[view]
    if not scores_by_pair(nodes, requests, settings, views, view, shape[REQUEST]):
        return NotImplemented
    total = choice.total[:count]
    scan_nodes(nodes, pods, requests, settings, views, shape, nominated, choice, total)
    own = views.group[view, :count]
    members = np.flatnonzero(own >= 0)
    values = np.column_stack([own[members], dynamic_values(nodes, views, counters, view, members)])
    _, first, group_of = np.unique(values, axis=0, return_index=True, return_inverse=True)
    group_of = group_of.reshape(-1)
    shapes.group[row, :count] = NO_GROUP
    shapes.head[shape[HEADS] : shape[HEADS] + fixed[STATIC_GROUPS]] = NO_GROUP
    value = choice.value
    for group in np.argsort(first).tolist():
        static_group = int(values[first[group], 0])
        value[: fixed[STATIC_COLUMNS]] = views.static_value[static_group, : fixed[STATIC_COLUMNS]]
        value[fixed[STATIC_COLUMNS] : fixed[COLUMNS]] = values[first[group], 1:]
        made = find_group(views, shapes, row, static_group, value)
        if made == NO_GROUP:
            return False
        inside = members[group_of == group]
        shapes.group[row, inside] = made
        shapes.size[made] = len(inside)
        shapes.feasible[made] = np.count_nonzero(total[inside] >= 0)
        start = int(shapes.tree_start[made])
        shapes.tree[start + FANOUT + views.leaf[view, inside]] = total[inside]
        build_tree(shapes.tree, start, int(views.static_size[static_group]))
    shape[CURSOR] = touched.sequence[0]
    return True


@inner_kernel
def touch(touched, node):
    """Note that something on the node has changed."""
    touched.sequence[0] += 1
    sequence = touched.sequence[0]
    touched.ring[sequence & (touched.ring.shape[0] - 1)] = node
    touched.last[node] = sequence


@kernel
def settle_some(nodes, pods, requests, settings, views, shapes, row, cursor, touched, nominated, choice):
    """Do as :func:`settle_node` for every node touched after ``cursor``, for a simple shape that can be scanned."""
    shape = shapes.fixed[row]
    view, group = shape[VIEW], shape[FIRST]
    of_node, leaf, some = views.group[view], views.leaf[view], choice.some
    mask = touched.ring.shape[0] - 1
    count = 0
    for step in range(cursor + 1, touched.sequence[0] + 1):
        node = touched.ring[step & mask]
        some[count] = node
        # a node touched again later is looked at then
        count += 1 if (touched.last[node] == step) & (of_node[node] >= 0) else 0
    scan_some(nodes, pods, requests, settings, views, shape, nominated, touched.promised, choice, count)
    size = views.static_size[views.fixed[view, FIRST_GROUP]]
    for index in range(count):
        set_score(shapes, group, size, leaf[some[index]], choice.total[index])


@inner_kernel
def catch_up(
    nodes, pods, requests, settings, views, counters, shapes, row, touched, nominated, choice, scratch
):
    """Bring a shape up to date with all nodes touched since its last turn; False where it lacks room for groups."""
    shape = shapes.fixed[row]
    cursor, sequence = shape[CURSOR], touched.sequence[0]
    shape[CURSOR] = sequence
    size = touched.ring.shape[0]
    if sequence - cursor < size:
        missed = sequence - cursor
        if missed >= SOME_MIN and can_scan(nodes, requests, settings, views, shape[VIEW], shape[REQUEST]):
            settle_some(
                nodes, pods, requests, settings, views, shapes, row, cursor, touched, nominated, choice
            )  # fmt: skip
            return True
        for step in range(cursor + 1, sequence + 1):
            node = touched.ring[step & (size - 1)]
            # a node touched again later is looked at then
            if touched.last[node] == step and not settle_node(
                nodes, pods, requests, settings, views, counters, shapes, row, node, nominated,
                touched.promised, choice, scratch,
            ):  # fmt: skip
                return False
        return True
    for node in range(nodes.slots[0]):
        if touched.last[node] > cursor and not settle_node(
            nodes, pods, requests, settings, views, counters, shapes, row, node, nominated, touched.promised,
            choice, scratch,
        ):  # fmt: skip
            return False
    return True


@inner_kernel
def count_pod(nodes, pods, counters, pod, node, sign):
    """Add (sign 1) or take away (-1) what the pod contributes on the node to every counter."""
    contribution = pods.contribution
    spec_class = pods.spec_class[pod]
    for index in range(contribution.ptr[spec_class], contribution.ptr[spec_class + 1]):
        row, amount = contribution.item[index, 0], sign * contribution.item[index, 1]
        if contribution.item[index, 3] != 0:
            continue
        for item in range(counters.of_row.ptr[row], counters.of_row.ptr[row + 1]):
            counter = counters.of_row.item[item, 0]
            domain = nodes.domain[counters.fixed[counter, 0], node]
            mask = counters.fixed[counter, 1]
            if domain < 0 or (mask >= 0 and counters.mask[mask, node] == 0):
                continue
            counters.total[counter] += amount
            if counters.fixed[counter, 2] >= 0:
                counters.pods[counters.fixed[counter, 2] + domain] += amount


@inner_kernel
def put_pod(nodes, pods, requests, settings, counters, touched, pod, node, draw):
    """Put the pod on the node, with the devices that it takes there, and tell counters and shapes."""
    take_devices(nodes, pods, requests, settings, pod, node, draw)
    bind(nodes, pods, requests, pod, node)
    count_pod(nodes, pods, counters, pod, node, 1)
    touch(touched, node)


@kernel
def note_many(nodes, pods, counters, touched, chosen, target, sign):
    """Tell counters and shapes that ``chosen[i]`` was put on (sign 1) or taken off (-1) ``target[i]``."""
    for index in range(chosen.shape[0]):
        if target[index] >= 0:
            count_pod(nodes, pods, counters, chosen[index], target[index], sign)
            touch(touched, target[index])
