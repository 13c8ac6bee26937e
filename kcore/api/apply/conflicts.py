"""What a client is told of conflicting owners.

Source: apimachinery pkg/util/managedfields/internal/conflict.go of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Final

from kcore.api.apply.entries import Owner
from kcore.api.apply.updater import Path
from kcore.api.field import quoted
from kcore.api.status import ApiError, apply_conflict
from kcore_native.fieldset.merge import path_text

CAUSE: Final = "FieldManagerConflict"


def owner_text(who: Owner) -> str:
    """``"kubectl" using apps/v1``; an applier has no version."""
    text = quoted(who.manager)
    if who.subresource:
        text = f"{text} with subresource {quoted(who.subresource)}"
    return f"{text} using {who.api_version}" if who.operation == "Update" else text


def conflict_error(found: list[tuple[Owner, Path]]) -> ApiError:
    """409 with a cause for each field."""
    causes = [
        {"reason": CAUSE, "message": f"conflict with {owner_text(who)}", "field": path_text(path)}
        for who, path in found
    ]
    return apply_conflict(causes, _message(found))


def _message(found: list[tuple[Owner, Path]]) -> str:
    if len(found) == 1:
        who, path = found[0]
        return f"Apply failed with 1 conflict: conflict with {owner_text(who)}: {path_text(path)}"
    paths: dict[Owner, list[str]] = {}
    for who, path in found:
        paths.setdefault(who, []).append(f"- {path_text(path)}")
    lines = [
        line
        for who in sorted(paths, key=lambda each: each.identifier)
        for line in (f"conflicts with {owner_text(who)}:", *paths[who])
    ]
    return f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
