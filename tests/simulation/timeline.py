"""Virtual time: a heap of events, in microseconds. Equal seeds make equal runs."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Timeline:
    """Events in the order of their moments; those of one moment in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now_us = 0
        self.events_count = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._serial = 0

    def after(self, delay_us: int, event: Callable[..., None], *args: Any) -> None:
        """The event happens after that delay."""
        self._serial += 1
        heapq.heappush(self._heap, (self.now_us + max(0, delay_us), self._serial, event, args))

    def step(self) -> bool:
        """The next event has happened; False where there is none."""
        if not self._heap:
            return False
        self.now_us, _, event, args = heapq.heappop(self._heap)
        self.events_count += 1
        event(*args)
        return True
