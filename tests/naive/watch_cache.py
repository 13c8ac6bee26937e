"""A watch cache that knows all that ever happened and works everything out anew from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.naive.selectors import parse_int64

Object = dict[str, Any]
Accepts = Callable[[Object], bool]


class Write(NamedTuple):
    """One write: the object as it was made, None where it was deleted."""

    revision: int
    key: str
    obj: Object | None


class Told(NamedTuple):
    """One event of a watch; ``revision`` is the one in the object."""

    type: str
    key: str
    revision: int
    obj: Object


class History:
    """All writes, in order."""

    def __init__(self) -> None:
        self.writes: list[Write] = []

    def wrote(self, revision: int, key: str, obj: Object | None) -> None:
        """One more write."""
        self.writes.append(Write(revision, key, obj))

    def state(self, revision: int) -> dict[str, Write]:
        """What there was as of that revision, by key in order."""
        found: dict[str, Write] = {}
        for write in self.writes:
            if write.revision <= revision:
                found.pop(write.key, None)
                if write.obj is not None:
                    found[write.key] = write
        return dict(sorted(found.items(), key=lambda item: item[0].encode()))

    def list(self, revision: int, accepts: Accepts) -> list[Write]:
        """The objects as of that revision that are accepted, in the order of keys."""
        return [write for write in self.state(revision).values() if write.obj and accepts(write.obj)]

    def told(self, after: int, accepts: Accepts) -> list[Told]:
        """What a watch tells of what was written after that revision."""
        found = []
        for write in self.writes:
            if write.revision <= after:
                continue
            before = self.state(write.revision - 1).get(write.key)
            was = before is not None and before.obj is not None and accepts(before.obj)
            if write.obj is not None and accepts(write.obj):
                found.append(Told("MODIFIED" if was else "ADDED", write.key, write.revision, write.obj))
            elif was:
                assert before is not None
                assert before.obj is not None
                found.append(Told("DELETED", write.key, write.revision, before.obj))
        return found


class Labels(NamedTuple):
    """A requirement on labels as upstream's ``Requirement.Matches`` reads it."""

    key: str
    operator: str
    values: tuple[str, ...]

    def meets(self, labels: dict[str, str]) -> bool:
        """Whether the labels meet it."""
        here = self.key in labels
        value = labels.get(self.key, "")
        if self.operator in ("=", "==", "in"):
            return here and value in self.values
        if self.operator in ("!=", "notin"):
            return not here or value not in self.values
        if self.operator == "exists":
            return here
        if self.operator == "!":
            return not here
        left, right = parse_int64(value) if here else None, parse_int64(self.values[0])
        if left is None or right is None:
            return False
        return left > right if self.operator == ">" else left < right

    @property
    def text(self) -> str:
        """As it is written in a query."""
        if self.operator == "exists":
            return self.key
        if self.operator == "!":
            return f"!{self.key}"
        if self.operator in ("in", "notin"):
            return f"{self.key} {self.operator} ({','.join(self.values)})"
        return f"{self.key}{self.operator}{self.values[0]}"
