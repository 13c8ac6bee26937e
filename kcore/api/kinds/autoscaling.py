"""HorizontalPodAutoscalers, and what is wrong with a Scale.

Sources, Kubernetes 1.36: pkg/apis/autoscaling/v2/defaults.go, pkg/apis/autoscaling/validation/validation.go,
pkg/registry/autoscaling/horizontalpodautoscaler/strategy.go. The storage version is v2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required
from kcore.api.kinds.autoscaling_conversion import convert
from kcore.api.kinds.metadata import NOT_NEGATIVE
from kcore.api.kinds.names import dns1123_label, faults, path_segment
from kcore.api.kinds.resource_lists import resource_name
from kcore.api.kinds.templates import validate_counts
from kcore.api.kinds.updates import keep, keeping, validate_named, validate_named_update
from kcore.api.quantity import canonical, parse_quantity
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]

CPU_UTILIZATION_PERCENT: Final = 80
PERIOD_SECONDS_MAX: Final = 1800
STABILIZATION_SECONDS_MAX: Final = 3600
SELECT_POLICIES: Final = ("Disabled", "Max", "Min")
POLICY_TYPES: Final = ("Percent", "Pods")
METRIC_TYPES: Final = ("ContainerResource", "External", "Object", "Pods", "Resource")
# type of a metric: its field, in the order in which upstream looks at them
METRIC_FIELDS: Final = {
    "Object": "object", "External": "external", "Pods": "pods", "Resource": "resource",
    "ContainerResource": "containerResource",
}  # fmt: skip
TARGET_TYPES: Final = ("Utilization", "Value", "AverageValue")
_POSITIVE: Final = "must be greater than zero"


# Defaults


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("scaleTargetRef", {})
    if spec.get("minReplicas") is None:
        spec["minReplicas"] = 1
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": CPU_UTILIZATION_PERCENT}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    for metric in spec["metrics"]:
        for name in METRIC_FIELDS.values():
            target = (metric.get(name) or {}).get("target") or {}
            for key in ("value", "averageValue"):
                if target.get(key) is not None:
                    target[key] = canonical(target[key])
    if (behavior := spec.get("behavior")) is not None:
        behavior["scaleUp"] = _default_rules(behavior.get("scaleUp"), _UP)
        behavior["scaleDown"] = _default_rules(behavior.get("scaleDown"), _DOWN)
    if obj.get("status") is None:
        obj["status"] = {"desiredReplicas": 0}


_PERCENT_POLICY: Final = {"type": "Percent", "value": 100, "periodSeconds": 15}
_UP: Final = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": ({"type": "Pods", "value": 4, "periodSeconds": 15}, _PERCENT_POLICY),
}
_DOWN: Final = {"selectPolicy": "Max", "policies": (_PERCENT_POLICY,)}


def _default_rules(rules: Object | None, default: Mapping[str, Any]) -> Object:
    made: Object = {**default, "policies": [dict(each) for each in default["policies"]]}
    made |= {name: value for name, value in (rules or {}).items() if value is not None}
    if made.get("tolerance") is not None:
        made["tolerance"] = canonical(made["tolerance"])
    return made


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["status"] = {"desiredReplicas": 0}


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")


# Validation


def _validate_reference(
    reference: Mapping[str, Any], path: str, allow_core: bool, allow_any: bool, errors: list[FieldError]
) -> None:
    """ValidateCrossVersionObjectReference."""
    for name in ("kind", "name"):
        if not (value := reference.get(name)):
            errors.append(required(f"{path}.{name}"))
        else:
            errors += faults(f"{path}.{name}", value, path_segment(value))
    version = reference.get("apiVersion") or ""
    if not allow_any and (problem := _version_problem(version, allow_core)):
        errors.append(invalid(f"{path}.apiVersion", version, problem))


def _version_problem(api_version: str, allow_core: bool) -> str:
    if api_version.count("/") > 1:
        return f"unexpected GroupVersion string: {api_version}"
    if not allow_core and not api_version.rpartition("/")[0]:
        return "apiVersion must specify API group"
    return ""


def _validate_spec(spec: Mapping[str, Any], old: Mapping[str, Any] | None, errors: list[FieldError]) -> None:
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    lowest = 0 if old is not None and old.get("minReplicas") == 0 else 1
    if least is not None and least < lowest:
        errors.append(invalid("spec.minReplicas", least, f"must be greater than or equal to {lowest}"))
    if most == 0:
        errors.append(required("spec.maxReplicas", "must be set and greater than 0"))
    elif most < 0:
        errors.append(invalid("spec.maxReplicas", most, "must be greater than or equal to 1"))
    if least is not None and most < least:
        detail = "must be greater than or equal to `minReplicas`"
        errors.append(invalid("spec.maxReplicas", most, detail))
    target = spec.get("scaleTargetRef") or {}
    before = (old or {}).get("scaleTargetRef") or {}
    same = old is not None and all(target.get(key) == before.get(key) for key in ("apiVersion", "kind"))
    core = target.get("kind") == "ReplicationController"
    _validate_reference(target, "spec.scaleTargetRef", core, same, errors)
    old_metrics = (old or {}).get("metrics") or ()
    allow = any(
        _version_problem(
            ((each.get("object") or {}).get("describedObject") or {}).get("apiVersion") or "", True
        )
        for each in old_metrics
        if each.get("type") == "Object"
    )
    metrics = spec.get("metrics") or ()
    for index, metric in enumerate(metrics):
        _validate_metric(metric, f"spec.metrics[{index}]", allow, errors)
    if least == 0 and not any(each.get("type") in ("Object", "External") for each in metrics):
        detail = "must specify at least one Object or External metric to support scaling to zero replicas"
        errors.append(forbidden("spec.metrics", detail))
    for name in ("scaleUp", "scaleDown"):
        if (rules := (spec.get("behavior") or {}).get(name)) is not None:
            _validate_rules(rules, f"spec.behavior.{name}", errors)


def _validate_rules(rules: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    window, select = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    at = f"{path}.stabilizationWindowSeconds"
    if window is not None and window < 0:
        errors.append(invalid(at, window, "must be greater than or equal to zero"))
    if window is not None and window > STABILIZATION_SECONDS_MAX:
        errors.append(invalid(at, window, f"must be less than or equal to {STABILIZATION_SECONDS_MAX}"))
    if select is not None and select not in SELECT_POLICIES:
        errors.append(not_supported(f"{path}.selectPolicy", select, SELECT_POLICIES))
    policies = rules.get("policies") or ()
    if not policies:
        errors.append(required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        at = f"{path}.policies[{index}]"
        kind, period = policy.get("type") or "", policy.get("periodSeconds") or 0
        if kind not in POLICY_TYPES:
            errors.append(not_supported(f"{at}.type", kind, POLICY_TYPES))
        if (value := policy.get("value") or 0) <= 0:
            errors.append(invalid(f"{at}.value", value, _POSITIVE))
        if period <= 0:
            errors.append(invalid(f"{at}.periodSeconds", period, _POSITIVE))
        if period > PERIOD_SECONDS_MAX:
            detail = f"must be less than or equal to {PERIOD_SECONDS_MAX}"
            errors.append(invalid(f"{at}.periodSeconds", period, detail))
    tolerance = rules.get("tolerance")
    if tolerance is not None and parse_quantity(tolerance) < 0:
        errors.append(invalid(f"{path}.tolerance", canonical(tolerance), NOT_NEGATIVE))


def _validate_metric(
    metric: Mapping[str, Any], path: str, allow_any_version: bool, errors: list[FieldError]
) -> None:
    kind = metric.get("type") or ""
    if not kind:
        errors.append(required(f"{path}.type", "must specify a metric source type"))
    if kind not in METRIC_TYPES:
        errors.append(not_supported(f"{path}.type", kind, METRIC_TYPES))
    present = [name for name in METRIC_FIELDS.values() if metric.get(name) is not None]
    if present:
        source, at = metric[present[0]], f"{path}.{present[0]}"
        if present[0] == "object":
            described = source.get("describedObject") or {}
            _validate_reference(described, f"{at}.describedObject", True, allow_any_version, errors)
        _SOURCES[present[0]](source, at, errors)
    expected = METRIC_FIELDS.get(kind)
    if expected is None:
        errors.append(not_supported(f"{path}.type", kind, METRIC_TYPES))
    elif metric.get(expected) is None:
        detail = "must populate information for the given metric source"
        errors.append(required(f"{path}.{expected}", detail))
    if len(present) != 1:
        errors += [
            forbidden(f"{path}.{name}", "must populate the given metric source only")
            for name in present
            if name != expected
        ]


def _validate_identifier(source: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    name = (source.get("metric") or {}).get("name") or ""
    if not name:
        errors.append(required(f"{path}.metric.name", "must specify a metric name"))
    else:
        errors += faults(f"{path}.metric.name", name, path_segment(name))


def _validate_target(source: Mapping[str, Any], path: str, errors: list[FieldError]) -> Mapping[str, Any]:
    target: Mapping[str, Any] = source.get("target") or {}
    kind, at = target.get("type") or "", f"{path}.target"
    if not kind:
        errors.append(required(f"{at}.type", "must specify a metric target type"))
    if kind not in TARGET_TYPES:
        detail = "must be either Utilization, Value, or AverageValue"
        errors.append(invalid(f"{at}.type", kind, detail))
    errors += [
        invalid(f"{at}.{name}", canonical(amount), "must be positive")
        for name in ("value", "averageValue")
        if (amount := target.get(name)) is not None and parse_quantity(amount) <= 0
    ]
    if (percent := target.get("averageUtilization")) is not None and percent < 1:
        errors.append(invalid(f"{at}.averageUtilization", percent, "must be greater than 0"))
    return target


def _validate_object(source: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    _validate_identifier(source, path, errors)
    target = _validate_target(source, path, errors)
    if target.get("value") is None and target.get("averageValue") is None:
        detail = "must set either a target value or averageValue"
        errors.append(required(f"{path}.target.averageValue", detail))


def _validate_external(source: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    _validate_identifier(source, path, errors)
    target = _validate_target(source, path, errors)
    value, average = target.get("value"), target.get("averageValue")
    if value is None and average is None:
        detail = "must set either a target value for metric or a per-pod target"
        errors.append(required(f"{path}.target.averageValue", detail))
    if value is not None and average is not None:
        detail = "may not set both a target value for metric and a per-pod target"
        errors.append(forbidden(f"{path}.target.value", detail))


def _validate_pods(source: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    _validate_identifier(source, path, errors)
    target = _validate_target(source, path, errors)
    if target.get("averageValue") is None:
        detail = "must specify a positive target averageValue"
        errors.append(required(f"{path}.target.averageValue", detail))


def _validate_utilization(source: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    target = _validate_target(source, path, errors)
    percent, average = target.get("averageUtilization"), target.get("averageValue")
    if percent is None and average is None:
        detail = "must set either a target raw value or a target utilization"
        errors.append(required(f"{path}.target.averageUtilization", detail))
    if percent is not None and average is not None:
        detail = "may not set both a target raw value and a target utilization"
        errors.append(forbidden(f"{path}.target.averageValue", detail))


def _validate_resource(source: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    if not source.get("name"):
        errors.append(required(f"{path}.name", "must specify a resource name"))
    _validate_utilization(source, path, errors)


def _validate_container_resource(source: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    if not (name := source.get("name")):
        errors.append(required(f"{path}.name", "must specify a resource name"))
    else:
        errors += faults(f"{path}.name", name, resource_name(name).complaints)
    if not (container := source.get("container")):
        errors.append(required(f"{path}.container", "must specify a container"))
    else:
        errors += faults(f"{path}.container", container, dns1123_label(container))
    _validate_utilization(source, path, errors)


_SOURCES: Final[dict[str, Callable[[Mapping[str, Any], str, list[FieldError]], None]]] = {
    "object": _validate_object,
    "external": _validate_external,
    "pods": _validate_pods,
    "resource": _validate_resource,
    "containerResource": _validate_container_resource,
}


def _validate(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj)
    _validate_spec(obj["spec"], None, errors)
    return errors


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    _validate_spec(obj["spec"], old["spec"], errors)
    return errors


def _validate_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    validate_counts(obj.get("status") or {}, ("currentReplicas", "desiredReplicas"), "status", errors)
    return errors


def validate_scale(scale: Object) -> list[FieldError]:
    """ValidateScale."""
    errors = validate_named(scale)
    validate_counts(scale.get("spec") or {}, ("replicas",), "spec", errors)
    return errors


HORIZONTAL_POD_AUTOSCALER: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    reset_fields=("status",),
    convert=convert,
    subresources=MappingProxyType(
        {"status": UpdateStrategy(keeping("spec"), _validate_status, reset_fields=("spec",))}
    ),
)
