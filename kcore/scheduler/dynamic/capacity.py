"""How much of a shared device a request takes, and whether that is left.

Source: structured/internal/incubating/consumable_capacity.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping

from kcore.api.quantity import NANO_PER_UNIT, binary_text, unit_value
from kcore.scheduler.dynamic.objects import Capacity, Quantity, RequestPolicy

Amounts = Mapping[str, int]
NOTHING: Amounts = {}


def fits(
    asked: Mapping[str, Quantity], capacity: Mapping[str, Capacity], allocated: Amounts, allocating: Amounts
) -> bool:
    """Whether a device has all capacities that are asked for, in parts that it gives, and enough of each left."""
    if any(name not in capacity for name in asked):
        return False
    for name, one in capacity.items():
        taken = consumed(asked.get(name), one)
        if _is_forbidden(taken, one.policy):
            return False
        if allocated.get(name, 0) + taken.nanos + allocating.get(name, 0) > one.value.nanos:
            return False
    return True


def consumption(asked: Mapping[str, Quantity], capacity: Mapping[str, Capacity]) -> dict[str, Quantity]:
    """What a request takes of every capacity of a device."""
    return {name: consumed(asked.get(name), one) for name, one in capacity.items()}


def consumed(asked: Quantity | None, capacity: Capacity) -> Quantity:
    """What is taken of one capacity: what is asked for, rounded up to what the policy gives; all where none is asked."""
    policy = capacity.policy
    if asked is None:
        return policy.default if policy is not None and policy.default is not None else capacity.value
    if policy is None:
        return asked
    if policy.has_range and policy.minimum is not None:
        return _rounded_up(asked, policy.minimum, policy.step)
    if policy.values is not None:
        return next((one for one in policy.values if asked.nanos <= one.nanos), asked)
    return asked


def _rounded_up(asked: Quantity, minimum: Quantity, step: Quantity | None) -> Quantity:
    if asked.nanos < minimum.nanos:
        return minimum
    if step is None:
        return asked
    least, width = unit_value(minimum.nanos), unit_value(step.nanos)
    count = -(-(unit_value(asked.nanos) - least) // width)
    nanos = (least + width * count) * NANO_PER_UNIT
    return Quantity(nanos, binary_text(nanos))


def _is_forbidden(taken: Quantity, policy: RequestPolicy | None) -> bool:
    if policy is None or policy.default == taken:
        return False
    if policy.has_range:
        if policy.maximum is not None and taken.nanos > policy.maximum.nanos:
            return True
        if policy.step is None:
            return False
        least = 0 if policy.minimum is None else unit_value(policy.minimum.nanos)
        return (unit_value(taken.nanos) - least) % unit_value(policy.step.nanos) != 0
    return bool(policy.values) and all(taken.nanos != one.nanos for one in policy.values or ())
