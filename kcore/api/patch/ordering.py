"""Merged lists are put in order: the patch's order among its items, the server's among the others.

Source: apimachinery pkg/util/strategicpatch/patch.go (normalizeElementOrder) of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Any

Identity = tuple[type, Any]


def identity(value: Any) -> Identity:
    """Tells scalars apart as Go's interfaces do: by type and value."""
    return type(value), repr(value) if isinstance(value, dict | list) else value


def in_order(
    mine: list[Any], others: list[Any], patch_order: list[Any], server_order: list[Any], key: str
) -> list[Any]:
    """One list of both: each sorted by its own order, then merged by the server's; where that is silent, mine first."""
    by_server = _places(server_order, key)
    left = _sorted(others, by_server, key)
    right = _sorted(mine, _places(patch_order, key), key)
    made: list[Any] = []
    i = j = 0
    while i < len(left) and j < len(right):
        at_left, at_right = by_server.get(_told(left[i], key)), by_server.get(_told(right[j], key))
        if at_left is not None and at_right is not None and at_left < at_right:
            made.append(left[i])
            i += 1
        else:
            made.append(right[j])
            j += 1
    return made + left[i:] + right[j:]


def _told(item: Any, key: str) -> Identity:
    return identity(item.get(key) if key else item)


def _places(items: list[Any], key: str) -> dict[Identity, int]:
    places: dict[Identity, int] = {}
    for place, item in enumerate(items):
        places.setdefault(_told(item, key), place)
    return places


def _sorted(items: list[Any], places: dict[Identity, int], key: str) -> list[Any]:
    """Stable, by place; items that delete (they stay in patches that are no objects) last."""
    at = [places.get(_told(item, key)) for item in items]
    order = sorted(range(len(items)), key=lambda i: (at[i] is not None, at[i] or 0))
    return [items[i] for i in order]
