"""Writes from outside begin some at a time, between the turns of those that work in the same event loop.

Fifty clients that create pods without pause fill each turn of the loop. The scheduler, which answers every create with a
binding, would have its say once in a hundred milliseconds, and bind a pod three such rounds after its creation. So a turn
begins few writes; those that are left begin after a turn in which nobody had much to do, but wait for one no longer than
``WAIT_SECONDS_MAX``. The more there are that wait, the more begin: what comes steadily never waits long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import Final

WRITES_A_TURN: Final = 8
SHARE: Final = 4  # a turn begins one in so many of those that wait, where that is more
QUIET_SECONDS: Final = 0.001  # of a turn in which the others had next to nothing to do
WAIT_SECONDS_MAX: Final = 0.02


class Pace:
    """See the module. One for an event loop; it is asked in the order in which writes come, and lets them in so."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._begun = 0  # in this turn
        self._is_counting = False  # turns
        self._turn_began_s = 0.0
        self._let_in_s = 0.0

    @property
    def is_idle(self) -> bool:
        """Nothing waits, and no turn is looked at."""
        return not self._is_counting

    def enter(self) -> bool:
        """Whether the write may begin at once; where not, it is to ``wait``."""
        if self._waiting or self._begun >= WRITES_A_TURN:
            return False
        self._begun += 1
        self._count_turns()
        return True

    async def wait(self) -> None:
        """The write may begin."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._count_turns()
        await turn

    def _count_turns(self) -> None:
        if not self._is_counting:
            self._is_counting = True
            self._next_turn()

    def _next_turn(self) -> None:
        self._turn_began_s = perf_counter()
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """A turn of the loop has gone by."""
        begun, self._begun = self._begun, 0
        if not self._waiting:
            self._is_counting = False
            return
        now_s = perf_counter()
        is_quiet = not begun and now_s - self._turn_began_s < QUIET_SECONDS
        if is_quiet or now_s - self._let_in_s > WAIT_SECONDS_MAX:
            self._let_in_s = now_s
            self._let_in()
        self._next_turn()

    def _let_in(self) -> None:
        waiting = self._waiting
        most = max(WRITES_A_TURN, len(waiting) // SHARE)
        while waiting and self._begun < most:
            turn = waiting.popleft()
            if not turn.done():  # cancelled, where the client has gone
                turn.set_result(None)
                self._begun += 1
