"""The definitions as the build left them in ``built.bin``: two sections, read one definition at a time.

setup.py writes the file: schemas without descriptions, joined with the fields of the Go types, then the descriptions,
which are only unpacked where they are asked for.
"""

from __future__ import annotations

import hashlib
import zlib
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

BUILT: Final = "built.bin"
MAGIC: Final = b"KCS1"


class Section:
    """One section: documents by name, each decoded anew when it is asked for."""

    __slots__ = ("_places", "_texts")

    def __init__(self, packed: bytes) -> None:
        head, _, self._texts = zlib.decompress(packed).partition(b"\n")
        self._places: dict[str, list[int]] = orjson.loads(head)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(self._places)

    def document(self, name: str) -> Any:
        """The document of that name; KeyError where there is none."""
        offset, length = self._places[name]
        return orjson.loads(memoryview(self._texts)[offset : offset + length])


class Definitions:
    """All definitions. ``schema`` and ``go`` are cheap, ``descriptions`` unpacks about a megabyte each time."""

    def __init__(self, built: bytes) -> None:
        if built[:4] != MAGIC:
            raise ValueError(f"{BUILT} is not a file of compiled schemas")
        first = 8 + int.from_bytes(built[4:8], "little")
        self._schemas = Section(built[8:first])
        self._descriptions = built[first:]

    @classmethod
    def shipped(cls) -> Definitions:
        """Those of the package."""
        return cls((files("kcore.api.schema") / BUILT).read_bytes())

    @staticmethod
    @cache
    def digest() -> bytes:
        """Of the package's definitions."""
        return hashlib.sha256((files("kcore.api.schema") / BUILT).read_bytes()).digest()

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return self._schemas.names()

    def __contains__(self, name: str) -> bool:
        return name in self._schemas

    def with_go_fields(self, name: str) -> tuple[dict[str, Any], list[list[str]]]:
        """Both at once; no fields where the Go type is not known."""
        document = self._schemas.document(name)
        return document["schema"], document["go"] or []

    def schema(self, name: str) -> dict[str, Any]:
        """The definition in OpenAPI's words without descriptions; ``$ref`` is a bare name."""
        found: dict[str, Any] = self._schemas.document(name)["schema"]
        return found

    def go_fields(self, name: str) -> list[list[str]] | None:
        """The fields of the Go type in Go's order: JSON name, Go type, then ``o``, ``z`` or ``oz``; None: unknown."""
        found: list[list[str]] | None = self._schemas.document(name)["go"]
        return found

    def descriptions(self) -> Section:
        """By definition: texts by path (empty: the definition's own; ``.spec``, ``.env[]``)."""
        return Section(self._descriptions)
