"""One simulated cluster: what happens in it by a seed, and whether it comes to rest as it should."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kcore.api.rows import Row
from kcore.api.status import ApiError
from kcore.apiserver.local import LocalCalls
from kcore.client.asynchronous import AsyncClient
from kcore.store.embedded import Embedded
from tests.cluster import stories
from tests.cluster.judge import Judge, Violation, owner_uid
from tests.cluster.links import CALM, Link
from tests.cluster.loop import Process, VirtualLoop, unreal
from tests.cluster.parts import KINDS, Part, Server
from tests.cluster.shape import shape_of
from tests.cluster.stories import Story
from tests.cluster.strikes import Strike
from tests.cluster.user import User

LINES_KEPT: Final = 200
TROUBLE_S: Final = 90.0  # that faults go on for
REST_S_MAX: Final = 3_600.0  # after peace, until everything is as it should be
REST_EVERY_S: Final = 5.0
QUIET_S: Final = 30.0  # in which nothing may change any more

log: Final = logging.getLogger("tests.cluster")


@dataclass
class Scenario:
    """What a run consists of."""

    seed: int
    stories: Sequence[type[Any]] = stories.ALL
    strikes: Callable[[random.Random], Sequence[Strike]] = lambda chance: ()
    instances: int = 1  # of controllers and of the scheduler
    planted: Sequence[Callable[[], contextlib.AbstractContextManager[Any]]] = field(default_factory=tuple)


class World:
    """See the module. ``run`` returns the shape of every namespace; Violation where something must not be."""

    def __init__(
        self, scenario: Scenario, expected: dict[str, Any] | None = None, *, verbose: bool = False
    ) -> None:
        self.scenario = scenario
        self.expected = expected
        self.chance = random.Random(f"world {scenario.seed}")
        self.weather = CALM
        self.judge = Judge()
        self.stories: list[Story] = [make() for make in scenario.stories]
        self.schedulers: dict[str, Any] = {}
        self.calls: Callable[[str], LocalCalls] | None = None
        self.parts: list[Part] = []
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._verbose = verbose
        self._loop = VirtualLoop()
        self.kv: Embedded
        self.server: Server
        self.user: User

    def run(self) -> dict[str, Any]:
        """It happens."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(unreal(self._loop, self.scenario.seed))
            for plant in self.scenario.planted:
                stack.enter_context(plant())
            try:
                shapes: dict[str, Any] = self._loop.run_until_complete(self._main())
            finally:
                self._loop.close()
        return shapes

    # -- the host of links --------------------------------------------------------------------------------------------
    @property
    def process(self) -> Process:
        """The server's."""
        return self.server.process

    def trace(self, text: str, *values: object) -> None:
        """A line of what happens."""
        line = f"{self._loop.time():9.3f} {text % values}"
        self.lines.append(line)
        if self._verbose:
            print(line, flush=True)

    def unanswered(self, verb: str, row: Row, namespace: str, made: Any) -> None:
        """Somebody does not know what became of a write: a pod that was made so may be one too many for a while."""
        if verb != "create" or row.plural != "pods":
            return
        if isinstance(made, dict) and made.get("kind") == "Pod" and owner_uid(made):
            self.judge.unknown.add(made["metadata"]["uid"])
        elif made is None:
            self.judge.maybe[namespace] += 1

    async def meddle(self, row: Row, namespace: str, name: str) -> None:
        """Another writer has changed the object."""
        body = {"metadata": {"annotations": {"meddled": str(self.chance.getrandbits(16))}}}
        if self.calls is None or "patch" not in row.verbs:
            return
        client = AsyncClient(self.calls("somebody"), field_manager="somebody")
        with contextlib.suppress(ApiError):
            await self.process.spawn(
                client.patch(row.plural, name, body, namespace, api_version=row.api_version)
            )

    # -- the run ------------------------------------------------------------------------------------------------------
    async def _main(self) -> dict[str, Any]:
        self.kv = await Embedded.open(None, heartbeat_ms=1_000, election_ms=10_000)
        self.server = Server(self)
        judging = asyncio.ensure_future(self.judge.follow(self.kv))
        work = asyncio.ensure_future(self._happen())
        done, _ = await asyncio.wait((judging, work), return_when=asyncio.FIRST_COMPLETED)
        if work not in done:
            work.cancel()
        try:
            for task in done:
                task.result()
            return work.result()
        finally:
            await self._end()

    async def _end(self) -> None:
        """Nothing runs any more."""
        for part in self.parts:
            if part.process is not None:
                await part.process.kill()
        await self.server.crash()
        await self.kv.close()
        mine = asyncio.current_task()
        while others := [task for task in asyncio.all_tasks() if task is not mine]:
            for task in others:
                task.cancel()
            await asyncio.wait(others)

    async def _happen(self) -> dict[str, Any]:
        scenario = self.scenario
        await self.server.start()
        self.user = User(AsyncClient(Link(self, Process("user"), is_calm=True), field_manager="kubectl"))
        for kind in KINDS:
            count = 1 if kind == "nodes" else scenario.instances
            self.parts += [Part(self, kind, number) for number in range(count)]
        lives = [asyncio.ensure_future(part.live()) for part in self.parts]
        await self.user.create(*stories.nodes())
        strikes = scenario.strikes(self.chance)
        striking = [asyncio.ensure_future(strike.run(self)) for strike in strikes]
        acts = []
        for story in self.stories:
            story.watch(self.judge)
            acts.append(asyncio.ensure_future(story.act(self.user)))
        watched = (*acts, *striking, *lives)
        while not all(act.done() for act in acts):
            await asyncio.wait(watched, timeout=REST_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            for task in watched:
                if task.done() and not task.cancelled():
                    task.result()
            watched = tuple(task for task in watched if not task.done())
            if striking and self._loop.time() > TROUBLE_S:
                await self._peace(striking)
                striking = []
        if striking:
            await self._peace(striking)
        shapes = await self._rest()
        for scheduler in self.schedulers.values():
            if wrong := scheduler.compare():
                raise Violation(f"the scheduler's picture: {wrong}")
        return shapes

    async def _peace(self, striking: Sequence[asyncio.Task[None]]) -> None:
        """No more faults."""
        for task in striking:
            task.cancel()
        await asyncio.wait(striking)
        self.weather = CALM
        if self.calls is None:
            await self.server.start()
        self.trace("peace")

    def shapes(self) -> dict[str, Any]:
        """Of every namespace of every story."""
        return {
            space: shape_of(self.judge, space)
            for story in self.stories
            for space in stories.spaces_of(story.name)
        }

    async def _rest(self) -> dict[str, Any]:
        """Everything is as expected, and stays so; without expectations, nothing changes any more."""
        waited_s, before = 0.0, self.shapes()
        while True:
            await asyncio.sleep(REST_EVERY_S)
            waited_s += REST_EVERY_S
            now = self.shapes()
            if now == before and (now == self.expected or self.expected is None):
                await asyncio.sleep(QUIET_S)
                if self.shapes() == now:
                    return now
            before = now
            if waited_s > REST_S_MAX:
                raise Violation(
                    f"{REST_S_MAX:.0f} s after the last fault: {difference(self.expected or {}, now)}"
                )


def difference(expected: dict[str, Any], found: dict[str, Any]) -> str:
    """What is other than expected."""
    lines: list[str] = []
    for space, now in found.items():
        was = expected.get(space, {})
        lines += [
            f"{space} {name}: {now.get(name)}, expected {was.get(name)}"
            for name in sorted({*was, *now})
            if was.get(name) != now.get(name)
        ]
    return "\n  ".join(lines) or "it does not rest"
