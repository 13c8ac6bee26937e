"""Rows of coordination.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.rows import Row

GROUP: Final = "coordination.k8s.io"
SCHEMA: Final = "io.k8s.api.coordination."

ROWS: Final = (Row(GROUP, "v1", "Lease", "leases", "lease", True, "leases", SCHEMA + "v1.Lease"),)
