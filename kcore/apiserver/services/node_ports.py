"""The node ports that are taken, kept in the store so that several API servers on one store never give one twice.

``ranges/servicenodeports`` below the prefix holds a RangeAllocation: the range as text, and a bit for each port that is
taken. A change is written on condition that nobody else wrote; who came second begins again from what is there.
Sources, Kubernetes 1.36: pkg/registry/core/service/allocator/{bitmap.go,storage/storage.go}, and portallocator's repair.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import orjson

from kcore.api.status import ApiError
from kcore.apiserver.allocators.ports import PortRange
from kcore.apiserver.registry.seams import ObjectStore

NAME: Final = "servicenodeports"
LEAK_SECONDS: Final = (
    540.0  # a port that no service has for so long is free again, as after three of upstream's repairs
)

T = TypeVar("T")


class NodePorts:
    """``in_use`` asks which ports the services have that there are."""

    def __init__(
        self,
        store: ObjectStore,
        ports: PortRange,
        in_use: Callable[[], Awaitable[set[int]]],
        now_seconds: Callable[[], float],
    ) -> None:
        self.ports: Final = ports
        self._store, self._in_use, self._now_seconds = store, in_use, now_seconds
        self._lock = asyncio.Lock()
        self._revision: int | None = None  # of the store's copy; None until it was read
        self._leaked: set[int] = set()
        self._leaked_since_s = 0.0

    async def learn(self) -> None:
        """What is taken is known, and is in the store."""
        async with self._lock:
            if self._revision is None:
                await self._read()

    async def change(self, work: Callable[[], T]) -> T:
        """What ``work`` took and gave back is so in the store. It is asked again where another server changed the range.

        ApiError of ``work`` that holds of what the store says now; then nothing is changed.
        """
        async with self._lock:
            if self._revision is None:
                await self._read()
            current = False
            while True:
                before = set(self.ports.taken)
                try:
                    made = work()
                except ApiError:
                    self.ports.taken = before
                    if current:
                        raise
                    await self._read()
                    current = True
                    if self.ports.taken == before:
                        raise
                    continue
                try:
                    if self.ports.taken == before or await self._write():
                        return made
                except BaseException:
                    self.ports.taken, self._revision = before, None  # whether it was written is not known
                    raise
                await self._read()
                current = True

    async def _read(self) -> None:
        """``ports`` is as the store says, and services say, and the store says so too."""
        while True:
            kept, revision = await self._store.kept_range(NAME)
            found = _taken(kept, self.ports) if kept else None
            if self._revision is not None and found is not None and not self._is_due():
                self.ports.taken, self._revision = found, revision
                return
            used = await self._in_use()
            self.ports.learn(used)
            leaked = (found or set()) - self.ports.taken
            if self._is_due():
                leaked -= self._leaked  # nobody has them for long
            self._leaked, self._leaked_since_s = leaked, self._now_seconds()
            self.ports.taken |= leaked  # another server may be about to store their service
            self._revision = revision
            if found == self.ports.taken or await self._write():
                return

    def _is_due(self) -> bool:
        return bool(self._leaked) and self._now_seconds() - self._leaked_since_s > LEAK_SECONDS

    async def _write(self) -> bool:
        """Whether the store has what is taken; it does not where another server wrote."""
        written = await self._store.keep_range(NAME, _kept(self.ports), self._revision or 0)
        if written is not None:
            self._revision = written
        return written is not None


def _kept(ports: PortRange) -> bytes:
    """The RangeAllocation: bit n of the big-endian number is the n-th port's (Go's big.Int)."""
    number = 0
    for port in ports.taken:
        number |= 1 << (port - ports.first)
    bits = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return orjson.dumps({
        "apiVersion": "v1", "kind": "RangeAllocation", "metadata": {}, "range": _text(ports),
        "data": base64.b64encode(bits).decode(),
    })  # fmt: skip


def _taken(kept: bytes, ports: PortRange) -> set[int] | None:
    """The ports that it says are taken; None for one of another range, which services decide anew."""
    found = orjson.loads(kept)
    if found.get("range") != _text(ports):
        return None
    number = int.from_bytes(base64.b64decode(found.get("data") or ""), "big")
    listed = enumerate(reversed(f"{number:b}"))
    return {ports.first + place for place, bit in listed if bit == "1" and ports.first + place <= ports.last}


def _text(ports: PortRange) -> str:
    return f"{ports.first}-{ports.last}"
