"""The store's events, given to the cache of the resource that each belongs to, over one watch of all of them.

One watch keeps all caches at one revision: a consistent read waits for one mark of progress, whatever it reads. Over the
embedded store what is pending is taken on the spot, so that a read right after a write waits for nothing. When the
watch falls behind a compaction, or ends, all caches begin anew: their streams stop, and their clients go on from the
last version they saw, or are told that it is too old.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from kcore.store.errors import StoreError
from kcore.store.kv import KV, Event, WatchBatch, prefix_end
from kcore_native.cacher.events import Cache, split

LOG: Final = logging.getLogger(__name__)

RETRY_SECONDS: Final = 0.1  # before a watch is opened again
RETRY_SECONDS_MAX: Final = 5.0
PROGRESS_SECONDS: Final = 0.1  # between requests for progress while somebody waits


class Starting:
    """A cache that is being read: what happens meanwhile waits here."""

    __slots__ = ("events",)

    def __init__(self) -> None:
        self.events: Final[list[Event]] = []


class Feed:
    """``caches``: those that are told, by their folder; ``starting``: events for those that are still being read."""

    def __init__(self, kv: KV, prefix: str, restart: Callable[[], Awaitable[None]]) -> None:
        self._kv = kv
        self._prefix = prefix.encode()
        self._restart = restart
        self._watch: Any = None
        self._pending: Callable[[], WatchBatch | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._progress: asyncio.TimerHandle | None = None
        self.caches: Final[dict[bytes, Cache]] = {}
        self.starting: Final[dict[bytes, Starting]] = {}
        self.revision = 0
        self.generation = (
            0  # how often the watch was opened: what was read before the last time may have a gap
        )

    async def start(self) -> None:
        """The watch is open: what is read from the store after this, at a later revision, has no gap to it."""
        self._loop = asyncio.get_running_loop()
        await self._open()
        self._task = asyncio.create_task(self._run())

    async def _open(self) -> None:
        found = await self._kv.range(self._prefix, prefix_end(self._prefix), limit=1, keys_only=True)
        self.revision = found.revision
        self.generation += 1
        self._watch = self._kv.watch(
            self._prefix, prefix_end(self._prefix), start_revision=found.revision + 1
        )
        watcher = getattr(self._watch, "watcher", None)  # of the embedded store
        self._pending = None if watcher is None else watcher.pending

    async def close(self) -> None:
        """Nothing is told any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._watch is not None:
            self._watch.cancel()
        self._drop_waiters()

    def _drop_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for _, future in waiters:
            if not future.done():
                future.cancel()

    async def _run(self) -> None:
        backoff = RETRY_SECONDS
        while True:
            before = self.revision
            async for batch in self._watch:
                if batch.cancel_reason or batch.compact_revision:
                    break
                self.take(batch)
            if self.revision != before:
                backoff = RETRY_SECONDS
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, RETRY_SECONDS_MAX)
            try:
                await self._open()
                await self._restart()
            except StoreError as error:
                LOG.warning("the store's watch could not be opened again: %s", error)

    def pump(self) -> None:
        """What the embedded store has for the watch is taken now."""
        if self._pending is None:
            return
        while (batch := self._pending()) is not None:
            if batch.cancel_reason or batch.compact_revision:
                self._watch.cancel()
                return
            self.take(batch)

    def take(self, batch: WatchBatch) -> None:
        """The batch's events have happened."""
        loop = self._loop
        assert loop is not None
        events = batch.events
        if events:
            now = loop.time()
            told = split(events, self.caches, len(self._prefix))
            for cache, mine in told:
                cache.apply(mine, now)
            if self.starting:
                for waiting, mine in split(events, self.starting, len(self._prefix)):
                    waiting.events.extend(mine)
            loop.call_soon(_forget, [cache for cache, _ in told])
        if batch.fragment:
            return
        revision = max(batch.revision if not events else events[-1].kv.mod_revision, self.revision)
        self.revision = revision
        for cache in self.caches.values():
            cache.reached(revision)
        if self._waiters:
            self._release()

    def _release(self) -> None:
        left = []
        for wanted, future in self._waiters:
            if wanted > self.revision:
                left.append((wanted, future))
            elif not future.done():
                future.set_result(None)
        self._waiters = left

    async def reach(self, revision: int, timeout_seconds: float) -> bool:
        """All caches have seen everything up to that revision, or the time is over: then False."""
        if revision <= self.revision:
            return True
        self.pump()
        if revision <= self.revision:
            return True
        assert self._loop is not None
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append((revision, future))
        self._ask()
        # not asyncio.timeout: the door runs a request outside any task until it first waits, which may be here
        ends = self._loop.call_later(timeout_seconds, future.cancel)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled() or self._loop.time() < ends.when():
                raise
            return False
        finally:
            ends.cancel()
            self._waiters = [each for each in self._waiters if each[1] is not future]
        return True

    def _ask(self) -> None:
        """The store is asked how far the watch is, again and again while somebody waits."""
        if self._progress is not None:
            self._progress.cancel()
        self._progress = None
        if self._waiters and self._loop is not None:
            self._watch.request_progress()
            self._progress = self._loop.call_later(PROGRESS_SECONDS, self._ask)
            self.pump()


def _forget(caches: list[Cache]) -> None:
    for cache in caches:
        cache.forget()
