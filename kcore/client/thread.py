"""From any thread or loop of this process into the loop of a server in another thread, and back with the answer.

``Elsewhere`` makes the server's ``Calls`` usable in the caller's own loop; ``ServerLoop`` is what the synchronous client
waits on. A process forked from the server's has its memory but not its thread: there every call raises RuntimeError.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from kcore.api.rows import Row
    from kcore.client.calls import Calls, Object, Warnings

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0  # between looks whether the loop that should answer still runs
STOPPED: Final = "the control plane has stopped"
FORKED: Final = "the control plane runs in the process that this one was forked from: start one here, or use its kubeconfig"
OWN_LOOP: Final = "this would wait for its own loop: use the asynchronous client there"


class ServerLoop:
    """Hands work to the loop. RuntimeError where nothing there can answer: stopped, forked, or called from itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._process = os.getpid()
        self.closing = False

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """The work runs there."""
        try:
            if os.getpid() != self._process:
                raise RuntimeError(FORKED)
            if self.closing or self._loop.is_closed():
                raise RuntimeError(STOPPED)
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work returns or raises; this thread waits for it."""
        if asyncio._get_running_loop() is self._loop:
            work.close()
            raise RuntimeError(OWN_LOOP)
        future = self.submit(work)
        try:
            while True:
                try:
                    return future.result(LOOK_SECONDS)
                except TimeoutError:
                    if future.done():
                        raise  # the work's own
                    if self._loop.is_closed():
                        raise RuntimeError(STOPPED) from None
        except CancelledError:
            raise RuntimeError(STOPPED) from None
        except BaseException:
            future.cancel()  # as by Ctrl-C: nobody waits for it any more
            raise

    async def answer(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work returns or raises; the caller's loop, which may be the server's own, goes on meanwhile."""
        if asyncio.get_running_loop() is self._loop:
            return await work
        future = self.submit(work)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                raise RuntimeError(STOPPED) from None
            raise


class Elsewhere:
    """``Calls`` of a server in another thread, for a client in any loop."""

    is_local = False

    def __init__(self, calls: Calls, loop: ServerLoop) -> None:
        self._calls = calls
        self._loop = loop

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is served."""
        return self._calls.rows

    async def discover(self) -> bool:
        """Whether ``rows`` may have become others."""
        return await self._loop.answer(self._calls.discover())

    async def close(self) -> None:
        """Nothing is held: the server is its owner's to stop."""

    async def get(self, row: Row, namespace: str, name: str, subresource: str, version: str) -> Object:
        """GET."""
        return await self._loop.answer(self._calls.get(row, namespace, name, subresource, version))

    async def list(self, row: Row, namespace: str, query: Mapping[str, str]) -> Object:
        """GET of many."""
        return await self._loop.answer(self._calls.list(row, namespace, query))

    async def create(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        obj: Object,
        query: Mapping[str, str],
        warnings: Warnings,
        answered: bool = True,
    ) -> Object:
        """POST."""
        work = self._calls.create(row, namespace, name, subresource, obj, query, warnings, answered)
        return await self._loop.answer(work)

    async def update(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        obj: Object,
        query: Mapping[str, str],
        warnings: Warnings,
    ) -> Object:
        """PUT."""
        work = self._calls.update(row, namespace, name, subresource, obj, query, warnings)
        return await self._loop.answer(work)

    async def patch(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        kind: str,
        body: bytes,
        query: Mapping[str, str],
        warnings: Warnings,
        answered: bool = True,
    ) -> Object:
        """PATCH."""
        work = self._calls.patch(row, namespace, name, subresource, kind, body, query, warnings, answered)
        return await self._loop.answer(work)

    async def delete(
        self, row: Row, namespace: str, name: str, options: Object, warnings: Warnings, answered: bool = True
    ) -> Object:
        """DELETE."""
        return await self._loop.answer(self._calls.delete(row, namespace, name, options, warnings, answered))

    async def delete_collection(
        self, row: Row, namespace: str, query: Mapping[str, str], options: Object, warnings: Warnings
    ) -> Object:
        """DELETE of many."""
        work = self._calls.delete_collection(row, namespace, query, options, warnings)
        return await self._loop.answer(work)

    async def watch(self, row: Row, namespace: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Pieces as they are asked for: what is not waits there, and is cut off as any slow watch is."""
        pieces = self._calls.watch(row, namespace, query)
        try:
            while (piece := await self._loop.answer(following(pieces))) is not None:
                yield piece
        finally:
            if not self._loop.closing:
                self._loop.submit(ended(pieces))


async def following(pieces: AsyncIterator[T]) -> T | None:
    """The next one, None behind the last."""
    return await anext(pieces, None)


async def ended(pieces: AsyncIterator[Any]) -> None:
    """The iteration is over and has let go of what it held."""
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()
