"""StorageClasses, VolumeAttributesClasses, VolumeAttachments, and what CSI drivers say of themselves.

Sources, Kubernetes 1.36: pkg/apis/storage/validation/validation.go, pkg/apis/storage/v1/defaults.go,
pkg/registry/storage/*/strategy.go, pkg/api/storage/util.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import (
    FAULTS_MAX,
    FieldError,
    Struct,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)
from kcore.api.kinds.metadata import (
    IMMUTABLE,
    NOT_NEGATIVE,
    validate_label_name,
    validate_label_selector,
)
from kcore.api.kinds.names import ID_MAX, between, byte_count, dns1123_subdomain, faults, qualified_name
from kcore.api.kinds.node_labels import DEPRECATED_NODE_LABELS, label_selector_warnings
from kcore.api.kinds.persistent_volumes import default_volume_spec, validate_volume_spec
from kcore.api.kinds.updates import (
    count_generation,
    keep,
    keep_metadata_for_status,
    semantically_equal,
    validate_named,
    validate_named_update,
    validate_unchanged,
)
from kcore.api.kinds.volumes import validate_csi_driver
from kcore.api.quantity import canonical, parse_quantity
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]

PARAMETERS_BYTES_MAX: Final = 256 << 10
PARAMETERS_COUNT_MAX: Final = 512
METADATA_BYTES_MAX: Final = 256 << 10  # of what an attached volume tells
ERROR_BYTES_MAX: Final = 1024
NODE_ID_BYTES_MAX: Final = 256
TOKEN_SECONDS_MIN: Final = 600
TOKEN_SECONDS_MAX: Final = 1 << 32
PERIOD_SECONDS_MIN: Final = 10
RECLAIM_POLICIES: Final = ("Delete", "Retain")
BINDING_MODES: Final = ("Immediate", "WaitForFirstConsumer")
GROUP_POLICIES: Final = ("File", "None", "ReadWriteOnceWithFSType")
LIFECYCLE_MODES: Final = ("Persistent", "Ephemeral")
_SECRETS_WANTED: Final = (
    "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible "
    "logging of tokens in volume attributes"
)


# StorageClasses and VolumeAttributesClasses


def _default_class(obj: Object) -> None:
    if obj.get("reclaimPolicy") is None:
        obj["reclaimPolicy"] = "Delete"
    if obj.get("volumeBindingMode") is None:
        obj["volumeBindingMode"] = "Immediate"


def _validate_provisioner(name: str, path: str) -> list[FieldError]:
    if not name:
        return [required(path)]
    return faults(path, name.lower(), qualified_name(name.lower()))


def _validate_parameters(parameters: Mapping[str, str], may_be_empty: bool) -> list[FieldError]:
    path = "parameters"
    if len(parameters) > PARAMETERS_COUNT_MAX:
        return [too_long(path, PARAMETERS_COUNT_MAX)]
    errors = [invalid(path, key, "field can not be empty.") for key in parameters if not key]
    if sum(byte_count(key) + byte_count(value) for key, value in parameters.items()) > PARAMETERS_BYTES_MAX:
        errors.append(too_long(path, PARAMETERS_BYTES_MAX))
    if not may_be_empty and not parameters:
        errors.append(required(path, "must contain at least one key/value pair"))
    return errors


def _validate_topologies(topologies: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen = Counter({frozenset[Any](): len(topologies)})  # upstream begins with as many empty ones
    for index, term in enumerate(topologies):
        path = f"allowedTopologies[{index}].matchLabelExpressions"
        found: dict[str, set[str]] = {}
        for place, expression in enumerate(term.get("matchLabelExpressions") or ()):
            at, key = f"{path}[{place}]", expression.get("key") or ""
            values: set[str] = set()
            if not expression.get("values"):
                errors.append(required(f"{at}.values"))
            for number, value in enumerate(expression.get("values") or ()):
                if value in values:
                    errors.append(duplicate(f"{at}.values[{number}]", value))
                values.add(value)
            errors += validate_label_name(key, f"{at}.key")
            if key in found:
                errors.append(duplicate(f"{at}.key", key))
            found[key] = values
        same = frozenset((key, frozenset(values)) for key, values in found.items())
        if len(errors) < FAULTS_MAX:
            errors += [duplicate(path, "")] * seen[same]
        seen[same] += 1
    return errors


def _validate_class(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    errors += _validate_provisioner(obj.get("provisioner") or "", "provisioner")
    errors += _validate_parameters(obj.get("parameters") or {}, True)
    policy, mode = obj.get("reclaimPolicy"), obj.get("volumeBindingMode")
    if policy and policy not in RECLAIM_POLICIES:
        errors.append(not_supported("reclaimPolicy", policy, RECLAIM_POLICIES))
    if mode is None:
        errors.append(required("volumeBindingMode"))
    elif mode not in BINDING_MODES:
        errors.append(not_supported("volumeBindingMode", mode, BINDING_MODES))
    return errors + _validate_topologies(obj.get("allowedTopologies") or ())


def _validate_class_update(obj: Object, old: Object, context: Context) -> list[FieldError]:
    errors = _validate_class(obj, context) + validate_named_update(obj, old)
    for name in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        errors += validate_unchanged(obj.get(name), old.get(name), name)
    return errors


def _class_warnings(obj: Object, *_: Any) -> list[str]:
    return [
        f"allowedTopologies[{index}].matchLabelExpressions[{place}].key: {DEPRECATED_NODE_LABELS[key]}"
        for index, term in enumerate(obj.get("allowedTopologies") or ())
        for place, expression in enumerate(term.get("matchLabelExpressions") or ())
        if (key := expression.get("key")) in DEPRECATED_NODE_LABELS
    ]


def _validate_attributes_class(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    errors += _validate_provisioner(obj.get("driverName") or "", "driverName")
    return errors + _validate_parameters(obj.get("parameters") or {}, False)


def _validate_attributes_class_update(obj: Object, old: Object, context: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    errors += [
        forbidden(name, f"updates to {name} are forbidden.")
        for name in ("driverName", "parameters")
        if (obj.get(name) or None) != (old.get(name) or None)
    ]
    return errors + _validate_attributes_class(obj, context)


# VolumeAttachments


def _default_attachment(obj: Object) -> None:
    source = obj.setdefault("spec", {}).get("source") or {}
    if (inline := source.get("inlineVolumeSpec")) is not None:
        default_volume_spec(inline)


def _prepare_attachment(obj: Object, _: Context) -> None:
    obj["status"] = {"attached": False}


def _prepare_attachment_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")


def _prepare_attachment_status(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "spec")
    keep_metadata_for_status(obj, old)


def _validate_attachment_source(source: Mapping[str, Any]) -> list[FieldError]:
    path = "spec.source"
    inline, name = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if inline is None and name is None:
        return [required(path, detail)]
    if inline is not None and name is not None:
        return [forbidden(path, detail)]
    if inline is not None:
        return validate_volume_spec(inline, "", f"{path}.inlineVolumeSpec", inline=True)
    if not name:
        detail = "must specify non empty persistentVolumeName"
        return [required(f"{path}.persistentVolumeName", detail)]
    return []


def _validate_attachment(obj: Object, *_: Any) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    errors += validate_csi_driver(spec.get("attacher") or "", "spec.attacher")
    source = spec.get("source") or {}
    errors += _validate_attachment_source(source)
    node = spec.get("nodeName") or ""
    errors += faults("spec.nodeName", node, dns1123_subdomain(node))
    told = status.get("attachmentMetadata") or {}
    if sum(byte_count(key) + byte_count(value) for key, value in told.items()) > METADATA_BYTES_MAX:
        errors.append(too_long("status.attachmentMetadata", METADATA_BYTES_MAX))
    for side in ("attachError", "detachError"):
        fault = status.get(side) or {}
        if byte_count(fault.get("message") or "") > ERROR_BYTES_MAX:
            errors.append(too_long(f"status.{side}.message", METADATA_BYTES_MAX))
        if (code := fault.get("errorCode") or 0) < 0:
            errors.append(invalid(f"status.{side}.errorCode", code, between(0, ID_MAX)))
    if (name := source.get("persistentVolumeName")) is not None:
        errors += faults("spec.source.persistentVolumeName", name, dns1123_subdomain(name))
    return errors


def _validate_attachment_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = _validate_attachment(obj)
    if not semantically_equal(obj.get("spec"), old.get("spec")):
        spec = obj.get("spec") or {}
        source = spec.get("source") or {}
        shown = Struct(
            Attacher=spec.get("attacher") or "",
            Source=Struct(
                PersistentVolumeName=source.get("persistentVolumeName"),
                InlineVolumeSpec=source.get("inlineVolumeSpec"),
            ),
            NodeName=spec.get("nodeName") or "",
        )
        errors.append(invalid("spec", shown, IMMUTABLE))
    return errors


# CSIDrivers


def _default_driver(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    for name, value in (
        ("attachRequired", True), ("podInfoOnMount", False), ("storageCapacity", False),
        ("fsGroupPolicy", "ReadWriteOnceWithFSType"), ("requiresRepublish", False), ("seLinuxMount", False),
    ):  # fmt: skip
        if spec.get(name) is None:
            spec[name] = value
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def _prepare_driver(obj: Object, _: Context) -> None:
    obj["spec"].pop("preventPodSchedulingIfMissing", None)  # the gate VolumeLimitScaling is off


def _prepare_driver_update(obj: Object, old: Object, _: Context) -> None:
    if old["spec"].get("preventPodSchedulingIfMissing") is None:
        obj["spec"].pop("preventPodSchedulingIfMissing", None)
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))


def _validate_driver_spec(spec: Mapping[str, Any]) -> list[FieldError]:
    errors = [
        required(f"spec.{shown}")
        for name, shown in (
            ("attachRequired", "attachedRequired"),
            ("podInfoOnMount", "podInfoOnMount"),
            ("storageCapacity", "storageCapacity"),
        )
        if spec.get(name) is None
    ]
    policy = spec.get("fsGroupPolicy")
    if policy is not None and policy not in GROUP_POLICIES:
        errors.append(not_supported("spec.fsGroupPolicy", policy, GROUP_POLICIES))
    errors += _validate_token_requests(spec.get("tokenRequests") or ())
    errors += [
        not_supported("spec.volumeLifecycleModes", mode, LIFECYCLE_MODES)
        for mode in spec.get("volumeLifecycleModes") or ()
        if mode not in LIFECYCLE_MODES
    ]
    if spec.get("seLinuxMount") is None:
        errors.append(required("spec.seLinuxMount"))
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < PERIOD_SECONDS_MIN:
        detail = f"must be greater than or equal to {PERIOD_SECONDS_MIN} seconds"
        errors.append(invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, detail))
    in_secrets = spec.get("serviceAccountTokenInSecrets")
    if in_secrets is not None and not spec.get("tokenRequests"):
        detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        errors.append(invalid("spec.serviceAccountTokenInSecrets", in_secrets, detail))
    return errors


def _validate_token_requests(requests: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    errors = []
    seen = set()
    for index, request in enumerate(requests):
        at, audience = f"spec.tokenRequests[{index}]", request.get("audience") or ""
        if audience in seen:
            errors.append(duplicate(f"{at}.audience", audience))
            continue
        seen.add(audience)
        if (seconds := request.get("expirationSeconds")) is None:
            continue
        if seconds < TOKEN_SECONDS_MIN:
            detail = "may not specify a duration less than 10 minutes"
            errors.append(invalid(f"{at}.expirationSeconds", seconds, detail))
        if seconds > TOKEN_SECONDS_MAX:
            detail = "may not specify a duration larger than 2^32 seconds"
            errors.append(invalid(f"{at}.expirationSeconds", seconds, detail))
    return errors


def _validate_driver(obj: Object, _: Context) -> list[FieldError]:
    return validate_named(obj, namespaced=False) + _validate_driver_spec(obj["spec"])


def _validate_driver_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    spec, before = obj["spec"], old["spec"]
    errors = validate_named_update(obj, old) + _validate_driver_spec(spec)
    for name, shown in (
        ("attachRequired", "attachedRequired"),
        ("volumeLifecycleModes", "volumeLifecycleModes"),
    ):
        errors += validate_unchanged(spec.get(name), before.get(name), f"spec.{shown}")
    return errors


def _driver_warnings(obj: Object, old: Any = None, *_: Any) -> list[str]:
    spec = obj["spec"]
    before = (old.get("spec") or {}).get("tokenRequests") if isinstance(old, dict) else None
    requests = spec.get("tokenRequests")
    changed = requests and not semantically_equal(requests, before)
    return [_SECRETS_WANTED] if changed and spec.get("serviceAccountTokenInSecrets") is None else []


# CSINodes


def _validate_node(obj: Object, *_: Any) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    seen = set()
    for index, driver in enumerate((obj.get("spec") or {}).get("drivers") or ()):
        at, name, node = f"spec.drivers[{index}]", driver.get("name") or "", driver.get("nodeID") or ""
        errors += validate_csi_driver(name, f"{at}.name")
        if not node:
            errors.append(required(f"{at}.nodeID"))
        if byte_count(node) > NODE_ID_BYTES_MAX:
            detail = f"must be {NODE_ID_BYTES_MAX} characters or less"
            errors.append(invalid(f"{at}.nodeID", node, detail))
        count = (driver.get("allocatable") or {}).get("count")
        if count is not None and count < 0:
            errors.append(invalid(f"{at}.allocatable.count", count, NOT_NEGATIVE))
        if name in seen:
            errors.append(duplicate(f"{at}.name", name))
        seen.add(name)
        keys = set()
        for key in driver.get("topologyKeys") or ():
            if not key:
                errors.append(required(at))
            if key in keys:
                errors.append(duplicate(at, key))
            keys.add(key)
            errors += faults(at, key, qualified_name(key))
    return errors


def _validate_node_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = _validate_node(obj)
    drivers, had = ((each.get("spec") or {}).get("drivers") or () for each in (obj, old))
    fixed = ("nodeID", "topologyKeys")
    for before in had:
        for driver in drivers:
            same_name = driver.get("name") == before.get("name")
            if same_name and any(
                not semantically_equal(driver.get(name), before.get(name)) for name in fixed
            ):
                shown = Struct(
                    Name=driver.get("name") or "",
                    NodeID=driver.get("nodeID") or "",
                    TopologyKeys=driver.get("topologyKeys"),
                    Allocatable=None,
                )
                errors.append(invalid("spec.drivers", shown, IMMUTABLE))
    return errors


# CSIStorageCapacities


def _default_capacity(obj: Object) -> None:
    for name in ("capacity", "maximumVolumeSize"):
        if obj.get(name) is not None:
            obj[name] = canonical(obj[name])


def _check_capacity(obj: Object, allow_invalid_values: bool) -> list[FieldError]:
    errors = validate_named(obj)
    topology, name = obj.get("nodeTopology"), obj.get("storageClassName") or ""
    errors += validate_label_selector(topology, "nodeTopology", allow_invalid_values=allow_invalid_values)
    errors += faults("storageClassName", name, dns1123_subdomain(name))
    amount = obj.get("capacity")
    if amount is not None and parse_quantity(amount) < 0:
        errors.append(invalid("capacity", canonical(amount), NOT_NEGATIVE))
    return errors


def _validate_capacity(obj: Object, _: Context) -> list[FieldError]:
    return _check_capacity(obj, False)


def _validate_capacity_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    allow = bool(validate_label_selector(old.get("nodeTopology"), ""))
    errors = _check_capacity(obj, allow) + validate_named_update(obj, old)
    for name in ("nodeTopology", "storageClassName"):
        errors += validate_unchanged(obj.get(name), old.get(name), name)
    return errors


def _capacity_warnings(obj: Object, *_: Any) -> list[str]:
    return label_selector_warnings(obj.get("nodeTopology"), "nodeTopology")


STORAGE_CLASS: Final = Strategy(
    default=_default_class,
    validate=_validate_class,
    warnings=_class_warnings,
    validate_update=_validate_class_update,
    warnings_on_update=_class_warnings,
)
VOLUME_ATTRIBUTES_CLASS: Final = Strategy(
    validate=_validate_attributes_class, validate_update=_validate_attributes_class_update
)
VOLUME_ATTACHMENT: Final = Strategy(
    default=_default_attachment,
    prepare_for_create=_prepare_attachment,
    validate=_validate_attachment,
    prepare_for_update=_prepare_attachment_update,
    validate_update=_validate_attachment_update,
    reset_fields=("status",),
    allow_unconditional_update=False,
    subresources=MappingProxyType(
        {
            "status": UpdateStrategy(
                _prepare_attachment_status,
                _validate_attachment_update,
                reset_fields=("metadata", "spec"),
            )
        }
    ),
)
CSI_DRIVER: Final = Strategy(
    default=_default_driver,
    prepare_for_create=_prepare_driver,
    validate=_validate_driver,
    warnings=_driver_warnings,
    prepare_for_update=_prepare_driver_update,
    validate_update=_validate_driver_update,
    warnings_on_update=_driver_warnings,
    allow_unconditional_update=False,
)
CSI_NODE: Final = Strategy(
    validate=_validate_node, validate_update=_validate_node_update, allow_unconditional_update=False
)
CSI_STORAGE_CAPACITY: Final = Strategy(
    default=_default_capacity,
    validate=_validate_capacity,
    warnings=_capacity_warnings,
    validate_update=_validate_capacity_update,
    warnings_on_update=_capacity_warnings,
    allow_unconditional_update=False,
)
