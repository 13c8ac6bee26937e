"""Rows of resource.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.resources.subresources import STATUS
from kcore.api.rows import Row

GROUP: Final = "resource.k8s.io"
SCHEMA: Final = "io.k8s.api.resource."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "DeviceClass",
        "deviceclasses",
        "deviceclass",
        False,
        "deviceclasses",
        SCHEMA + "v1.DeviceClass",
        answers_with_deleted=True,
    ),
    Row(
        GROUP,
        "v1",
        "ResourceClaim",
        "resourceclaims",
        "resourceclaim",
        True,
        "resourceclaims",
        SCHEMA + "v1.ResourceClaim",
        answers_with_deleted=True,
        subresources=(STATUS,),
    ),
    Row(
        GROUP,
        "v1",
        "ResourceClaimTemplate",
        "resourceclaimtemplates",
        "resourceclaimtemplate",
        True,
        "resourceclaimtemplates",
        SCHEMA + "v1.ResourceClaimTemplate",
        answers_with_deleted=True,
    ),
    Row(
        GROUP,
        "v1",
        "ResourceSlice",
        "resourceslices",
        "resourceslice",
        False,
        "resourceslices",
        SCHEMA + "v1.ResourceSlice",
        fields=("spec.nodeName", "spec.driver"),
        answers_with_deleted=True,
    ),
)
