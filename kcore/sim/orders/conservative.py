"""Conservative backfill: everyone in the queue has a reservation, and whoever delays nobody may go before others.

Source: Mu'alem and Feitelson, Utilization, Predictability, Workloads, and User Runtime Estimates in Scheduling the IBM SP2
with Backfilling, IEEE TPDS 12(6), 2001. A job reserves, when it comes, the earliest time at which it has room for as long as
its user said, beside those that run and those that have reserved before: on nodes, each with its resources, not out of one
number of processors. When a job ends early the plan is compressed: job after job, in order of the queue, gives its
reservation back and takes the earliest there is now, which is never later. With estimates that are upper bounds nobody
starts after the time that he was first told.
"""

from __future__ import annotations

import numpy as np

from kcore.sim import timeline as names
from kcore.sim.orders.ground import Ground
from kcore.sim.orders.plan import (
    SEGMENTS,
    UNUSED,
    Plan,
    find_window,
    forget_past,
    larger,
    least_until,
    make_plan,
    mask_free,
    occupy,
)
from kcore.sim.orders.room import release, take

SEGMENTS_MIN = 64
STALE_FACTOR = 4
"""Segments at whose begin nothing changes any more are dropped when there are so many times more than needed."""


class Beside:
    """Limits that keep a pod off nodes which others have reserved while it would be there."""

    def __init__(self, ground: Ground, plan: Plan, unit: int, end: int) -> None:
        self._ground = ground
        self._free, self._left = np.empty_like(ground.free), np.empty_like(ground.left)
        ground.call(
            least_until, plan, ground.fleet, ground.host.timeline.status, unit, end, ground.sums[0], self._free, self._left
        )
        self._out = np.zeros(ground.slots, dtype=np.uint8)

    def mask(self, place: int) -> np.ndarray:
        """``uint8[node]``: 1 where it may go."""
        fleet = self._ground.fleet
        self._ground.call(mask_free, fleet, self._free, self._left, int(fleet.kind[place]), self._out)
        return self._out

    def note(self, place: int, slot: int) -> None:
        """It goes there."""
        fleet = self._ground.fleet
        self._ground.call(take, fleet, self._free, self._left, int(fleet.kind[place]), slot, 1)


