"""Aligned columns, counted nouns and headlines, for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

GAP = "   "
_COUNT = re.compile(r"^\d+ ")  # of nodes, before each cause in the scheduler's sentence


def table_lines(header: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    """Columns as wide as their widest cell, left-aligned as kubectl does; the last one is not padded."""
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield GAP.join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def plural(count: int, noun: str) -> str:
    """``1 pod``, ``2,000 pods``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def size_text(byte_count: int) -> str:
    """A size for people: ``52 KiB``, ``1.5 GiB``."""
    size, unit = float(byte_count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.1f} {unit}" if size < 10 and unit != "B" else f"{size:.0f} {unit}"


def headline(summary: dict[str, Any]) -> str:
    """The run in one line."""
    pods, placed, failed = summary.get("pods", 0), summary.get("placed", 0), summary.get("unschedulable", 0)
    text = f"{placed:,} of {plural(pods, 'pod')} placed on {plural(summary.get('nodes', 0), 'node')}"
    return text + (f", {failed:,} not" if failed else "")


def reason_kinds(reason: str | None) -> str:
    """What the nodes had, without how many had it: ``Insufficient cpu, Too many pods``; equal for equal causes."""
    if not reason:
        return "no reason given"
    _, colon, rest = reason.partition(" nodes are available: ")
    if not colon:
        return reason
    kinds = {_COUNT.sub("", part) for part in rest.partition(". ")[0].rstrip(".").split(", ")}
    return ", ".join(sorted(kinds))
