"""What is known of writes that repeat, and how plans of writes to objects that are there are found.

What came out once is tried on the next of its key: the first write goes through everything and is forgotten, the second makes a plan, the third shows whether it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from kcore.apiserver.registry.core import Kind
from kcore.apiserver.registry.shelf import Key, Shelf, Sight, StampedView
from kcore.apiserver.user import UserInfo

ENTRIES_MAX: Final = 1024  # skeletons that are known at one time; what was not used for longest is forgotten
BYTES_MAX: Final = 8 << 20  # of their keys and results together
ONCE_MAX: Final = 4096  # skeletons that were seen once
DOCUMENT_BYTES_MAX: Final = 64 << 10  # of object and patch; larger ones are written anew each time
ATTEMPTS_MAX: Final = 2  # plans of one key that were wrong, before it is taken that there is none


class Known(Protocol):
    """What is known of a key: by whom which kind was written, and what admission saw, which has to be the same."""

    kind: Kind
    user: UserInfo
    sight: Sight
    size: int
    used: bool


class Learned(Known, Protocol):
    """A plan. ``is_sure``: another write came out so; ``attempts``: plans before it that were wrong."""

    values: list[bytes]
    is_sure: bool
    attempts: int


class Never:
    """Nothing is to be had of that key."""

    __slots__ = ("kind", "sight", "size", "used", "user")

    def __init__(self, kind: Kind, user: UserInfo) -> None:
        self.kind = kind
        self.user = user
        self.sight = Sight(())  # whatever admission sees
        self.size = 0
        self.used = False


K = TypeVar("K", bound=Known)
L = TypeVar("L", bound=Learned)


def known_of(shelf: Shelf[K], key: Key, kind: Kind, user: UserInfo, view: StampedView) -> K | None:
    """What is known of the key and still holds; None: nothing."""
    entry = shelf.get(key)
    if entry is None:
        return None
    is_same = entry.kind is kind and (entry.user is user or entry.user == user)
    if is_same and entry.sight.is_the_same(view):
        entry.used = True
        return entry
    shelf.forget(key)
    return None


def compared(
    shelf: Shelf[L | Never], key: Key, made: L | Never, agrees: Callable[[L], bool], view: StampedView
) -> None:
    """What came out, and whether a plan before it says the same, is what is known of the key."""
    known: Any = shelf.get(key)
    if isinstance(known, Never) or (known is not None and known.is_sure):
        return
    if isinstance(made, Never):
        shelf.keep(key, made)
        return
    if not made.sight.is_the_same(view):
        return
    if known is not None and agrees(known):
        known.is_sure = known.values != made.values
        return
    made.attempts = 0 if known is None else known.attempts + 1
    shelf.keep(key, made if made.attempts < ATTEMPTS_MAX else Never(made.kind, made.user))
