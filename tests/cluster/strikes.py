"""Faults: each strikes again and again at moments by chance, until there is to be peace."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Final

from kcore.store.errors import StoreError
from tests.cluster.links import CALM, Weather

if TYPE_CHECKING:
    from tests.cluster.world import World

OUTAGE_S: Final = 65.0
LEASE_S_MAX: Final = 25.0  # that nodes may be silent without being taken for dead


class Strike:
    """``period_s`` apart in the mean."""

    def __init__(self, chance: random.Random, period_s: float) -> None:
        self.chance = chance
        self.period_s = period_s

    async def run(self, world: World) -> None:
        """It strikes until it is cancelled."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.3, 1.7) * self.period_s)
            await self.strike(world)

    async def strike(self, world: World) -> None:
        """One fault."""


class Crashes(Strike):
    """A process is killed, and comes back at once or a while later."""

    async def strike(self, world: World) -> None:
        """One of them, or one of a kind."""
        part = self.chance.choice(world.parts)
        longest_s = LEASE_S_MAX if part.kind == "nodes" else 40.0
        await part.crash(self.chance.choice((0.5, 2.0, longest_s)) * self.chance.random())


class Outages(Strike):
    """The API server is killed; it is back soon, once after a minute."""

    def __init__(self, chance: random.Random, period_s: float, longest_s: float) -> None:
        super().__init__(chance, period_s)
        self.longest_s = longest_s

    async def strike(self, world: World) -> None:
        """It goes, and comes."""
        world.trace("the server is killed")
        await world.server.crash()
        await asyncio.sleep(self.chance.choice((0.1, 2.0, self.longest_s)))
        await world.server.start()
        world.trace("the server is back")


class Storms(Strike):
    """Answers are lost, requests refused, watches late."""

    async def strike(self, world: World) -> None:
        """A bad time, then a calm one."""
        chance = self.chance

        def some(most: float) -> float:
            return chance.random() * most if chance.random() < 0.5 else 0.0

        world.weather = Weather(
            latency_s=chance.choice((0.02, 0.2)), lost=some(0.2), unanswered=some(0.2), timeout=some(0.1),
            refused=some(0.2), meddled=some(0.2), lag_s=chance.choice((0.5, 5.0)), lag=some(0.5), cut=some(0.1),
        )  # fmt: skip
        world.trace("weather: %s", world.weather)
        await asyncio.sleep(chance.uniform(3.0, 20.0))
        world.weather = CALM


class Cuts(Strike):
    """All watches of a process break off."""

    async def strike(self, world: World) -> None:
        """One process has to begin anew."""
        part = self.chance.choice(world.parts)
        if part.link is not None:
            world.trace("watches of %s are cut", part.name)
            part.link.cut_watches()


class Compactions(Strike):
    """The history of the store is cut, by this server or by another one."""

    async def strike(self, world: World) -> None:
        """Nothing older than now is kept."""
        revision = world.kv.revision
        if self.chance.random() < 0.5:
            world.server.before_compaction(revision)
        world.trace("compaction at %d", revision)
        with contextlib.suppress(StoreError):  # it is cut there already
            await world.kv.compact(revision)


class Jumps(Strike):
    """The clock of a machine is set, forward or back."""

    async def strike(self, world: World) -> None:
        """By seconds, or by an hour."""
        seconds = self.chance.choice((-3_600.0, -60.0, -5.0, 5.0, 60.0, 3_600.0))
        whose = self.chance.choice((*world.parts, world.server))
        world.trace("a clock jumps by %.0f s: %s", seconds, getattr(whose, "name", "server"))
        whose.jump(seconds)


class Deletions(Strike):
    """Somebody deletes pods, where the story bears it."""

    async def strike(self, world: World) -> None:
        """One of them goes."""
        spaces = [story.name for story in world.stories if story.may_delete_pods]
        pods = [(space, name) for space in spaces for name in sorted(world.judge.pods[space])]
        if pods:
            space, name = self.chance.choice(pods)
            world.trace("a stranger deletes %s/%s", space, name)
            await world.user.delete("pods", name, space)
