"""Shortest remaining time first: whoever has least left to run comes first, and drives out those who have more.

Source: Schrage, A Proof of the Optimality of the Shortest Remaining Processing Time Discipline, Operations Research 16(3),
1968: on one machine no order has a lower mean completion time. What is left is what the user's estimate says, less what
has been run; the duration where there is no estimate. A job whose run time nobody knows comes last.
"""

from __future__ import annotations

import numpy as np

from kcore.sim import timeline as names
from kcore.sim.orders.ground import Ground
from kcore.sim.orders.preemptive import take_turn


class Srtf:
    """The order by remaining time; it keeps nothing between turns."""

    def next_ms(self, ground: Ground) -> int:
        """Nothing happens by itself: who runs has ever less left, so nobody who waits overtakes."""
        return names.FOREVER

    def reset(self) -> None:
        """Nothing is kept."""

    def turn(self, ground: Ground) -> None:
        """Start the units that have least left, in place of those that have more."""
        take_turn(ground, lambda units: (remaining(ground, units), np.zeros(len(units), dtype=np.int64)))


def remaining(ground: Ground, units: np.ndarray) -> np.ndarray:
    """``int64[unit]`` ms that a unit has left to run, the longest of its pods."""
    timeline, fleet = ground.host.timeline, ground.fleet
    found = np.zeros(len(units), dtype=np.int64)
    for offset in range(int((fleet.stop[units] - fleet.first[units]).max(initial=0))):
        index = np.flatnonzero(fleet.first[units] + offset < fleet.stop[units])
        places = fleet.first[units[index]] + offset
        status = timeline.status[places]
        runs = status == names.RUNNING
        index, places, runs = (one[runs | (status == names.WAITING)] for one in (index, places, runs))
        done = np.where(timeline.work[places] >= 0, timeline.work[places] - timeline.left[places], 0)
        done = done + np.where(runs, ground.now - timeline.start[places], 0)
        length = ground.length[places]
        left = np.where(length >= names.FOREVER, names.FOREVER, np.maximum(length - done, 0))
        found[index] = np.maximum(found[index], left)
    return found
