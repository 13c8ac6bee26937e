"""The owned fields of new objects that are alike: the pods of a workload differ in their names, which nobody owns.

Working out the managed fields of a pod of 1.4 KB takes 5 times as long as finding that the last one was the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kcore.apiserver.operation import Object
from kcore.apiserver.registry.stored_form import dumps

REMEMBERED_MAX: Final = 64  # of each resource; the oldest is forgotten first
DOCUMENT_BYTES_MAX: Final = 16 << 10  # larger ones are worked out each time

# nobody owns these, whatever they are (fieldmanager's stripped set)
UNOWNED: Final = frozenset({
    "name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion",
})  # fmt: skip

Remembered = dict[bytes, list[Object]]


def own_like_before(known: Remembered, obj: Object, manager: str, now: str, own: Callable[[], None]) -> None:
    """``obj`` has the managed fields that ``own`` would give it, as a new object written by ``manager``."""
    metadata: dict[str, Any] = obj["metadata"]
    if "managedFields" in metadata:
        own()
        return
    rest = {name: value for name, value in metadata.items() if name not in UNOWNED}
    key = dumps([manager, rest, {**obj, "metadata": None}])
    entries = known.get(key)
    if entries is not None:
        metadata["managedFields"] = [{**entry, "time": now} for entry in entries]
        return
    own()
    if len(key) <= DOCUMENT_BYTES_MAX and (made := metadata.get("managedFields")):
        if len(known) >= REMEMBERED_MAX:
            del known[next(iter(known))]
        known[key] = [dict(entry) for entry in made]
