"""Work that nobody waits for: several lanes, in each of which one thing is done after the other.

What concerns the same thing goes into the same lane, in order. All lanes together hold ``queued_max``; more is refused,
and once a second the log says how much was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from kcore.clock import REAL, Clock, within

T = TypeVar("T")

LANES: Final = 16
QUEUED_MAX: Final = 1000
SAID_SECONDS: Final = 1.0  # between two lines about what was refused

log: Final = logging.getLogger("kcore.client")


class Lanes(Generic[T]):
    """See the module. A lane has a task only while it has work."""

    def __init__(
        self,
        do: Callable[[T], Awaitable[None]],
        *,
        lanes: int = LANES,
        queued_max: int = QUEUED_MAX,
        clock: Clock = REAL,
    ) -> None:
        self._clock = clock
        self._do = do
        self._lanes: list[deque[T]] = [deque() for _ in range(lanes)]
        self._tasks: list[asyncio.Task[None] | None] = [None] * lanes
        self._queued_max = queued_max
        self._loop: asyncio.AbstractEventLoop | None = None
        self.queued_count = 0
        self.dropped_count = 0
        self._said_s = float("-inf")

    def start(self) -> None:
        """What was put and what will be is done, in the running loop."""
        self._loop = asyncio.get_running_loop()
        for index, lane in enumerate(self._lanes):
            if lane:
                self._begin(index)

    def put(self, key: Hashable, work: T) -> bool:
        """It will be done behind what has the same key; False where there is no room."""
        if self.queued_count >= self._queued_max:
            self.dropped_count += 1
            now_s = self._clock.monotonic_s()
            if now_s - self._said_s >= SAID_SECONDS:
                self._said_s = now_s
                log.warning("too many queued events: %d dropped so far", self.dropped_count)
            return False
        self.queued_count += 1
        index = hash(key) % len(self._lanes)
        self._lanes[index].append(work)
        if self._tasks[index] is None and self._loop is not None:
            self._begin(index)
        return True

    def _begin(self, index: int) -> None:
        assert self._loop is not None
        self._tasks[index] = self._loop.create_task(self._run(index))

    async def _run(self, index: int) -> None:
        lane = self._lanes[index]
        try:
            while lane:
                work = lane.popleft()
                self.queued_count -= 1
                try:
                    await self._do(work)
                except Exception:
                    log.exception("work that nobody waits for failed")
        finally:
            self._tasks[index] = None

    async def stop(self, seconds_max: float) -> None:
        """Nothing is done any more; what waited has had that long."""
        running = [task for task in self._tasks if task is not None]
        if running:
            with contextlib.suppress(TimeoutError):
                await within(self._clock, seconds_max, _all(running))
        self._loop = None
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


async def _all(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)
