"""Deployments, ReplicaSets, DaemonSets, StatefulSets and ControllerRevisions.

Sources, Kubernetes 1.36: pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation/validation.go,
pkg/registry/apps/*/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required
from kcore.api.kinds.internal_form import shown_selector
from kcore.api.kinds.metadata import (
    NOT_NEGATIVE,
    has_invalid_label_value,
    validate_label_selector,
)
from kcore.api.kinds.pod_defaults import default_template
from kcore.api.kinds.pod_options import PodOptions
from kcore.api.kinds.pod_spec import validate_template
from kcore.api.kinds.pod_warnings import template_warnings
from kcore.api.kinds.pods import drop_disabled
from kcore.api.kinds.templates import (
    NO_MATCH,
    IntOrString,
    amount_of,
    is_empty,
    selector_matches,
    template_options,
    validate_at_most_all,
    validate_collisions,
    validate_counts,
    validate_endless,
    validate_int_or_percent,
    validate_not_above,
    validate_selected_template,
    validate_selector,
)
from kcore.api.kinds.updates import (
    count_generation,
    keep,
    keeping,
    pod_name_warnings,
    semantically_equal,
    validate_named,
    validate_named_update,
    validate_selector_unchanged,
)
from kcore.api.strategy import Context, Strategy, UpdateStrategy, always

Object = dict[str, Any]

REVISIONS_KEPT: Final = 10
PROGRESS_SECONDS: Final = 600
TEMPLATE_GENERATION: Final = "deprecated.daemonset.template.generation"


def default_templated(obj: Object) -> Object:
    """The spec, with a template and a status as Go writes them."""
    spec: Object = obj.setdefault("spec", {})
    default_template(spec.setdefault("template", {}))
    if obj.get("status") is None:
        obj["status"] = empty_status(obj)
    return spec


# the counts that Go writes though they are 0
_COUNTS: Final = {
    "DaemonSet": ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"),
    "ReplicaSet": ("replicas",),
    "StatefulSet": ("replicas", "availableReplicas"),
}


def empty_status(obj: Object) -> Object:
    """The status of an object that no controller has seen."""
    return dict.fromkeys(_COUNTS.get(obj.get("kind") or "", ()), 0)


def default_field(spec: Object, name: str, value: Any) -> None:
    """The field has a value."""
    if spec.get(name) is None:
        spec[name] = value


def prepare_templated(obj: Object, _: Context) -> None:
    """A new object has no status, generation 1 and no field behind a gate that is off."""
    obj["status"] = empty_status(obj)
    obj["metadata"]["generation"] = 1
    drop_disabled(obj["spec"]["template"]["spec"])


def prepare_templated_update(obj: Object, old: Object, _: Context) -> None:
    """The status is the old one; the generation counts changes of the spec."""
    keep(obj, old, "status")
    drop_disabled(obj["spec"]["template"]["spec"], old["spec"]["template"]["spec"])
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))


def is_changed(obj: Object, old: Object) -> bool:
    """True where the update counted a generation."""
    return bool(obj["metadata"].get("generation") != old["metadata"].get("generation"))


def _warnings(obj: Object, _: Context) -> list[str]:
    return pod_name_warnings(obj) + template_warnings(obj["spec"]["template"], "spec.template")


def _warnings_on_update(obj: Object, old: Object, _: Context) -> list[str]:
    return template_warnings(obj["spec"]["template"], "spec.template") if is_changed(obj, old) else []


def with_status(validate: Any, prepare: Any = None) -> Mapping[str, UpdateStrategy]:
    """A status that is written like its object, whose spec stays."""
    return MappingProxyType(
        {"status": UpdateStrategy(prepare or keeping("spec"), validate, reset_fields=("spec",))}
    )


# Deployments


def _default_deployment(obj: Object) -> None:
    spec = default_templated(obj)
    default_field(spec, "replicas", 1)
    strategy = spec.setdefault("strategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        default_field(strategy, "rollingUpdate", {})
        default_field(strategy["rollingUpdate"], "maxUnavailable", "25%")
        default_field(strategy["rollingUpdate"], "maxSurge", "25%")
    default_field(spec, "revisionHistoryLimit", REVISIONS_KEPT)
    default_field(spec, "progressDeadlineSeconds", PROGRESS_SECONDS)


def _validate_deployment_spec(spec: Mapping[str, Any], options: PodOptions, errors: list[FieldError]) -> None:
    validate_counts(spec, ("replicas",), "spec", errors)
    validate_selector(spec, "deployment", errors)
    _validate_template_of_selector(spec, options, errors)
    _validate_deployment_strategy(spec.get("strategy") or {}, errors)
    validate_counts(spec, ("minReadySeconds", "revisionHistoryLimit"), "spec", errors)
    if (seconds := spec.get("progressDeadlineSeconds")) is not None:
        validate_counts(spec, ("progressDeadlineSeconds",), "spec", errors)
        if seconds <= (spec.get("minReadySeconds") or 0):
            detail = "must be greater than minReadySeconds"
            errors.append(invalid("spec.progressDeadlineSeconds", seconds, detail))


def _validate_template_of_selector(
    spec: Mapping[str, Any], options: PodOptions, errors: list[FieldError]
) -> None:
    selector = spec.get("selector")
    if selector is not None and selector_matches(selector, {}) is None:
        errors.append(invalid("spec.selector", shown_selector(selector), "invalid label selector"))
    else:
        validate_selected_template(spec, "ReplicaSet", options, errors)


def _validate_deployment_strategy(strategy: Mapping[str, Any], errors: list[FieldError]) -> None:
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    at = "spec.strategy.rollingUpdate"
    if kind == "Recreate":
        if rolling is not None:
            errors.append(forbidden(at, "may not be specified when strategy `type` is 'Recreate'"))
    elif kind != "RollingUpdate":
        shown = {"Type": kind, "RollingUpdate": None if rolling is None else {
            "MaxUnavailable": rolling.get("maxUnavailable", 0), "MaxSurge": rolling.get("maxSurge", 0),
        }}  # fmt: skip
        errors.append(not_supported("spec.strategy", shown, ("Recreate", "RollingUpdate")))
    elif rolling is None:
        errors.append(required(at, "this should be defaulted and never be nil"))
    else:
        unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
        validate_int_or_percent(unavailable, f"{at}.maxUnavailable", errors)
        validate_int_or_percent(surge, f"{at}.maxSurge", errors)
        if amount_of(unavailable) == 0 and amount_of(surge) == 0:
            errors.append(invalid(f"{at}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
        validate_at_most_all(unavailable, f"{at}.maxUnavailable", errors)


def _validate_deployment(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj)
    _validate_deployment_spec(obj["spec"], template_options(None), errors)
    return errors


def _validate_deployment_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    _validate_deployment_spec(obj["spec"], template_options(old["spec"].get("template")), errors)
    return errors + validate_selector_unchanged(obj["spec"].get("selector"), old["spec"].get("selector"))


def _prepare_deployment_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")
    drop_disabled(obj["spec"]["template"]["spec"], old["spec"]["template"]["spec"])
    changed = not semantically_equal(obj["spec"], old["spec"]) or not semantically_equal(
        obj["metadata"].get("annotations"), old["metadata"].get("annotations")
    )
    count_generation(obj, old, changed)


def _prepare_deployment_status(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "spec")
    keep(obj["metadata"], old["metadata"], "labels")


def _validate_deployment_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    status = obj.get("status") or {}
    names = (
        "observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas",
        "unavailableReplicas", "terminatingReplicas", "collisionCount",
    )  # fmt: skip
    validate_counts(status, names, "status", errors)
    above = ("updatedReplicas", "readyReplicas", "availableReplicas")
    validate_not_above(status, above, "cannot be greater than readyReplicas", errors)
    validate_collisions(status, old.get("status") or {}, errors)
    return errors


# ReplicaSets


def _default_replica_set(obj: Object) -> None:
    default_field(default_templated(obj), "replicas", 1)


def _validate_replica_set_spec(
    spec: Mapping[str, Any], options: PodOptions, errors: list[FieldError]
) -> None:
    validate_counts(spec, ("replicas", "minReadySeconds"), "spec", errors)
    validate_selector(spec, "deployment", errors)  # upstream's word, here too
    _validate_template_of_selector(spec, options, errors)


def _validate_replica_set(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj)
    _validate_replica_set_spec(obj["spec"], template_options(None), errors)
    return errors


def _validate_replica_set_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    _validate_replica_set_spec(obj["spec"], template_options(old["spec"].get("template")), errors)
    return errors + validate_selector_unchanged(obj["spec"].get("selector"), old["spec"].get("selector"))


def _validate_replica_set_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    status = obj.get("status") or {}
    names = (
        "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration",
        "terminatingReplicas",
    )  # fmt: skip
    validate_counts(status, names, "status", errors)
    above = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    validate_not_above(status, above, "cannot be greater than readyReplicas", errors)
    return errors


# DaemonSets


def _default_daemon_set(obj: Object) -> None:
    spec = default_templated(obj)
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        default_field(strategy, "rollingUpdate", {})
        default_field(strategy["rollingUpdate"], "maxUnavailable", 1)
        default_field(strategy["rollingUpdate"], "maxSurge", 0)
    default_field(spec, "revisionHistoryLimit", REVISIONS_KEPT)


def _template_generation(obj: Mapping[str, Any]) -> int:
    """apps/v1 keeps the template's generation in an annotation."""
    text = (obj["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION) or "0"
    return int(text) if text.lstrip("-").isdecimal() and text.isascii() else 0


def _set_template_generation(obj: Object, generation: int) -> None:
    annotations = {**(obj["metadata"].get("annotations") or {}), TEMPLATE_GENERATION: str(generation)}
    obj["metadata"]["annotations"] = annotations


def _prepare_daemon_set(obj: Object, context: Context) -> None:
    prepare_templated(obj, context)
    _set_template_generation(obj, max(_template_generation(obj), 1))


def _prepare_daemon_set_update(obj: Object, old: Object, context: Context) -> None:
    prepare_templated_update(obj, old, context)
    changed = not semantically_equal(obj["spec"]["template"], old["spec"]["template"])
    _set_template_generation(obj, _template_generation(old) + changed)


def _validate_daemon_set_spec(
    spec: Mapping[str, Any], options: PodOptions, allow_invalid: bool, errors: list[FieldError]
) -> None:
    selector, template = spec.get("selector"), spec.get("template") or {}
    errors += validate_label_selector(selector, "spec.selector", allow_invalid_values=allow_invalid)
    labels = (template.get("metadata") or {}).get("labels")
    if selector_matches(selector, labels or {}) is False:
        errors.append(invalid("spec.template.metadata.labels", labels, NO_MATCH))
    if selector is not None and is_empty(selector):
        errors.append(
            invalid("spec.selector", shown_selector(selector), "empty selector is invalid for daemonset")
        )
    validate_template(template, "spec.template", options, errors)
    validate_endless(template, "spec.template", "DaemonSet", errors)
    validate_counts(spec, ("minReadySeconds",), "spec", errors)
    _validate_daemon_set_strategy(spec.get("updateStrategy") or {}, errors)
    validate_counts(spec, ("revisionHistoryLimit",), "spec", errors)


def _validate_daemon_set_strategy(strategy: Mapping[str, Any], errors: list[FieldError]) -> None:
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    at = "spec.updateStrategy.rollingUpdate"
    if kind == "OnDelete":
        return
    if kind != "RollingUpdate":
        shown = {"Type": kind, "RollingUpdate": None if rolling is None else {
            "MaxUnavailable": rolling.get("maxUnavailable", 0), "MaxSurge": rolling.get("maxSurge", 0),
        }}  # fmt: skip
        errors.append(not_supported("spec.updateStrategy", shown, ("RollingUpdate", "OnDelete")))
    elif rolling is None:
        errors.append(required(at))
    else:
        values: dict[str, IntOrString] = {
            name: rolling.get(name, 0) for name in ("maxUnavailable", "maxSurge")
        }
        for name, value in values.items():
            validate_int_or_percent(value, f"{at}.{name}", errors)
        for name, value in values.items():
            validate_at_most_all(value, f"{at}.{name}", errors)
        unavailable, surge = map(amount_of, values.values())
        if unavailable and surge:
            detail = "may not be set when maxUnavailable is non-zero"
            errors.append(invalid(f"{at}.maxSurge", values["maxSurge"], detail))
        elif not unavailable and not surge:
            errors.append(required(f"{at}.maxUnavailable", "cannot be 0 when maxSurge is 0"))


def _validate_daemon_set(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj)
    _validate_daemon_set_spec(obj["spec"], template_options(None), False, errors)
    return errors


def _validate_daemon_set_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    spec, before = obj["spec"], old["spec"]
    errors += validate_selector_unchanged(spec.get("selector"), before.get("selector"))
    options = template_options(before.get("template"))
    allow = options.allow_invalid_label_value_in_selector or has_invalid_label_value(before.get("selector"))
    _validate_daemon_set_spec(spec, options, allow, errors)
    return errors


def _daemon_set_warnings(obj: Object, _: Context) -> list[str]:
    return template_warnings(obj["spec"]["template"], "spec.template")


def _daemon_set_warnings_on_update(obj: Object, old: Object, _: Context) -> list[str]:
    if _template_generation(obj) == _template_generation(old):
        return []
    return template_warnings(obj["spec"]["template"], "spec.template")


def _prepare_daemon_set_status(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "spec")
    _set_template_generation(obj, _template_generation(old))


def _validate_daemon_set_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    status = obj.get("status") or {}
    names = (
        "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",
        "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount",
    )  # fmt: skip
    validate_counts(status, names, "status", errors)
    validate_collisions(status, old.get("status") or {}, errors)
    return errors


# ControllerRevisions


def _validate_revision(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj)
    validate_counts({"revision": obj.get("revision")}, ("revision",), "", errors)
    errors = [each._replace(field=each.field.lstrip(".")) for each in errors]
    data = obj.get("data")
    if data is None:
        errors.append(required("data", "data is mandatory"))
    elif not isinstance(data, dict):
        errors.append(required("data", "data must be a valid JSON object"))
    return errors


def _validate_revision_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    if (revision := obj.get("revision") or 0) < 0:
        errors.append(invalid("revision", revision, NOT_NEGATIVE))
    if obj.get("data") != old.get("data"):
        errors.append(invalid("data", obj.get("data"), "field is immutable"))
    return errors


DEPLOYMENT: Final = Strategy(
    default=_default_deployment,
    prepare_for_create=prepare_templated,
    validate=_validate_deployment,
    warnings=_warnings,
    prepare_for_update=_prepare_deployment_update,
    validate_update=_validate_deployment_update,
    warnings_on_update=_warnings_on_update,
    reset_fields=("status",),
    subresources=MappingProxyType(
        {
            "status": UpdateStrategy(
                _prepare_deployment_status,
                _validate_deployment_status,
                reset_fields=("spec", "metadata.labels"),
            )
        }
    ),
    only_named=always,
)
REPLICA_SET: Final = Strategy(
    default=_default_replica_set,
    prepare_for_create=prepare_templated,
    validate=_validate_replica_set,
    warnings=_warnings,
    prepare_for_update=prepare_templated_update,
    validate_update=_validate_replica_set_update,
    warnings_on_update=_warnings_on_update,
    reset_fields=("status",),
    subresources=with_status(_validate_replica_set_status),
    only_named=always,
)
DAEMON_SET: Final = Strategy(
    default=_default_daemon_set,
    prepare_for_create=_prepare_daemon_set,
    validate=_validate_daemon_set,
    warnings=_daemon_set_warnings,
    prepare_for_update=_prepare_daemon_set_update,
    validate_update=_validate_daemon_set_update,
    warnings_on_update=_daemon_set_warnings_on_update,
    reset_fields=("status",),
    subresources=with_status(_validate_daemon_set_status, _prepare_daemon_set_status),
    only_named=always,
)
CONTROLLER_REVISION: Final = Strategy(validate=_validate_revision, validate_update=_validate_revision_update)
