"""Rows of node.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.rows import Row

GROUP: Final = "node.k8s.io"
SCHEMA: Final = "io.k8s.api.node."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "RuntimeClass",
        "runtimeclasses",
        "runtimeclass",
        False,
        "runtimeclasses",
        SCHEMA + "v1.RuntimeClass",
    ),
)
