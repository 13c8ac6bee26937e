"""Waiting for the disk, so that the loop need not: a plain sync in a thread without Python, any other in one with it."""

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from kcore.store.disk import Disk
from kcore_native.wal import Syncer

Synced = Callable[[float, BaseException | None], None]


class DiskThread:
    """One sync at a time: ``sync`` returns at once, its callback runs in the loop with the seconds taken."""

    def __init__(self, disk: Disk, loop: asyncio.AbstractEventLoop) -> None:
        self._disk = disk
        self._loop = loop
        self._syncer = Syncer()
        self._synced: Synced | None = None  # of the plain sync that is under way
        self._asked: SimpleQueue[Synced | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="kcore-disk", daemon=True)
        self._thread.start()
        loop.add_reader(self._syncer.fileno(), self._plain_ended)

    def sync(self, synced: Synced) -> None:
        """What was appended before will be on disk when ``synced`` is called."""
        descriptor = self._disk.begin_sync()
        if descriptor < 0:
            self._asked.put(synced)
            return
        self._synced = synced
        self._syncer.ask(descriptor)

    async def stop(self) -> None:
        """Both threads have ended; a sync that was asked for is done, its callback not necessarily called."""
        self._loop.remove_reader(self._syncer.fileno())
        if self._synced is not None:
            _, failure = await asyncio.to_thread(self._syncer.take)
            self._synced = None
            self._end(failure)
        self._asked.put(None)
        await asyncio.to_thread(self._thread.join)
        self._syncer.close()

    def _plain_ended(self) -> None:
        seconds, failure = self._syncer.take()
        synced, self._synced = self._synced, None
        error = self._end(failure)
        if synced is not None:
            synced(seconds, error)

    def _end(self, failure: int) -> OSError | None:
        try:
            self._disk.end_sync(failure)
        except OSError as error:
            return error
        return None

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
