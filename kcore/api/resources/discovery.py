"""Rows of discovery.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.rows import Row

GROUP: Final = "discovery.k8s.io"
SCHEMA: Final = "io.k8s.api.discovery."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "EndpointSlice",
        "endpointslices",
        "endpointslice",
        True,
        "endpointslices",
        SCHEMA + "v1.EndpointSlice",
    ),
)
