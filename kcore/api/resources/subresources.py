"""Subresources that many resources have."""

from __future__ import annotations

from typing import Final

from kcore.api.rows import GroupVersionKind, Subresource

READ_WRITE: Final = ("get", "patch", "update")

STATUS: Final = Subresource("status", READ_WRITE)
SCALE: Final = Subresource("scale", READ_WRITE, GroupVersionKind("autoscaling", "v1", "Scale"))


def proxy(kind: str) -> Subresource:
    """The subresource through which any request goes to what the object stands for."""
    verbs = ("create", "delete", "get", "patch", "update")
    return Subresource("proxy", verbs, GroupVersionKind("", "v1", kind), connects=True)
