"""Whether jobs have room: counted over nodes by what NodeResourcesFit counts and by filters that no placement moves.

What happens now is decided by the engine with all its filters. These counts tell cheaply who cannot fit now, and stand for
the engine where the question is about a time to come: which pods would be where then, no filter can be asked.
"""

from __future__ import annotations

from typing import NamedTuple

from kcore.kernel import kernel
from kcore.scheduler.columns import I32, I64, U8
from kcore.sim.timeline import FAILED, FOREVER, NONE, RUNNING, UNTRIED, WAITING


class Fleet(NamedTuple):
    """Jobs and nodes as the counts see them. A *unit* starts as a whole: a pod, or the pods of a gang."""

    first: I32  # [unit] its first place
    stop: I32  # [unit] the place after its last
    kind: I32  # [place] pods of a kind are alike here
    wanted: I64  # [kind, resource] 0 where nothing is asked for, or the fit does not count it
    mask: I32  # [kind] row of allowed
    allowed: U8  # [mask, node] static filters let the pod there
    by_rank: I32  # [alive node] in order of name


@kernel
def fits(fleet, free, left, kind, node):
    """Tell whether one pod of the kind has room on the node."""
    if left[node] < 1 or fleet.allowed[fleet.mask[kind], node] == 0:
        return False
    for row in range(free.shape[0]):
        wanted = fleet.wanted[kind, row]
        if wanted > 0 and wanted > free[row, node]:
            return False
    return True


