"""The thread that waits for the disk, so that the loop need not."""

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Synced = Callable[[float, BaseException | None], None]


class DiskThread:
    """One sync at a time: ``sync`` returns at once, its callback runs in the loop with the seconds taken."""

    def __init__(self, disk: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._disk = disk
        self._loop = loop
        self._asked: SimpleQueue[Synced | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="kcore-disk", daemon=True)
        self._thread.start()

    def sync(self, synced: Synced) -> None:
        """What was appended before will be on disk when ``synced`` is called."""
        self._asked.put(synced)

    async def stop(self) -> None:
        """The thread has ended; a sync that was asked for is done, its callback not necessarily called."""
        self._asked.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        answer = self._loop.call_soon_threadsafe
        while (synced := self._asked.get()) is not None:
            began = time.perf_counter()
            failure: BaseException | None = None
            try:
                self._disk.sync()
            except BaseException as error:  # noqa: BLE001 - the loop decides: the member stops
                failure = error
            try:
                answer(synced, time.perf_counter() - began, failure)
            except RuntimeError:
                return  # the loop is closed
