"""Nodes: taints, the ranges of their pods' addresses, what they can hold.

Sources, Kubernetes 1.36: pkg/registry/core/node/strategy.go, pkg/apis/core/validation/validation.go (ValidateNode),
pkg/apis/core/v1/defaults.go and conversion.go (podCIDR and podCIDRs).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, Struct, duplicate, forbidden, invalid, required
from kcore.api.kinds.addresses import cidr_warnings, parse_cidr, validate_cidr_of_legacy_field
from kcore.api.kinds.metadata import validate_label_name
from kcore.api.kinds.names import (
    SUBDOMAIN_BYTES_MAX,
    byte_count,
    config_key,
    dns1123_subdomain,
    faults,
    label_value,
    name_is_label,
)
from kcore.api.kinds.pod_defaults import default_resource_list
from kcore.api.kinds.resource_lists import NOT_POSITIVE, validate_amount
from kcore.api.kinds.scheduling_terms import validate_taint_effect
from kcore.api.kinds.updates import keep, validate_named, validate_named_update
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]

_match_feature = re.compile(r"[A-Z][a-zA-Z0-9]*(/[a-zA-Z][a-zA-Z0-9]*)*").fullmatch
_CIDR_KEPT: Final = 'node updates may not change podCIDR except from "" to valid'


def _default(obj: Object) -> None:
    spec, status = obj.setdefault("spec", {}), obj.setdefault("status", {})
    cidr, cidrs = spec.get("podCIDR"), spec.get("podCIDRs")
    if cidr and (not cidrs or cidrs[0] != cidr):
        spec["podCIDRs"] = [cidr]
    elif cidrs and cidrs[0]:
        spec["podCIDR"] = cidrs[0]
    for name in ("capacity", "allocatable"):
        if amounts := status.get(name):
            default_resource_list(amounts)
    if status.get("allocatable") is None and status.get("capacity"):
        status["allocatable"] = dict(status["capacity"])


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["spec"].pop("configSource", None)
    obj["status"].pop("config", None)


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")
    if (old.get("spec") or {}).get("configSource") is None:
        obj["spec"].pop("configSource", None)


def _prepare_status(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "spec")
    if (old.get("status") or {}).get("config") is None:
        (obj.get("status") or {}).pop("config", None)


def _validate_taints(taints: Sequence[Mapping[str, Any]], errors: list[FieldError]) -> None:
    seen = set()
    for index, taint in enumerate(taints):
        at = f"metadata.taints[{index}]"
        key, value, effect = (taint.get(name) or "" for name in ("key", "value", "effect"))
        errors += validate_label_name(key, f"{at}.key")
        if complaints := label_value(value):
            errors.append(invalid(f"{at}.value", value, ";".join(complaints)))
        errors += validate_taint_effect(effect, f"{at}.effect", False)
        if (key, effect) in seen:
            shown = Struct(Key=key, Value=value, Effect=effect, TimeAdded=taint.get("timeAdded"))
            detail = "taints must be unique by key and effect pair"
            errors.append(duplicate(at, shown)._replace(detail=detail))
        seen.add((key, effect))


def _validate_amounts(status: Mapping[str, Any], errors: list[FieldError]) -> None:
    for side in ("capacity", "allocatable"):
        for name, amount in (status.get(side) or {}).items():
            errors += validate_amount(name, amount, f"status.{side}.{name}")


def _validate_features(features: Sequence[str], errors: list[FieldError]) -> None:
    path = "status.declaredFeatures"
    for index, feature in enumerate(features):
        if byte_count(feature) > SUBDOMAIN_BYTES_MAX:
            detail = (
                f'invalid feature name "{feature}": must be no more than {SUBDOMAIN_BYTES_MAX} characters'
            )
            errors.append(invalid(f"{path}[{index}]", feature, detail))
        elif not _match_feature(feature):
            detail = (
                f'invalid feature name "{feature}": must start with an UpperCamelCase segment, with subsequent '
                "segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only "
                "alphanumeric characters and slashes"
            )
            errors.append(invalid(f"{path}[{index}]", feature, detail))
        if index + 1 < len(features):
            following = features[index + 1]
            if feature == following:
                errors.append(duplicate(f"{path}[{index + 1}]", following))
            elif feature > following:
                detail = "list must be sorted alphabetically"
                errors.append(invalid(f"{path}[{index + 1}]", following, detail))


def _validate_ranges(cidrs: list[str], errors: list[FieldError]) -> None:
    for index, cidr in enumerate(cidrs):
        errors += validate_cidr_of_legacy_field(f"spec.podCIDRs[{index}]", cidr)
    if len(cidrs) > 1:
        blocks = [parse_cidr(cidr) for cidr in cidrs]
        bits = {block.bits for block in blocks if block is not None}
        if len(bits) < 2 or len(cidrs) > 2:
            detail = "may specify no more than one CIDR for each IP family"
            errors.append(invalid("spec.podCIDRs", cidrs, detail))


def _validate(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    spec, status = obj["spec"], obj.get("status") or {}
    _validate_taints(spec.get("taints") or (), errors)
    _validate_amounts(status, errors)
    swap = ((status.get("nodeInfo") or {}).get("swap") or {}).get("capacity")
    if swap is not None and swap <= 0:
        errors.append(invalid("metadata.nodeSwapStatus.capacity", swap, NOT_POSITIVE))
    _validate_features(status.get("declaredFeatures") or (), errors)
    _validate_ranges(spec.get("podCIDRs") or [], errors)
    return errors


def _validate_change(obj: Object, old: Object, _: Context) -> list[FieldError]:
    """ValidateNodeUpdate."""
    errors = validate_named_update(obj, old)
    spec, before = obj.get("spec") or {}, old.get("spec") or {}
    status = obj.get("status") or {}
    _validate_amounts(status, errors)
    _validate_features(status.get("declaredFeatures") or (), errors)
    seen = set()
    for index, address in enumerate(status.get("addresses") or ()):
        pair = address.get("type") or "", address.get("address") or ""
        if pair in seen:
            errors.append(duplicate(f"status.addresses[{index}]", Struct(Type=pair[0], Address=pair[1])))
        seen.add(pair)
    cidrs, had = spec.get("podCIDRs") or [], before.get("podCIDRs") or []
    if had and len(cidrs) != len(had):
        errors.append(forbidden("spec.podCIDRs", _CIDR_KEPT))
    elif had:
        errors += [
            forbidden("spec.podCIDRs", _CIDR_KEPT)
            for ours, theirs in zip(cidrs, had, strict=True)
            if ours != theirs
        ]
    if before.get("providerID") and spec.get("providerID") != before["providerID"]:
        detail = 'node updates may not change providerID except from "" to valid'
        errors.append(forbidden("spec.providerID", detail))
    if (source := spec.get("configSource")) is not None:
        _validate_config_source(source, errors)
    _validate_taints(spec.get("taints") or (), errors)
    if (spec.get("externalID") or "") != (before.get("externalID") or ""):
        errors.append(forbidden("spec.externalID", "may not be updated"))
    return errors


def _validate_config_source(source: Mapping[str, Any], errors: list[FieldError]) -> None:
    path = "spec.configSource"
    config = source.get("configMap")
    if config is None:
        errors.append(invalid(path, {"ConfigMap": None}, "exactly one reference subfield must be non-nil"))
        return
    errors += [
        forbidden(f"{path}.configMap.{name}", f"{name} must not be set in spec")
        for name in ("uid", "resourceVersion")
        if config.get(name)
    ]
    rules = (
        ("namespace", name_is_label),
        ("name", dns1123_subdomain),
        ("kubeletConfigKey", config_key),
    )
    for name, rule in rules:
        at = f"{path}.configMap.{name}"
        if value := config.get(name):
            errors += faults(at, value, rule(value))
        else:
            errors.append(required(at))


def _validate_update(obj: Object, old: Object, context: Context) -> list[FieldError]:
    return _validate(obj, context) + _validate_change(obj, old, context)


def _warnings(obj: Object, *_: Any) -> list[str]:
    spec = obj.get("spec") or {}
    warnings = []
    if spec.get("configSource") is not None:
        warnings.append("spec.configSource: the feature is removed")
    if spec.get("externalID"):
        warnings.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    for index, cidr in enumerate(spec.get("podCIDRs") or ()):
        warnings += cidr_warnings(f"spec.podCIDRs[{index}]", cidr)
    return warnings


NODE: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    warnings=_warnings,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    warnings_on_update=_warnings,
    reset_fields=("status",),
    subresources=MappingProxyType(
        {"status": UpdateStrategy(_prepare_status, _validate_change, reset_fields=("spec",))}
    ),
    moves_values=frozenset({"", "status"}),
)
