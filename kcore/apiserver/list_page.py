"""A list's answer: objects as places in memory, made into bytes where they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from kcore_native.cacher.table import Entry, bodies, check, joined

PIECE_ITEMS: Final = 64


@dataclass(frozen=True, slots=True)
class ListPage:
    """``remaining`` is None where it is not known. What the entries stand for is to be read before anything is awaited.

    ``store`` is where entries without a value are read from.
    """

    entries: list[Entry]
    resource_version: str
    continue_token: str = ""
    remaining: int | None = None
    store: Any = None

    def __len__(self) -> int:
        return len(self.entries)

    def check(self) -> None:
        """Every object's value is there, or Missing is raised."""
        check(self.store, self.entries)

    @property
    def items(self) -> list[bytes]:
        """Each object's JSON with its resourceVersion, in the storage version."""
        return bodies(self.store, self.entries)

    @property
    def metadata(self) -> dict[str, Any]:
        """The list's ``metadata``."""
        made: dict[str, Any] = {"resourceVersion": self.resource_version}
        if self.continue_token:
            made["continue"] = self.continue_token
        if self.remaining:
            made["remainingItemCount"] = self.remaining
        return made

    def body(self, api_version: str, list_kind: str, *, bare: bool = True) -> bytes:
        """The list as one JSON document; ``bare``: its items without apiVersion and kind, as built-in kinds have it."""
        return joined(self.store, self.entries, self._head(api_version, list_kind), b"]}", bare)

    def pieces(self, api_version: str, list_kind: str, *, bare: bool = True) -> Iterator[bytes]:
        """The same document in pieces of PIECE_ITEMS, for whoever sends one before the next is made.

        What is compacted meanwhile is Missing: only the beginning was sent then.
        """
        before = self._head(api_version, list_kind)
        for start in range(0, len(self.entries), PIECE_ITEMS):
            yield joined(self.store, self.entries[start : start + PIECE_ITEMS], before, b"", bare)
            before = b","
        yield b"]}" if self.entries else before + b"]}"

    def _head(self, api_version: str, list_kind: str) -> bytes:
        head = orjson.dumps({"kind": list_kind, "apiVersion": api_version, "metadata": self.metadata})
        return head[:-1] + b',"items":['
