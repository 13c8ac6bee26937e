"""Slow, obvious twins of what a study computes: which pods a load takes, means, spreads, distributions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any


def pods_to_load(order: Sequence[int], amounts: Sequence[int], wanted: float) -> list[int]:
    """Pods one after another, beginning again at the end, until they ask for as much as is wanted."""
    taken: list[int] = []
    asked = 0
    while asked < wanted:
        pod = order[len(taken) % len(order)]
        taken.append(pod)
        asked += amounts[pod]
    return taken


def repeated_names(names: Sequence[str], taken: Iterable[int]) -> list[str]:
    """The names of the pods taken; one that is taken again gets -2, -3, ..."""
    times: dict[int, int] = {}
    found = []
    for pod in taken:
        times[pod] = times.get(pod, 0) + 1
        found.append(names[pod] if times[pod] == 1 else f"{names[pod]}-{times[pod]}")
    return found


def lines(
    rows: Iterable[tuple[Any, Any, float | None]],
) -> dict[Any, dict[Any, tuple[float, float | None, int]]]:
    """Group -> x -> mean, standard deviation of the sample (None for one run), runs; rows are (group, x, y)."""
    gathered: dict[Any, dict[Any, list[float]]] = {}
    for group, x, y in rows:
        if y is not None and x is not None:
            gathered.setdefault(group, {}).setdefault(x, []).append(y)
    return {
        group: {x: (mean(values), deviation(values), len(values)) for x, values in by_x.items()}
        for group, by_x in gathered.items()
    }


def mean(values: Sequence[float]) -> float:
    """The sum over the number."""
    return sum(values) / len(values)


def deviation(values: Sequence[float]) -> float | None:
    """The standard deviation of a sample; None for one value."""
    if len(values) < 2:
        return None
    middle = mean(values)
    return math.sqrt(sum((value - middle) ** 2 for value in values) / (len(values) - 1))


def share_at_most(values: Sequence[float], bound: float) -> float:
    """The share of values that are at most the bound."""
    return sum(1 for value in values if value <= bound) / len(values)
