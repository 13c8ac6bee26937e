"""Time as an argument: the real clock, and one that stands still until it is told to go on.

What waits takes a ``Clock``; a test gives it a ``VirtualClock`` and never sleeps.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

TURNS: Final = 20  # of the loop, for what a timer has set off to come to rest

T = TypeVar("T")

Timer = Callable[[], None]


class Timed(Protocol):
    """A timer that can be called off."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """``time_s``: seconds since 1970. ``monotonic_s``: seconds since some moment, which nobody sets back."""

    def time_s(self) -> float: ...
    def monotonic_s(self) -> float: ...
    def call_later(self, delay_s: float, call: Timer) -> Timed: ...
    async def sleep(self, delay_s: float) -> None: ...


class RealClock:
    """The machine's clock, and the running loop's timers."""

    def time_s(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def monotonic_s(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def call_later(self, delay_s: float, call: Timer) -> Timed:
        """Calls in the running loop after that time."""
        return asyncio.get_running_loop().call_later(delay_s, call)

    async def sleep(self, delay_s: float) -> None:
        """Returns after that time."""
        await asyncio.sleep(delay_s)


REAL: Final = RealClock()


class SteadyTime:
    """The wall clock for who reckons with it: where somebody sets it back, time goes on as if nobody had.

    What is due in a minute would else be due in an hour and a minute. Forward it follows the clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_s = clock.time_s()
        self._at_s = clock.monotonic_s()

    def time_s(self) -> float:
        """Seconds since 1970, never fewer than before."""
        now_s = self._clock.monotonic_s()
        self._last_s = max(self._clock.time_s(), self._last_s + now_s - self._at_s)
        self._at_s = now_s
        return self._last_s


class _Due:
    """A call at a virtual time."""

    __slots__ = ("call", "is_cancelled")

    def __init__(self, call: Timer) -> None:
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class VirtualClock:
    """Time that goes on by ``advance`` only. Calls of the same moment are made in the order in which they were asked for."""

    def __init__(self, time_s: float = 1_700_000_000.0) -> None:
        self._start_s = time_s
        self._now_s = 0.0
        self._due: list[tuple[float, int, _Due]] = []
        self._asked = 0

    def time_s(self) -> float:
        """Seconds since 1970."""
        return self._start_s + self._now_s

    def monotonic_s(self) -> float:
        """Seconds since it was made."""
        return self._now_s

    def set_wall(self, time_s: float) -> None:
        """Somebody sets the wall clock; what waits goes by the other one."""
        self._start_s = time_s - self._now_s

    def call_later(self, delay_s: float, call: Timer) -> Timed:
        """Calls once ``advance`` has gone that far."""
        due = _Due(call)
        self._asked += 1
        heapq.heappush(self._due, (self._now_s + max(delay_s, 0.0), self._asked, due))
        return due

    async def sleep(self, delay_s: float) -> None:
        """Returns once ``advance`` has gone that far."""
        woken: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        due = self.call_later(delay_s, wake)
        try:
            await woken
        finally:
            due.cancel()

    def next_s(self) -> float | None:
        """How long until somebody is called, None where nobody waits."""
        while self._due and self._due[0][2].is_cancelled:
            heapq.heappop(self._due)
        return self._due[0][0] - self._now_s if self._due else None

    async def advance(self, seconds: float) -> None:
        """Time went on; what was due was called in order, and the loop came to rest after each."""
        end_s = self._now_s + seconds
        await settle()
        while (wait_s := self.next_s()) is not None and self._now_s + wait_s <= end_s:
            at_s, _, due = heapq.heappop(self._due)
            self._now_s = max(self._now_s, at_s)
            due.call()
            await settle()
        self._now_s = end_s


async def settle(turns: int = TURNS) -> None:
    """The loop has had that many turns."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """What the work returns or raises; TimeoutError, and the work cancelled, where it takes longer."""
    task = asyncio.get_running_loop().create_task(work)
    late = False

    def give_up() -> None:
        nonlocal late
        late = True
        task.cancel()

    timer = clock.call_later(seconds, give_up)
    try:
        return await task
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if late and (current is None or not current.cancelling()):
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
