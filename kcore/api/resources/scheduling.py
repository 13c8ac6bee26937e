"""Rows of scheduling.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.rows import Row

GROUP: Final = "scheduling.k8s.io"
SCHEMA: Final = "io.k8s.api.scheduling."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "PriorityClass",
        "priorityclasses",
        "priorityclass",
        False,
        "priorityclasses",
        SCHEMA + "v1.PriorityClass",
        short_names=("pc",),
    ),
)
