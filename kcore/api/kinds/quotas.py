"""ResourceQuotas and LimitRanges.

Sources, Kubernetes 1.36: pkg/apis/core/validation/validation.go, pkg/apis/core/helper/helpers.go (scopes),
pkg/apis/core/v1/defaults.go, pkg/registry/core/{resourcequota,limitrange}/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FAULTS_MAX, FieldError, Struct, duplicate, forbidden, invalid, required
from kcore.api.kinds.metadata import IMMUTABLE
from kcore.api.kinds.names import faults, qualified_name
from kcore.api.kinds.pod_defaults import default_resource_list
from kcore.api.kinds.resource_lists import (
    HUGE_PAGES,
    is_huge_pages,
    is_native,
    resource_name,
    standard_name_complaints,
    validate_amount,
)
from kcore.api.kinds.updates import keeping, validate_named, validate_named_update
from kcore.api.quantity import NANO_PER_UNIT, canonical, milli_value, parse_quantity, unit_value
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]
Amounts = Mapping[str, Any]

QUOTA_RESOURCES: Final = frozenset({
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
    "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods",
    "resourcequotas", "services", "replicationcontrollers", "secrets", "persistentvolumeclaims", "configmaps",
    "services.nodeports", "services.loadbalancers",
})  # fmt: skip
COMPUTE_RESOURCES: Final = frozenset({
    "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory",
})  # fmt: skip
POD_SCOPES: Final = (
    "Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity",
)  # fmt: skip
EXISTING_SCOPES: Final = (
    "BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity",
)  # fmt: skip
SCOPES: Final = frozenset({*POD_SCOPES, "BestEffort", "VolumeAttributesClass"})
CONFLICTING_SCOPES: Final = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
LIMIT_TYPES: Final = ("Container", "PersistentVolumeClaim", "Pod")
MILLI_UNITS_MAX: Final = (1 << 63) // 1000
_EXISTS_ONLY: Final = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


# ResourceQuotas


def _default_quota(obj: Object) -> None:
    spec, status = obj.setdefault("spec", {}), obj.setdefault("status", {})
    for amounts in (spec.get("hard"), status.get("hard"), status.get("used")):
        if amounts:
            default_resource_list(amounts)


def _prepare_quota(obj: Object, _: Context) -> None:
    obj["status"] = {}


def _is_quota_resource(name: str) -> bool:
    return name in QUOTA_RESOURCES or name.startswith((HUGE_PAGES, "requests.hugepages-"))


def _covers(scope: str, name: str) -> bool:
    """IsResourceQuotaScopeValidForResource."""
    if scope in POD_SCOPES:
        return name == "pods" or name in COMPUTE_RESOURCES
    if scope == "BestEffort":
        return name == "pods"
    if scope == "VolumeAttributesClass":
        return name in ("persistentvolumeclaims", "requests.storage")
    return True


def _validate_hard(amounts: Amounts, path: str, errors: list[FieldError]) -> None:
    for name, amount in amounts.items():
        at = f"{path}[{name}]"
        errors += faults(at, name, standard_name_complaints(name))
        if "/" not in name and not _is_quota_resource(name):
            errors.append(invalid(at, name, "must be a standard resource for quota"))
        errors += validate_amount(name, amount, at)


def _validate_scopes(scopes: list[str], hard: Amounts, errors: list[FieldError]) -> None:
    path = "spec.scopes"
    listed = [name for name in hard if _is_quota_resource(name)]
    for scope in scopes[:FAULTS_MAX]:
        if scope not in SCOPES:
            errors.append(invalid(path, scopes, "unsupported scope"))
        if len(errors) < FAULTS_MAX:
            outside = sum(not _covers(scope, name) for name in listed)
            errors += [invalid(path, scopes, "unsupported scope applied to resource")] * outside
    errors += [
        invalid(path, scopes, "conflicting scopes")
        for pair in CONFLICTING_SCOPES
        if all(scope in scopes for scope in pair)
    ]


def _shown_selector(expressions: Sequence[Mapping[str, Any]]) -> Struct:
    shown = [
        Struct(
            ScopeName=each.get("scopeName") or "",
            Operator=each.get("operator") or "",
            Values=each.get("values"),
        )
        for each in expressions
    ]
    return Struct(MatchExpressions=shown)


def _validate_scope_selector(
    selector: Mapping[str, Any], scopes: list[str] | None, hard: Amounts, errors: list[FieldError]
) -> None:
    path = "spec.scopeSelector.matchExpressions"
    expressions = selector.get("matchExpressions") or ()
    listed, shown = [name for name in hard if _is_quota_resource(name)], _shown_selector(expressions)
    for expression in expressions:
        scope, operator = expression.get("scopeName") or "", expression.get("operator") or ""
        values = expression.get("values") or []
        if scope not in SCOPES:
            errors.append(invalid(f"{path}.scopeName", scope, "unsupported scope"))
        if len(errors) < FAULTS_MAX:
            outside = sum(not _covers(scope, name) for name in listed)
            errors += [invalid(path, shown, "unsupported scope applied to resource")] * outside
        if scope in EXISTING_SCOPES and operator != "Exists":
            errors.append(invalid(f"{path}.operator", operator, _EXISTS_ONLY))
        if operator in ("In", "NotIn"):
            if not values:
                detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                errors.append(required(f"{path}.values", detail))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                errors.append(invalid(f"{path}.values", values, detail))
        else:
            errors.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
    found = {each.get("scopeName") for each in expressions}
    errors += [
        invalid(path, scopes, "conflicting scopes") for pair in CONFLICTING_SCOPES if found >= set(pair)
    ]


def _validate_quota_spec(spec: Mapping[str, Any], errors: list[FieldError]) -> None:
    hard = spec.get("hard") or {}
    _validate_hard(hard, "spec.hard", errors)
    if scopes := spec.get("scopes"):
        _validate_scopes(scopes, hard, errors)
    if (selector := spec.get("scopeSelector")) is not None:
        _validate_scope_selector(selector, spec.get("scopes"), hard, errors)


def _validate_quota_counts(status: Mapping[str, Any], errors: list[FieldError]) -> None:
    for side in ("hard", "used"):
        _validate_hard(status.get(side) or {}, f"status.{side}", errors)


def _validate_quota(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj)
    _validate_quota_spec(obj["spec"], errors)
    _validate_quota_counts(obj.get("status") or {}, errors)
    return errors


def _validate_quota_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    _validate_quota_spec(obj["spec"], errors)
    scopes = obj["spec"].get("scopes")
    if set(scopes or ()) != set(old["spec"].get("scopes") or ()):
        errors.append(invalid("spec.scopes", scopes, IMMUTABLE))
    return errors


def _validate_quota_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    if not obj["metadata"].get("resourceVersion"):
        errors.append(required("resourceVersion"))
    _validate_quota_counts(obj.get("status") or {}, errors)
    return errors


def _quota_warnings(obj: Object, _: Context) -> list[str]:
    hard: Amounts = obj["spec"].get("hard") or {}
    warnings = []
    for name in ("cpu", "memory", "storage", "ephemeral-storage"):
        asked, most = f"requests.{name}", f"limits.{name}"
        if asked not in hard and name in ("cpu", "memory") and name in hard:
            asked = name
        if asked in hard and most in hard and parse_quantity(hard[asked]) > parse_quantity(hard[most]):
            warnings.append(
                f"ResourceQuota {asked} ({canonical(hard[asked])}) should be less than {most} "
                f"({canonical(hard[most])})"
            )
    return warnings


# LimitRanges


def _default_limit_range(obj: Object) -> None:
    for limit in obj.setdefault("spec", {}).get("limits") or ():
        if limit.get("type") == "Container":
            defaults = {**(limit.get("max") or {}), **(limit.get("default") or {})}
            requests = {
                **(limit.get("min") or {}), **defaults, **(limit.get("defaultRequest") or {}),
            }  # fmt: skip
            if defaults:
                limit["default"] = defaults
            if requests:
                limit["defaultRequest"] = requests
        for side in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
            if amounts := limit.get(side):
                default_resource_list(amounts)


def _limit_name_complaints(kind: str, name: str) -> tuple[str, ...]:
    return resource_name(name).complaints if kind in ("Pod", "Container") else standard_name_complaints(name)


def _validate_limit_type(kind: str, path: str) -> list[FieldError]:
    if errors := faults(path, kind, qualified_name(kind)):
        return errors
    if "/" not in kind and kind not in LIMIT_TYPES:
        return [invalid(path, kind, "must be a standard limit type or fully qualified")]
    return []


def _validate_limit(limit: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    kind = limit.get("type") or ""
    sides: dict[str, Amounts] = {}

    def read(side: str) -> None:
        sides[side] = limit.get(side) or {}
        for name in sides[side]:
            errors.extend(faults(f"{path}.{side}[{name}]", name, _limit_name_complaints(kind, name)))

    read("max")
    read("min")
    if kind == "Pod":
        errors += [
            forbidden(f"{path}.{side}", "may not be specified when `type` is 'Pod'")
            for side in ("default", "defaultRequest")
            if limit.get(side)
        ]
    else:
        read("default")
        read("defaultRequest")
    if kind == "PersistentVolumeClaim" and "storage" not in sides["min"] and "storage" not in sides["max"]:
        detail = "either minimum or maximum storage value is required, but neither was provided"
        errors.append(required(f"{path}.limits", detail))
    read("maxLimitRequestRatio")
    for name in dict.fromkeys(name for amounts in sides.values() for name in amounts):
        _validate_bounds(
            name, {side: amounts[name] for side, amounts in sides.items() if name in amounts}, path, errors
        )


# the smaller, its words, the larger, its words, the field at fault, the value shown
_ORDERS: Final = (
    ("min", "min", "max", "max", "min", "min"),
    ("min", "min", "defaultRequest", "default request", "defaultRequest", "defaultRequest"),
    ("defaultRequest", "default request", "max", "max", "defaultRequest", "defaultRequest"),
    ("defaultRequest", "default request", "default", "default limit", "defaultRequest", "defaultRequest"),
    ("min", "min", "default", "default", "default", "min"),
    ("default", "default", "max", "max", "default", "max"),
)


def _validate_bounds(name: str, values: Amounts, path: str, errors: list[FieldError]) -> None:
    nanos = {side: parse_quantity(value) for side, value in values.items()}
    text = {side: canonical(value) for side, value in values.items()}
    for low, low_words, high, high_words, at, shown in _ORDERS:
        if low in nanos and high in nanos and nanos[low] > nanos[high]:
            detail = f"{low_words} value {text[low]} is greater than {high_words} value {text[high]}"
            errors.append(invalid(f"{path}.{at}[{name}]", text[shown], detail))
    at = f"{path}.maxLimitRequestRatio[{name}]"
    if (ratio := nanos.get("maxLimitRequestRatio")) is not None:
        shown = text["maxLimitRequestRatio"]
        if ratio < NANO_PER_UNIT:
            errors.append(invalid(at, shown, f"ratio {shown} is less than 1"))
        if "min" in nanos and "max" in nanos:
            units = [unit_value(each) for each in (ratio, nanos["min"], nanos["max"])]
            value, least, most = float(units[0]), units[1], units[2]
            if all(each < MILLI_UNITS_MAX for each in units):
                value = milli_value(ratio) / 1000
                least, most = milli_value(nanos["min"]), milli_value(nanos["max"])
            limit = most / least if least else float("inf") if most else float("nan")
            if value > limit:
                detail = f"ratio {shown} is greater than max/min = {limit:f}"
                errors.append(invalid(at, shown, detail))
    default, request = nanos.get("default"), nanos.get("defaultRequest")
    may_overcommit = is_native(name) and not is_huge_pages(name)
    if not may_overcommit and default is not None and request is not None and default != request:
        detail = (
            f"default value {text['default']} must equal to defaultRequest value "
            f"{text['defaultRequest']} in {name}"
        )
        errors.append(invalid(f"{path}.defaultRequest[{name}]", text["defaultRequest"], detail))


def _validate_limit_range(obj: Object, *_: Any) -> list[FieldError]:
    errors = validate_named(obj)
    kinds = set()
    for index, limit in enumerate(obj["spec"].get("limits") or ()):
        path, kind = f"spec.limits[{index}]", limit.get("type") or ""
        errors += _validate_limit_type(kind, f"{path}.type")
        if kind in kinds:
            errors.append(duplicate(f"{path}.type", kind))
        kinds.add(kind)
        _validate_limit(limit, path, errors)
    return errors


RESOURCE_QUOTA: Final = Strategy(
    default=_default_quota,
    prepare_for_create=_prepare_quota,
    validate=_validate_quota,
    warnings=_quota_warnings,
    prepare_for_update=keeping("status"),
    validate_update=_validate_quota_update,
    reset_fields=("status",),
    subresources=MappingProxyType(
        {"status": UpdateStrategy(keeping("spec"), _validate_quota_status, reset_fields=("spec",))}
    ),
)
LIMIT_RANGE: Final = Strategy(
    default=_default_limit_range,
    validate=_validate_limit_range,
    validate_update=_validate_limit_range,
    allow_create_on_update=True,
)
