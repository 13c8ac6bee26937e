"""A write that changes nothing but the time of its managed fields changes nothing.

Source: apiserver pkg/endpoints/handlers/fieldmanager/equality.go (IgnoreManagedFieldsTimestampsTransformer) of
Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.apiserver.operation import Object


def keep_timestamps(obj: Object, live: Object) -> None:
    """The times of managed fields are the old ones where nothing else differs."""
    metadata = obj["metadata"]
    new = metadata.get("managedFields")
    old = live["metadata"].get("managedFields")
    if not new or not old or len(new) != len(old):
        return
    moved = False
    for entry, before in zip(new, old, strict=True):
        if entry == before:
            continue
        if not _equal_but_time(entry, before):
            return
        moved = True
    if not moved:
        return
    metadata["managedFields"] = old
    if obj != live:
        metadata["managedFields"] = new


def _equal_but_time(entry: Object, before: Object) -> bool:
    return {**entry, "time": ""} == {**before, "time": ""}
