"""Leases. Source, Kubernetes 1.36: pkg/apis/coordination/validation/validation.go, pkg/registry/coordination/lease."""

from __future__ import annotations

from typing import Any, Final

from kcore.api.field import FieldError, invalid
from kcore.api.kinds.updates import validate_named, validate_named_update
from kcore.api.strategy import Context, Strategy, always

Object = dict[str, Any]


def _default(obj: Object) -> None:
    obj.setdefault("spec", {})


def _prepare_for_create(obj: Object, _: Context) -> None:
    # the gate CoordinatedLeaderElection is off
    obj["spec"].pop("strategy", None)
    obj["spec"].pop("preferredHolder", None)


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    for name in ("strategy", "preferredHolder"):
        if (old.get("spec") or {}).get(name) is None:
            obj["spec"].pop(name, None)


def _validate_spec(obj: Object) -> list[FieldError]:
    errors = []
    spec = obj["spec"]
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        errors.append(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        detail = "must be greater than or equal to 0"
        errors.append(invalid("spec.leaseTransitions", transitions, detail))
    return errors


def _validate(obj: Object, _: Context) -> list[FieldError]:
    return validate_named(obj) + _validate_spec(obj)


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return validate_named_update(obj, old) + _validate_spec(obj)


LEASE: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    allow_create_on_update=True,
    allow_unconditional_update=False,
    only_named=always,
    moves_values=frozenset({""}),
)
