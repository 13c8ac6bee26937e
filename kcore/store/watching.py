"""A watch as an asynchronous iterator: one wake-up for all the batches that are there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from kcore.store.kv import WatchBatch

if TYPE_CHECKING:
    from kcore_native.mvcc.watch import Watcher

PROGRESS_SECONDS: Final = 600.0  # between progress marks where nothing happens, as etcd's


class EmbeddedWatch:
    """``async for batch in watch``; ends after ``cancel``, or after the batch that says why it was cancelled."""

    __slots__ = ("_future", "_loop", "_pending", "_timer", "watcher")

    def __init__(
        self, watcher: Watcher, loop: asyncio.AbstractEventLoop, *, progress_notify: bool = False
    ) -> None:
        self.watcher: Final = watcher
        self._pending = watcher.pending
        self._loop = loop
        self._future: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        watcher.on_ready = self._wake
        if progress_notify:
            self._timer = loop.call_later(PROGRESS_SECONDS, self._progress)

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
            self.watcher.on_ready = self._wake
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
        self._wake()

    def _wake(self, _: Any = None) -> None:
        future = self._future
        if future is not None and not future.done():
            future.set_result(None)

    def _progress(self) -> None:
        self.watcher.request_progress()
        self._timer = self._loop.call_later(PROGRESS_SECONDS, self._progress)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
