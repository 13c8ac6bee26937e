"""What is free on every node from now on: a list of segments of time, in each of which nothing changes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kcore.kernel import kernel
from kcore.scheduler.columns import I32, I64
from kcore.sim.orders.room import is_enough, lay_out, pick_up, sum_wanted
from kcore.sim.timeline import FOREVER, NONE

SEGMENTS, UNUSED = 0, 1


class Plan(NamedTuple):
    """Segments in order of time; the last one goes on for ever. Their columns are in rows, so that none is moved."""

    count: I64  # [2] SEGMENTS, UNUSED
    at: I64  # [segment] ms it begins
    row: I32  # [segment]
    unused: I32  # [entry of a stack] rows
    free: I64  # [row, resource, node]
    left: I64  # [row, node] pods
    total: I64  # [row, resource] of all nodes, where they have any


def make_plan(now: int, free: np.ndarray, left: np.ndarray, segments_max: int) -> Plan:
    """The plan in which nothing changes from now on."""
    plan = Plan(
        count=np.array([1, segments_max - 1], dtype=np.int64),
        at=np.full(segments_max, now, dtype=np.int64),
        row=np.zeros(segments_max, dtype=np.int32),
        unused=np.arange(segments_max - 1, -1, -1, dtype=np.int32),
        free=np.zeros((segments_max, *free.shape), dtype=np.int64),
        left=np.zeros((segments_max, *left.shape), dtype=np.int64),
        total=np.zeros((segments_max, free.shape[0]), dtype=np.int64),
    )
    plan.free[0], plan.left[0] = free, left
    plan.total[0] = np.maximum(free, 0).sum(axis=1)
    return plan


def larger(plan: Plan) -> Plan:
    """The same with room for twice as many segments."""
    size = len(plan.at)

    def doubled(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, np.zeros_like(array)])

    made = plan._replace(**{name: doubled(getattr(plan, name)) for name in Plan._fields if name != "count"})
    unused = int(made.count[UNUSED])
    made.unused[unused : unused + size] = np.arange(2 * size - 1, size - 1, -1)
    made.count[UNUSED] += size
    return made


@kernel
def locate(plan, moment):
    """The segment that the moment, which is not before the first, lies in."""
    low, high = 0, plan.count[SEGMENTS]
    while high - low > 1:
        middle = (low + high) >> 1
        if plan.at[middle] <= moment:
            low = middle
        else:
            high = middle
    return low


@kernel
def split(plan, moment):
    """The segment that begins at the moment, made if there was none; the number of segments for FOREVER."""
    if moment >= FOREVER:
        return plan.count[SEGMENTS]
    found = locate(plan, moment)
    if plan.at[found] >= moment:
        return found
    count = plan.count
    count[UNUSED] -= 1
    row = plan.unused[count[UNUSED]]
    source = plan.row[found]
    for node in range(plan.left.shape[1]):
        plan.left[row, node] = plan.left[source, node]
    for resource in range(plan.free.shape[1]):
        plan.total[row, resource] = plan.total[source, resource]
    for resource in range(plan.free.shape[1]):
        for node in range(plan.left.shape[1]):
            plan.free[row, resource, node] = plan.free[source, resource, node]
    for index in range(count[SEGMENTS], found + 1, -1):
        plan.at[index], plan.row[index] = plan.at[index - 1], plan.row[index - 1]
    plan.at[found + 1], plan.row[found + 1] = moment, row
    count[SEGMENTS] += 1
    return found + 1


@kernel
def forget_past(plan, now):
    """Drop what was over before now."""
    found = locate(plan, now)
    count = plan.count
    for index in range(found):
        plan.unused[count[UNUSED]] = plan.row[index]
        count[UNUSED] += 1
    for index in range(found, count[SEGMENTS]):
        plan.at[index - found], plan.row[index - found] = plan.at[index], plan.row[index]
    count[SEGMENTS] -= found
    plan.at[0] = now


@kernel
def occupy(plan, fleet, places, slots, begin, ends, sign):
    """Pods are on nodes from ``begin`` until ``ends[index]`` (sign 1), or are not after all (-1)."""
    first = split(plan, begin)
    for index in range(places.shape[0]):
        kind, node = fleet.kind[places[index]], slots[index]
        last = split(plan, ends[index])
        for segment in range(first, last):
            row = plan.row[segment]
            plan.left[row, node] -= sign
            for resource in range(plan.free.shape[1]):
                before = max(plan.free[row, resource, node], 0)
                plan.free[row, resource, node] -= sign * fleet.wanted[kind, resource]
                plan.total[row, resource] += max(plan.free[row, resource, node], 0) - before


@kernel
def copy_segment(plan, segment, need, free, left):
    """What is free in a segment, of the resources that are needed."""
    row = plan.row[segment]
    for node in range(left.shape[0]):
        left[node] = plan.left[row, node]
    for resource in range(free.shape[0]):
        if need[resource] > 0:
            for node in range(left.shape[0]):
                free[resource, node] = plan.free[row, resource, node]


@kernel
def keep_least(plan, segment, need, free, left):
    """What is free both there and in the segment."""
    row = plan.row[segment]
    for node in range(left.shape[0]):
        left[node] = min(left[node], plan.left[row, node])
    for resource in range(free.shape[0]):
        if need[resource] > 0:
            for node in range(left.shape[0]):
                free[resource, node] = min(free[resource, node], plan.free[row, resource, node])


@kernel
def has_room_in(plan, fleet, status, segment, unit, need, target):
    """Tell whether the unit has room in that segment alone."""
    row = plan.row[segment]
    if not is_enough(plan.total[row], need):
        return False
    if not lay_out(fleet, status, plan.free[row], plan.left[row], unit, target):
        return False
    pick_up(fleet, plan.free[row], plan.left[row], fleet.first[unit], fleet.stop[unit], target)
    return True


@kernel
def find_window(plan, fleet, status, unit, length, before, need, free, left, target):
    """The earliest begin of a segment, before ``before``, at which the unit has room for ``length`` ms.

    Its pods are laid out in ``target`` then. FOREVER for none.
    """
    sum_wanted(fleet, status, unit, need)
    count = plan.count[SEGMENTS]
    start, stop = fleet.first[unit], fleet.stop[unit]
    segment = 0
    while segment < count and plan.at[segment] < before:
        if not is_enough(plan.total[plan.row[segment]], need):
            segment += 1
            continue
        end = plan.at[segment] + length if length < FOREVER else FOREVER
        copy_segment(plan, segment, need, free, left)
        last, room = segment, lay_out(fleet, status, free, left, unit, target)
        while room and last + 1 < count and plan.at[last + 1] < end:
            pick_up(fleet, free, left, start, stop, target)
            last += 1
            keep_least(plan, last, need, free, left)
            room = is_enough(plan.total[plan.row[last]], need) and lay_out(
                fleet, status, free, left, unit, target
            )
        if room:
            return plan.at[segment]
        # where that segment alone is too full, no window that reaches into it will do
        alone = last > segment and has_room_in(plan, fleet, status, last, unit, need, target)
        segment = segment + 1 if alone else last + 1
    for place in range(start, stop):
        target[place] = NONE
    return FOREVER


@kernel
def least_until(plan, fleet, status, unit, end, need, free, left):
    """What is free from now until ``end``, of what the unit needs."""
    sum_wanted(fleet, status, unit, need)
    copy_segment(plan, 0, need, free, left)
    segment = 1
    while segment < plan.count[SEGMENTS] and plan.at[segment] < end:
        keep_least(plan, segment, need, free, left)
        segment += 1


@kernel
def mask_free(fleet, free, left, kind, out):
    """``out[node]``: 1 where a pod of the kind has room."""
    for node in range(out.shape[0]):
        out[node] = 0
    for index in range(fleet.by_rank.shape[0]):
        node = fleet.by_rank[index]
        room = left[node] >= 1 and fleet.allowed[fleet.mask[kind], node] != 0
        for resource in range(free.shape[0]):
            wanted = fleet.wanted[kind, resource]
            room = room and (wanted == 0 or wanted <= free[resource, node])
        out[node] = 1 if room else 0
