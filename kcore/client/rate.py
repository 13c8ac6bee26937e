"""How often something may be done: a bucket of tokens, and a delay that doubles for each item that keeps failing.

Source: client-go util/workqueue/default_rate_limiters.go, util/flowcontrol; golang.org/x/time/rate.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Protocol

from kcore.clock import REAL, Clock

BASE_S: Final = 0.005
MAX_S: Final = 1000.0
OVERALL_QPS: Final = 10.0
OVERALL_BURST: Final = 100


class TokenBucket:
    """``burst`` at once, then ``qps`` a second."""

    __slots__ = ("_at_s", "_clock", "_tokens", "burst", "qps")

    def __init__(self, qps: float, burst: int, clock: Clock = REAL) -> None:
        if qps <= 0 or burst < 1:
            raise ValueError("a rate needs qps above 0 and a burst of 1 at least")
        self.qps = qps
        self.burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._at_s = clock.monotonic_s()

    def reserve_s(self) -> float:
        """Takes a token, if need be of the future; returns the seconds until it may be used."""
        self._fill()
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self.qps)

    def try_take(self) -> bool:
        """Takes a token if there is one."""
        self._fill()
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    async def take(self) -> None:
        """Returns once there was a token, in the order of the calls; a caller that gives up has used its own."""
        delay_s = self.reserve_s()
        if delay_s > 0:
            await self._clock.sleep(delay_s)

    def _fill(self) -> None:
        now_s = self._clock.monotonic_s()
        self._tokens = min(float(self.burst), self._tokens + (now_s - self._at_s) * self.qps)
        self._at_s = now_s


class Limiter(Protocol):
    """When an item may be tried again."""

    def delay_s(self, item: Hashable) -> float: ...
    def forget(self, item: Hashable) -> None: ...
    def failures(self, item: Hashable) -> int: ...


class ItemBackoff:
    """Each item waits ``base_s`` after its first failure and twice as long after each further one, ``max_s`` at most."""

    def __init__(self, base_s: float = BASE_S, max_s: float = MAX_S) -> None:
        self._base_s = base_s
        self._max_s = max_s
        self._failures: dict[Hashable, int] = {}

    def delay_s(self, item: Hashable) -> float:
        """Seconds to wait after this failure."""
        failures = self._failures.get(item, 0)
        self._failures[item] = failures + 1
        return self._max_s if failures > 62 else min(self._base_s * (1 << failures), self._max_s)

    def forget(self, item: Hashable) -> None:
        """The item no longer fails."""
        self._failures.pop(item, None)

    def failures(self, item: Hashable) -> int:
        """How often it has failed since it was forgotten."""
        return self._failures.get(item, 0)


class ControllerLimiter:
    """The longer of an item's own back-off and its turn in the overall bucket (DefaultTypedControllerRateLimiter)."""

    def __init__(
        self,
        base_s: float = BASE_S,
        max_s: float = MAX_S,
        qps: float = OVERALL_QPS,
        burst: int = OVERALL_BURST,
        clock: Clock = REAL,
    ) -> None:
        self._items = ItemBackoff(base_s, max_s)
        self._bucket = TokenBucket(qps, burst, clock)

    def delay_s(self, item: Hashable) -> float:
        """Seconds to wait after this failure."""
        return max(self._items.delay_s(item), self._bucket.reserve_s())

    def forget(self, item: Hashable) -> None:
        """The item no longer fails."""
        self._items.forget(item)

    def failures(self, item: Hashable) -> int:
        """How often it has failed since it was forgotten."""
        return self._items.failures(item)
