"""Shortest remaining time first: whoever has least left to run comes first, and drives out those who have more.

Source: Schrage, A Proof of the Optimality of the Shortest Remaining Processing Time Discipline, Operations Research 16(3),
1968: on one machine no order has a lower mean completion time. What is left is what the user's estimate says, less what
has been run; the duration where there is no estimate. A job whose run time nobody knows comes last.
"""

from __future__ import annotations

import numpy as np

from kcore.kernel import kernel
from kcore.sim.orders.ground import Ground
from kcore.sim.orders.preemptive import take_turn
from kcore.sim.timeline import FOREVER, NOW, RUNNING, WAITING


class Srtf:
    """The order by remaining time; it keeps nothing between turns."""

    def next_ms(self, ground: Ground) -> int:
        """Nothing happens by itself: who runs has ever less left, so nobody who waits overtakes."""
        return FOREVER

    def reset(self) -> None:
        """Nothing is kept."""

    def turn(self, ground: Ground) -> None:
        """Start the units that have least left, in place of those that have more."""
        take_turn(ground, lambda units: (remaining(ground, units), np.zeros(len(units), dtype=np.int64)))


@kernel
def sum_remaining(fleet, timeline, length, units, out):
    """``out[index]``: ms that the unit has left to run, the longest of its pods; FOREVER where nobody knows."""
    now = timeline.clock[NOW]
    for index in range(units.shape[0]):
        out[index] = 0
        for place in range(fleet.first[units[index]], fleet.stop[units[index]]):
            runs = timeline.status[place] == RUNNING
            if not runs and timeline.status[place] != WAITING:
                continue
            if length[place] >= FOREVER:
                out[index] = FOREVER
                continue
            done = timeline.work[place] - timeline.left[place] if timeline.work[place] >= 0 else 0
            done += now - timeline.start[place] if runs else 0
            out[index] = max(out[index], length[place] - done)


def remaining(ground: Ground, units: np.ndarray) -> np.ndarray:
    """``int64[unit]`` ms that units have left to run."""
    out = np.zeros(len(units), dtype=np.int64)
    ground.call(sum_remaining, ground.fleet, ground.host.timeline, ground.length, units.astype(np.int64), out)
    return out
