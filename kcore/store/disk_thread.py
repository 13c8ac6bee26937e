"""Waiting for the disk, so that the loop need not: a plain sync in a thread without Python, any other in one with it."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from kcore.store.disk import Disk
from kcore_native.wal import Syncer

Synced = Callable[[float, BaseException | None], None]

HERE_SECONDS_MAX: Final = 0.001  # mean of a sync that the loop itself waits for
HERE_BUSY_MAX: Final = 0.75  # of the loop's time; a busier one has better to do than to wait
PACE_SECONDS: Final = 0.005  # over which the loop's work is measured at least
PACE_MEMORY: Final = 8  # of so many syncs the mean counts


class Pace:
    """Whether the loop should wait for the disk itself: the disk is quick, and the loop has little else to do.

    A sync of 300 us by another thread costs two switches between threads, a quarter of a lone client's put.
    """

    def __init__(self) -> None:
        self._sync_seconds = HERE_SECONDS_MAX  # mean; at first it must be shown to be quick
        self._busy = 1.0
        self._since = (time.perf_counter(), time.thread_time())

    def synced(self, seconds: float) -> None:
        """Notes how long a sync took."""
        self._sync_seconds += (seconds - self._sync_seconds) / PACE_MEMORY

    def waits(self) -> bool:
        """True where this thread, the loop's, should wait."""
        began, worked = self._since
        now = time.perf_counter()
        if now - began >= PACE_SECONDS:
            work = time.thread_time()
            self._busy = (work - worked) / (now - began)
            self._since = now, work
        return self._sync_seconds < HERE_SECONDS_MAX and self._busy < HERE_BUSY_MAX


class DiskThread:
    """One sync at a time: ``sync`` returns at once, its callback runs in the loop with the seconds taken."""

    def __init__(self, disk: Disk, loop: asyncio.AbstractEventLoop) -> None:
        self._disk = disk
        self._loop = loop
        self._syncer = Syncer()
        self._pace = Pace()
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

    def sync_here(self) -> tuple[float, OSError | None] | None:
        """Seconds, and what went wrong, of a sync that the loop itself has waited for; None: ask ``sync`` for one."""
        if not self._pace.waits() or (descriptor := self._disk.begin_sync()) < 0:
            return None
        seconds, failure = self._syncer.sync(descriptor)
        self._pace.synced(seconds)
        return seconds, self._end(failure)

    async def stop(self) -> None:
        """Both threads have ended; a sync that was asked for is done, its callback not necessarily called."""
        self._loop.remove_reader(self._syncer.fileno())
        if self._synced is not None:
            os.set_blocking(self._syncer.fileno(), True)  # uvloop made it otherwise; ``take`` shall wait
            _, failure = await asyncio.to_thread(self._syncer.take)
            self._synced = None
            self._end(failure)
        self._asked.put(None)
        await asyncio.to_thread(self._thread.join)
        self._syncer.close()

    def _plain_ended(self) -> None:
        seconds, failure = self._syncer.take()
        self._pace.synced(seconds)
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
