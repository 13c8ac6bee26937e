"""Writes that the view does not show yet: a key waits for its own.

This is what upstream has expectations and consistency stores for, once for all controllers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from kcore.client.informer import Informer
from kcore.client.store import Change
from kcore.clock import Clock, within
from kcore.controllers.contract import Object

SECONDS_MAX: Final = 30.0  # after which a round goes on with what the view shows


class Write(NamedTuple):
    """A write that was answered: up to ``version``, or, of a deletion, until the object of that uid goes."""

    informer: Informer
    key: str
    uid: str
    version: int


class Sights:
    """What each informer has shown, and who waits for more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest: dict[Informer, int] = {}
        self._waiting: dict[Informer, list[tuple[Write, asyncio.Future[None]]]] = {}

    def follow(self, informer: Informer) -> None:
        """What it shows counts from now on."""
        if informer not in self._newest:
            self._newest[informer] = 0
            informer.add_batch_listener(lambda changes: self._shown(informer, changes))

    def _shown(self, informer: Informer, changes: Sequence[Change]) -> None:
        newest = self._newest[informer]
        for change in changes:
            obj = change.new if change.new is not None else change.old
            if obj is not None:
                newest = max(newest, version_of(obj))
        self._newest[informer] = newest
        waiting = self._waiting.get(informer)
        if waiting:
            left = []
            for write, future in waiting:
                if not self.is_seen(write):
                    left.append((write, future))
                elif not future.done():
                    future.set_result(None)
            self._waiting[informer] = left

    def is_seen(self, write: Write) -> bool:
        """Whether the view shows what was written, or something later."""
        if write.version:
            return (
                max(self._newest[write.informer], _number(write.informer.resource_version)) >= write.version
            )
        found = write.informer.get(write.key)
        return (
            found is None
            or found["metadata"].get("uid") != write.uid
            or "deletionTimestamp" in found["metadata"]
        )

    async def wait(self, writes: Sequence[Write]) -> None:
        """All are seen, or it has taken too long."""
        futures = []
        for write in _telling(writes):
            if not self.is_seen(write):
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.setdefault(write.informer, []).append((write, future))
                futures.append(future)
        if not futures:
            return
        try:
            await within(self._clock, SECONDS_MAX, _all(futures))
        except TimeoutError:
            return
        finally:
            for informer, waiting in self._waiting.items():
                self._waiting[informer] = [each for each in waiting if not each[1].done()]


def _telling(writes: Sequence[Write]) -> list[Write]:
    """Those that are seen no sooner than the others: the last version of each informer, and deletions."""
    last: dict[Informer, Write] = {}
    for write in writes:
        if write.version and (write.informer not in last or last[write.informer].version < write.version):
            last[write.informer] = write
    return [*last.values(), *(write for write in writes if not write.version)]


async def _all(futures: Sequence[asyncio.Future[None]]) -> None:
    await asyncio.gather(*futures)


def version_of(obj: Object) -> int:
    """The object's resourceVersion as the number that it is (KEP-5504); 0 where it has none."""
    return _number(obj["metadata"].get("resourceVersion", ""))


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
