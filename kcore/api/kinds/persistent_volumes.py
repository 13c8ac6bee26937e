"""PersistentVolumes.

Sources, Kubernetes 1.36: pkg/registry/core/persistentvolume/strategy.go, pkg/apis/core/validation/validation.go
(ValidatePersistentVolumeSpec), pkg/volume/validation/pv_validation.go, pkg/api/persistentvolume/util.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required
from kcore.api.kinds.claims import ACCESS_MODES, VOLUME_MODES
from kcore.api.kinds.go_structs import difference, volume_affinity, volume_source
from kcore.api.kinds.names import byte_count, dns1123_label, dns1123_subdomain, faults
from kcore.api.kinds.node_labels import node_term_warnings
from kcore.api.kinds.pod_defaults import VOLUME_DEFAULTS, default_resource_list
from kcore.api.kinds.relative_paths import validate_no_backsteps
from kcore.api.kinds.resource_lists import validate_positive
from kcore.api.kinds.scheduling_terms import validate_node_selector
from kcore.api.kinds.updates import (
    keep,
    semantically_equal,
    validate_named,
    validate_named_update,
    validate_unchanged,
)
from kcore.api.kinds.volumes import (
    ISCSI_PORTAL_BYTES_MAX,
    validate_azure_disk,
    validate_csi_driver,
    validate_fc,
    validate_flex,
    validate_flocker,
    validate_host_path,
    validate_iscsi,
    validate_needed,
    validate_nfs,
    validate_partitioned,
    validate_quobyte,
    validate_storage_os,
)
from kcore.api.quantity import parse_quantity, unit_value
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]
Source = Mapping[str, Any]

RECLAIM_POLICIES: Final = ("Delete", "Recycle", "Retain")
MOUNT_OPTIONS: Final = "volume.beta.kubernetes.io/mount-options"
BETA_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
# the types of volume that take the annotation of mount options
MOUNTABLE: Final = frozenset({
    "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "nfs", "rbd", "quobyte", "iscsi", "cinder", "cephfs",
    "azureFile", "vsphereVolume", "azureDisk", "photonPersistentDisk",
})  # fmt: skip
_CSI_SECRETS: Final = (
    "controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef",
)  # fmt: skip
_IMMUTABLE_AFTER: Final = "is immutable after creation"
_INLINE: Final = "in the context of inline volumes"
_DEPRECATED: Final = (
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
)


def _default(obj: Object) -> None:
    spec, status = obj.setdefault("spec", {}), obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    default_volume_spec(spec)


def default_volume_spec(spec: Object) -> None:
    """What holds for the spec of a volume inside an attachment too, the policy of reclaiming aside."""
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    if amounts := spec.get("capacity"):
        default_resource_list(amounts)
    for name in ("hostPath", "iscsi", "rbd", "azureDisk", "scaleIO"):
        if (source := spec.get(name)) is not None:
            for each, value in VOLUME_DEFAULTS[name].items():
                if source.get(each) is None or (value and source[each] == ""):
                    source[each] = value


def _prepare_for_create(obj: Object, context: Context) -> None:
    obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": context.now}


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")


def _prepare_status(obj: Object, old: Object, context: Context) -> None:
    keep(obj, old, "spec")
    name = "lastPhaseTransitionTime"
    status, before = obj.setdefault("status", {}), old.get("status") or {}
    if status.get("phase") == before.get("phase"):
        if status.get(name) is None and before.get(name) is not None:
            status[name] = before[name]
    elif status.get(name) is None or status[name] == before.get(name):
        status[name] = context.now


# Sources


def _secret_reference(secret: Source, path: str, errors: list[FieldError]) -> None:
    errors += [required(f"{path}.{name}") for name in ("name", "namespace") if not secret.get(name)]


def _glusterfs(source: Source, path: str, errors: list[FieldError]) -> None:
    validate_needed("endpoints", "path")(source, path, errors)
    namespace = source.get("endpointsNamespace")
    if namespace == "":
        detail = "if the endpointnamespace is set, it must be a valid namespace name"
        errors.append(invalid(f"{path}.endpointsNamespace", "", detail))
    elif namespace is not None:
        errors += faults(f"{path}.endpointsNamespace", namespace, dns1123_label(namespace))


def _iscsi(source: Source, path: str, errors: list[FieldError]) -> None:
    validate_iscsi(source, path, errors, persistent=True)


def _cinder(source: Source, path: str, errors: list[FieldError]) -> None:
    validate_needed("volumeID")(source, path, errors)
    if (secret := source.get("secretRef")) is not None:
        _secret_reference(secret, f"{path}.secretRef", errors)


def _azure_file(source: Source, path: str, errors: list[FieldError]) -> None:
    validate_needed("secretName", "shareName")(source, path, errors)
    if source.get("secretNamespace") == "":
        errors.append(required(f"{path}.secretNamespace"))


def _local(source: Source, path: str, errors: list[FieldError]) -> None:
    if not (where := source.get("path")):
        errors.append(required(f"{path}.path"))
    else:
        validate_no_backsteps(where, f"{path}.path", errors)


def _storage_os(source: Source, path: str, errors: list[FieldError]) -> None:
    validate_storage_os(source, path, errors)
    if (secret := source.get("secretRef")) is not None and not secret.get("namespace"):
        errors.append(required(f"{path}.secretRef.namespace"))


def _csi(source: Source, path: str, errors: list[FieldError]) -> None:
    errors += validate_csi_driver(source.get("driver") or "", f"{path}.driver")
    if not source.get("volumeHandle"):
        errors.append(required(f"{path}.volumeHandle"))
    rules = (("name", dns1123_subdomain), ("namespace", dns1123_label))
    for reference in _CSI_SECRETS:
        if (secret := source.get(reference)) is None:
            continue
        for name, rule in rules:
            at = f"{path}.{reference}.{name}"
            if value := secret.get(name):
                errors += faults(at, value, rule(value))
            else:
                errors.append(required(at))


# name of the source: how its path goes on, its check; in upstream's order
_CHECKS: Final = {
    "hostPath": ("hostPath", validate_host_path),
    "gcePersistentDisk": ("persistentDisk", validate_partitioned("pdName")),
    "awsElasticBlockStore": ("awsElasticBlockStore", validate_partitioned("volumeID")),
    "glusterfs": ("glusterfs", _glusterfs),
    "flocker": ("flocker", validate_flocker),
    "nfs": ("nfs", validate_nfs),
    "rbd": ("rbd", validate_needed("monitors", "image")),
    "quobyte": ("quobyte", validate_quobyte),
    "cephfs": ("cephfs", validate_needed("monitors")),
    "iscsi": ("iscsi", _iscsi),
    "cinder": ("cinder", _cinder),
    "fc": ("fc", validate_fc),
    "flexVolume": ("flexVolume", validate_flex),
    "azureFile": ("azureFile", _azure_file),
    "vsphereVolume": ("vsphereVolume", validate_needed("volumePath")),
    "photonPersistentDisk": ("photonPersistentDisk", validate_needed("pdID")),
    "portworxVolume": ("portworxVolume", validate_needed("volumeID")),
    "azureDisk": ("azureDisk", validate_azure_disk),
    "scaleIO": ("scaleIO", validate_needed("gateway", "system", "volumeName")),
    "local": ("local", _local),
    "storageos": ("storageos", _storage_os),
    "csi": ("csi", _csi),
}


def _validate_sources(spec: Source, name: str, has_affinity: bool, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    count = 0
    for each, (below, check) in _CHECKS.items():
        if (source := spec.get(each)) is None:
            continue
        if count and each != "flexVolume":  # which upstream does not refuse as a second one
            errors.append(forbidden(f"{path}.{each}", "may not specify more than 1 volume type"))
        else:
            check(source, f"{path}.{below}", errors)
            portal = source.get("targetPortal") or ""
            if (
                each == "iscsi"
                and source.get("initiatorName") is not None
                and byte_count(f"{name}:{portal}") > ISCSI_PORTAL_BYTES_MAX
            ):
                detail = (
                    "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
                    "iscsi.initiatorName is specified."
                )
                errors.append(invalid(f"{path}.iscsi.targetportal", portal, detail))
        count += 1
        if each == "local" and not has_affinity:
            errors.append(required(f"{path}.nodeAffinity", "Local volume requires node affinity"))
    if not count:
        errors.append(required(path, "must specify a volume type"))
    return errors


def _validate_modes(modes: list[str], path: str) -> list[FieldError]:
    errors = [] if modes else [required(path)]
    errors += [not_supported(path, mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
    known = {mode for mode in modes if mode in ACCESS_MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        errors.append(forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return errors


def _validate_capacity(capacity: Source, path: str) -> list[FieldError]:
    errors = [] if capacity else [required(path)]
    if "storage" not in capacity or len(capacity) > 1:
        errors.append(not_supported(path, capacity or None, ("storage",)))
    for name, amount in capacity.items():
        at = f"{path}[{name}]"
        if (units := unit_value(parse_quantity(amount))) < 0:
            errors.append(invalid(at, units, "must be a valid resource quantity"))
        errors += validate_positive(amount, at)
    return errors


def _validate_inline(spec: Source, path: str) -> list[FieldError]:
    errors = [
        forbidden(f"{path}.{name}", f"may not be specified {_INLINE}")
        for name in ("claimRef", "capacity")
        if spec.get(name)
    ]
    if spec.get("csi") is None:
        errors.append(required(f"{path}.csi", f"has to be specified {_INLINE}"))
    return errors


def validate_volume_spec(
    spec: Source, name: str, path: str, *, inline: bool = False, allow_invalid_values: bool = False
) -> list[FieldError]:
    """ValidatePersistentVolumeSpec; ``inline``: of a VolumeAttachment."""
    errors = _validate_inline(spec, path) if inline else []
    errors += _validate_modes(spec.get("accessModes") or [], f"{path}.accessModes")
    policy, at = spec.get("persistentVolumeReclaimPolicy"), f"{path}.persistentVolumeReclaimPolicy"
    if not inline:
        errors += _validate_capacity(spec.get("capacity") or {}, f"{path}.capacity")
        if policy and policy not in RECLAIM_POLICIES:
            errors.append(not_supported(at, policy, RECLAIM_POLICIES))
    elif policy and policy != "Retain":
        errors.append(forbidden(at, f"may only be Retain {_INLINE}"))
    affinity = spec.get("nodeAffinity")
    if affinity is not None:
        where = f"{path}.nodeAffinity"
        if inline:
            errors.append(forbidden(where, f"may not be specified {_INLINE}"))
        elif (needed := affinity.get("required")) is not None:
            errors += validate_node_selector(
                needed, f"{where}.required", allow_invalid_values=allow_invalid_values
            )
        else:
            errors.append(required(f"{where}.required", "must specify required node constraints"))
    has_affinity = affinity is not None and not inline
    errors += _validate_sources(spec, name, has_affinity, path)
    host = (spec.get("hostPath") or {}).get("path")
    if host and posixpath.normpath(host).replace("//", "/") == "/" and policy == "Recycle":
        errors.append(forbidden(at, "may not be 'recycle' for a hostPath mount of '/'"))
    return errors + _validate_rest(spec, path, inline)


def _validate_rest(spec: Source, path: str, inline: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if name := spec.get("storageClassName"):
        if inline:
            errors.append(forbidden(f"{path}.storageClassName", f"may not be specified {_INLINE}"))
        else:
            errors += faults(f"{path}.storageClassName", name, dns1123_subdomain(name))
    mode = spec.get("volumeMode")
    if mode is not None:
        if inline and mode != "Filesystem":
            detail = f"may not specify volumeMode other than Filesystem {_INLINE}"
            errors.append(forbidden(f"{path}.volumeMode", detail))
        elif not inline and mode not in VOLUME_MODES:
            errors.append(not_supported(f"{path}.volumeMode", mode, VOLUME_MODES))
    name, at = spec.get("volumeAttributesClassName"), f"{path}.volumeAttributesClassName"
    if name is not None and not inline:
        if not name:
            errors.append(required(at, "an empty string is disallowed"))
        else:
            errors += faults(at, name, dns1123_subdomain(name))
        if spec.get("csi") is None:
            detail = "has to be specified when using volumeAttributesClassName"
            errors.append(required(f"{path}.csi", detail))
    return errors


def _check(obj: Object, allow_invalid_values: bool) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    name = obj["metadata"].get("name") or ""
    errors += validate_volume_spec(obj["spec"], name, "spec", allow_invalid_values=allow_invalid_values)
    return errors


def _mount_option_errors(obj: Object) -> list[FieldError]:
    marked = MOUNT_OPTIONS in (obj["metadata"].get("annotations") or {})
    if not marked or any(obj["spec"].get(name) is not None for name in MOUNTABLE):
        return []
    detail = "may not specify mount options for this volume type"
    return [forbidden(f"metadata.annotations.{MOUNT_OPTIONS}", detail)]


def _validate(obj: Object, _: Context) -> list[FieldError]:
    return _check(obj, False) + _mount_option_errors(obj)


def _had_invalid_values(old: Object) -> bool:
    needed = ((old["spec"].get("nodeAffinity") or {}).get("required")) or {}
    errors = validate_node_selector(needed, "") if needed.get("nodeSelectorTerms") else []
    lenient = validate_node_selector(needed, "", allow_invalid_values=True) if errors else []
    return len(errors) > len(lenient)


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    allow = _had_invalid_values(old)
    errors = _check(obj, allow) + _mount_option_errors(obj) + _check(obj, allow)
    spec, before = obj["spec"], old["spec"]
    sources, had = (
        {name: each[name] for name in _CHECKS if each.get(name) is not None} for each in (spec, before)
    )
    secret = "controllerExpandSecretRef"
    if had.get("csi") and had["csi"].get(secret) is None and (sources.get("csi") or {}).get(secret):
        sources["csi"] = {name: value for name, value in sources["csi"].items() if name != secret}
    if not semantically_equal(sources, had):
        shown = difference(volume_source(had), volume_source(sources))
        detail = f"spec.persistentvolumesource {_IMMUTABLE_AFTER}\n{shown}"
        errors.append(forbidden("spec.persistentvolumesource", detail))
    errors += validate_unchanged(spec.get("volumeMode"), before.get("volumeMode"), "volumeMode")
    if before.get("nodeAffinity") is not None and not semantically_equal(
        _with_new_labels(spec.get("nodeAffinity")), _with_new_labels(before["nodeAffinity"])
    ):
        detail = "field is immutable, except for updating from beta label to GA"
        affinity = spec.get("nodeAffinity")
        errors.append(invalid("nodeAffinity", affinity and volume_affinity(affinity), detail))
    name = "volumeAttributesClassName"
    if before.get(name) is not None and spec.get(name) is None:
        errors.append(forbidden(f"spec.{name}", "update from non-nil value to nil is forbidden"))
    return errors


_NEW_LABELS: Final = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}


def _with_new_labels(affinity: Any) -> Any:
    """The affinity with the beta labels of nodes replaced, which an update may do."""
    if isinstance(affinity, list):
        return [_with_new_labels(each) for each in affinity]
    if isinstance(affinity, dict):
        made = {name: _with_new_labels(each) for name, each in affinity.items()}
        if made.get("key") in _NEW_LABELS:
            made["key"] = _NEW_LABELS[made["key"]]
        return made
    return affinity


def _validate_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    return errors if obj["metadata"].get("resourceVersion") else [*errors, required("resourceVersion")]


def _warnings(obj: Object, *_: Any) -> list[str]:
    spec, annotations = obj["spec"], obj["metadata"].get("annotations") or {}
    warnings = [
        f"metadata.annotations[{name}]: deprecated since {since}"
        for name, since in (
            (BETA_CLASS, 'v1.8; use "storageClassName" attribute instead'),
            (MOUNT_OPTIONS, 'v1.31; use "mountOptions" attribute instead'),
        )
        if name in annotations
    ]
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        warnings.append(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the "
            "recommended approach is to use dynamic provisioning."
        )
    terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    for index, term in enumerate(terms):
        warnings += node_term_warnings(term, f"spec.nodeAffinity.required.nodeSelectorTerms[{index}]")
    return warnings + [
        f"spec.{shown}: {text}" for name, shown, text in _DEPRECATED if spec.get(name) is not None
    ]


PERSISTENT_VOLUME: Final = Strategy(
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
)
