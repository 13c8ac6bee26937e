"""Rows of apiregistration.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.resources.subresources import STATUS
from kcore.api.rows import Row

GROUP: Final = "apiregistration.k8s.io"
SCHEMA: Final = "io.k8s.kube-aggregator.pkg.apis.apiregistration."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "APIService",
        "apiservices",
        "apiservice",
        False,
        "apiregistration.k8s.io/apiservices",
        SCHEMA + "v1.APIService",
        categories=("api-extensions",),
        subresources=(STATUS,),
    ),
)
