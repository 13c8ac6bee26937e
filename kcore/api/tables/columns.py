"""The columns of every kind, from ``columns.txt``."""

from __future__ import annotations

from functools import cache
from pkgutil import get_data
from typing import Any, Final, NamedTuple

DEFAULT: Final = ("-", "Default")


class Column(NamedTuple):
    """One column; priority 0 is always shown, 1 with ``-o wide``."""

    name: str
    type: str
    format: str
    description: str
    priority: int

    def definition(self) -> dict[str, Any]:
        """The column as a ``TableColumnDefinition``."""
        return self._asdict()


@cache
def columns() -> dict[tuple[str, str], tuple[Column, ...]]:
    """The columns by group (empty for core) and kind; those under ``DEFAULT`` are for kinds without any."""
    words: dict[str, str] = {}
    found: dict[tuple[str, str], list[Column]] = {}
    current: list[Column] = []
    text = (get_data("kcore.api.tables", "columns.txt") or b"").decode()
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("@"):
            word, _, words[word] = line.partition(" ")
        elif line.startswith(" "):
            name, kind, form, priority, description = f"{line[1:]} ".split(" | ", 4)
            description = description.strip()
            description = words.get(description, description).replace("\\n", "\n")
            current.append(Column(name, kind, "" if form == "-" else form, description, int(priority)))
        else:
            group, _, kind = line.partition(" ")
            current = found["" if group == "core" else group, kind] = []
    return {kind: tuple(each) for kind, each in found.items()}
