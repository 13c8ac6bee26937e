"""Rows of events.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.rows import Row

GROUP: Final = "events.k8s.io"
SCHEMA: Final = "io.k8s.api.events."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "Event",
        "events",
        "event",
        True,
        "events",
        SCHEMA + "v1.Event",
        storage_group="",
        short_names=("ev",),
        fields=(
            "reason",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reportingController",
            "type",
        ),
    ),
)
