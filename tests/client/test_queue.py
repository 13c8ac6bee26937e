"""The work queue: each key once, never twice at a time, later where it failed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.client.queue import ShutDown, WorkQueue
from kcore.client.rate import ControllerLimiter, ItemBackoff, TokenBucket
from kcore.clock import VirtualClock, settle


def in_loop(test: Callable[[WorkQueue[str], VirtualClock], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = VirtualClock()
        await test(WorkQueue(limiter=ItemBackoff(), clock=clock), clock)

    asyncio.run(run())


def test_a_key_that_waits_is_there_once() -> None:
    async def test(queue: WorkQueue[str], clock: VirtualClock) -> None:
        for key in ("a", "b", "a"):
            queue.add(key)
        assert len(queue) == 2
        assert [await queue.get(), await queue.get()] == ["a", "b"]

    in_loop(test)


def test_a_key_that_is_added_while_it_is_worked_on_comes_again_once_it_is_done() -> None:
    async def test(queue: WorkQueue[str], clock: VirtualClock) -> None:
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert len(queue) == 1
        assert await queue.get() == "a"
        queue.done("a")
        assert queue.get_nowait() is None

    in_loop(test)


def test_who_waits_first_is_served_first_and_who_gives_up_loses_nothing() -> None:
    async def test(queue: WorkQueue[str], clock: VirtualClock) -> None:
        waiting = [asyncio.ensure_future(queue.get()) for _ in range(3)]
        await settle()
        queue.add("a")
        waiting[0].cancel()
        await settle()
        queue.add("b")
        await settle()
        assert [task.result() for task in waiting[1:]] == ["a", "b"]

    in_loop(test)


def test_delays_end_in_order_and_the_earlier_of_two_counts() -> None:
    async def test(queue: WorkQueue[str], clock: VirtualClock) -> None:
        queue.add_after("late", 10)
        queue.add_after("soon", 1)
        queue.add_after("late", 5)
        queue.add_after("late", 20)
        queue.add_after("now", 0)
        assert queue.get_nowait() == "now"
        await clock.advance(0.9)
        assert queue.get_nowait() is None
        await clock.advance(0.2)
        assert queue.get_nowait() == "soon"
        assert queue.delayed_count == 1
        await clock.advance(4)
        assert queue.get_nowait() == "late"
        queue.done("late")
        await clock.advance(60)
        assert len(queue) == 0

    in_loop(test)


def test_failures_of_a_key_wait_twice_as_long_each_time() -> None:
    backoff = ItemBackoff()
    assert [backoff.delay_s("a") for _ in range(4)] == [0.005, 0.01, 0.02, 0.04]
    assert backoff.delay_s("b") == 0.005
    assert backoff.failures("a") == 4
    backoff.forget("a")
    assert backoff.delay_s("a") == 0.005
    for _ in range(80):
        backoff.delay_s("b")
    assert backoff.delay_s("b") == 1000.0


def test_the_bucket_bounds_all_keys_together() -> None:
    clock = VirtualClock()
    limiter = ControllerLimiter(qps=10, burst=2, clock=clock)
    delays = [limiter.delay_s(key) for key in "abcd"]
    assert delays == pytest.approx([0.005, 0.005, 0.1, 0.2])


def test_a_bucket_fills_with_time() -> None:
    async def run() -> None:
        clock = VirtualClock()
        bucket = TokenBucket(2, 3, clock)
        assert [bucket.try_take() for _ in range(4)] == [True, True, True, False]
        await clock.advance(1)
        assert [bucket.try_take() for _ in range(3)] == [True, True, False]
        taken = asyncio.ensure_future(bucket.take())
        await clock.advance(0.4)
        assert not taken.done()
        await clock.advance(0.2)
        assert taken.done()

    asyncio.run(run())


def test_a_shut_down_queue_gives_what_it_has_and_takes_no_more() -> None:
    async def test(queue: WorkQueue[str], clock: VirtualClock) -> None:
        queue.add("a")
        queue.add_after("b", 1)
        queue.shut_down()
        queue.add("c")
        assert await queue.get() == "a"
        with pytest.raises(ShutDown):
            await queue.get()
        await clock.advance(2)
        assert len(queue) == 0

    in_loop(test)


def test_draining_waits_for_what_is_worked_on() -> None:
    async def test(queue: WorkQueue[str], clock: VirtualClock) -> None:
        seen = []

        async def work() -> None:
            async for key in queue:
                await clock.sleep(1)
                seen.append(key)
                queue.done(key)

        worker = asyncio.ensure_future(work())
        for key in "abc":
            queue.add(key)
        await settle()
        drained = asyncio.ensure_future(queue.drain())
        await clock.advance(2.5)
        assert not drained.done()
        await clock.advance(1)
        assert drained.done()
        assert seen == ["a", "b", "c"]
        await worker

    in_loop(test)


@given(st.integers(0, 1 << 30))
@settings(max_examples=25, deadline=None)
def test_nothing_is_lost_nor_worked_on_twice_at_a_time(seed: int) -> None:
    async def test(queue: WorkQueue[str], clock: VirtualClock) -> None:
        chance = random.Random(seed)
        wanted = dict.fromkeys("abcde", 0)  # the last addition of each key
        done = dict.fromkeys("abcde", 0)  # up to which of them it was looked at
        busy: set[str] = set()

        async def work() -> None:
            async for key in queue:
                assert key not in busy
                busy.add(key)
                seen = wanted[key]
                await clock.sleep(chance.random())
                busy.discard(key)
                if chance.random() < 0.3:
                    queue.add_rate_limited(key)
                else:
                    queue.forget(key)
                    done[key] = seen
                queue.done(key)

        workers = [asyncio.ensure_future(work()) for _ in range(3)]
        for number in range(60):
            key = chance.choice("abcde")
            wanted[key] = number + 1
            chance.choice([queue.add, lambda k: queue.add_after(k, chance.random())])(key)
            await clock.advance(chance.random() / 4)
        for _ in range(60):
            await clock.advance(5)
        assert done == wanted
        await queue.drain()
        await asyncio.gather(*workers)

    in_loop(test)
