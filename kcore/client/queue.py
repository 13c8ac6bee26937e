"""What a controller has yet to look at: each key once, never twice at a time, again after a while where it failed.

A key that is added while it waits is there already; one that is added while somebody works on it comes again once
that is done. Delays are in one heap with one timer. All calls are of one event loop.

Source: client-go util/workqueue (queue.go, delaying_queue.go, rate_limiting_queue.go).
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Generic, Hashable, Protocol, TypeVar  # noqa: UP035 - a bound of a TypeVar

from kcore.client.rate import ControllerLimiter, Limiter
from kcore.clock import REAL, Clock, Timed

K = TypeVar("K", bound=Hashable)


class ShutDown(Exception):
    """The queue is empty and takes no more."""


class Observer(Protocol):
    """Who counts what happens to a queue's keys."""

    def added(self, key: Any) -> None:
        """The key waits."""

    def taken(self, key: Any) -> None:
        """Somebody works on the key."""

    def done(self, key: Any) -> None:
        """Nobody does any more."""

    def delayed(self) -> None:
        """A key is to wait for a time."""


class WorkQueue(Generic[K]):
    """See the module. ``limiter`` says how long ``add_rate_limited`` waits; ``observer`` is told of every step."""

    def __init__(
        self, *, limiter: Limiter | None = None, clock: Clock = REAL, observer: Observer | None = None
    ) -> None:
        self._observer = observer
        self._clock = clock
        self._limiter: Limiter = limiter if limiter is not None else ControllerLimiter(clock=clock)
        self._queue: deque[K] = deque()
        self._dirty: set[K] = set()  # Invariant: the queue's keys, and those to come again once they are done
        self._processing: set[K] = set()
        self._getters: deque[asyncio.Future[None]] = deque()
        self._delayed: list[tuple[float, int, K]] = []
        self._due_s: dict[
            K, float
        ] = {}  # the one time of each delayed key; other entries of the heap are stale
        self._asked = 0
        self._timer: Timed | None = None
        self._timer_due_s = 0.0
        self._idle: asyncio.Event | None = None
        self.is_shut_down = False

    def __len__(self) -> int:
        """Keys that wait to be taken; neither delayed ones nor those being worked on."""
        return len(self._queue)

    @property
    def delayed_count(self) -> int:
        """Keys that wait for their time."""
        return len(self._due_s)

    @property
    def processing_count(self) -> int:
        """Keys that somebody works on."""
        return len(self._processing)

    def add(self, key: K) -> None:
        """The key will be worked on; nothing once the queue is shut down."""
        if self.is_shut_down or key in self._dirty:
            return
        self._dirty.add(key)
        if self._observer is not None:
            self._observer.added(key)
        if key in self._processing:
            return
        self._queue.append(key)
        self._wake()

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    async def get(self) -> K:
        """The next key, which is the caller's until ``done``; ShutDown where there will be none."""
        while not self._queue:
            if self.is_shut_down:
                raise ShutDown
            getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled() and self._queue:
                    self._wake()  # it was this one's turn: another takes it
                raise
        return self._taken()

    def get_nowait(self) -> K | None:
        """The next key, None where none waits."""
        return self._taken() if self._queue else None

    def _taken(self) -> K:
        key = self._queue.popleft()
        self._processing.add(key)
        self._dirty.discard(key)
        if self._observer is not None:
            self._observer.taken(key)
        return key

    def done(self, key: K) -> None:
        """Nobody works on the key any more; it comes again where it was added meanwhile."""
        self._processing.discard(key)
        if self._observer is not None:
            self._observer.done(key)
        if key in self._dirty:
            self._queue.append(key)
            self._wake()
        elif not self._processing and self._idle is not None:
            self._idle.set()

    def add_after(self, key: K, delay_s: float) -> None:
        """Added after that time; the earlier of two times counts."""
        if self.is_shut_down:
            return
        if self._observer is not None:
            self._observer.delayed()
        if delay_s <= 0:
            self.add(key)
            return
        due_s = self._clock.monotonic_s() + delay_s
        known_s = self._due_s.get(key)
        if known_s is not None and known_s <= due_s:
            return
        self._due_s[key] = due_s
        self._asked += 1
        heapq.heappush(self._delayed, (due_s, self._asked, key))
        self._set_timer()

    def _set_timer(self) -> None:
        while self._delayed and self._due_s.get(self._delayed[0][2]) != self._delayed[0][0]:
            heapq.heappop(self._delayed)
        if not self._delayed:
            return
        due_s = self._delayed[0][0]
        if self._timer is not None:
            if self._timer_due_s <= due_s:
                return
            self._timer.cancel()
        self._timer_due_s = due_s
        self._timer = self._clock.call_later(max(0.0, due_s - self._clock.monotonic_s()), self._ripe)

    def _ripe(self) -> None:
        self._timer = None
        now_s = self._clock.monotonic_s()
        while self._delayed and self._delayed[0][0] <= now_s:
            due_s, _, key = heapq.heappop(self._delayed)
            if self._due_s.get(key) == due_s:
                del self._due_s[key]
                self.add(key)
        self._set_timer()

    def add_rate_limited(self, key: K) -> None:
        """Added once the limiter says that it is time."""
        self.add_after(key, self._limiter.delay_s(key))

    def forget(self, key: K) -> None:
        """The key has succeeded: its next failure counts as the first."""
        self._limiter.forget(key)

    def requeues(self, key: K) -> int:
        """How often it was added rate-limited since it was forgotten."""
        return self._limiter.failures(key)

    def shut_down(self) -> None:
        """Takes no more; what waits is still given out, what is delayed is dropped."""
        self.is_shut_down = True
        self._due_s.clear()
        self._delayed.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)
        self._getters.clear()

    async def drain(self) -> None:
        """Shut down, and everything that was waited on or worked on is done."""
        self.shut_down()
        if self._idle is None:
            self._idle = asyncio.Event()
        while self._processing or self._queue:
            self._idle.clear()
            await self._idle.wait()

    async def __aiter__(self) -> AsyncIterator[K]:
        """Key after key until it is shut down; the caller says ``done``."""
        while True:
            try:
                key = await self.get()
            except ShutDown:
                return
            yield key
