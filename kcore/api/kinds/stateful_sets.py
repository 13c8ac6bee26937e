"""StatefulSets.

Sources, Kubernetes 1.36: pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation/validation.go,
pkg/registry/apps/statefulset/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required
from kcore.api.kinds.apps import (
    REVISIONS_KEPT,
    default_field,
    default_templated,
    is_changed,
    prepare_templated,
    prepare_templated_update,
    with_status,
)
from kcore.api.kinds.claims import claim_spec_warnings, validate_claim_spec
from kcore.api.kinds.internal_form import shown_selector
from kcore.api.kinds.metadata import NOT_NEGATIVE, validate_annotations, validate_labels
from kcore.api.kinds.names import dns1123_label, faults, name_is_label
from kcore.api.kinds.pod_defaults import default_claim_spec
from kcore.api.kinds.pod_options import PodOptions
from kcore.api.kinds.pod_spec import validate_pod_annotations, validate_template
from kcore.api.kinds.pod_warnings import template_warnings
from kcore.api.kinds.templates import (
    NO_MATCH,
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
    validate_selector,
)
from kcore.api.kinds.updates import (
    keep,
    semantically_equal,
    validate_named,
    validate_named_update,
)
from kcore.api.strategy import Context, Strategy

Object = dict[str, Any]

_IMMUTABLE_SET: Final = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_REVISION_WARNING: Final = "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"


def _default_stateful_set(obj: Object) -> None:
    spec = default_templated(obj)
    if not spec.get("podManagementPolicy"):
        spec["podManagementPolicy"] = "OrderedReady"
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        default_field(strategy, "rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        default_field(strategy["rollingUpdate"], "partition", 0)
    default_field(spec, "persistentVolumeClaimRetentionPolicy", {})
    for name in ("whenDeleted", "whenScaled"):
        if not spec["persistentVolumeClaimRetentionPolicy"].get(name):
            spec["persistentVolumeClaimRetentionPolicy"][name] = "Retain"
    default_field(spec, "replicas", 1)
    default_field(spec, "revisionHistoryLimit", REVISIONS_KEPT)
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        claim.setdefault("metadata", {})
        default_claim_spec(claim.setdefault("spec", {}))
        if not (status := claim.setdefault("status", {})).get("phase"):
            status["phase"] = "Pending"


def _drop_max_unavailable(spec: Object, old: Mapping[str, Any] | None) -> None:
    """The gate MaxUnavailableStatefulSet is off."""
    rolling = (spec.get("updateStrategy") or {}).get("rollingUpdate")
    before = (((old or {}).get("updateStrategy") or {}).get("rollingUpdate") or {}).get("maxUnavailable")
    if rolling and before is None:
        rolling.pop("maxUnavailable", None)


def _prepare_stateful_set(obj: Object, context: Context) -> None:
    _drop_max_unavailable(obj["spec"], None)
    prepare_templated(obj, context)


def _prepare_stateful_set_update(obj: Object, old: Object, context: Context) -> None:
    _drop_max_unavailable(obj["spec"], old["spec"])
    prepare_templated_update(obj, old, context)


def _validate_set_spec(
    spec: Mapping[str, Any], options: PodOptions, errors: list[FieldError], old: bool, skip_template: bool
) -> None:
    """ValidateStatefulSetSpec; ``old``: of an update, where the service's name and the claims are as they were."""
    policy = spec.get("podManagementPolicy") or ""
    if not policy:
        errors.append(required("spec.podManagementPolicy"))
    elif policy not in ("OrderedReady", "Parallel"):
        detail = "must be 'OrderedReady' or 'Parallel'"
        errors.append(invalid("spec.podManagementPolicy", policy, detail))
    _validate_set_strategy(spec.get("updateStrategy") or {}, errors)
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    for name in ("whenDeleted", "whenScaled") if retention is not None else ():
        if (value := (retention or {}).get(name) or "") not in ("Retain", "Delete"):
            at = f"spec.persistentVolumeClaimRetentionPolicy.{name}"
            errors.append(not_supported(at, value, ("Retain", "Delete")))
    if not old:
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            errors += validate_claim_spec(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{index}].spec")
    validate_counts(spec, ("replicas", "minReadySeconds"), "spec", errors)
    if (start := (spec.get("ordinals") or {}).get("start") or 0) < 0:
        errors.append(invalid("spec.ordinals.start", start, NOT_NEGATIVE))
    if not old and (service := spec.get("serviceName")):
        errors += faults("spec.serviceName", service, dns1123_label(service))
    validate_selector(spec, "statefulset", errors)
    selector = spec.get("selector")
    template = spec.get("template") or {}
    if selector is not None and selector_matches(selector, {}) is None:
        errors.append(invalid("spec.selector", shown_selector(selector), ""))
    else:
        _validate_set_template(spec, template, options, skip_template, errors)
    validate_endless(template, "spec.template", "StatefulSet", errors)


