"""PodTemplates and ReplicationControllers.

Sources, Kubernetes 1.36: pkg/apis/core/v1/defaults.go, pkg/apis/core/validation/validation.go,
pkg/registry/core/{podtemplate,replicationcontroller}/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required
from kcore.api.kinds.metadata import validate_metadata_with
from kcore.api.kinds.names import dns1123_subdomain, faults
from kcore.api.kinds.pod_defaults import default_template
from kcore.api.kinds.pod_options import PodOptions
from kcore.api.kinds.pod_spec import validate_template
from kcore.api.kinds.pod_warnings import template_warnings
from kcore.api.kinds.pods import drop_disabled
from kcore.api.kinds.templates import (
    NO_MATCH,
    template_options,
    validate_counts,
    validate_not_above,
)
from kcore.api.kinds.updates import (
    count_generation,
    finalizer_errors,
    keep,
    keeping,
    pod_name_warnings,
    semantically_equal,
    validate_named,
    validate_named_update,
)
from kcore.api.strategy import Context, Strategy, UpdateStrategy, always

Object = dict[str, Any]


# PodTemplates


def _default_pod_template(obj: Object) -> None:
    default_template(obj.setdefault("template", {}))


def _prepare_pod_template(obj: Object, _: Context) -> None:
    obj["metadata"]["generation"] = 1
    drop_disabled(obj["template"]["spec"])


def _prepare_pod_template_update(obj: Object, old: Object, _: Context) -> None:
    drop_disabled(obj["template"]["spec"], old["template"]["spec"])
    count_generation(obj, old, not semantically_equal(obj["template"], old["template"]))


def _validate_pod_template(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj)
    validate_template(obj["template"], "template", template_options(None), errors)
    return errors


def _validate_pod_template_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    validate_template(obj["template"], "template", template_options(old.get("template")), errors)
    return errors


def _pod_template_warnings(obj: Object, _: Context) -> list[str]:
    return template_warnings(obj["template"], "template")


def _pod_template_warnings_on_update(obj: Object, old: Object, _: Context) -> list[str]:
    if obj["metadata"].get("generation") == old["metadata"].get("generation"):
        return []
    return template_warnings(obj["template"], "template")


# ReplicationControllers


def _default_controller(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if (template := spec.get("template")) is not None:
        default_template(template)
        if labels := template["metadata"].get("labels"):
            if not spec.get("selector"):
                spec["selector"] = dict(labels)
            metadata = obj.setdefault("metadata", {})
            if not metadata.get("labels"):
                metadata["labels"] = dict(labels)
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    if obj.get("status") is None:
        obj["status"] = {"replicas": 0}


def _template_spec(obj: Mapping[str, Any]) -> Object:
    spec: Object = (obj["spec"].get("template") or {}).get("spec") or {}
    return spec


def _prepare_controller(obj: Object, _: Context) -> None:
    obj["status"] = {"replicas": 0}
    obj["metadata"]["generation"] = 1
    drop_disabled(_template_spec(obj))


def _prepare_controller_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")
    drop_disabled(_template_spec(obj), _template_spec(old))
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))


def _validate_controller_spec(spec: Mapping[str, Any], options: PodOptions, errors: list[FieldError]) -> None:
    validate_counts(spec, ("minReadySeconds",), "spec", errors)
    selector, template = spec.get("selector") or {}, spec.get("template")
    if not selector:
        errors.append(required("spec.selector"))
    if spec.get("replicas") is None:
        errors.append(required("spec.replicas"))
    validate_counts(spec, ("replicas",), "spec", errors)
    if template is None:
        errors.append(required("spec.template"))
        return
    labels = (template.get("metadata") or {}).get("labels")
    if any((labels or {}).get(key) != value for key, value in selector.items()):
        errors.append(invalid("spec.template.metadata.labels", labels, NO_MATCH))
    validate_template(template, "spec.template", options, errors)
    pod = template.get("spec") or {}
    if (policy := pod.get("restartPolicy") or "") != "Always":
        errors.append(not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        detail = "activeDeadlineSeconds in ReplicationController is not Supported"
        errors.append(forbidden("spec.template.spec.activeDeadlineSeconds", detail))


def _check_name(path: str, name: str) -> list[FieldError]:
    return faults(path, name, dns1123_subdomain(name))


def _validate_controller(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_metadata_with(obj["metadata"], _check_name)
    errors += finalizer_errors(obj["metadata"])
    _validate_controller_spec(obj["spec"], template_options(None), errors)
    return errors


def _validate_controller_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    _validate_controller_spec(obj["spec"], template_options(old["spec"].get("template")), errors)
    return errors


def _controller_warnings(obj: Object, _: Context) -> list[str]:
    return pod_name_warnings(obj) + template_warnings(obj["spec"].get("template") or {}, "spec.template")


def _controller_warnings_on_update(obj: Object, old: Object, _: Context) -> list[str]:
    if obj["metadata"].get("generation") == old["metadata"].get("generation"):
        return []
    # upstream hands the old template where the new one belongs
    return template_warnings(old["spec"].get("template") or {}, "spec.template")


def _validate_controller_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    status = obj.get("status") or {}
    names = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
    validate_counts(status, names, "status", errors)
    above = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    validate_not_above(status, above, "cannot be greater than readyReplicas", errors)
    return errors


POD_TEMPLATE: Final = Strategy(
    default=_default_pod_template,
    prepare_for_create=_prepare_pod_template,
    validate=_validate_pod_template,
    warnings=_pod_template_warnings,
    prepare_for_update=_prepare_pod_template_update,
    validate_update=_validate_pod_template_update,
    warnings_on_update=_pod_template_warnings_on_update,
)
REPLICATION_CONTROLLER: Final = Strategy(
    default=_default_controller,
    prepare_for_create=_prepare_controller,
    validate=_validate_controller,
    warnings=_controller_warnings,
    prepare_for_update=_prepare_controller_update,
    validate_update=_validate_controller_update,
    warnings_on_update=_controller_warnings_on_update,
    reset_fields=("status",),
    default_propagation="orphan",
    subresources=MappingProxyType(
        {"status": UpdateStrategy(keeping("spec"), _validate_controller_status, reset_fields=("spec",))}
    ),
    only_named=always,
)
