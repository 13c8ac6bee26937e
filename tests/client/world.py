"""A server in this very loop that can be away, restarted, compacted, cut off at any point, or older than it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from kcore.api.rows import Row
from kcore.api.status import ApiError
from kcore.apiserver.assembly import Assembly, Options
from kcore.apiserver.local import LocalCalls
from kcore.client.asynchronous import AsyncClient
from kcore.client.thread import ended
from kcore.clock import VirtualClock, settle
from kcore.store.embedded import Embedded

Object = dict[str, Any]
STEPS_MAX = 400


class World:
    """``client`` never fails; ``calls`` is the way of whoever is tested, with what goes wrong on it."""

    def __init__(self, kv: Embedded) -> None:
        self.kv = kv
        self.assembly: Assembly
        self.local: LocalCalls
        self.client: AsyncClient
        self.calls = Faulty(self)
        self.clock = VirtualClock()
        self._compacted = 0

    async def boot(self) -> None:
        """The server answers, from what the store has."""
        self.assembly = Assembly(self.kv, Options())
        await self.assembly.start()
        self.local = LocalCalls(self.assembly.registry, self.assembly.cacher, self.assembly.catalog)
        self.client = AsyncClient(self.local)
        self.calls.is_away = False

    async def crash(self) -> None:
        """The server is away, and every watch of ``calls`` broken."""
        self.calls.is_away = True
        self.calls.cut()
        await self.assembly.stop()

    async def restart(self) -> None:
        """Another server of the same store."""
        await self.crash()
        await self.boot()

    async def forget(self) -> None:
        """Another server, which knows nothing of what has happened."""
        await self.crash()
        if self.kv.revision > self._compacted:
            self._compacted = self.kv.revision
            await self.kv.compact(self._compacted)
        await self.boot()

    async def comes(self, what: Callable[[], bool | Awaitable[bool]]) -> None:
        """It comes to be, in virtual time."""
        for _ in range(STEPS_MAX):
            found = what()
            if found if isinstance(found, bool) else await found:
                return
            await self.clock.advance(1.0)
        raise AssertionError("it did not come to be")


class Faulty:
    """``Calls`` of a server that may be away; ``cuts``: watches break behind so many pieces."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._watches: set[asyncio.Event] = set()
        self.is_away = False
        self.has_watch_list = True  # False: refused, None: not known, as by servers before 1.27
        self.cuts: list[int] = []
        self.failures: list[Exception] = []  # of the next calls
        self.asked: list[tuple[str, dict[str, str]]] = []

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._world.local, name)

        async def asked(*arguments: Any) -> Any:
            self._fail()
            return await call(*arguments)

        return asked

    def _fail(self) -> None:
        if self.is_away:
            raise ConnectionError("connect: connection refused")
        if self.failures:
            raise self.failures.pop(0)

    @property
    def rows(self) -> tuple[Row, ...]:
        return self._world.local.rows

    async def list(self, row: Row, namespace: str, query: Mapping[str, str]) -> Object:
        self.asked.append(("list", dict(query)))
        self._fail()
        return await self._world.local.list(row, namespace, query)

    async def watch(self, row: Row, namespace: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        self.asked.append(("watch", dict(query)))
        self._fail()
        asked = dict(query)
        if "sendInitialEvents" in asked:
            if self.has_watch_list is False:
                raise ApiError(422, "Invalid", "sendInitialEvents is forbidden for watch", {})
            if self.has_watch_list is None:
                del asked["sendInitialEvents"], asked["resourceVersionMatch"]
        left = self.cuts.pop(0) if self.cuts else -1
        broken = asyncio.Event()
        self._watches.add(broken)
        pieces = self._world.local.watch(row, namespace, asked)
        try:
            while True:
                piece = await self._next(pieces, broken)
                if piece is None:
                    return
                if left == 0:
                    raise ConnectionError("the watch was cut")
                left -= 1
                if self.has_watch_list is None:
                    lines = (
                        line for line in piece.splitlines(keepends=True) if b'"BOOKMARK"' not in line[:20]
                    )
                    piece = b"".join(lines)
                if piece:
                    yield piece
        finally:
            self._watches.discard(broken)
            await ended(pieces)

    async def _next(self, pieces: AsyncIterator[bytes], broken: asyncio.Event) -> bytes | None:
        following = asyncio.ensure_future(_following(pieces))
        cut = asyncio.ensure_future(broken.wait())
        try:
            await asyncio.wait((following, cut), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                raise ConnectionError("the watch was cut")
            return following.result()
        finally:
            cut.cancel()
            if not following.done():
                following.cancel()
                await asyncio.wait([following])

    def cut(self) -> None:
        """Every watch breaks."""
        for broken in self._watches:
            broken.set()


async def _following(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


def in_world(test: Callable[[World], Awaitable[None]]) -> None:
    """The test is run in a world of its own."""

    async def run() -> None:
        world = World(await Embedded.open(None))
        try:
            await world.boot()
            await test(world)
            await settle()
        finally:
            await world.assembly.stop()
            await world.kv.close()

    asyncio.run(run())


def configmap(name: str, **labels: str) -> Object:
    """A ConfigMap."""
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "data": {},
        "metadata": {"name": name, "namespace": "default", "labels": labels},
    }  # fmt: skip


class Lives:
    """A listener that refuses whatever is no object's life."""

    def __init__(self) -> None:
        self.now: dict[str, Object] = {}
        self.steps: list[tuple[str, str]] = []

    def __call__(self, old: Object | None, new: Object | None) -> None:
        about = new or old
        assert about is not None
        name = about["metadata"]["name"]
        known = self.now.get(name)
        if old is None:
            assert new is not None
            assert known is None, "added twice"
        elif new is None:
            assert known is not None, "deleted, but was not there"
            assert known["metadata"]["uid"] == old["metadata"]["uid"]
            assert int(known["metadata"]["resourceVersion"]) <= int(old["metadata"]["resourceVersion"])
            del self.now[name]
            self.steps.append(("deleted", name))
            return
        else:
            assert old is known, "not what was told last"
            assert old["metadata"]["uid"] == new["metadata"]["uid"]
            if old is not new:
                assert int(old["metadata"]["resourceVersion"]) < int(new["metadata"]["resourceVersion"])
        self.now[name] = new
        self.steps.append(("added" if old is None else "same" if old is new else "changed", name))
