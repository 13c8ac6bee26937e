"""Resources whose objects nobody stores: what they are is asked of their source whenever they are read.

Source: the rest.Getter and rest.Lister of pkg/registry/core/componentstatus/rest.go of Kubernetes 1.36 and of
metrics-server's pkg/api.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from kcore.api.fields import METADATA_NAME, METADATA_NAMESPACE
from kcore.apiserver.list_options import ListOptions
from kcore.apiserver.operation import Object, Operation, Result


class Source(Protocol):
    """The objects of one row."""

    async def get(self, namespace: str, name: str) -> Object:
        """The object of that name; ApiError 404 where there is none."""

    async def list(self, namespace: str, options: ListOptions) -> Iterable[Object]:
        """All of the namespace, or of the cluster, that ``options`` select, in the order in which they are told."""


async def get(source: Source, op: Operation) -> Result:
    """The object as it is now."""
    return Result(200, await source.get(op.namespace, op.name))


async def list_all(source: Source, op: Operation, options: ListOptions) -> Result:
    """The objects as they are now, in a list without a version."""
    items = [
        {name: value for name, value in each.items() if name not in ("kind", "apiVersion")}
        for each in await source.list(op.namespace, options)
    ]
    row = op.row
    made = {"kind": row.list_kind_name, "apiVersion": row.api_version, "metadata": {}, "items": items}
    return Result(200, made)


def selected(metadata: Object, options: ListOptions) -> bool:
    """Whether both selectors want an object of that metadata."""
    return options.label_selector.matches(metadata.get("labels") or {}) and options.field_selector.matches(
        {METADATA_NAME: metadata["name"], METADATA_NAMESPACE: metadata.get("namespace", "")}
    )
