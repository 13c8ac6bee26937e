"""EASY backfill: the first in the queue has a reservation, and whoever does not delay it may go before it.

Sources: Lifka, The ANL/IBM SP Scheduling System, JSSPP 1995; Mu'alem and Feitelson, Utilization, Predictability,
Workloads, and User Runtime Estimates in Scheduling the IBM SP2 with Backfilling, IEEE TPDS 12(6), 2001. There one number
of processors is counted; here every node and resource is: the *shadow time* is the earliest at which the head of the queue
fits on nodes that are there, when running pods end as their users said.
"""

from __future__ import annotations

import numpy as np

from kcore.kernel import kernel
from kcore.sim import timeline as names
from kcore.sim.orders.ground import Ground
from kcore.sim.orders.room import Fleet, capacity, fits, may_fit, pick_up, take
from kcore.sim.timeline import WAITING


@kernel
def mask_beside(fleet, free, left, kind, head, slack, out):
    """``out[node]``: 1 where a pod of the kind has room while the head still fits.

    ``free`` and ``left`` are those of the shadow time. A head of one kind has room for ``slack`` pods more than it needs;
    for one of several kinds (``head`` -1) its pods have been laid out, and stay where they are.
    """
    for node in range(out.shape[0]):
        out[node] = 0
    for index in range(fleet.by_rank.shape[0]):
        node = fleet.by_rank[index]
        if not fits(fleet, free, left, kind, node):
            continue
        if head >= 0:
            lost = capacity(fleet, free, left, head, node, -1) - capacity(fleet, free, left, head, node, kind)
            out[node] = 1 if lost <= slack else 0
        else:
            out[node] = 1


@kernel
def has_place_beside(fleet, status, free, left, then_free, then_left, unit, head, slack, out):
    """Tell whether each waiting pod of the unit has a node now where the head still fits then."""
    before = -1
    for place in range(fleet.first[unit], fleet.stop[unit]):
        kind = fleet.kind[place]
        if status[place] != WAITING or kind == before:
            continue
        before = kind
        mask_beside(fleet, then_free, then_left, kind, head, slack, out)
        found = False
        for index in range(fleet.by_rank.shape[0]):
            node = fleet.by_rank[index]
            found = found or (out[node] != 0 and fits(fleet, free, left, kind, node))
        if not found:
            return False
    return True


@kernel
def next_candidate(
    fleet, status, free, left, then_free, then_left, units, lengths, position, span, head, slack, target, out
):  # fmt: skip
    """The position of the next unit that has room now and ends within ``span`` ms, or may have room beside the head."""
    for index in range(position, units.shape[0]):
        unit = units[index]
        if not may_fit(fleet, status, free, left, unit, target):
            continue
        if lengths[index] <= span or has_place_beside(
            fleet, status, free, left, then_free, then_left, unit, head, slack, out
        ):
            return index
    return units.shape[0]


@kernel
def count_slack(fleet, free, left, head, count, most):
    """How many pods of the kind have room beside ``count`` of them; no more than ``most``, for it costs nothing to stop."""
    slack = -count
    for index in range(fleet.by_rank.shape[0]):
        slack += capacity(fleet, free, left, head, fleet.by_rank[index], -1)
    return min(slack, most)


class Shadow:
    """The head's reservation: when, and what is free then. As limits it keeps pods off where the head would not fit."""

    def __init__(self, ground: Ground, unit: int, at: int, free: np.ndarray, left: np.ndarray) -> None:
        self.at, self.free, self.left = at, free, left
        self._ground = ground
        fleet = ground.fleet
        first, stop = int(fleet.first[unit]), int(fleet.stop[unit])
        laid = first + np.flatnonzero(ground.target[first:stop] >= 0)
        kinds = np.unique(fleet.kind[laid])
        self.head, self.slack = -1, 0
        if len(kinds) == 1:
            self.head = int(kinds[0])
            ground.call(pick_up, fleet, free, left, first, stop, ground.target)
            self.slack = self._count(len(laid))
        self._pods = len(laid)
        self.out = np.zeros(ground.slots, dtype=np.uint8)

    def _count(self, pods: int) -> int:
        found: int = self._ground.call(
            count_slack, self._ground.fleet, self.free, self.left, self.head, pods, 1 << 40
        )
        return found

    def copy(self) -> Shadow:
        """The same, to be given up if the pods do not all find a node."""
        other = object.__new__(Shadow)
        other.__dict__.update(self.__dict__)
        other.free, other.left = self.free.copy(), self.left.copy()
        return other

    def mask(self, place: int) -> np.ndarray:
        """``uint8[node]``: 1 where the pod does not delay the head."""
        fleet: Fleet = self._ground.fleet
        self._ground.call(
            mask_beside, fleet, self.free, self.left, int(fleet.kind[place]), self.head, self.slack, self.out
        )
        return self.out

    def note(self, place: int, slot: int) -> None:
        """The pod is there at the shadow time too."""
        fleet = self._ground.fleet
        self._ground.call(take, fleet, self.free, self.left, int(fleet.kind[place]), slot, 1)
        if self.head >= 0:
            self.slack = self._count(self._pods)


class Easy:
    """The order of EASY backfill; it keeps nothing between turns."""

    def next_ms(self, ground: Ground) -> int:
        """Nothing happens by itself."""
        return names.FOREVER

    def reset(self) -> None:
        """Nothing is kept."""

    def turn(self, ground: Ground) -> None:
        """Start the first in the queue while they fit, reserve for the next, backfill with the others."""
        while True:
            ground.refresh()
            units = ground.waiting
            started = self._once(ground, units)
            if not started or not ground.stands_beyond(units):
                return

    def _once(self, ground: Ground, units: np.ndarray) -> bool:
        started = False
        for position, unit in enumerate(units.tolist()):
            if ground.next_with_room(units[position : position + 1], 0) == 0 and ground.start(unit):
                started = True
                continue
            shadow = reserve(ground, unit)
            if shadow is None:
                # it would not fit with everyone gone, so nobody can delay it
                continue
            return self._backfill(ground, units[position + 1 :], shadow) or started
        return started

    def _backfill(self, ground: Ground, units: np.ndarray, shadow: Shadow) -> bool:
        started, position = False, 0
        lengths = ground.lengths_of(units)
        span = shadow.at - ground.now
        while position < len(units):
            position = int(
                ground.call(
                    next_candidate, ground.fleet, ground.host.timeline.status, ground.free, ground.left, shadow.free,
                    shadow.left, units, lengths, position, span, shadow.head, shadow.slack, ground.target, shadow.out,
                )
            )  # fmt: skip
            if position == len(units):
                break
            unit = int(units[position])
            if lengths[position] <= span:
                started = ground.start(unit) or started
            else:
                beside = shadow.copy()
                if ground.start(unit, beside):
                    shadow, started = beside, True
            position += 1
        return started


def reserve(ground: Ground, unit: int) -> Shadow | None:
    """The reservation of a unit that does not fit now; None where it would not fit with all running pods gone."""
    places = ground.running
    ends = ground.ends_of(places)
    order = np.argsort(ends, kind="stable")
    free, left = ground.free.copy(), ground.left.copy()
    at = ground.find_release(unit, places[order], ends[order], free, left)
    return None if at >= names.FOREVER else Shadow(ground, unit, at, free, left)
