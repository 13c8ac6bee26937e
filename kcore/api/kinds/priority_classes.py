"""PriorityClasses. That one alone is the global default is for admission to see.

Sources, Kubernetes 1.36: pkg/apis/scheduling/validation/validation.go, pkg/apis/scheduling/v1/{helpers,defaults}.go,
pkg/registry/scheduling/priorityclass/strategy.go.
"""

from __future__ import annotations

from typing import Any, Final

from kcore.api.field import FieldError, forbidden, not_supported, required
from kcore.api.kinds.updates import validate_named, validate_named_update, validate_unchanged
from kcore.api.strategy import Context, Strategy

Object = dict[str, Any]

SYSTEM_PREFIX: Final = "system-"
SYSTEM_CLASSES: Final = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
USER_PRIORITY_MAX: Final = 1_000_000_000
PREEMPTION_POLICIES: Final = ("PreemptLowerPriority", "Never")


def _default(obj: Object) -> None:
    if obj.get("preemptionPolicy") is None:
        obj["preemptionPolicy"] = "PreemptLowerPriority"


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["metadata"]["generation"] = 1


def _system_fault(name: str, value: int, is_default: bool) -> str:
    """IsKnownSystemPriorityClass."""
    if name not in SYSTEM_CLASSES:
        return f"{name} is not a known system priority class"
    if value != SYSTEM_CLASSES[name]:
        return f"value of {name} PriorityClass must be {SYSTEM_CLASSES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


def _validate(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    name, value = obj["metadata"].get("name") or "", obj.get("value") or 0
    if name.startswith(SYSTEM_PREFIX):
        if fault := _system_fault(name, value, bool(obj.get("globalDefault"))):
            detail = (
                f"priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. "
                f"error: {fault}"
            )
            errors.append(forbidden("metadata.name", detail))
    elif value > USER_PRIORITY_MAX:
        detail = f"maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}"
        errors.append(forbidden("value", detail))
    policy = obj.get("preemptionPolicy")
    if policy == "":
        errors.append(required("preemptionPolicy"))
    elif policy is not None and policy not in PREEMPTION_POLICIES:
        errors.append(not_supported("preemptionPolicy", policy, PREEMPTION_POLICIES))
    return errors


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    if (obj.get("value") or 0) != (old.get("value") or 0):
        errors.append(forbidden("value", "may not be changed in an update."))
    name = "preemptionPolicy"
    return errors + validate_unchanged(obj.get(name), old.get(name), name)


PRIORITY_CLASS: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    validate_update=_validate_update,
)
