"""What two objects made from one template have in common, as bytes with holes. Pure.

The objects are walked side by side. Where both have the same, that is text; where they differ, both must have there
one of the values that belong to them alone (name, uid, time, what chance gave), the same one. The place decides, not
the look: what stands in both is text even where it reads like a uid. Texts of the body that have a place of their own
are found by it, also where both objects have the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

Pieces = list[bytes | int]
"""Bytes, and places in ``Values``."""


Places = Mapping[tuple[str, ...], int]
NOWHERE: Final[Places] = MappingProxyType({})


class Values(NamedTuple):
    """What belongs to one object alone.

    ``drawn``: what admission took from chance, in that order. ``given``: texts of the body that stand in places of their
    own (``FreeText``).
    """

    name: str
    uid: str
    now: str
    drawn: tuple[str, ...] = ()
    given: tuple[str, ...] = ()

    def in_order(self) -> tuple[str, ...]:
        """As ``Pieces`` counts them."""
        return (self.name, self.uid, self.now, *self.drawn, *self.given)


NAME: Final = 0
NOW: Final = 2
FIRST_DRAWN: Final = 3
CREATED: Final = ("metadata", "creationTimestamp")
OWNERS: Final = ("metadata", "managedFields")


class Unlike(Exception):
    """The objects differ in more than their values."""


class Undecided(Exception):
    """Whether something is a value cannot be told from these two; of others it may."""


class _Walk:
    """One comparison under way."""

    def __init__(self, one: Values, other: Values, places: Places) -> None:
        pairs = (*zip(one.in_order(), other.in_order(), strict=True),)
        own = FIRST_DRAWN + len(one.drawn)
        self.values, self.given = pairs[:own], pairs[own:]
        self.places = places
        self.met: set[tuple[str, ...]] = set()
        self.pieces: Pieces = []
        self.text: list[bytes] = []

    def value(self, a: Any, b: Any, at: tuple[str, ...]) -> None:
        """Both values, which stand at ``at`` (of lists the place is not counted), are in the pieces."""
        if type(a) is not type(b):
            raise Unlike
        if type(a) is dict:
            self._members(a, b, at)
        elif type(a) is list:
            if len(a) != len(b):
                raise Unlike
            self.text.append(b"[")
            for index, (one, other) in enumerate(zip(a, b, strict=True)):
                if index:
                    self.text.append(b",")
                self.value(one, other, at)
            self.text.append(b"]")
        elif type(a) is str:
            self._string(a, b, at)
        else:
            if a != b:
                raise Unlike
            self.text.append(orjson.dumps(a))

    def _members(self, a: dict[str, Any], b: dict[str, Any], at: tuple[str, ...]) -> None:
        if [*a] != [*b]:
            raise Unlike
        self.text.append(b"{")
        for index, (name, one) in enumerate(a.items()):
            self.text.append(b"," * (index > 0) + orjson.dumps(name) + b":")
            self.value(one, b[name], (*at, name))
        self.text.append(b"}")

    def _string(self, a: str, b: str, at: tuple[str, ...]) -> None:
        now = self.values[NOW]
        if (which := self.places.get(at)) is not None:
            if (a, b) != self.given[which]:
                raise Unlike
            self.met.add(at)
            self._hole("", len(self.values) + which)
        elif at == CREATED or at == (*OWNERS, "time"):
            if (a, b) != now:
                raise Unlike
            self._hole("", NOW)
        elif a == b:
            if now[0] == now[1] and now[0] in a:
                raise Undecided
            self.text.append(orjson.dumps(a))
        else:
            self._hole(*self._found(a, b))

    def _found(self, a: str, b: str) -> tuple[str, int]:
        """What stands in both before a value, and which: only what chance gave may have something before it."""
        found = [("", which) for which, pair in enumerate(self.values) if pair == (a, b)]
        for which, (one, other) in enumerate(self.values[FIRST_DRAWN:], FIRST_DRAWN):
            if a.endswith(one) and b.endswith(other):
                before = a.removesuffix(one)
                if before and before == b.removesuffix(other):
                    found.append((before, which))
        if len(found) != 1:
            raise Unlike
        return found[0]

    def _hole(self, before: str, which: int) -> None:
        self.text.append(orjson.dumps(before)[:-1])
        self.pieces += [b"".join(self.text), which]
        self.text = [b'"']


def pieces_of(one: Any, other: Any, its: Values, others: Values, places: Places = NOWHERE) -> Pieces:
    """The pieces of both; Unlike, Undecided. ``places``: where which of the given texts stands."""
    if len(its.drawn) != len(others.drawn):
        raise Unlike
    walk = _Walk(its, others, places)
    if any(a == b for which, (a, b) in enumerate(walk.values) if which != NOW):
        raise Undecided
    walk.value(one, other, ())
    if len(walk.met) != len(places):
        raise Unlike
    return [*walk.pieces, b"".join(walk.text)]
