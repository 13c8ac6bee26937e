"""Writes from outside begin some at a time, in their order, beside those who work in the same event loop."""

from __future__ import annotations

import asyncio
import time

from kcore.apiserver import pace
from kcore.apiserver.pace import WRITES_A_TURN, Pace

COUNT = 4 * WRITES_A_TURN  # of which a share is no more than that


class Writers:
    """``COUNT`` writes that come at once; who has begun in which turn of the loop."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.turn = 0
        self.begun: list[tuple[int, int]] = []
        self.busy_seconds = 0.0

    async def write(self, number: int) -> None:
        if not self.pace.enter():
            await self.pace.wait()
        self.begun.append((self.turn, number))

    async def turns(self) -> None:
        """Somebody who works in every turn of the loop."""
        while len(self.begun) < COUNT:
            self.turn += 1
            time.sleep(self.busy_seconds)
            await asyncio.sleep(0)

    async def run(self) -> list[int]:
        """In which turn each has begun."""
        await asyncio.gather(self.turns(), *(self.write(number) for number in range(COUNT)))
        assert [number for _, number in self.begun] == [*range(COUNT)]
        return [turn for turn, _ in self.begun]


def test_a_turn_begins_some() -> None:
    turns = asyncio.run(Writers().run())
    assert max(map(turns.count, turns)) == WRITES_A_TURN
    assert turns[0] < turns[-1]


def test_writes_give_way_to_others_but_not_for_long() -> None:
    writers = Writers()
    writers.busy_seconds = 2 * pace.QUIET_SECONDS  # no turn is a quiet one
    turns = asyncio.run(writers.run())
    assert len({*turns}) == COUNT / WRITES_A_TURN
    assert turns[-1] - turns[0] > len({*turns})  # others had turns of their own between


def test_a_long_queue_is_let_in_by_shares() -> None:
    async def story() -> int:
        writers, count = Writers(), 100 * WRITES_A_TURN
        tasks = [asyncio.ensure_future(writers.write(number)) for number in range(count)]
        turns = 0
        while not all(task.done() for task in tasks):
            time.sleep(pace.WAIT_SECONDS_MAX)
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert asyncio.run(story()) < 50  # WRITES_A_TURN alone would take a hundred and more


def test_one_that_is_cancelled_takes_nobodys_place() -> None:
    async def story() -> list[int]:
        writers = Writers()
        tasks = [asyncio.ensure_future(writers.write(number)) for number in range(COUNT)]
        await asyncio.sleep(0)
        gone = tasks[WRITES_A_TURN : 3 * WRITES_A_TURN]
        for task in gone:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in gone)
        return [number for _, number in writers.begun]

    assert asyncio.run(story()) == [*range(WRITES_A_TURN), *range(3 * WRITES_A_TURN, COUNT)]


def test_an_idle_one_asks_nothing_of_the_loop() -> None:
    async def story() -> bool:
        writers = Writers()
        await writers.write(0)
        for _ in range(3):
            await asyncio.sleep(0)
        return writers.pace.is_idle

    assert asyncio.run(story())
