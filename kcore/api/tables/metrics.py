"""Tables of what nodes and pods use.

Source: metrics-server pkg/api/table.go, for the two resources that it knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from kcore.api.quantity import binary_text, decimal_text, parse_quantity
from kcore.api.tables.cells import Object, name

TEXTS: Final = {"cpu": decimal_text, "memory": binary_text}


def _cells(obj: Object, usages: Iterable[Mapping[str, str]]) -> list[Any]:
    sums = dict.fromkeys(TEXTS, 0)
    for usage in usages:
        for resource in TEXTS:
            sums[resource] += parse_quantity(usage.get(resource, "0"))
    shown = [TEXTS[resource](amount) for resource, amount in sums.items()]
    return [name(obj), *shown, obj.get("window", "")]


def node_metrics(obj: Object, now: float) -> list[Any]:
    """The cells of a NodeMetrics."""
    return _cells(obj, [obj.get("usage") or {}])


def pod_metrics(obj: Object, now: float) -> list[Any]:
    """The cells of a PodMetrics: all its containers together."""
    return _cells(obj, [each.get("usage") or {} for each in obj.get("containers") or ()])
