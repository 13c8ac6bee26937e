"""How fast an autoscaler follows its metrics: windows of stabilization, policies, and what it remembers for them.

Source: pkg/controller/podautoscaler/horizontal.go (normalizeDesiredReplicas and below) of Kubernetes 1.36.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kcore.controllers.contract import Object

DOWNSCALE_STABILIZATION_MS: Final = 300_000  # --horizontal-pod-autoscaler-downscale-stabilization
SCALE_UP_FACTOR: Final = 2.0
SCALE_UP_MINIMUM: Final = 4.0
INT32_MAX: Final = 2**31 - 1
IN_RANGE: Final = ("DesiredWithinRange", "the desired count is within the acceptable range")
UP_LIMIT: Final = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
)
TOO_MANY: Final = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
DOWN_LIMIT: Final = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
)
TOO_FEW: Final = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
DOWN_STABILIZED: Final = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
UP_STABILIZED: Final = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
READY: Final = ("ReadyForNewScale", "recommended size matches current size")


class Noted(NamedTuple):
    """A count of replicas, or a change of one, and when."""

    replicas: int
    at_ms: int


@dataclass(slots=True)
class Memory:
    """What is remembered of one autoscaler while the process runs, as upstream does."""

    recommendations: list[Noted] = field(default_factory=list)
    ups: list[Noted] = field(default_factory=list)
    downs: list[Noted] = field(default_factory=list)
    stabilization_ms: int = DOWNSCALE_STABILIZATION_MS


class Paced(NamedTuple):
    """The count that may be, and the reasons and messages of AbleToScale and ScalingLimited."""

    replicas: int
    able: tuple[str, str]
    limited: bool
    limit: tuple[str, str]


def paced(
    memory: Memory, behavior: Object | None, current: int, desired: int, least: int, most: int, now_ms: int
) -> Paced:
    """How much of the way to ``desired`` is gone now; the recommendation is remembered."""
    if behavior is None:
        stable = _stabilized(memory, desired, now_ms)
        able = READY if stable == desired else DOWN_STABILIZED
        count, limit = limited_by_rules(current, stable, least, most)
    else:
        stable = _stabilized_by(memory, behavior, current, desired, now_ms)
        able = READY if stable == desired else UP_STABILIZED if desired >= current else DOWN_STABILIZED
        count, limit = _limited_by(memory, behavior, current, stable, least, most, now_ms)
    return Paced(count, able, count != stable, limit)


def _stabilized(memory: Memory, desired: int, now_ms: int) -> int:
    cutoff = now_ms - memory.stabilization_ms
    recent = [each.replicas for each in memory.recommendations if each.at_ms >= cutoff]
    _remember(memory.recommendations, lambda each: each.at_ms < cutoff, Noted(desired, now_ms))
    return max([desired, *recent])


def _stabilized_by(memory: Memory, behavior: Object, current: int, desired: int, now_ms: int) -> int:
    up_cutoff = now_ms - _window_ms(behavior.get("scaleUp"), 0)
    down_cutoff = now_ms - _window_ms(behavior.get("scaleDown"), memory.stabilization_ms)
    up = min([desired, *(each.replicas for each in memory.recommendations if each.at_ms > up_cutoff)])
    down = max([desired, *(each.replicas for each in memory.recommendations if each.at_ms > down_cutoff)])
    oldest = min(up_cutoff, down_cutoff)
    _remember(memory.recommendations, lambda each: each.at_ms < oldest, Noted(desired, now_ms))
    return min(max(current, up), down)


def _window_ms(rules: Object | None, default_ms: int) -> int:
    seconds = (rules or {}).get("stabilizationWindowSeconds")
    return default_ms if seconds is None else seconds * 1000


def _remember(noted: list[Noted], is_old: Callable[[Noted], bool], new: Noted) -> None:
    """In the place of the last of the old ones, so that the list does not grow; at the end where there is none."""
    for index in range(len(noted) - 1, -1, -1):
        if is_old(noted[index]):
            noted[index] = new
            return
    noted.append(new)


def limited_by_rules(current: int, desired: int, least: int, most: int) -> tuple[int, tuple[str, str]]:
    """Between the bounds, and not more than double. Source: convertDesiredReplicasWithRules."""
    limit = int(max(SCALE_UP_FACTOR * current, SCALE_UP_MINIMUM))
    allowed, reason = (limit, UP_LIMIT) if most > limit else (most, TOO_MANY)
    if desired < least:
        return least, TOO_FEW
    return (allowed, reason) if desired > allowed else (desired, IN_RANGE)


def _limited_by(
    memory: Memory, behavior: Object, current: int, desired: int, least: int, most: int, now_ms: int
) -> tuple[int, tuple[str, str]]:
    """Source: convertDesiredReplicasWithBehaviorRate."""
    if desired > current:
        limit = max(current, _limit(memory, behavior.get("scaleUp") or {}, current, now_ms, up=True))
        allowed, reason = (limit, UP_LIMIT) if most > limit else (most, TOO_MANY)
        if desired > allowed:
            return allowed, reason
    elif desired < current:
        limit = min(current, _limit(memory, behavior.get("scaleDown") or {}, current, now_ms, up=False))
        allowed, reason = (limit, DOWN_LIMIT) if least < limit else (least, TOO_FEW)
        if desired < allowed:
            return allowed, reason
    return desired, IN_RANGE


def _limit(memory: Memory, rules: Object, current: int, now_ms: int, *, up: bool) -> int:
    """How far the policies let it go from ``current``. Source: calculateScaleUpLimitWithScalingRules and its twin."""
    select = rules.get("selectPolicy", "Max")
    if select == "Disabled":
        return current
    proposed: list[int] = []
    for policy in rules.get("policies") or ():
        cutoff = now_ms - policy["periodSeconds"] * 1000
        added = sum(each.replicas for each in memory.ups if each.at_ms > cutoff)
        removed = sum(each.replicas for each in memory.downs if each.at_ms > cutoff)
        start, value = current - added + removed, policy["value"]
        if policy["type"] == "Pods":
            proposed.append(start + value if up else start - value)
        elif up:
            proposed.append(math.ceil(start * (1 + value / 100)))
        else:
            proposed.append(int(start * (1 - value / 100)))
    takes_most = up == (select != "Min")
    if not proposed:
        return -INT32_MAX - 1 if takes_most else INT32_MAX
    return max(proposed) if takes_most else min(proposed)


def remember_change(memory: Memory, behavior: Object | None, before: int, after: int, now_ms: int) -> None:
    """The change counts for the policies' periods. Source: storeScaleEvent."""
    if behavior is None:
        return
    up = after > before
    rules = behavior.get("scaleUp" if up else "scaleDown") or {}
    longest = max((policy["periodSeconds"] for policy in rules.get("policies") or ()), default=0)
    cutoff = now_ms - longest * 1000
    changes = memory.ups if up else memory.downs
    _remember(changes, lambda each: each.at_ms < cutoff, Noted(abs(after - before), now_ms))
