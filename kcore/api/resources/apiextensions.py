"""Rows of apiextensions.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.resources.subresources import STATUS
from kcore.api.rows import Row

GROUP: Final = "apiextensions.k8s.io"
SCHEMA: Final = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "customresourcedefinition",
        False,
        "apiextensions.k8s.io/customresourcedefinitions",
        SCHEMA + "v1.CustomResourceDefinition",
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        subresources=(STATUS,),
    ),
)
