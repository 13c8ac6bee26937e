"""A timer wheel: what is due at which tick, for any number of keys without a task or a callback each."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

TICK_MS: Final = 10

K = TypeVar("K", bound=Hashable)


class TimerWheel(Generic[K]):
    """Keys by the tick at which they are due; a key is in it once, at the time it was last given.

    Adding and cancelling take constant time, ticks with nothing due none at all: only the ticks in use are in the heap.
    """

    def __init__(self, tick_ms: int = TICK_MS) -> None:
        self._tick_ms = tick_ms
        self._slots: dict[int, dict[K, None]] = {}
        self._ticks: list[int] = []  # Invariant: a heap of the keys of _slots
        self._tick_of: dict[K, int] = {}

    def __len__(self) -> int:
        return len(self._tick_of)

    def __contains__(self, key: K) -> bool:
        return key in self._tick_of

    def add(self, key: K, due_ms: int) -> None:
        """The key is due at that time, rounded up to a tick, and at no other."""
        self.cancel(key)
        tick = -(-due_ms // self._tick_ms)
        slot = self._slots.get(tick)
        if slot is None:
            slot = self._slots[tick] = {}
            heapq.heappush(self._ticks, tick)
        slot[key] = None
        self._tick_of[key] = tick

    def cancel(self, key: K) -> bool:
        """The key is no longer due; False where it was not."""
        tick = self._tick_of.pop(key, None)
        if tick is None:
            return False
        del self._slots[tick][key]
        return True

    def due(self, now_ms: int) -> list[K]:
        """The keys that are due by now, in the order of their ticks and of their adding; they are out of the wheel."""
        found: list[K] = []
        while self._ticks and self._ticks[0] * self._tick_ms <= now_ms:
            for key in self._slots.pop(heapq.heappop(self._ticks)):
                del self._tick_of[key]
                found.append(key)
        return found

    @property
    def next_ms(self) -> int | None:
        """When something may be due next, None where nothing is."""
        while self._ticks and not self._slots[self._ticks[0]]:
            del self._slots[heapq.heappop(self._ticks)]
        return self._ticks[0] * self._tick_ms if self._ticks else None
