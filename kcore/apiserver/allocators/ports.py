"""The node ports of services.

Sources, Kubernetes 1.36: pkg/registry/core/service/portallocator/{allocator,operation}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

TAKEN: Final = "provided port is already allocated"
FULL: Final = "range is full"
OUTSIDE: Final = "provided port is not in the valid range. The range of valid ports is {}-{}"

FIRST: Final = 30000
LAST: Final = 32767
OFFSET_MIN: Final = 16
OFFSET_MAX: Final = 128
OFFSET_STEP: Final = 32
DRY_RUN_PORT: Final = 32768  # a dry run answers with the ports after it


class PortError(Exception):
    """The port cannot be had; the text says why."""


class PortRange:
    """Ports from ``first`` to ``last``; which are taken is learnt from the services that there are."""

    def __init__(self, first: int = FIRST, last: int = LAST) -> None:
        self.first: Final = first
        self.last: Final = last
        self.taken: set[int] = set()
        size = last - first + 1
        self.offset: Final = 0 if size < OFFSET_MIN else max(OFFSET_MIN, min(OFFSET_MAX, size // OFFSET_STEP))

    def learn(self, ports: Iterable[int]) -> None:
        """Exactly these ports are taken."""
        self.taken = {port for port in ports if self.first <= port <= self.last}

    def take(self, port: int) -> None:
        """The port is taken now; PortError where it cannot be."""
        self.check(port)
        self.taken.add(port)

    def check(self, port: int) -> None:
        """PortError where the port could not be taken."""
        if not self.first <= port <= self.last:
            raise PortError(OUTSIDE.format(self.first, self.last))
        if port in self.taken:
            raise PortError(TAKEN)

    def take_any(self, below: Callable[[int], int]) -> int:
        """Some free port, taken; those that are kept for who asks for one come last. PortError where all are taken."""
        for first, last in (
            (self.first + self.offset, self.last),
            (self.first, self.first + self.offset - 1),
        ):
            size = last - first + 1
            if size <= 0:
                continue
            start = below(size)
            for step in range(size):
                port = first + (start + step) % size
                if port not in self.taken:
                    self.taken.add(port)
                    return port
        raise PortError(FULL)

    def give_back(self, port: int) -> None:
        """The port is free."""
        self.taken.discard(port)

    def give_back_all(self, ports: Iterable[int]) -> None:
        """The ports are free."""
        self.taken.difference_update(ports)


class PortOperation:
    """The ports of one write: taken at once, given back where it fails; those released are free where it succeeds."""

    def __init__(self, ports: PortRange, below: Callable[[int], int], *, dry_run: bool) -> None:
        self._ports, self._below, self._dry_run = ports, below, dry_run
        self._taken: list[int] = []
        self._released: list[int] = []

    def take(self, port: int) -> None:
        """The port is this write's; PortError where it cannot be."""
        if self._dry_run:
            if port in self._taken:
                raise PortError(TAKEN)
            if port in self._ports.taken:
                raise PortError(TAKEN)
        else:
            self._ports.take(port)
        self._taken.append(port)

    def take_any(self) -> int:
        """Some port is this write's; a dry run makes one up."""
        if self._dry_run:
            port = max(self._taken, default=DRY_RUN_PORT) + 1
        else:
            port = self._ports.take_any(self._below)
        self._taken.append(port)
        return port

    @property
    def takes(self) -> bool:
        """Whether the write took any."""
        return bool(self._taken)

    @property
    def releases(self) -> bool:
        """Whether the write, once done, frees any."""
        return bool(self._released)

    def release(self, port: int) -> None:
        """The port is free once the write is done."""
        self._released.append(port)

    def commit(self) -> None:
        """The write was done."""
        if not self._dry_run:
            for port in self._released:
                self._ports.give_back(port)

    def revert(self) -> None:
        """The write was not done."""
        if not self._dry_run:
            for port in self._taken:
                self._ports.give_back(port)
