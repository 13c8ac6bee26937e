"""PodDisruptionBudgets, and what of them says that a pod may be evicted.

Sources, Kubernetes 1.36: pkg/apis/policy/validation/validation.go,
pkg/registry/policy/poddisruptionbudget/strategy.go.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, invalid, not_supported
from kcore.api.kinds.metadata import (
    has_invalid_label_value,
    validate_conditions,
    validate_label_selector,
)
from kcore.api.kinds.templates import validate_at_most_all, validate_counts, validate_int_or_percent
from kcore.api.kinds.updates import count_generation, keep, keeping, semantically_equal
from kcore.api.strategy import Context, Strategy, UpdateStrategy, always

Object = dict[str, Any]

EVICTION_POLICIES: Final = ("AlwaysAllow", "IfHealthyBudget")


def _default(obj: Object) -> None:
    obj.setdefault("spec", {})
    if obj.get("status") is None:
        obj["status"] = dict(_EMPTY_STATUS)


# the counts that Go writes though they are 0
_EMPTY_STATUS: Final = {
    "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
}  # fmt: skip


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["status"] = dict(_EMPTY_STATUS)
    obj["metadata"]["generation"] = 1


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))


def _validate_spec(spec: Object, allow_invalid_values: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    policy, selector = spec.get("unhealthyPodEvictionPolicy"), spec.get("selector")
    if least is not None and most is not None:
        shown = {
            "MinAvailable": least, "Selector": selector, "MaxUnavailable": most,
            "UnhealthyPodEvictionPolicy": policy,
        }  # fmt: skip
        errors.append(invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set"))
    for name, value in (("minAvailable", least), ("maxUnavailable", most)):
        if value is not None:
            validate_int_or_percent(value, f"spec.{name}", errors)
            validate_at_most_all(value, f"spec.{name}", errors)
    errors += validate_label_selector(selector, "spec.selector", allow_invalid_values=allow_invalid_values)
    if policy is not None and policy not in EVICTION_POLICIES:
        errors.append(not_supported("spec.unhealthyPodEvictionPolicy", policy, EVICTION_POLICIES))
    return errors


def _validate(obj: Object, _: Context) -> list[FieldError]:
    return _validate_spec(obj["spec"], False)


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return _validate_spec(obj["spec"], has_invalid_label_value(old["spec"].get("selector")))


def _validate_status(obj: Object, _: Object, __: Context) -> list[FieldError]:
    status = obj.get("status") or {}
    errors = validate_conditions(status.get("conditions") or (), "status.conditions")
    validate_counts(status, tuple(_EMPTY_STATUS), "status", errors)
    return errors


POD_DISRUPTION_BUDGET: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    reset_fields=("status",),
    allow_unconditional_update=False,
    subresources=MappingProxyType(
        {"status": UpdateStrategy(keeping("spec"), _validate_status, reset_fields=("spec",))}
    ),
    only_named=always,
)
