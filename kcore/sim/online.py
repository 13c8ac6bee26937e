"""A batch whose pods come one at a time: the incremental engine under a simulated clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kcore.kernel import compile_for
from kcore.scheduler.columns import Settings
from kcore.scheduler.incremental.batch import Batch
from kcore.scheduler.incremental.columns import Touched
from kcore.scheduler.incremental.placing import CONTRADICTION, NOT_KEPT, OVERFLOW, REJECTED, place_range
from kcore.scheduler.incremental.placing import UNKNOWN as NO_ROW
from kcore.scheduler.incremental.refuser import Means
from kcore.scheduler.incremental.refusing import LOGGED
from kcore.scheduler.vocab import distinct
from kcore.sim.loop import (
    FOREIGN,
    FULL_EVICTIONS,
    FULL_INTERVALS,
    REACHED,
    STEPPED,
    advance,
    conclude,
    stop_pod,
)
from kcore.sim.timeline import EVENTS, Timeline, pop_ready

STOPS = (REACHED, STEPPED, FULL_INTERVALS, FULL_EVICTIONS, FOREIGN, REJECTED)


class Online(Batch):
    """What is kept of shapes while time goes on; made anew when nodes come, go or change."""

    def begin(self, settings: Settings, means: Means, queue: np.ndarray, *, foreign: bool) -> None:
        """Decide for the pods of ``queue`` by these settings; ``foreign``: the profile has users' plugins."""
        self._settings = settings
        self._queue = queue
        self._refuser.use(means)
        for demand in self._scanned & set(distinct(self._world.pods.demand[queue[self._number >= 0]])):
            self._views.find(demand, settings)
        self._scanned.clear()
        if not len(self._row_of):
            # nobody is ever tried, and time goes on
            self._row_of = np.full(1, NOT_KEPT, dtype=np.int32)
        if foreign:
            self._row_of[:] = FOREIGN

    @property
    def touched(self) -> Touched:
        """The log of touched nodes."""
        return self._touched

    def kept(self) -> np.ndarray:
        """A place of every shape that is kept."""
        numbers, first = np.unique(self._number, return_index=True)
        found: np.ndarray = first[(numbers >= 0) & (self._row_of[numbers] >= 0)]
        return found

    def adopt(self, touched: Touched, kept: np.ndarray) -> None:
        """Go on from the log of another that stood at the same moment, with the shapes kept that it kept."""
        self._build_all(self._number[kept], self._queue[kept], self._settings, self._state.nominated)
        for name, theirs in touched._asdict().items():
            getattr(self._touched, name)[:] = theirs

    @property
    def numbers(self) -> np.ndarray:
        """The shape of every pod by place, -1 for those never tried."""
        return self._number

    def _arguments(
        self, timeline: Timeline, draws: np.ndarray, placed: np.ndarray, score: np.ndarray
    ) -> tuple[Any, ...]:
        world = self._world
        return (
            world.nodes, world.pods, world.demands, world.requests, self._settings, self._views.columns(),
            self._counters.columns(), self._shapes.arrays, self._touched, self._choice, self._rows(), self._number,
            self._queue, draws, self._state.nominated, self._scratch, self._refuser.trials, self._refuser.refusals,
            placed, score, timeline,
        )  # fmt: skip

    def compile(self, timeline: Timeline, draws: np.ndarray, placed: np.ndarray, score: np.ndarray) -> None:
        """Compile the loop, or load it from the cache."""
        compile_for(advance, *self._arguments(timeline, draws, placed, score), 0, 0)
        self.warm_parts(self._settings)

    def advance(
        self, timeline: Timeline, draws: np.ndarray, placed: np.ndarray, score: np.ndarray, until: int, events_max: int
    ) -> tuple[int, int]:  # fmt: skip
        """Run the loop until it stops for one of STOPS; the place it speaks of, and why."""
        self._follow_nominations()
        stop = int(timeline.clock[EVENTS]) + events_max
        while True:
            left = stop - int(timeline.clock[EVENTS])
            place, why = self._run(advance)(*self._arguments(timeline, draws, placed, score), until, left)
            place, why = int(place), int(why)
            assert why != CONTRADICTION, "the full pass finds a node where the shape has none"
            if why in STOPS:
                return place, why
            if why == NO_ROW:
                known = self._number[place:] >= 0
                self._build_all(
                    self._number[place:][known],
                    self._queue[place:][known],
                    self._settings,
                    self._state.nominated,
                )
            elif why == OVERFLOW:
                self._build(
                    int(self._number[place]), self._settings, int(self._queue[place]), self._state.nominated
                )
            else:
                self._refuser.read()

    def ledgers(self) -> tuple[Any, ...]:
        """What a pod's coming and going is written into: nodes, pods, requests, counters, and the log of touched nodes."""
        world = self._world
        return world.nodes, world.pods, world.requests, self._counters.columns(), self._touched

    def put(self, draws: np.ndarray, placed: np.ndarray, score: np.ndarray, start: int, stop: int) -> None:
        """Bind the pods from ``start`` to ``stop``, in turn, each to the best node; the timeline is not told.

        ``placed`` is -1 for those that fit nowhere.
        """
        self._follow_nominations()
        placed[start:stop] = -1
        position = start
        while position < stop:
            world = self._world
            position, why = self._run(place_range)(
                world.nodes, world.pods, world.demands, world.requests, self._settings, self._views.columns(),
                self._counters.columns(), self._shapes.arrays, self._touched, self._choice, self._rows(), self._number,
                self._queue, draws, position, stop, self._state.nominated, self._scratch, self._refuser.trials,
                self._refuser.refusals, placed, score,
            )  # fmt: skip
            position = int(position)
            self._refuser.refusals.used[:] = 0
            assert why != CONTRADICTION, "the full pass finds a node where the shape has none"
            if why == NO_ROW:
                self._build_all(
                    self._number[position:stop],
                    self._queue[position:stop],
                    self._settings,
                    self._state.nominated,
                )
            elif why == OVERFLOW:
                self._build(
                    int(self._number[position]),
                    self._settings,
                    int(self._queue[position]),
                    self._state.nominated,
                )
            elif why == REJECTED:
                self._state.forget_nomination(int(self._queue[position]))

    def stop(self, timeline: Timeline, place: int, status: int) -> None:
        """Take a running pod off its node; it has that status now."""
        world = self._world
        stop_pod(
            world.nodes, world.pods, world.requests, self._counters.columns(), self._touched, timeline, place,
            int(self._queue[place]), status,
        )  # fmt: skip

    def settle(self, timeline: Timeline, placed: np.ndarray, victims: Sequence[int] = ()) -> None:
        """The first pod in turn has been decided for, and bound, by the caller, who took ``victims`` off that node."""
        world, refusals = self._world, self._refuser.refusals
        one = int(pop_ready(timeline))
        place = int(timeline.head[one])
        before = int(self._touched.sequence[0])
        if victims:
            gone = np.array(victims, dtype=np.int32)
            self.note(gone, np.full(len(gone), placed[place], dtype=np.int32), -1)
            refusals.victims[: len(gone)] = gone
            refusals.log[0] = (place, 0, placed[place], 0, len(gone), 0)
            refusals.used[LOGGED] = 1
        if placed[place] >= 0:
            self.note(self._queue[place : place + 1], placed[place : place + 1], 1)
        conclude(
            world.nodes, world.pods, world.requests, self._views.columns(), self._shapes.arrays, self._touched,
            refusals, timeline, self._rows(), self._queue, placed, one, before,
        )  # fmt: skip
