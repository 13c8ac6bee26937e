"""Which stage an object is in, and when that is over. Pure but for the random numbers it is handed.

Source: kwok pkg/utils/lifecycle/lifecycle.go, value_duration_from.go and value_int_from.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, Final

from kcore.api.durations import duration_ns
from kcore.hollow.distributions import draw_ns
from kcore.hollow.stage import Amount, ResourceRef, Stage
from kcore.hollow.times import time_ns

Object = dict[str, Any]
MS_NS: Final = 1_000_000
UNWEIGHTED: Final = -1


class Lifecycle:
    """The stages of one kind of object, in the order of their files."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        self.stages = tuple(stage for stage in stages if stage.conditions is not None)

    def matching(self, obj: Object) -> list[Stage]:
        """The stages whose conditions all hold."""
        return [stage for stage in self.stages if all(holds(obj) for holds in stage.conditions or ())]

    def match(self, obj: Object, random: Random) -> Stage | None:
        """The stage that the object is in: of those that hold one drawn by weight; None where none holds."""
        stages = self.matching(obj)
        if len(stages) < 2:
            return stages[0] if stages else None
        weights = [weight_of(stage, obj) for stage in stages]
        total = sum(weight for weight in weights if weight > 0)
        if not total:
            left = possible(stages, weights)
            return left[random.randrange(len(left))]
        rest = random.randrange(total)
        for stage, weight in zip(stages, weights, strict=True):
            if weight > 0:
                rest -= weight
                if rest < 0:
                    return stage
        return stages[-1]

    def possible(self, obj: Object) -> list[Stage]:
        """All stages that ``match`` may draw."""
        stages = self.matching(obj)
        if len(stages) < 2:
            return stages
        return possible(stages, [weight_of(stage, obj) for stage in stages])


def possible(stages: Sequence[Stage], weights: Sequence[int]) -> list[Stage]:
    """Those that a draw may give: with a weight above zero, else with one at all, else any."""
    for least in (1, 0):
        found = [stage for stage, weight in zip(stages, weights, strict=True) if weight >= least]
        if found:
            return found
    return list(stages)


def weight_of(stage: Stage, obj: Object) -> int:
    """The stage's weight for that object, UNWEIGHTED where its expression gives none."""
    amount = stage.weight
    value = amount.find(obj) if amount.find is not None else None
    if isinstance(value, str):
        try:
            return int(value, 0) if value else UNWEIGHTED
        except ValueError:
            return UNWEIGHTED
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value)
    return amount.default or 0


def delay_range_ns(stage: Stage, obj: Object, now_ns: int, random: Random | None = None) -> list[int]:
    """The shortest and longest delay, one where they are the same, none where the stage has no delay.

    Distributions are drawn from ``random``; without it a delay that asks for one is its default.
    """
    if stage.delay_ms is None:
        return []
    least = _length_ns(stage.delay_ms, obj, now_ns, random)
    if least is None:
        return []
    most = _length_ns(stage.jitter_ms, obj, now_ns, random) if stage.jitter_ms is not None else None
    if most is None:
        return [least]
    return [most] if most <= least else [least, most]


def delay_ns(stage: Stage, obj: Object, now_ns: int, random: Random) -> int:
    """How long the object stays in the stage from now on; drawn evenly where the stage gives a range."""
    bounds = delay_range_ns(stage, obj, now_ns, random)
    if len(bounds) == 2:
        return bounds[0] + random.randrange(bounds[1] - bounds[0])
    return bounds[0] if bounds else 0


def _length_ns(amount: Amount, obj: Object, now_ns: int, random: Random | None) -> int | None:
    default = None if amount.default is None else amount.default * MS_NS
    if amount.find is None:
        return default
    value = amount.find(obj)
    if not isinstance(value, str):
        return default
    if not value:
        return None
    until = time_ns(value)
    if until is not None:
        return until - now_ns
    length = duration_ns(value)
    if length is None and random is not None:
        length = draw_ns(value, random)
    return default if length is None else length


def by_resource(stages: Iterable[Stage]) -> dict[ResourceRef, Lifecycle]:
    """A lifecycle a kind."""
    grouped: dict[ResourceRef, list[Stage]] = {}
    for stage in stages:
        grouped.setdefault(stage.resource, []).append(stage)
    return {resource: Lifecycle(group) for resource, group in grouped.items()}