@kernel
def capacity(fleet, free, left, kind, node, without):
    """How many pods of the kind have room on the node beside one pod of the kind ``without`` (-1 for none)."""
    if fleet.allowed[fleet.mask[kind], node] == 0:
        return 0
    most = left[node] - (1 if without >= 0 else 0)
    for row in range(free.shape[0]):
        wanted = fleet.wanted[kind, row]
        if wanted > 0:
            there = free[row, node] - (fleet.wanted[without, row] if without >= 0 else 0)
            most = min(most, there // wanted)
    return max(most, 0)


@kernel
def take(fleet, free, left, kind, node, sign):
    """Take a pod's room on the node (sign 1), or give it back (-1)."""
    for row in range(free.shape[0]):
        free[row, node] -= sign * fleet.wanted[kind, row]
    left[node] -= sign


@kernel
def pick_up(fleet, free, left, first, stop, target):
    """Give back the room of pods that were laid out."""
    for place in range(first, stop):
        if target[place] >= 0:
            take(fleet, free, left, fleet.kind[place], target[place], -1)
            target[place] = NONE


@kernel
def lay_out_places(fleet, status, free, left, first, stop, target):
    """The same for the waiting pods of some places."""
    cursor, before = 0, NONE
    nodes = fleet.by_rank.shape[0]
    for place in range(first, stop):
        target[place] = NONE
    for place in range(first, stop):
        if status[place] != WAITING:
            continue
        kind = fleet.kind[place]
        if kind != before:
            cursor, before = 0, kind
        while cursor < nodes and not fits(fleet, free, left, kind, fleet.by_rank[cursor]):
            cursor += 1
        if cursor == nodes:
            pick_up(fleet, free, left, first, stop, target)
            return False
        target[place] = fleet.by_rank[cursor]
        take(fleet, free, left, kind, target[place], 1)
    return True


@kernel
def lay_out(fleet, status, free, left, unit, target):
    """Take room for the unit's waiting pods, each on the first node by name; False, and nothing taken, if one has none.

    Of pods of one kind this finds room if there is any. ``target[place]`` is the node, -1 for pods that do not wait.
    """
    return lay_out_places(fleet, status, free, left, fleet.first[unit], fleet.stop[unit], target)


@kernel
def may_fit(fleet, status, free, left, unit, target):
    """Tell whether the pods of each kind have room, were those of the other kinds not there: without that, none has."""
    start, last = fleet.first[unit], fleet.stop[unit]
    while start < last:
        stop = start + 1
        while stop < last and fleet.kind[stop] == fleet.kind[start]:
            stop += 1
        if not lay_out_places(fleet, status, free, left, start, stop, target):
            return False
        pick_up(fleet, free, left, start, stop, target)
        start = stop
    return True


@kernel
def next_with_room(fleet, status, free, left, units, position, target):
    """The position, from ``position`` on, of the first unit that may fit; the number of units for none."""
    for index in range(position, units.shape[0]):
        if may_fit(fleet, status, free, left, units[index], target):
            return index
    return units.shape[0]


@kernel
def count_waiting(fleet, status, units, count):
    """``count[index]``: how many pods of the unit wait; -1 where one is never tried, so that the unit cannot start."""
    for index in range(units.shape[0]):
        count[index] = 0
        for place in range(fleet.first[units[index]], fleet.stop[units[index]]):
            if status[place] == WAITING and count[index] >= 0:
                count[index] += 1
            elif status[place] == UNTRIED:
                count[index] = -1


@kernel
def sum_wanted(fleet, status, unit, need):
    """``need[resource]``: what the unit's waiting pods ask for together."""
    for row in range(need.shape[0]):
        need[row] = 0
    for place in range(fleet.first[unit], fleet.stop[unit]):
        if status[place] == WAITING:
            for row in range(need.shape[0]):
                need[row] += fleet.wanted[fleet.kind[place], row]


@kernel
def is_enough(total, need):
    """Tell whether all nodes together have as much."""
    for row in range(need.shape[0]):
        if need[row] > total[row]:
            return False
    return True


@kernel
def release(fleet, free, left, total, place, node):
    """A running pod leaves its node."""
    kind = fleet.kind[place]
    for row in range(free.shape[0]):
        before = max(free[row, node], 0)
        free[row, node] += fleet.wanted[kind, row]
        total[row] += max(free[row, node], 0) - before
    left[node] += 1


@kernel
def find_release(fleet, status, places, at, node_of, free, left, total, need, unit, target):
    """Let running pods leave in order of ``at`` until the unit has room; return that ``at``, FOREVER for never.

    ``places`` are in that order. Those with equal ``at`` leave together. The unit's pods are laid out then.
    """
    for row in range(free.shape[0]):
        total[row] = 0
        for index in range(fleet.by_rank.shape[0]):
            total[row] += max(free[row, fleet.by_rank[index]], 0)
    sum_wanted(fleet, status, unit, need)
    index, count = 0, places.shape[0]
    while index < count:
        moment = at[index]
        if moment >= FOREVER:
            return FOREVER
        while index < count and at[index] == moment:
            release(fleet, free, left, total, places[index], node_of[places[index]])
            index += 1
        if is_enough(total, need) and lay_out(fleet, status, free, left, unit, target):
            return moment
    return FOREVER


@kernel
def expect_length(timeline, length, place):
    """How many ms the pod runs from its next or latest start on, as its estimate says; FOREVER where nobody knows."""
    if length[place] >= FOREVER:
        return FOREVER
    done = timeline.work[place] - timeline.left[place] if timeline.work[place] >= 0 else 0
    return max(length[place] - done, 1)


@kernel
def expect_lengths(fleet, timeline, length, units, out):
    """``out[index]``: how long the unit's waiting pods run, the longest of them."""
    for index in range(units.shape[0]):
        out[index] = 0
        for place in range(fleet.first[units[index]], fleet.stop[units[index]]):
            if timeline.status[place] == WAITING:
                out[index] = max(out[index], expect_length(timeline, length, place))


@kernel
def expect_ends(timeline, length, places, now, out):
    """``out[index]``: when the running pod is expected to end, after ``now``.

    An estimate that has turned out too short is doubled until it is long enough.
    """
    for index in range(places.shape[0]):
        place = places[index]
        span = expect_length(timeline, length, place)
        if span >= FOREVER:
            out[index] = FOREVER
            continue
        while timeline.start[place] + span <= now:
            span *= 2
        out[index] = timeline.start[place] + span


@kernel
def is_split(fleet, timeline, unit):
    """Tell whether some pods of the unit run while others, that belong to it, do not any more and have not ended."""
    runs, lost = False, False
    for place in range(fleet.first[unit], fleet.stop[unit]):
        runs = runs or timeline.status[place] == RUNNING
        lost = lost or timeline.status[place] == WAITING or timeline.status[place] == FAILED
    return runs and lost
