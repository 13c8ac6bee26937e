"""An event loop in which time goes on only when nobody has anything to do, and whose tasks belong to processes.

Nothing waits: a timer that is due in an hour is due at once when all else rests. ``time.time`` and the like say what the
loop says while a simulation runs, and chance comes from its seed, so that equal seeds make equal runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import selectors
import time
import zlib
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar, copy_context
from typing import Any, Final
from unittest import mock

from kcore.apiserver.registry_of import make_registry
from kcore.client import lanes

STARTED_S: Final = 1_790_000_000.0  # of the wall clock, when a simulation begins
TURNS_MAX: Final = 200_000  # of the loop at one moment: more, and somebody is busy for ever
TICK_S: Final = 1e-6


class Stuck(Exception):
    """Nothing will ever happen again, or something happens without end."""


class Process:
    """Tasks that live and die together. ``skew_s``: how far its wall clock is off."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.skew_s = 0.0
        self.is_dead = False
        self.tasks: dict[asyncio.Task[Any], None] = {}  # in the order in which they were made

    def __repr__(self) -> str:
        return self.name

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of this process, as are those that it makes."""
        context = copy_context()
        context.run(PROCESS.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    async def kill(self) -> None:
        """None of its tasks goes on from where it waits; nothing that they do about it reaches anybody."""
        self.is_dead = True
        while self.tasks:
            tasks = list(self.tasks)
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)


PROCESS: ContextVar[Process | None] = ContextVar("PROCESS", default=None)


class _Selector:
    """Waits for nothing: the loop's time jumps to the next timer."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[Any]:
        """What the loop asks for in every turn."""
        if timeout is None:
            raise Stuck("nothing will ever happen again")
        self._loop.passed(timeout)
        return []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._turns = 0
        super().__init__(_Selector(self))  # type: ignore[arg-type]
        self._clock_resolution = TICK_S
        self.set_task_factory(_made)

    def time(self) -> float:
        """Seconds since it was made."""
        return self._now_s

    def passed(self, seconds: float) -> None:
        """Time went on."""
        if seconds > 0:
            self._now_s += seconds
            self._turns = 0
            return
        self._turns += 1
        if self._turns > TURNS_MAX:
            raise Stuck(f"time stands still at {self._now_s:.3f} s")


def _made(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
    context = more.get("context")
    process = PROCESS.get() if context is None else context.get(PROCESS)
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **more)
    if process is not None:
        process.tasks[task] = None
        task.add_done_callback(lambda done: process.tasks.pop(done, None))
        if process.is_dead:
            task.cancel()
    return task


def wall_s() -> float:
    """The wall clock of the process that asks."""
    process = PROCESS.get()
    skew_s = process.skew_s if process is not None else 0.0
    try:
        now_s = asyncio.get_running_loop().time()
    except RuntimeError:  # a line of a log, before it runs or after
        now_s = 0.0
    return STARTED_S + now_s + skew_s


@contextlib.contextmanager
def unreal(loop: VirtualLoop, seed: int) -> Iterator[None]:
    """Time is the loop's, and chance the seed's, wherever they are asked for."""
    drawn = random.Random(f"bytes {seed}")
    state = random.getstate()
    random.seed(f"global {seed}")

    patches = (
        mock.patch.object(time, "time", wall_s),
        mock.patch.dict(make_registry.__kwdefaults__, now_seconds=wall_s),
        mock.patch.object(lanes, "hash", lambda key: zlib.crc32(repr(key).encode()), create=True),
        mock.patch.object(time, "monotonic", loop.time),
        mock.patch.object(os, "urandom", drawn.randbytes),
        mock.patch.object(random, "_urandom", drawn.randbytes),
    )
    try:
        with contextlib.ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch)
            yield
    finally:
        random.setstate(state)