class Conservative:
    """The order of conservative backfill, with the plan and everybody's reservation."""

    def __init__(self, places: int) -> None:
        self._plan: Plan | None = None
        self._until = np.full(places, -1, dtype=np.int64)  # [place] ms a running pod is in the plan up to, -1
        self._slot = np.full(
            places, -1, dtype=np.int32
        )  # [place] node that a waiting pod has reserved, or runs on
        self.begin: dict[int, int] = {}
        """When the reservation of a unit begins; FOREVER where it would never fit."""
        self._end: dict[int, int] = {}

    def next_ms(self, ground: Ground) -> int:
        """When the next reservation begins; mostly a pod ends then, but it may have ended before."""
        return min(self.begin.values(), default=names.FOREVER)

    def reset(self) -> None:
        """Nodes have changed: all reservations are made anew, in order of the queue."""
        self._plan = None

    def turn(self, ground: Ground) -> None:
        """Give everyone a reservation, and start those whose time has come."""
        ground.refresh()
        if self._plan is None or not self._follow(ground):
            self._rebuild(ground)
        self._start_due(ground)
        ground.refresh()

    # -- the plan

    def _occupy(self, ground: Ground, places: np.ndarray, begin: int, ends: np.ndarray, sign: int) -> None:
        assert self._plan is not None
        while self._plan.count[UNUSED] < len(places) + 1:
            self._plan = larger(self._plan)
        ground.call(occupy, self._plan, ground.fleet, places, self._slot[places], begin, ends, sign)

    def _rebuild(self, ground: Ground) -> None:
        """The plan from those that run, then reservations in order of the queue."""
        self.begin.clear()
        self._end.clear()
        self._until[:] = -1
        self._make(ground)
        for unit in ground.waiting.tolist():
            self._reserve(ground, unit)

    def _make(self, ground: Ground) -> None:
        """The plan without reservations."""
        running = ground.running
        free, left = ground.free.copy(), ground.left.copy()
        ends = ground.ends_of(running)
        total = np.zeros(len(free), dtype=np.int64)
        for place in running.tolist():
            ground.call(release, ground.fleet, free, left, total, place, int(ground.host.placed[place]))
        self._plan = make_plan(ground.now, free, left, SEGMENTS_MIN)
        self._slot[running] = ground.host.placed[running]
        self._until[running] = ends
        for place, end in zip(running.tolist(), ends.tolist(), strict=True):
            self._occupy(ground, np.array([place], dtype=np.int32), ground.now, np.array([end]), 1)

    def _reserve(self, ground: Ground, unit: int, before: int = names.FOREVER) -> bool:
        """Reserve the earliest time for a unit, before ``before``; False, and none reserved, where there is none."""
        plan, places = self._plan, ground.places_of(unit, names.WAITING)
        assert plan is not None
        length = int(ground.lengths_of(np.array([unit], dtype=np.int32))[0])
        free, left = np.empty_like(ground.free), np.empty_like(ground.left)
        begin = ground.call(
            find_window, plan, ground.fleet, ground.host.timeline.status, unit, length, before, ground.sums[0], free,
            left, ground.target,
        )  # fmt: skip
        if begin >= names.FOREVER:
            if before == names.FOREVER:
                self.begin[unit] = self._end[unit] = names.FOREVER
            return False
        self.begin[unit] = int(begin)
        self._end[unit] = min(int(begin) + length, names.FOREVER)
        self._slot[places] = ground.target[places]
        self._hold(ground, unit, places, 1)
        return True

    def _hold(self, ground: Ground, unit: int, places: np.ndarray, sign: int) -> None:
        if self.begin[unit] < names.FOREVER:
            ends = np.full(len(places), self._end[unit], dtype=np.int64)
            self._occupy(ground, places, self.begin[unit], ends, sign)

    # -- what has happened

    def _follow(self, ground: Ground) -> bool:
        """Bring the plan up to now; False where it does not hold any more."""
        now, plan = ground.now, self._plan
        assert plan is not None
        ground.call(forget_past, plan, now)
        planned = np.flatnonzero(self._until >= 0).astype(np.int32)
        ended = planned[ground.host.timeline.status[planned] != names.RUNNING]
        if (self._until[np.setdiff1d(planned, ended)] <= now).any():
            # a pod runs longer than its user said
            return False
        early = ended[self._until[ended] > now]
        for place in early.tolist():
            self._occupy(ground, np.array([place], dtype=np.int32), now, self._until[place : place + 1], -1)
        self._until[ended] = -1
        waiting = ground.waiting.tolist()
        present = set(waiting)
        held = [unit for unit in self.begin if unit not in present]
        if held or any(begin < now for begin in self.begin.values()):
            # deleted, or passed over: its time has come and gone
            return False
        if len(early):
            self._compress(ground, [unit for unit in waiting if unit in self.begin])
        for unit in waiting:
            if unit not in self.begin or (len(ended) and self.begin[unit] >= names.FOREVER):
                self._reserve(ground, unit)
        return True

    def _compress(self, ground: Ground, units: list[int]) -> None:
        """Unit after unit takes the earliest time that there is now."""
        for unit in units:
            begin, end = self.begin[unit], self._end[unit]
            places = ground.places_of(unit, names.WAITING)
            slots = self._slot[places].copy()
            if begin <= ground.now or begin >= names.FOREVER:
                continue
            self._hold(ground, unit, places, -1)
            if not self._reserve(ground, unit, begin):
                self.begin[unit], self._end[unit] = begin, end
                self._slot[places] = slots
                self._hold(ground, unit, places, 1)

    def _start_due(self, ground: Ground) -> None:
        """Start those whose reservation begins now, on the best nodes that nobody else has reserved."""
        now = ground.now
        for unit in ground.waiting.tolist():
            if self.begin[unit] > now:
                continue
            places = ground.places_of(unit, names.WAITING)
            self._hold(ground, unit, places, -1)
            assert self._plan is not None
            end = self._end.pop(unit)
            del self.begin[unit]
            if ground.start(unit, Beside(ground, self._plan, unit, end), self._slot[places]):
                self._slot[places] = ground.host.placed[places]
                self._until[places] = ground.ends_of(places)
                self._occupy(ground, places, now, self._until[places], 1)
            else:
                # a filter that looks beyond resources rejects it: it asks again when a pod has ended
                self.begin[unit] = self._end[unit] = names.FOREVER
        plan = self._plan
        assert plan is not None
        needed = len(ground.running) + 2 * len(ground.waiting) + SEGMENTS_MIN
        if plan.count[SEGMENTS] > STALE_FACTOR * needed:
            self._make(ground)
            for unit in self.begin:
                self._hold(ground, unit, ground.places_of(unit, names.WAITING), 1)
