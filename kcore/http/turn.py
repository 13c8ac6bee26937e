"""Coroutines that are run at once as far as they go; the rest, where one waits, is for a task."""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Sequence
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


@coroutine
def _rest(work: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """Goes on with a coroutine that has been run to where it waits for a future."""
    while True:
        try:
            sent = yield waits_for
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:  # noqa: BLE001 - cancellation goes in where the coroutine waits
            failure: BaseException | None = error
        else:
            failure = None
        try:
            waits_for = work.send(sent) if failure is None else work.throw(failure)
        except StopIteration as end:
            result: T = end.value
            return result


async def resumed(work: Coroutine[Any, Any, T], waits_for: Any) -> T:
    """The rest of ``work`` as a coroutine that a task can run."""
    return await _rest(work, waits_for)


async def together(works: Sequence[Coroutine[Any, Any, T]]) -> list[T | Exception]:
    """What each returns or raises. All are run to where they first wait, in order, then one after the other to the end.

    Without a task for each: for work that waits once, for what many can wait for at the same time.
    """
    outcomes: list[Any] = [None] * len(works)
    waiting: list[tuple[int, Any]] = []
    try:
        for place, work in enumerate(works):
            try:
                waiting.append((place, work.send(None)))
            except StopIteration as end:
                outcomes[place] = end.value
            except Exception as error:  # noqa: BLE001 - the caller is given it
                outcomes[place] = error
        for place, waits_for in waiting:
            try:
                outcomes[place] = await resumed(works[place], waits_for)
            except Exception as error:  # noqa: BLE001 - the caller is given it
                outcomes[place] = error
    finally:
        for work in works:
            work.close()  # of those that have ended nothing is left to close
    return outcomes
