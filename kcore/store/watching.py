"""A watch as an asynchronous iterator: one wake-up for all the batches that are there."""

from __future__ import annotations

import asyncio
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kcore.store.kv import WatchBatch

if TYPE_CHECKING:
    from kcore_native.mvcc.watch import Watcher

PROGRESS_SECONDS: Final = 600.0  # between progress marks where nothing happens, as etcd's


class EmbeddedWatch:
    """``async for batch in watch``; ends after ``cancel``, or after the batch that says why it was cancelled.

    The store does not hold it: one that nobody holds any more is cancelled.
    """

    __slots__ = ("__weakref__", "_future", "_loop", "_pending", "_timer", "watcher")

    def __init__(
        self, watcher: Watcher, loop: asyncio.AbstractEventLoop, *, progress_notify: bool = False
    ) -> None:
        self.watcher: Final = watcher
        self._pending = watcher.pending
        self._loop = loop
        self._future: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        if progress_notify:
            self._timer = loop.call_later(PROGRESS_SECONDS, _progress, weakref.ref(self))

    def __del__(self) -> None:
        self.watcher.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def __aiter__(self) -> EmbeddedWatch:
        return self

    async def __anext__(self) -> WatchBatch:
        """The next batch, when there is one."""
        while True:
            batch = self._pending()
            if batch is not None:
                return batch
            if self.watcher.done:
                self._stop_timer()
                raise StopAsyncIteration
            future = self._future = self._loop.create_future()
            self.watcher.on_ready = partial(_wake, future)
            try:
                await future
            finally:
                self._future = None

    def request_progress(self) -> None:
        """A batch without events follows once all before it was delivered."""
        self.watcher.request_progress()

    def cancel(self) -> None:
        """The watch ends."""
        self._stop_timer()
        self.watcher.cancel()
        if self._future is not None:
            _wake(self._future)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _wake(future: asyncio.Future[None], _: Any = None) -> None:
    if not future.done():
        future.set_result(None)


def _progress(reference: weakref.ref[EmbeddedWatch]) -> None:
    watch = reference()
    if watch is not None:
        watch.watcher.request_progress()
        watch._timer = watch._loop.call_later(PROGRESS_SECONDS, _progress, reference)
