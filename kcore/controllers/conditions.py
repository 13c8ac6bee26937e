"""Lists of conditions in a status, changed by making new ones."""

from __future__ import annotations

from collections.abc import Iterable

from kcore.controllers.contract import Object


def without(conditions: Iterable[Object], kind: str) -> list[Object]:
    """All but the one of that type."""
    return [found for found in conditions if found["type"] != kind]


def written(
    conditions: Iterable[Object], kind: str, status: str, reason: str, message: str, now: str
) -> list[Object]:
    """With that condition at the end; as they were where it has that status and reason already."""
    kept = list(conditions)
    for found in kept:
        if found["type"] == kind and found["status"] == status and found.get("reason", "") == reason:
            return kept
    made = {"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}
    return [*without(kept, kind), made]
