"""Least attained service: whoever has had least comes first; nothing need be known of how long jobs run.

Sources: Nuyens and Wierman, The Foreground-Background Queue: A Survey, Performance Evaluation 65(3-4), 2008; Gu et al.,
Tiresias: A GPU Cluster Manager for Distributed Deep Learning, NSDI 2019, whose discretised two-dimensional LAS this is:
attained service is GPUs times the time they were held, jobs fall to the next queue at each threshold, the queues come one
after the other, and within one the job that started first is first, so that equals do not preempt each other.
Tiresias' promotion of starving jobs (PROMOTEKNOB) is not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from kcore.api.errors import InputError
from kcore.kernel import kernel
from kcore.sim.events import time_ms
from kcore.sim.orders.ground import Ground
from kcore.sim.orders.preemptive import take_turn
from kcore.sim.timeline import FOREVER, NOW, RUNNING, WAITING

THRESHOLDS = "1h,10h"
"""Of attained service, in GPU-time, where the caller does not say."""
MILLI = 1_000


def read_thresholds(given: str | Sequence[str | int]) -> np.ndarray:
    """``int64[threshold]`` ms of one GPU: "1h,10h", or a list of such times or of milliseconds.

    Raises:
        InputError: not times, or not ascending.
    """
    parts = given.split(",") if isinstance(given, str) else list(given)
    times = [time_ms(part.strip() if isinstance(part, str) else part, "las", "thresholds") for part in parts]
    if not times or times[0] < 1 or any(one >= two for one, two in pairwise(times)):
        raise InputError(
            f"{given!r} does not ascend", field="thresholds", expected="times of service, as 1h,10h"
        )
    return np.array(times, dtype=np.int64)


@kernel
def sum_attained(fleet, timeline, gpu_milli, units, attained, rate):
    """``attained[index]``: milli-GPU-ms that the unit has had, in all runs; ``rate[index]``: milli-GPUs that it holds now."""
    now = timeline.clock[NOW]
    for index in range(units.shape[0]):
        attained[index], rate[index] = 0, 0
        for place in range(fleet.first[units[index]], fleet.stop[units[index]]):
            status = timeline.status[place]
            # a pod has always either waited or run since it came
            until = timeline.end[place] if timeline.end[place] >= 0 else now
            had = until - timeline.submit[place] - timeline.waited[place]
            had -= now - timeline.since[place] if status == WAITING else 0
            attained[index] += gpu_milli[place] * max(had, 0)
            rate[index] += gpu_milli[place] if status == RUNNING else 0


class Las:
    """The order by attained service in queues."""

    def __init__(self, thresholds: np.ndarray, gpu_milli: np.ndarray) -> None:
        self._thresholds = thresholds * MILLI
        self._gpu_milli = gpu_milli  # int64[place] thousandths of GPUs; 1000 a pod in units that ask for none
        self._change_ms = FOREVER

    def next_ms(self, ground: Ground) -> int:
        """When the first running unit falls to the next queue, while anyone waits."""
        return self._change_ms if len(ground.waiting) else FOREVER

    def reset(self) -> None:
        """Nothing is kept but when to look again."""
        self._change_ms = FOREVER

    def turn(self, ground: Ground) -> None:
        """Start the units of the first queues, in place of those that have had more."""
        take_turn(ground, lambda units: self._keys(ground, units))
        ground.refresh()
        units = np.unique(ground.units_of(ground.running))
        self._change_ms = FOREVER
        if len(units):
            attained, rate = self._attained(ground, units)
            queue = np.searchsorted(self._thresholds, attained, side="right")
            falls = (queue < len(self._thresholds)) & (rate > 0)
            limit = self._thresholds[np.minimum(queue, len(self._thresholds) - 1)]
            wait = -(-(limit - attained) // np.maximum(rate, 1))
            self._change_ms = ground.now + int(wait[falls].min(initial=FOREVER - ground.now))

    def _keys(self, ground: Ground, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        attained, _ = self._attained(ground, units)
        started = ground.host.timeline.first_start[ground.fleet.first[units]]
        queue = np.searchsorted(self._thresholds, attained, side="right").astype(np.int64)
        return queue, np.where(started >= 0, started, FOREVER)

    def _attained(self, ground: Ground, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``int64[unit]``: milli-GPU-ms that units have had, in all runs, and milli-GPUs that they hold now."""
        attained, rate = np.zeros((2, len(units)), dtype=np.int64)
        ground.call(
            sum_attained, ground.fleet, ground.host.timeline, self._gpu_milli, units.astype(np.int64), attained, rate
        )
        return attained, rate
