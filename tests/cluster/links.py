"""What lies between a process and the API server: time, lost answers, refusals, watches that lag and break off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, Final, NamedTuple, Protocol

from kcore.api import status
from kcore.api.rows import Row
from kcore.api.status import ApiError
from kcore.apiserver.local import LocalCalls
from kcore.client.calls import Object, Warnings
from tests.cluster.loop import Process

LATENCY_S_MAX: Final = 0.02
WRITES: Final = frozenset({"create", "update", "patch", "delete", "delete_collection"})

Ask = Callable[[LocalCalls], Coroutine[Any, Any, Any]]


class Weather(NamedTuple):
    """Of all links: the probability of each fault of a request, and how late watches are."""

    latency_s: float = LATENCY_S_MAX
    lost: float = 0.0  # the request never arrives
    unanswered: float = 0.0  # it is carried out, and the connection breaks
    timeout: float = 0.0  # it is carried out, and the server says 504
    refused: float = 0.0  # 429, 500, 503
    meddled: float = 0.0  # another writer changes the object a moment before
    lag_s: float = 0.0  # of a watch, at most
    lag: float = 0.0  # how often a piece of a watch is late
    cut: float = 0.0  # how often a watch breaks off after a piece


CALM: Final = Weather()


class Host(Protocol):
    """The API server as links see it. ``calls`` None: it is away."""

    process: Process
    weather: Weather
    chance: random.Random
    calls: Callable[[str], LocalCalls] | None

    def unanswered(self, verb: str, row: Row, namespace: str, made: Any) -> None: ...
    async def meddle(self, row: Row, namespace: str, name: str) -> None: ...
    def trace(self, text: str, *values: object) -> None: ...


class Link:
    """``kcore.client.calls.Calls`` of one process. ``is_calm``: no faults but that the server may be away."""

    is_local = False

    def __init__(
        self, host: Host, process: Process, *, user: str = "kcore-admin", is_calm: bool = False
    ) -> None:
        self._host = host
        self._user = user
        self._process = process
        self._is_calm = is_calm
        self._local: LocalCalls | None = None
        self._of: Any = None
        self.rows: tuple[Row, ...] = ()

    def _calls(self) -> LocalCalls:
        """Of the server that is up now."""
        made = self._host.calls
        if made is None:
            raise ConnectionRefusedError("the server is away")
        if self._local is None or self._of is not made:
            self._local, self._of = made(self._user), made
            self.rows = self._local.rows
        return self._local

    def cut_watches(self) -> None:
        """All that this process watches breaks off."""
        if self._local is not None:
            self._local.end_watches()

    async def _asked(self, verb: str, row: Row, namespace: str, name: str, ask: Ask) -> Any:
        host, chance = self._host, self._host.chance
        if self._process.is_dead:
            await asyncio.Event().wait()
        weather = Weather(host.weather.latency_s) if self._is_calm else host.weather
        await asyncio.sleep(chance.random() * weather.latency_s)
        if self._process.is_dead:
            await asyncio.Event().wait()
        local = self._calls()
        drawn = chance.random()
        if drawn < weather.lost:
            raise ConnectionResetError("the connection broke")
        if drawn < weather.lost + weather.refused:
            raise _refusal(chance)
        if name and verb in WRITES and chance.random() < weather.meddled:
            await host.meddle(row, namespace, name)
        made = await self._answered(verb, row, namespace, host.process.spawn(ask(local)))
        await asyncio.sleep(chance.random() * weather.latency_s)
        drawn = chance.random()
        if verb in WRITES and drawn < weather.unanswered + weather.timeout:
            host.unanswered(verb, row, namespace, made)
            host.trace("%s: no answer to %s %s %s/%s", self._process, verb, row.plural, namespace, name)
            if drawn < weather.unanswered:
                raise ConnectionResetError("the connection broke before the answer")
            raise status.timeout("request did not complete within the allotted timeout")
        return made

    async def _answered(self, verb: str, row: Row, namespace: str, task: asyncio.Task[Any]) -> Any:
        """What came of it; the server goes on with it where this process dies."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(task: asyncio.Task[Any]) -> None:
            if task.cancelled():
                self._host.unanswered(verb, row, namespace, None)
                if not future.done():
                    future.set_exception(ConnectionResetError("the server died"))
            elif future.done():
                task.exception()
            elif (error := task.exception()) is not None:
                future.set_exception(error)
            else:
                future.set_result(task.result())

        task.add_done_callback(done)
        return await future

    # -- Calls --------------------------------------------------------------------------------------------------------
    async def discover(self) -> bool:
        """What is served is known."""
        if self._process.is_dead:
            await asyncio.Event().wait()
        self._calls()
        return not self.rows

    async def close(self) -> None:
        """Nothing is held."""

    async def get(self, row: Row, namespace: str, name: str, subresource: str, version: str) -> Object:
        """GET."""
        return await self._asked(
            "get", row, namespace, name, lambda to: to.get(row, namespace, name, subresource, version)
        )

    async def list(self, row: Row, namespace: str, query: Mapping[str, str]) -> Object:
        """GET of many."""
        return await self._asked("list", row, namespace, "", lambda to: to.list(row, namespace, query))

    async def create(
        self, row: Row, namespace: str, name: str, subresource: str, obj: Object, query: Mapping[str, str],
        warnings: Warnings, answered: bool = True,
    ) -> Object:  # fmt: skip
        """POST."""
        return await self._asked(
            "create", row, namespace, name,
            lambda to: to.create(row, namespace, name, subresource, obj, query, warnings, answered),
        )  # fmt: skip

    async def update(
        self, row: Row, namespace: str, name: str, subresource: str, obj: Object, query: Mapping[str, str],
        warnings: Warnings,
    ) -> Object:  # fmt: skip
        """PUT."""
        return await self._asked(
            "update", row, namespace, name,
            lambda to: to.update(row, namespace, name, subresource, obj, query, warnings),
        )  # fmt: skip

    async def patch(
        self, row: Row, namespace: str, name: str, subresource: str, kind: str, body: bytes, query: Mapping[str, str],
        warnings: Warnings, answered: bool = True,
    ) -> Object:  # fmt: skip
        """PATCH."""
        return await self._asked(
            "patch", row, namespace, name,
            lambda to: to.patch(row, namespace, name, subresource, kind, body, query, warnings, answered),
        )  # fmt: skip

    async def delete(
        self, row: Row, namespace: str, name: str, options: Object, warnings: Warnings, answered: bool = True
    ) -> Object:
        """DELETE."""
        return await self._asked(
            "delete",
            row,
            namespace,
            name,
            lambda to: to.delete(row, namespace, name, options, warnings, answered),
        )

    async def delete_collection(
        self, row: Row, namespace: str, query: Mapping[str, str], options: Object, warnings: Warnings
    ) -> Object:
        """DELETE of many."""
        return await self._asked(
            "delete_collection", row, namespace, "",
            lambda to: to.delete_collection(row, namespace, query, options, warnings),
        )  # fmt: skip

    async def watch(self, row: Row, namespace: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Pieces of a watch, in order, some of them late."""
        host, chance = self._host, self._host.chance
        if self._process.is_dead:
            await asyncio.Event().wait()
        await asyncio.sleep(chance.random() * host.weather.latency_s)
        local = self._calls()
        if not self._is_calm and chance.random() < host.weather.lost:
            raise _refusal(chance)
        async for piece in local.watch(row, namespace, query):
            weather = Weather() if self._is_calm else host.weather
            late_s = weather.lag_s if chance.random() < weather.lag else weather.latency_s
            await asyncio.sleep(chance.random() * late_s)
            if self._process.is_dead:
                await asyncio.Event().wait()
            if self._local is not local or chance.random() < weather.cut:
                raise ConnectionResetError("the watch broke off")
            yield piece
        if self._local is not local or host.calls is None:
            raise ConnectionResetError("the server died")


def _refusal(chance: random.Random) -> ApiError:
    kind = chance.randrange(3)
    if kind == 0:
        return ApiError(
            429, "TooManyRequests", "the server has received too many requests", {"retryAfterSeconds": 1}
        )
    if kind == 1:
        return ApiError(500, "InternalError", "Internal error occurred: nobody knows why")
    return ApiError(503, "ServiceUnavailable", "the server is currently unable to handle the request")
