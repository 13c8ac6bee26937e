"""A coroutine that is run at once as far as it goes; the rest, where it waits, is for a task."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
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
