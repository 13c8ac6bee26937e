"""HorizontalPodAutoscalers between autoscaling/v2, as they are stored, and autoscaling/v1.

What v1 has no field for travels in annotations, so that nothing is lost on the way there and back. Source, Kubernetes
1.36: pkg/apis/autoscaling/v1/conversion.go, pkg/apis/autoscaling/annotations.go and helpers.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

Object = dict[str, Any]

METRICS: Final = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT_METRICS: Final = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS: Final = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR: Final = "autoscaling.alpha.kubernetes.io/behavior"
ROUND_TRIP: Final = (METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR)
CPU_UTILIZATION_PERCENT: Final = 80


def convert(obj: Object, api_version: str) -> None:
    """The autoscaler is in the version wanted; in place."""
    if obj.get("apiVersion") == api_version:
        return
    if api_version == "autoscaling/v1":
        _to_v1(obj)
    else:
        _to_v2(obj)
    obj["apiVersion"] = api_version


def _put(made: Object, **values: Any) -> Object:
    made |= {name: value for name, value in values.items() if value is not None}
    return made


def _is_cpu(metric: Mapping[str, Any]) -> bool:
    resource = metric.get("resource") or {}
    return metric.get("type") == "Resource" and resource.get("name") == "cpu"


def _to_v1(obj: Object) -> None:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    annotations = {
        key: value
        for key, value in ((obj.get("metadata") or {}).get("annotations") or {}).items()
        if key not in ROUND_TRIP
    }
    made = _put({}, scaleTargetRef=spec.get("scaleTargetRef") or {}, minReplicas=spec.get("minReplicas"))
    made["maxReplicas"] = spec.get("maxReplicas") or 0
    others = []
    for metric in spec.get("metrics") or ():
        percent = ((metric.get("resource") or {}).get("target") or {}).get("averageUtilization")
        if _is_cpu(metric) and percent is not None:
            made.setdefault("targetCPUUtilizationPercentage", percent)
        else:
            others.append(_metric_to_v1(metric))
    current = status.get("currentMetrics") or []
    made_status = _put(
        {}, observedGeneration=status.get("observedGeneration"), lastScaleTime=status.get("lastScaleTime")
    )
    made_status["currentReplicas"] = status.get("currentReplicas") or 0
    made_status["desiredReplicas"] = status.get("desiredReplicas") or 0
    for metric in current:
        percent = ((metric.get("resource") or {}).get("current") or {}).get("averageUtilization")
        if _is_cpu(metric) and percent is not None:
            made_status["currentCPUUtilizationPercentage"] = percent
    for key, value in (
        (METRICS, others),
        (CURRENT_METRICS, [_status_to_v1(each) for each in current]),
        (BEHAVIOR, _behavior_to_internal(spec.get("behavior"))),
        (CONDITIONS, status.get("conditions")),
    ):
        if value:
            annotations[key] = orjson.dumps(value).decode()
    obj["spec"], obj["status"] = made, made_status
    _set_annotations(obj, annotations)


def _set_annotations(obj: Object, annotations: dict[str, str]) -> None:
    metadata = obj.setdefault("metadata", {})
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)


def _to_v2(obj: Object) -> None:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    annotations = dict((obj.get("metadata") or {}).get("annotations") or {})
    made = _put({}, scaleTargetRef=spec.get("scaleTargetRef") or {}, minReplicas=spec.get("minReplicas"))
    made["maxReplicas"] = spec.get("maxReplicas") or 0
    metrics = [_metric_to_v2(each) for each in _read_list(annotations.get(METRICS))]
    percent = spec.get("targetCPUUtilizationPercentage")
    if percent is not None or not metrics:
        target = {
            "type": "Utilization",
            "averageUtilization": CPU_UTILIZATION_PERCENT if percent is None else percent,
        }
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    made["metrics"] = metrics
    if behavior := _behavior_from_internal(_read(annotations.get(BEHAVIOR))):
        made["behavior"] = behavior
    made_status = _put(
        {},
        observedGeneration=status.get("observedGeneration"),
        lastScaleTime=status.get("lastScaleTime"),
        currentReplicas=status.get("currentReplicas"),
    )
    made_status["desiredReplicas"] = status.get("desiredReplicas") or 0
    if CURRENT_METRICS in annotations:
        made_status["currentMetrics"] = [
            _status_to_v2(each) for each in _read_list(annotations[CURRENT_METRICS])
        ]
    elif (percent := status.get("currentCPUUtilizationPercentage")) is not None:
        current = {"name": "cpu", "current": {"averageUtilization": percent}}
        made_status["currentMetrics"] = [{"type": "Resource", "resource": current}]
    if conditions := _read_list(annotations.get(CONDITIONS)):
        made_status["conditions"] = conditions
    obj["spec"], obj["status"] = made, made_status
    for key in ROUND_TRIP:
        annotations.pop(key, None)
    _set_annotations(obj, annotations)


def _read(text: str | None) -> Any:
    """What the annotation holds; nothing where it is no JSON, as upstream."""
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None


def _read_list(text: str | None) -> list[Object]:
    found = _read(text)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


# Metrics


def _metric_to_v1(metric: Mapping[str, Any]) -> Object:
    made: Object = {"type": metric.get("type") or ""}
    for name in ("object", "pods", "resource", "containerResource", "external"):
        if (source := metric.get(name)) is None:
            continue
        target, identifier = source.get("target") or {}, source.get("metric") or {}
        value, average = target.get("value"), target.get("averageValue")
        if name == "object":
            made[name] = _put(
                {"target": source.get("describedObject") or {}, "metricName": identifier.get("name") or ""},
                targetValue=value if value is not None else "0",
                selector=identifier.get("selector"),
                averageValue=average,
            )
        elif name == "pods":
            made[name] = _put(
                {"metricName": identifier.get("name") or ""},
                targetAverageValue=average,
                selector=identifier.get("selector"),
            )
        elif name == "external":
            made[name] = _put(
                {"metricName": identifier.get("name") or ""},
                metricSelector=identifier.get("selector"),
                targetValue=value,
                targetAverageValue=average,
            )
        else:
            made[name] = _put(
                {"name": source.get("name") or ""},
                targetAverageUtilization=target.get("averageUtilization"),
                targetAverageValue=average,
                container=source.get("container"),
            )
    return made


def _metric_to_v2(metric: Mapping[str, Any]) -> Object:
    made: Object = {"type": metric.get("type") or ""}
    for name in ("object", "pods", "resource", "containerResource", "external"):
        source = metric.get(name)
        if not isinstance(source, dict):
            continue
        if name in ("resource", "containerResource"):
            percent = source.get("targetAverageUtilization")
            kind = "AverageValue" if percent is None else "Utilization"
            target = _put(
                {"type": kind}, averageUtilization=percent, averageValue=source.get("targetAverageValue")
            )
            made[name] = _put({"name": source.get("name") or ""}, container=source.get("container"))
            made[name]["target"] = target
            continue
        selector = source.get("metricSelector" if name == "external" else "selector")
        identifier = _put({"name": source.get("metricName") or ""}, selector=selector)
        average = source.get("averageValue" if name == "object" else "targetAverageValue")
        value = source.get("targetValue")
        if (
            name == "pods"
            or (name == "external" and value is None)
            or (name == "object" and average is not None)
        ):
            target = _put({"type": "AverageValue"}, averageValue=average)
            if name == "external" or (name == "object" and value not in (None, "0")):
                target = _put(target, value=value)
        else:
            target = _put({"type": "Value"}, value=value, averageValue=average)
        made[name] = {"metric": identifier, "target": target}
        if name == "object":
            made[name]["describedObject"] = source.get("target") or {}
    return made


def _status_to_v1(metric: Mapping[str, Any]) -> Object:
    made: Object = {"type": metric.get("type") or ""}
    for name in ("object", "pods", "resource", "containerResource", "external"):
        if (source := metric.get(name)) is None:
            continue
        current, identifier = source.get("current") or {}, source.get("metric") or {}
        value, average = current.get("value"), current.get("averageValue")
        if name in ("resource", "containerResource"):
            made[name] = _put(
                {"name": source.get("name") or ""},
                currentAverageUtilization=current.get("averageUtilization"),
                currentAverageValue=average if average is not None else "0",
                container=source.get("container"),
            )
            continue
        selector = {"metricSelector" if name == "external" else "selector": identifier.get("selector")}
        made[name] = _put({"metricName": identifier.get("name") or ""}, **selector)
        if name == "object":
            made[name]["target"] = source.get("describedObject") or {}
            _put(made[name], currentValue=value if value is not None else "0", averageValue=average)
        elif name == "pods":
            _put(made[name], currentAverageValue=average if average is not None else "0")
        else:
            _put(made[name], currentValue=value if value is not None else "0", currentAverageValue=average)
    return made


def _status_to_v2(metric: Mapping[str, Any]) -> Object:
    made: Object = {"type": metric.get("type") or ""}
    for name in ("object", "pods", "resource", "containerResource", "external"):
        source = metric.get(name)
        if not isinstance(source, dict):
            continue
        average = source.get("averageValue" if name == "object" else "currentAverageValue")
        current = _put(
            {},
            value=source.get("currentValue"),
            averageValue=average,
            averageUtilization=source.get("currentAverageUtilization"),
        )
        if name in ("resource", "containerResource"):
            made[name] = _put({"name": source.get("name") or ""}, container=source.get("container"))
        else:
            selector = source.get("metricSelector" if name == "external" else "selector")
            identifier = _put({"name": source.get("metricName") or ""}, selector=selector)
            made[name] = {"metric": identifier}
            if name == "object":
                made[name]["describedObject"] = source.get("target") or {}
        made[name]["current"] = current
    return made


# Behaviour is marshalled in its internal form, whose fields bear Go's names

_GO_RULES: Final = {
    "stabilizationWindowSeconds": "StabilizationWindowSeconds",
    "selectPolicy": "SelectPolicy",
    "policies": "Policies",
    "tolerance": "Tolerance",
}
_GO_POLICY: Final = {"type": "Type", "value": "Value", "periodSeconds": "PeriodSeconds"}


def _behavior_to_internal(behavior: Mapping[str, Any] | None) -> Object | None:
    if behavior is None:
        return None
    made: Object = {}
    for name in ("scaleUp", "scaleDown"):
        rules = behavior.get(name)
        shown = None if rules is None else {go: rules.get(each) for each, go in _GO_RULES.items()}
        if shown is not None and shown["Policies"]:
            shown["Policies"] = [
                {go: policy.get(each) for each, go in _GO_POLICY.items()} for policy in shown["Policies"]
            ]
        made[f"S{name[1:]}"] = shown
    return made


def _behavior_from_internal(behavior: Any) -> Object:
    """Go matches the names of fields whatever their case."""
    made: Object = {}
    found = _lowered(behavior)
    for name in ("scaleUp", "scaleDown"):
        rules = _lowered(found.get(name.lower()))
        if not rules:
            continue
        made[name] = {each: rules[each.lower()] for each in _GO_RULES if rules.get(each.lower()) is not None}
        if isinstance(policies := made[name].get("policies"), list):
            lowered = map(_lowered, policies)
            made[name]["policies"] = [
                {each: policy[each.lower()] for each in _GO_POLICY if policy.get(each.lower()) is not None}
                for policy in lowered
            ]
    return made


def _lowered(value: Any) -> Object:
    return {key.lower(): each for key, each in value.items()} if isinstance(value, dict) else {}
