"""Namespaces: phase, finalizers and the label with their name.

Sources, Kubernetes 1.36: pkg/registry/core/namespace/strategy.go, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, invalid
from kcore.api.kinds.names import name_is_label, qualified_name
from kcore.api.kinds.updates import (
    FINALIZER_FAULT,
    STANDARD_FINALIZERS,
    keep,
    keeping,
    validate_named,
    validate_named_update,
)
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]

KUBERNETES: Final = "kubernetes"
NAME_LABEL: Final = "kubernetes.io/metadata.name"


def _default(obj: Object) -> None:
    obj.setdefault("spec", {})
    status = obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Active"
    if obj["metadata"].get("name"):
        _label(obj)


def _label(obj: Object) -> None:
    """Again once a name was generated."""
    metadata = obj["metadata"]
    name = metadata.get("name") or ""
    labels = metadata.get("labels") or {}
    if labels.get(NAME_LABEL) != name:
        metadata["labels"] = {**labels, NAME_LABEL: name}


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["status"] = {"phase": "Active"}
    finalizers = obj["spec"].get("finalizers") or []
    if KUBERNETES not in finalizers:
        obj["spec"]["finalizers"] = [*finalizers, KUBERNETES]


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj["spec"], old["spec"], "finalizers")
    keep(obj, old, "status")


def finalizer_errors(name: str, path: str) -> list[FieldError]:
    """validateFinalizerName of the core group."""
    errors = [invalid(path, name, complaint) for complaint in qualified_name(name)]
    if "/" not in name and name not in STANDARD_FINALIZERS:
        errors.append(invalid(path, name, FINALIZER_FAULT))
    return errors


def _validate(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj, name_is_label, namespaced=False)
    for finalizer in obj["spec"].get("finalizers") or ():
        errors += finalizer_errors(finalizer, "spec.finalizers")
    return errors


def _validate_update(obj: Object, old: Object, context: Context) -> list[FieldError]:
    return _validate(obj, context) + validate_named_update(obj, old)


def _validate_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    phase = (obj.get("status") or {}).get("phase") or ""
    if not obj["metadata"].get("deletionTimestamp"):
        if phase != "Active":
            detail = "may only be 'Active' if `deletionTimestamp` is empty"
            errors.append(invalid("status.Phase", phase, detail))
    elif phase != "Terminating":
        detail = "may only be 'Terminating' if `deletionTimestamp` is not empty"
        errors.append(invalid("status.Phase", phase, detail))
    return errors


def _validate_finalize(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    for index, finalizer in enumerate((obj.get("spec") or {}).get("finalizers") or ()):
        errors += finalizer_errors(finalizer, f"spec.finalizers[{index}]")
    return errors


NAMESPACE: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    canonicalize=_label,
    reset_fields=("status",),
    subresources=MappingProxyType(
        {
            "status": UpdateStrategy(keeping("spec"), _validate_status, reset_fields=("spec",)),
            "finalize": UpdateStrategy(keeping("status"), _validate_finalize, reset_fields=("status",)),
        }
    ),
)
