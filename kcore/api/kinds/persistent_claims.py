"""PersistentVolumeClaims.

Sources, Kubernetes 1.36: pkg/registry/core/persistentvolumeclaim/strategy.go, pkg/apis/core/validation/validation.go,
pkg/api/persistentvolumeclaim/util.go. The spec alone is in ``claims``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required
from kcore.api.kinds.claims import claim_spec_warnings, normalize_claim_spec, validate_claim_spec
from kcore.api.kinds.go_structs import claim_spec, difference
from kcore.api.kinds.metadata import IMMUTABLE, validate_label_selector
from kcore.api.kinds.names import dns1123_subdomain, faults, qualified_name
from kcore.api.kinds.pod_defaults import default_claim_spec, default_resource_list
from kcore.api.kinds.resource_lists import is_native, validate_amount
from kcore.api.kinds.updates import (
    keep,
    semantically_equal,
    validate_named,
    validate_named_update,
    validate_unchanged,
)
from kcore.api.quantity import canonical, parse_quantity, unit_value
from kcore.api.strategy import Context, Strategy, UpdateStrategy, always

Object = dict[str, Any]
Spec = Mapping[str, Any]

BETA_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
RESIZE_STATUSES: Final = (
    "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible",
    "NodeResizePending",
)  # fmt: skip
_SPEC_KEPT: Final = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_CLASS: Final = "volumeAttributesClassName"


def _default(obj: Object) -> None:
    spec, status = obj.setdefault("spec", {}), obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"
    default_claim_spec(spec)
    for side in ("capacity", "allocatedResources"):
        if amounts := status.get(side):
            default_resource_list(amounts)


def _drop_sources(spec: Object, old: Spec) -> None:
    """DropDisabledFields and EnforceDataSourceBackwardsCompatibility."""
    reference = spec.get("dataSourceRef")
    # the gate CrossNamespaceVolumeDataSource is off
    if reference is not None and reference.get("namespace") and old.get("dataSourceRef") is None:
        spec.pop("dataSourceRef")
        reference = None
    if old.get("dataSource") is None and reference is None:
        source = spec.get("dataSource") or {}
        group, kind = source.get("apiGroup") or "", source.get("kind") or ""
        if (group, kind) not in _LEGACY_SOURCES:
            spec.pop("dataSource", None)


_LEGACY_SOURCES: Final = (
    ("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"),
)  # fmt: skip


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["status"] = {"phase": "Pending"}
    _drop_sources(obj["spec"], {})
    normalize_claim_spec(obj["spec"])


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")
    _drop_sources(obj["spec"], old["spec"])
    normalize_claim_spec(obj["spec"])


def _validate(obj: Object, _: Context) -> list[FieldError]:
    return validate_named(obj) + validate_claim_spec(obj["spec"], "spec")


def _check_again(obj: Object, old: Object) -> list[FieldError]:
    before = old["spec"]
    groups = [(before.get(name) or {}).get("apiGroup") for name in ("dataSource", "dataSourceRef")]
    selector = before.get("selector")
    return validate_named(obj) + validate_claim_spec(
        obj["spec"],
        "spec",
        allow_invalid_values=selector is not None and bool(validate_label_selector(selector, "")),
        allow_invalid_group=any(group and dns1123_subdomain(group) for group in groups),
    )


def _annotation(obj: Object) -> str | None:
    value: str | None = (obj["metadata"].get("annotations") or {}).get(BETA_CLASS)
    return value


def _requests(spec: Spec) -> Mapping[str, Any]:
    return (spec.get("resources") or {}).get("requests") or {}


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old) + _check_again(obj, old)
    spec, before = dict(obj["spec"]), dict(old["spec"])
    normalize_claim_spec(before)
    if not before.get("volumeName") and spec.get("volumeName"):
        before["volumeName"] = spec["volumeName"]
    name, was = spec.get("storageClassName"), before.get("storageClassName")
    marked, had = _annotation(obj), _annotation(old)
    if had is not None and was is None and name == had and marked in (None, had):
        spec.pop("storageClassName")
    else:
        if (marked or "") != (had or ""):
            path = f"metadata.annotations.{BETA_CLASS}"
            errors.append(invalid(path, marked or "", IMMUTABLE))
        if name is not None and was is None and had in (None, name):
            spec.pop("storageClassName")
    bound = (obj.get("status") or {}).get("phase") == "Bound"
    if bound:
        if _requests(spec) and "storage" in _requests(before):
            requests = {**_requests(spec), "storage": _requests(before)["storage"]}
            spec["resources"] = {**spec["resources"], "requests": requests}
        keep(spec, before, _CLASS)
    if not semantically_equal(_comparable(spec), _comparable(before)):
        shown = difference(claim_spec(before), claim_spec(spec))
        errors.append(forbidden("spec", f"{_SPEC_KEPT}\n{shown}"))
    _validate_size(obj, old, errors)
    mode = "volumeMode"
    errors += validate_unchanged(obj["spec"].get(mode), old["spec"].get(mode), mode)
    current = (old.get("status") or {}).get("currentVolumeAttributesClassName")
    chosen = obj["spec"].get(_CLASS)
    if chosen != old["spec"].get(_CLASS) and current is not None and not chosen:
        to = "nil" if chosen is None else "empty string"
        detail = f"update to {to} is forbidden when status.currentVolumeAttributesClassName is not nil"
        errors.append(forbidden(f"spec.{_CLASS}", detail))
    return errors


def _comparable(spec: Spec) -> Object:
    """Amounts by their value, however written."""
    made = dict(spec)
    made["resources"] = {
        side: {name: parse_quantity(amount) for name, amount in (amounts or {}).items()}
        for side, amounts in (spec.get("resources") or {}).items()
    }
    return made


def _validate_size(obj: Object, old: Object, errors: list[FieldError]) -> None:
    """A claim may shrink to no less than what it has got."""
    size, before = (parse_quantity(_requests(each["spec"]).get("storage", 0)) for each in (obj, old))
    capacity = ((old.get("status") or {}).get("capacity") or {}).get("storage", 0)
    if size < before and size <= parse_quantity(capacity):
        detail = "field can not be less than status.capacity"
        errors.append(forbidden("spec.resources.requests.storage", detail))


def _prepare_status(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "spec")


def _key_errors(name: str, path: str) -> list[FieldError]:
    """validatePersistentVolumeClaimResourceKey."""
    if errors := faults(path, name, qualified_name(name)):
        return errors
    return [not_supported(path, name, ("storage",))] if is_native(name) and name != "storage" else []


def _amount_errors(amount: Any, path: str) -> list[FieldError]:
    units = unit_value(parse_quantity(amount))
    return [invalid(path, units, "must be a valid resource quantity")] if units < 0 else []


def _validate_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    if not obj["metadata"].get("resourceVersion"):
        errors.append(required("resourceVersion"))
    if not (obj.get("spec") or {}).get("accessModes"):
        errors.append(required("Spec.accessModes"))
    status = obj.get("status") or {}
    for name, amount in (status.get("capacity") or {}).items():
        errors += _amount_errors(amount, f"status.capacity[{name}]")
    path = "status.allocatedResourceStatuses"
    for name, value in (status.get("allocatedResourceStatuses") or {}).items():
        errors += _key_errors(name, path)
        if value not in RESIZE_STATUSES:
            errors.append(not_supported(path, name, RESIZE_STATUSES))
    path = "status.allocatedResources"
    for name, amount in (status.get("allocatedResources") or {}).items():
        at = f"{path}[{name}]"
        errors += (
            _key_errors(name, path)
            or _amount_errors(amount, at)
            or validate_amount("storage", canonical(amount), at)
        )
    return errors


def _warnings(obj: Object, *_: Any) -> list[str]:
    text = 'deprecated since v1.8; use "storageClassName" attribute instead'
    marked = _annotation(obj) is not None
    warnings = [f"metadata.annotations[{BETA_CLASS}]: {text}"] if marked else []
    return warnings + claim_spec_warnings(obj["spec"], "spec")


PERSISTENT_VOLUME_CLAIM: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    warnings=_warnings,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    warnings_on_update=_warnings,
    reset_fields=("status",),
    subresources=MappingProxyType(
        {"status": UpdateStrategy(_prepare_status, _validate_status, reset_fields=("spec",))}
    ),
    only_named=always,
)
