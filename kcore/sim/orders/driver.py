"""An order that drives a simulation from between its kernel calls: events happen, and then it is for the order to decide."""

from __future__ import annotations

import copy
from typing import Protocol

import numpy as np

from kcore.scheduler.engine import Engine
from kcore.scheduler.profile import Profile
from kcore.sim import timeline as names
from kcore.sim.lines import longer
from kcore.sim.loop import FULL_INTERVALS, REACHED
from kcore.sim.online import Online
from kcore.sim.orders import moves
from kcore.sim.orders.ground import Ground, Host


class Discipline(Protocol):
    """Who starts, and who is preempted; what it keeps between turns knows nothing of the simulation."""

    def turn(self, ground: Ground) -> None:
        """Something has happened: decide."""

    def next_ms(self, ground: Ground) -> int:
        """When to decide although nothing happens."""

    def reset(self) -> None:
        """Nodes or pods have changed by other hands."""


class Driver:
    """A discipline at work in one simulation."""

    def __init__(self, host: Host, discipline: Discipline, ground: Ground, online: Online) -> None:
        self._host, self.discipline, self.ground = host, discipline, ground
        self._online = online

    def advance(self, until: int, events_max: int) -> int:
        """Run until ``until`` (ms) or so many events: REACHED or STEPPED."""
        host = self._host
        stop = int(host.timeline.clock[names.EVENTS]) + events_max
        while True:
            left = max(stop - int(host.timeline.clock[names.EVENTS]), 0)
            timer = max(self.discipline.next_ms(self.ground), self.ground.now)
            why = int(
                self.ground.call(
                    moves.run_until_turn, *self._online.ledgers(), host.timeline, host.jobs.rows,
                    min(until, timer), left,
                )
            )  # fmt: skip
            if why == FULL_INTERVALS:
                host.timeline = longer(host.timeline, "interval")
            elif why == moves.TURN:
                self.discipline.turn(self.ground)
                host.timeline.clock[names.WOKEN] = 0
            elif why == REACHED and timer < until:
                self.poke()
            else:
                return why

    def poke(self) -> None:
        """Something has happened that the clock does not know of."""
        self._host.timeline.clock[names.WOKEN] = 1


def driver_for(
    host: Host,
    discipline: Discipline,
    engine: Engine,
    profile: Profile,
    online: Online,
    draws: np.ndarray,
    gang: bool,
) -> Driver:
    """The discipline at work on the simulation as it is now."""
    return Driver(host, discipline, Ground(host, engine, profile, online, draws, gang), online)


def another(discipline: Discipline) -> Discipline:
    """The same, for another future."""
    return copy.deepcopy(discipline)