def _validate_set_strategy(strategy: Mapping[str, Any], errors: list[FieldError]) -> None:
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    at = "spec.updateStrategy.rollingUpdate"
    shown = None if rolling is None else {
        "Partition": rolling.get("partition") or 0, "MaxUnavailable": rolling.get("maxUnavailable"),
    }  # fmt: skip
    if not kind:
        errors.append(required("spec.updateStrategy"))
    elif kind == "OnDelete":
        if rolling is not None:
            errors.append(invalid(at, shown, "only allowed for updateStrategy 'RollingUpdate'"))
    elif kind != "RollingUpdate":
        value = {"Type": kind, "RollingUpdate": shown}
        errors.append(invalid("spec.updateStrategy", value, "must be 'RollingUpdate' or 'OnDelete'"))
    elif rolling is not None:
        validate_counts(rolling, ("partition",), at, errors)
        if (unavailable := rolling.get("maxUnavailable")) is not None:
            validate_int_or_percent(unavailable, f"{at}.maxUnavailable", errors)
            if amount_of(unavailable) == 0:
                errors.append(invalid(f"{at}.maxUnavailable", unavailable, "cannot be 0"))
            validate_at_most_all(unavailable, f"{at}.maxUnavailable", errors)


def _validate_set_template(
    spec: Mapping[str, Any],
    template: Mapping[str, Any],
    options: PodOptions,
    skip: bool,
    errors: list[FieldError],
) -> None:
    """The template as the controller will use it: host names are its own, claims are volumes."""
    metadata, pod = template.get("metadata") or {}, template.get("spec") or {}
    labels, annotations = metadata.get("labels"), metadata.get("annotations") or {}
    selector = spec.get("selector")
    if (selector is None or not is_empty(selector)) and not selector_matches(selector, labels or {}):
        errors.append(invalid("spec.template.metadata.labels", labels, NO_MATCH))
    claims = {
        (claim.get("metadata") or {}).get("name") or "" for claim in spec.get("volumeClaimTemplates") or ()
    }
    pod = {key: value for key, value in pod.items() if key not in ("subdomain", "hostname")}
    if claims:
        volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in sorted(claims)]
        volumes += [each for each in pod.get("volumes") or () if (each.get("name") or "") not in claims]
        pod["volumes"] = volumes
    if not skip:
        validate_template({**template, "spec": pod}, "spec.template", options, errors)
    errors += validate_labels(labels or {}, "spec.template.labels")
    errors += validate_annotations(annotations, "spec.template.annotations")
    if annotations:
        validate_pod_annotations(annotations, pod, "spec.template.annotations", options, errors)


def _validate_stateful_set(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj, name_is_label)
    _validate_set_spec(obj["spec"], template_options(None), errors, False, False)
    return errors


def _validate_stateful_set_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    options = template_options(old["spec"].get("template"))
    of_old: list[FieldError] = []
    _validate_set_spec(old["spec"], options, of_old, True, False)
    _validate_set_spec(obj["spec"], options, errors, True, bool(of_old))
    copy = dict(obj["spec"])
    keep(
        copy, old["spec"], "replicas", "template", "updateStrategy", "minReadySeconds", "ordinals",
        "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy",
    )  # fmt: skip
    if not semantically_equal(copy, old["spec"]):
        errors.append(forbidden("spec", _IMMUTABLE_SET))
    return errors


def _stateful_set_warnings(obj: Object, _: Context) -> list[str]:
    spec = obj["spec"]
    found = template_warnings(spec["template"], "spec.template")
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        found += claim_spec_warnings(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{index}]")
    return found + ([_REVISION_WARNING] if (spec.get("revisionHistoryLimit") or 0) < 0 else [])


def _stateful_set_warnings_on_update(obj: Object, old: Object, _: Context) -> list[str]:
    spec = obj["spec"]
    found = template_warnings(spec["template"], "spec.template") if is_changed(obj, old) else []
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        found += claim_spec_warnings(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{index}].Spec")
    return found + ([_REVISION_WARNING] if (spec.get("revisionHistoryLimit") or 0) < 0 else [])


def _validate_stateful_set_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors: list[FieldError] = []
    status = obj.get("status") or {}
    names = (
        "replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas",
        "observedGeneration", "collisionCount",
    )  # fmt: skip
    validate_counts(status, names, "status", errors)
    above = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    validate_not_above(status, above, "cannot be greater than status.readyReplicas", errors)
    errors += validate_named_update(obj, old)
    validate_collisions(status, old.get("status") or {}, errors)
    return errors


STATEFUL_SET: Final = Strategy(
    default=_default_stateful_set,
    prepare_for_create=_prepare_stateful_set,
    validate=_validate_stateful_set,
    warnings=_stateful_set_warnings,
    prepare_for_update=_prepare_stateful_set_update,
    validate_update=_validate_stateful_set_update,
    warnings_on_update=_stateful_set_warnings_on_update,
    reset_fields=("status",),
    subresources=with_status(_validate_stateful_set_status),
)
