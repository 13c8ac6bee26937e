"""The processes of a cluster: the API server, controllers, scheduler and nodes; each may die at any await."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from kcore.api.errors import KcoreError
from kcore.api.status import ApiError
from kcore.apiserver.assembly import Assembly, Options
from kcore.apiserver.local import LocalCalls
from kcore.apiserver.user import UserInfo
from kcore.client.asynchronous import AsyncClient
from kcore.client.leases import LeaderElector
from kcore.controllers import catalog
from kcore.controllers.contract import Settings
from kcore.controllers.driver import Driver
from kcore.hollow.assembly import HollowNodes
from kcore.hollow.assembly import Settings as HollowSettings
from kcore.online.driver import Scheduler
from tests.cluster.links import Link
from tests.cluster.loop import Process

if TYPE_CHECKING:
    from tests.cluster.world import World

RESTART_S: Final = 0.5  # from a death to the next start, at least: what was under way has arrived by then
GROUPS: Final = ("system:masters", "system:authenticated")

Work = Callable[["World", AsyncClient, str], Awaitable[None]]


async def for_ever() -> None:
    """Never returns."""
    await asyncio.Event().wait()


async def controllers(world: World, client: AsyncClient, identity: str) -> None:
    """kcore controller-manager."""

    async def lead() -> None:
        driver = Driver(client, catalog.make(Settings(), ("*", "-horizontal-pod-autoscaler-controller")))
        try:
            await driver.start()
            await for_ever()
        finally:
            await driver.stop()

    await LeaderElector(client, "kube-system", "kube-controller-manager", identity).run(lead)


async def scheduler(world: World, client: AsyncClient, identity: str) -> None:
    """kcore scheduler."""

    async def lead() -> None:
        made = Scheduler(client, random=np.random.default_rng(world.chance.getrandbits(32)))
        world.schedulers[identity] = made
        try:
            await made.start()
            await made.ended()
        finally:
            del world.schedulers[identity]
            await made.stop()

    await LeaderElector(client, "kube-system", "kube-scheduler", identity).run(lead)


async def nodes(world: World, client: AsyncClient, identity: str) -> None:
    """kcore hollow-nodes."""
    hollow = HollowNodes(client, HollowSettings(server_port=None, seed=world.chance.getrandbits(32)))
    try:
        await hollow.start()
        await for_ever()
    finally:
        await hollow.stop()


KINDS: Final[dict[str, tuple[Work, str]]] = {
    "controllers": (controllers, "system:kube-controller-manager"),
    "scheduler": (scheduler, "system:kube-scheduler"),
    "nodes": (nodes, "system:node:kcore"),
}


class Part:
    """One process that is started again whenever it ends."""

    def __init__(self, world: World, kind: str, number: int) -> None:
        self.kind = kind
        self.name = f"{kind}-{number}"
        self.process: Process | None = None
        self.link: Link | None = None
        self.down_s = RESTART_S
        self.skew_s = 0.0
        self._world = world
        self._lives = 0

    async def live(self) -> None:
        """It runs, life after life."""
        work, user = KINDS[self.kind]
        world = self._world
        while True:
            self._lives += 1
            self.process = process = Process(f"{self.name}.{self._lives}")
            process.skew_s = self.skew_s
            self.link = Link(world, process, user=user)
            client = AsyncClient(self.link, field_manager=self.kind)
            task = process.spawn(self._life(work(world, client, process.name)))
            await asyncio.wait([task])
            await process.kill()
            self.process = None
            self.down_s, down_s = RESTART_S, self.down_s
            world.trace("%s is down for %.1f s", self.name, down_s)
            await asyncio.sleep(down_s)

    async def _life(self, work: Awaitable[None]) -> None:
        try:
            await work
        except (ApiError, OSError, KcoreError) as error:
            self._world.trace("%s ended: %s", self.name, error)

    async def crash(self, down_s: float) -> None:
        """kill -9; it is back after that time."""
        if self.process is not None:
            self._world.trace("%s is killed", self.process)
            self.down_s = max(RESTART_S, down_s)
            await self.process.kill()

    def jump(self, seconds: float) -> None:
        """Somebody sets the clock of its machine."""
        self.skew_s += seconds
        if self.process is not None:
            self.process.skew_s = self.skew_s


class Server:
    """The API server over a store that outlives it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._assembly: Assembly | None = None
        self.process = Process("server.0")
        self.skew_s = 0.0
        self._lives = 0

    async def start(self) -> None:
        """It answers."""
        self._lives += 1
        self.process = Process(f"server.{self._lives}")
        self.process.skew_s = self.skew_s
        await self.process.spawn(self._start())

    async def _start(self) -> None:
        self._assembly = assembly = Assembly(self._world.kv, Options(compaction_seconds=0))
        await assembly.start()

        def calls(user: str) -> LocalCalls:
            return LocalCalls(
                assembly.registry, assembly.cacher, assembly.catalog, UserInfo(user, groups=GROUPS)
            )

        self._world.calls = functools.partial(calls)

    async def crash(self) -> None:
        """kill -9; the store is as it was."""
        self._world.calls = None
        await self.process.kill()
        if self._assembly is not None:
            await self._assembly.stop()

    def before_compaction(self, revision: int) -> None:
        """What the server does before it compacts."""
        if self._assembly is not None and self._world.calls is not None:
            self._assembly.cacher.before_compaction(revision)

    def jump(self, seconds: float) -> None:
        """Somebody sets the clock of its machine."""
        self.skew_s += seconds
        self.process.skew_s = self.skew_s
