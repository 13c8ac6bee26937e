"""Gangs in an order that only sorts: by the queue, by arrival, the shortest first, or the owner with the least share first.

A gang starts with all its pods or not at all (coscheduling: Ousterhout, Scheduling Techniques for Concurrent Systems,
ICDCS 1982). Single pods go the same way here as in the compiled loop, which serves these orders where no trace has gangs.
"""

from __future__ import annotations

import heapq

import numpy as np

from kcore.sim import timeline as names
from kcore.sim.orders.ground import Ground
from kcore.sim.timeline import find_share


class InOrder:
    """Each unit in its turn, those that do not fit passed over, or (``strict``) holding up all behind them."""

    def __init__(self, order: str, strict: bool) -> None:
        self._order, self._strict = order, strict

    def next_ms(self, ground: Ground) -> int:
        """Nothing happens by itself."""
        return names.FOREVER

    def reset(self) -> None:
        """Nothing is kept."""

    def turn(self, ground: Ground) -> None:
        """Start what fits."""
        while True:
            ground.refresh()
            units = self._sorted(ground)
            started = (
                self._by_share(ground, units) if self._order == "drf" else self._one_by_one(ground, units)
            )
            if not started or not ground.stands_beyond(units):
                return

    def _sorted(self, ground: Ground) -> np.ndarray:
        units = ground.waiting
        if self._order == "queue":
            return units
        timeline, first = ground.host.timeline, ground.fleet.first
        by_arrival = units[np.argsort(timeline.sequence[first[units]], kind="stable")]
        if self._order != "sjf":
            return by_arrival
        length = np.maximum.reduceat(ground.length, first) if len(first) else ground.length
        return by_arrival[np.argsort(length[by_arrival], kind="stable")]

    def _one_by_one(self, ground: Ground, units: np.ndarray) -> bool:
        started, position = False, 0
        while position < len(units):
            found = ground.next_with_room(units, position)
            if found == len(units) or (self._strict and found > position):
                return started
            if ground.start(int(units[found])):
                started = True
            elif self._strict:
                return started
            position = found + 1
        return started

    def _by_share(self, ground: Ground, units: np.ndarray) -> bool:
        """The next unit is always of the owner that has least (Ghodsi et al., NSDI 2011, as the compiled loop does)."""
        timeline, started = ground.host.timeline, False
        owner_of = timeline.owner[ground.fleet.first[units]]
        lines = {int(owner): units[owner_of == owner] for owner in np.unique(owner_of)}
        sequence = timeline.sequence[ground.fleet.first]

        def entry(owner: int, position: int) -> tuple[float, int, int, int]:
            unit = int(lines[owner][position])
            return float(find_share(ground.host.timeline, owner)), int(sequence[unit]), owner, position

        heap = [entry(owner, 0) for owner in lines]
        heapq.heapify(heap)
        while heap:
            _, _, owner, position = heapq.heappop(heap)
            fits = ground.next_with_room(lines[owner][position : position + 1], 0) == 0
            fits = fits and ground.start(int(lines[owner][position]))
            started = started or fits
            if not fits and self._strict:
                return started
            if position + 1 < len(lines[owner]):
                heapq.heappush(heap, entry(owner, position + 1))
        return started
