"""Rows of flowcontrol.apiserver.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.resources.subresources import STATUS
from kcore.api.rows import Row

GROUP: Final = "flowcontrol.apiserver.k8s.io"
SCHEMA: Final = "io.k8s.api.flowcontrol."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "FlowSchema",
        "flowschemas",
        "flowschema",
        False,
        "flowschemas",
        SCHEMA + "v1.FlowSchema",
        subresources=(STATUS,),
    ),
    Row(
        GROUP,
        "v1",
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        "prioritylevelconfiguration",
        False,
        "prioritylevelconfigurations",
        SCHEMA + "v1.PriorityLevelConfiguration",
        subresources=(STATUS,),
    ),
)
