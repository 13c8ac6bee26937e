"""ResourceSlices: the devices of a node, as their driver tells them.

Sources, Kubernetes 1.36: pkg/apis/resource/validation/validation.go, pkg/registry/resource/resourceslice/strategy.go.
Not here: how capacity may be asked for in parts, and what binding a device waits for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from kcore.api.field import FieldError, invalid, not_supported, required, too_long, too_many
from kcore.api.kinds.device_claims import validate_each, validate_identifier, validate_pool
from kcore.api.kinds.metadata import validate_label_name
from kcore.api.kinds.names import byte_count, dns1123_label, dns1123_subdomain, faults, label_value
from kcore.api.kinds.scheduling_terms import validate_node_selector
from kcore.api.kinds.updates import (
    count_generation,
    semantically_equal,
    validate_named,
    validate_named_update,
    validate_unchanged,
)
from kcore.api.kinds.volumes import validate_csi_driver
from kcore.api.strategy import Context, Strategy

Object = dict[str, Any]
Part = Mapping[str, Any]

DEVICES_MAX: Final = 128
ADVANCED_DEVICES_MAX: Final = 64  # where one has taints, counters or lists of values
COUNTER_SETS_MAX: Final = 8
COUNTERS_MAX: Final = 32
CONSUMED_SETS_MAX: Final = 2
TAINTS_MAX: Final = 16
ATTRIBUTES_MAX: Final = 32  # of a device, capacities counted too
VALUES_MAX: Final = 48
VALUE_BYTES_MAX: Final = 64
TAINT_EFFECTS: Final = ("NoExecute", "NoSchedule", "None")
_NODES: Final = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_PER_DEVICE: Final = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true "
    "in the ResourceSlice spec"
)
_NUMBER: Final = r"(0|[1-9]\d*)"
_BEFORE: Final = r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_match_version = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_BEFORE}(\.{_BEFORE})*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
).fullmatch
_LISTS: Final = ("bools", "ints", "strings", "versions")


def _set_times(obj: Object, now: str) -> None:
    """A taint was added now where it does not say when; upstream has it as a default."""
    for device in obj["spec"].get("devices") or ():
        for taint in device.get("taints") or ():
            if not taint.get("timeAdded"):
                taint["timeAdded"] = now


def _prepare_for_create(obj: Object, context: Context) -> None:
    obj["metadata"]["generation"] = 1
    _set_times(obj, context.now)


def _prepare_for_update(obj: Object, old: Object, context: Context) -> None:
    _set_times(obj, context.now)
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))


# Devices


def _validate_value(name: str, value: str, path: str) -> list[FieldError]:
    errors = []
    if name.startswith("version") and not _match_version(value):
        detail = "must be a string compatible with semver.org spec 2.0.0"
        errors.append(invalid(path, value, detail))
    if byte_count(value) > VALUE_BYTES_MAX:
        errors.append(too_long(path, VALUE_BYTES_MAX))
    return errors


def _validate_attribute(attribute: Part, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    given = [
        name for name in ("bool", "int", "string", "version", *_LISTS) if attribute.get(name) is not None
    ]
    for name in given:
        at = f"{path}.{name}"
        if name in ("string", "version"):
            errors += _validate_value(name, attribute[name], at)
        elif name in ("strings", "versions"):
            for index, value in enumerate(attribute[name]):
                errors += _validate_value(name, value, f"{at}[{index}]")
    if len(given) != 1:
        shown = dict(attribute) if given else ""
        errors.append(invalid(path, shown, "exactly one value must be specified"))
    return errors


def _values_count(device: Part) -> int:
    return sum(
        sum(len(attribute.get(name) or ()) for name in _LISTS) or 1
        for attribute in (device.get("attributes") or {}).values()
    )


def _validate_taint(taint: Part, path: str) -> list[FieldError]:
    errors = validate_label_name(taint.get("key") or "", f"{path}.key")
    value, effect = taint.get("value") or "", taint.get("effect") or ""
    errors += faults(f"{path}.value", value, label_value(value))
    if not effect:
        errors.append(required(f"{path}.effect"))
    elif effect not in TAINT_EFFECTS:
        errors.append(not_supported(f"{path}.effect", effect, TAINT_EFFECTS))
    return errors


def _validate_counters(name: str, counters: Part, path: str, key: str) -> list[FieldError]:
    errors = faults(f"{path}.{key}", name, dns1123_label(name)) if name else [required(f"{path}.{key}")]
    at = f"{path}.counters"
    if not counters:
        return [*errors, required(at)]
    if len(counters) > COUNTERS_MAX:
        return [*errors, too_many(at, len(counters), COUNTERS_MAX)]
    return errors + [error for each in counters for error in faults(at, each, dns1123_label(each))]


def _validate_consumption(given: Part, path: str) -> list[FieldError]:
    return _validate_counters(given.get("counterSet") or "", given.get("counters") or {}, path, "counterSet")


def _validate_counter_set(given: Part, path: str) -> list[FieldError]:
    return _validate_counters(given.get("name") or "", given.get("counters") or {}, path, "name")


def _validate_place(device: Part, path: str, per_device: bool) -> list[FieldError]:
    names = ("nodeName", "nodeSelector", "allNodes")
    if not per_device:
        if all(device.get(name) is None for name in names):
            return []
        detail = (
            "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in "
            "the ResourceSlice spec"
        )
        return [invalid(path, None, detail)]
    errors: list[FieldError] = []
    given = []
    node, selector, everywhere = (device.get(name) for name in names)
    if node:
        given.append("`nodeName`")
        errors += faults(f"{path}.nodeName", node, dns1123_subdomain(node))
    elif node is not None:
        errors.append(invalid(f"{path}.nodeName", node, "must not be empty"))
    if selector is not None:
        given.append("`nodeSelector`")
        errors += validate_node_selector(selector, f"{path}.nodeSelector")
    if everywhere:
        given.append("`allNodes`")
    elif everywhere is False:
        errors.append(invalid(f"{path}.allNodes", False, "must be either unset or set to true"))
    if not given:
        errors.append(required(path, _PER_DEVICE))
    elif len(given) > 1:
        errors.append(invalid(path, f"{{{', '.join(given)}}}", _PER_DEVICE))
    return errors


def _validate_device(device: Part, path: str, per_device: bool) -> list[FieldError]:
    name = device.get("name") or ""
    errors = faults(f"{path}.name", name, dns1123_label(name))
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    if (count := len(attributes) + len(capacity)) > ATTRIBUTES_MAX:
        detail = f"the total number of attributes and capacities must not exceed {ATTRIBUTES_MAX}"
        errors.append(invalid(path, count, detail))
    if (count := _values_count(device)) > VALUES_MAX:
        detail = f"the total number of attribute values must not exceed {VALUES_MAX}"
        errors.append(invalid(path, count, detail))
    for key, attribute in attributes.items():
        errors += validate_identifier(key, f"{path}.attributes")
        errors += _validate_attribute(attribute, f"{path}.attributes[{key}]")
    for key in capacity:
        errors += validate_identifier(key, f"{path}.capacity")
    errors += validate_each(device.get("taints") or (), f"{path}.taints", TAINTS_MAX, _validate_taint)
    errors += validate_each(
        device.get("consumesCounters") or (),
        f"{path}.consumesCounters",
        CONSUMED_SETS_MAX,
        _validate_consumption,
        lambda given: given.get("counterSet") or "",
    )
    return errors + _validate_place(device, path, per_device)


def _is_advanced(device: Part) -> bool:
    lists = any(
        attribute.get(name) is not None
        for attribute in (device.get("attributes") or {}).values()
        for name in _LISTS
    )
    return lists or bool(device.get("taints") or device.get("consumesCounters"))


def _validate_devices(spec: Part) -> list[FieldError]:
    devices, per_device = spec.get("devices") or (), bool(spec.get("perDeviceNodeSelection"))
    errors = []
    if spec.get("sharedCounters") is not None and spec.get("devices") is not None:
        detail = "only one of `sharedCounters` or `devices` is allowed"
        errors.append(invalid("spec", "", detail))

    def check(device: Part, path: str) -> list[FieldError]:
        return _validate_device(device, path, per_device)

    def name(given: Part) -> str:
        return given.get("name") or ""

    most = ADVANCED_DEVICES_MAX if any(map(_is_advanced, devices)) else DEVICES_MAX
    errors += validate_each(devices, "spec.devices", most, check, name)
    return errors + validate_each(
        spec.get("sharedCounters") or (),
        "spec.sharedCounters",
        COUNTER_SETS_MAX,
        _validate_counter_set,
        name,
    )


# Slices


def _validate_slice_spec(spec: Part, old: Part | None) -> list[FieldError]:
    errors = validate_csi_driver(spec.get("driver") or "", "spec.driver")
    pool, path = spec.get("pool") or {}, "spec.pool"
    errors += validate_pool(pool.get("name") or "", f"{path}.name")
    count, generation = pool.get("resourceSliceCount") or 0, pool.get("generation") or 0
    if count <= 0:
        detail = "must be greater than zero"
        errors.append(invalid(f"{path}.resourceSliceCount", count, detail))
    if generation < 0:
        detail = "must be greater than or equal to zero"
        errors.append(invalid(f"{path}.generation", generation, detail))
    if old is not None:
        before = (old.get("pool") or {}).get("name")
        errors += validate_unchanged(pool.get("name"), before, f"{path}.name")
        for name in ("driver", "nodeName"):
            errors += validate_unchanged(spec.get(name), old.get(name), f"spec.{name}")
    return errors + _validate_nodes(spec) + _validate_devices(spec)


def _validate_nodes(spec: Part) -> list[FieldError]:
    errors: list[FieldError] = []
    given = []
    if (node := spec.get("nodeName")) is not None:
        if node:
            given.append("`nodeName`")
            errors += faults("spec.nodeName", node, dns1123_subdomain(node))
        else:
            detail = "must be either unset or set to a non-empty string"
            errors.append(invalid("spec.nodeName", node, detail))
    if (selector := spec.get("nodeSelector")) is not None:
        given.append("`nodeSelector`")
        errors += validate_node_selector(selector, "spec.nodeSelector")
        terms = selector.get("nodeSelectorTerms") or []
        if len(terms) != 1:
            detail = "must have exactly one node selector term"
            errors.append(invalid("spec.nodeSelector.nodeSelectorTerms", terms, detail))
    for name in ("allNodes", "perDeviceNodeSelection"):
        if spec.get(name):
            given.append(f"`{name}`")
        elif spec.get(name) is False:
            errors.append(invalid(f"spec.{name}", False, "must be either unset or set to true"))
    if not given:
        errors.append(required("spec", _NODES))
    elif len(given) > 1:
        detail = f"{_NODES}, but multiple fields are set"
        errors.append(invalid("spec", f"{{{', '.join(given)}}}", detail))
    return errors


def _validate_slice(obj: Object, _: Context) -> list[FieldError]:
    return validate_named(obj, namespaced=False) + _validate_slice_spec(obj["spec"], None)


def _validate_slice_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return validate_named_update(obj, old) + _validate_slice_spec(obj["spec"], old["spec"])


def _slice_warnings(obj: Object, *_: Any) -> list[str]:
    driver = obj["spec"].get("driver") or ""
    if driver == driver.lower():
        return []
    text = f'driver names should be lowercase; "{driver}" contains uppercase characters'
    return [f"spec.driver: {text}"]


RESOURCE_SLICE: Final = Strategy(
    prepare_for_create=_prepare_for_create,
    validate=_validate_slice,
    warnings=_slice_warnings,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_slice_update,
    warnings_on_update=_slice_warnings,
)
