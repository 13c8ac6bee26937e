"""What is known by key, within a number and a size: what was not used for longest is forgotten.

A key that comes once is not kept, only its hash: most of what is asked once is never asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, Protocol, TypeVar

from kcore.apiserver.tracing import Read
from kcore.apiserver.view import View

Key = tuple[Any, ...]
Stamp = tuple[int, int]
UNKNOWN: Final[Stamp] = (0, 0)  # of a resource that is not in memory


class Kept(Protocol):
    """``size`` in bytes, its key apart; ``used``: since it was looked at last."""

    size: int
    used: bool


E = TypeVar("E", bound=Kept)


class Shelf(Generic[E]):
    """See the module. A key's first part are bytes, which count."""

    def __init__(self, entries_max: int, bytes_max: int, once_max: int) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._once_max = once_max
        self._known: dict[Key, E] = {}
        self._once: dict[int, None] = {}  # hashes of keys
        self._bytes = 0
        self.get: Callable[[Key], E | None] = self._known.get

    def __len__(self) -> int:
        return len(self._known)

    @property
    def byte_count(self) -> int:
        """Of all keys and entries."""
        return self._bytes

    @property
    def once_count(self) -> int:
        """Keys that came once."""
        return len(self._once)

    def is_new(self, key: Key) -> bool:
        """True at first sight of the key."""
        number = hash(key)
        if number in self._once:
            return False
        if len(self._once) >= self._once_max:
            del self._once[next(iter(self._once))]
        self._once[number] = None
        return True

    def keep(self, key: Key, entry: E) -> None:
        """The entry is what is known of the key."""
        self.forget(key)
        entry.size += len(key[0])
        self._known[key] = entry
        self._bytes += entry.size
        while len(self._known) > self._entries_max or self._bytes > self._bytes_max:
            oldest = next(iter(self._known))
            kept = self._known.pop(oldest)
            if kept.used:  # since it was looked at last
                kept.used = False
                self._known[oldest] = kept
            else:
                self._bytes -= kept.size

    def forget(self, key: Key) -> None:
        """Nothing is known of the key."""
        entry = self._known.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size


class StampedView(View, Protocol):
    """A view that says whether anything of a resource has changed."""

    def folder(self, group: str, plural: str) -> str:
        """By which ``stamps`` names the resource."""
        ...

    def stamps(self, folders: Iterable[str]) -> list[Stamp]:
        """For each resource another one after every change to any object of it."""
        ...


class Sight:
    """What admission saw of the cluster."""

    __slots__ = ("_folders", "_stamps", "reads")

    def __init__(self, reads: Iterable[Read]) -> None:
        self.reads: tuple[Read, ...] = tuple(reads)
        self._folders: tuple[str, ...] = ()
        self._stamps: list[Stamp] = []

    def is_the_same(self, view: StampedView) -> bool:
        """It would see the same now."""
        stamps = view.stamps(self._folders)
        if stamps == self._stamps and (stamps or not self.reads):
            return True
        folders = tuple({view.folder(read.arguments[0], read.arguments[1]): None for read in self.reads})
        stamps = view.stamps(folders)
        if UNKNOWN in stamps or not all(read.holds(view) for read in self.reads):
            return False
        self._folders, self._stamps = folders, stamps
        return True
