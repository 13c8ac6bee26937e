"""Which object an event is about, and what the event is called.

Source: client-go tools/reference/ref.go, tools/record/util/util.go.
"""

from __future__ import annotations

import re
import uuid
from typing import Final

from kcore.client.calls import Object

SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
NAME_LENGTH_MAX: Final = 253


def reference(obj: Object) -> Object:
    """An ObjectReference of the object, or the one that was given; ValueError where it does not say its kind."""
    if "metadata" not in obj:
        return {name: value for name, value in obj.items() if value}
    metadata = obj["metadata"]
    made = {
        "kind": obj.get("kind"), "namespace": metadata.get("namespace"), "name": metadata.get("name"),
        "uid": metadata.get("uid"), "apiVersion": obj.get("apiVersion"), "resourceVersion": metadata.get("resourceVersion"),
    }  # fmt: skip
    if not made["kind"] or not made["apiVersion"]:
        raise ValueError("an event is about an object that says its apiVersion and kind")
    return {name: value for name, value in made.items() if value}


class EventNames:
    """Names of events, no two the same: of two at the same time the second is a nanosecond later."""

    def __init__(self) -> None:
        self._last_ns = 0

    def name(self, about: str, time_s: float) -> str:
        """``web-0.17a5…``, or a UUID where that is no name."""
        self._last_ns = max(round(time_s * 1e9), self._last_ns + 1)
        made = f"{about}.{self._last_ns:x}"
        if len(made) > NAME_LENGTH_MAX or not SUBDOMAIN.fullmatch(made):
            return str(uuid.uuid4())
        return made
