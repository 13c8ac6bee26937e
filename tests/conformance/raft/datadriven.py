"""Reading the recorded histories: commands with arguments and input, and what came of each.

A case is a command line, perhaps lines of input, ``----`` and the expected lines up to an empty line; after a second
``----`` the expected lines may hold empty ones and end at two more ``----``. Format: cockroachdb/datadriven.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.shared import SHARED

HISTORIES = SHARED / "conformance" / "raft"

_ARGUMENT = re.compile(r"([^\s=]+)(?:=(\([^)]*\)|\S*))?")
_LOG_LINE = re.compile(r"\s*(?:DEBUG|INFO|WARN|ERROR) ")


@dataclass(frozen=True)
class Case:
    """One command of a history."""

    line: int
    command: str
    words: tuple[str, ...]  # arguments without a value
    options: dict[str, tuple[str, ...]]  # the others
    text: str  # the input
    expected: str


def histories(folder: str) -> list[Path]:
    """The files of one folder of recordings; empty where there are none."""
    return sorted((HISTORIES / folder).glob("*.txt"))


def read_cases(path: Path) -> Iterator[Case]:
    """The cases of a file, in order."""
    lines = path.read_text().splitlines()
    at = 0
    while at < len(lines):
        if not lines[at].strip() or lines[at].startswith("#"):
            at += 1
            continue
        start = at
        command_line = lines[at]
        while command_line.endswith("\\"):
            at += 1
            command_line = command_line[:-1] + lines[at]
        at += 1
        text_start = at
        while lines[at] != "----":
            at += 1
        text = "\n".join(lines[text_start:at])
        at += 1
        if at < len(lines) and lines[at] == "----":
            end = next(i for i in range(at, len(lines)) if lines[i : i + 2] == ["----", "----"] and i > at)
            expected = lines[at + 1 : end]
            at = end + 2
        else:
            end = next((i for i in range(at, len(lines)) if not lines[i]), len(lines))
            expected = lines[at:end]
            at = end
        command, *rest = command_line.split(" ", 1)
        words, options = _arguments("".join(rest))
        yield Case(start + 1, command, words, options, text, "\n".join(expected))


def without_log_lines(text: str) -> str:
    """The text without lines that a node logged; their wording is its own."""
    return "\n".join(line.rstrip() for line in text.splitlines() if not _LOG_LINE.match(line)).strip()


def _arguments(text: str) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    words: list[str] = []
    options: dict[str, tuple[str, ...]] = {}
    for match in _ARGUMENT.finditer(text):
        name, value = match.groups()
        if value is None:
            words.append(name)
        elif value.startswith("("):
            options[name] = tuple(part.strip() for part in re.split(r"[,\s]+", value[1:-1]) if part.strip())
        else:
            options[name] = (value,)
    return tuple(words), options
