"""Rows of storage.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.resources.subresources import STATUS
from kcore.api.rows import Row

GROUP: Final = "storage.k8s.io"
SCHEMA: Final = "io.k8s.api.storage."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "CSIDriver",
        "csidrivers",
        "csidriver",
        False,
        "csidrivers",
        SCHEMA + "v1.CSIDriver",
        answers_with_deleted=True,
    ),
    Row(
        GROUP,
        "v1",
        "CSINode",
        "csinodes",
        "csinode",
        False,
        "csinodes",
        SCHEMA + "v1.CSINode",
        answers_with_deleted=True,
    ),
    Row(
        GROUP,
        "v1",
        "CSIStorageCapacity",
        "csistoragecapacities",
        "csistoragecapacity",
        True,
        "csistoragecapacities",
        SCHEMA + "v1.CSIStorageCapacity",
    ),
    Row(
        GROUP,
        "v1",
        "StorageClass",
        "storageclasses",
        "storageclass",
        False,
        "storageclasses",
        SCHEMA + "v1.StorageClass",
        short_names=("sc",),
        answers_with_deleted=True,
    ),
    Row(
        GROUP,
        "v1",
        "VolumeAttachment",
        "volumeattachments",
        "volumeattachment",
        False,
        "volumeattachments",
        SCHEMA + "v1.VolumeAttachment",
        answers_with_deleted=True,
        subresources=(STATUS,),
    ),
    Row(
        GROUP,
        "v1",
        "VolumeAttributesClass",
        "volumeattributesclasses",
        "volumeattributesclass",
        False,
        "volumeattributesclasses",
        SCHEMA + "v1.VolumeAttributesClass",
        short_names=("vac",),
        answers_with_deleted=True,
    ),
)
