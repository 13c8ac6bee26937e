"""The tables of storage and of what pods mount. Source: pkg/printers/internalversion/printers.go of Kubernetes 1.36."""

from __future__ import annotations

from typing import Any, Final

from kcore.api.tables.cells import NONE, UNSET, Object, age, is_deleted, name, part, quantity

CLASS_ANNOTATION: Final = "volume.beta.kubernetes.io/storage-class"
DEFAULT_CLASS_ANNOTATIONS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
ACCESS_MODES: Final = (
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
)


def _access_modes(modes: list[str] | None) -> str:
    return ",".join(short for mode, short in ACCESS_MODES if mode in (modes or ()))


def _storage_class(obj: Object) -> str:
    annotations = part(obj, "metadata", "annotations")
    return str(annotations.get(CLASS_ANNOTATION, part(obj, "spec").get("storageClassName", "")))


def _phase(obj: Object) -> str:
    return "Terminating" if is_deleted(obj) else str(part(obj, "status").get("phase", ""))


def persistent_volume(obj: Object, now: float) -> list[Any]:
    """The cells of a PersistentVolume."""
    spec = part(obj, "spec")
    claim = spec.get("claimRef")
    return [
        name(obj),
        quantity(part(spec, "capacity").get("storage")),
        _access_modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        "" if claim is None else f"{claim.get('namespace', '')}/{claim.get('name', '')}",
        _storage_class(obj),
        spec.get("volumeAttributesClassName", UNSET),
        part(obj, "status").get("reason", ""),
        age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def persistent_volume_claim(obj: Object, now: float) -> list[Any]:
    """The cells of a PersistentVolumeClaim."""
    spec, status = part(obj, "spec"), part(obj, "status")
    volume = spec.get("volumeName", "")
    return [
        name(obj),
        _phase(obj),
        volume,
        quantity(part(status, "capacity").get("storage")) if volume else "",
        _access_modes(status.get("accessModes")) if volume else "",
        _storage_class(obj),
        spec.get("volumeAttributesClassName", UNSET),
        age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def storage_class(obj: Object, now: float) -> list[Any]:
    """The cells of a StorageClass."""
    annotations = part(obj, "metadata", "annotations")
    default = any(annotations.get(key) == "true" for key in DEFAULT_CLASS_ANNOTATIONS)
    return [
        name(obj) + (" (default)" if default else ""),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        obj.get("allowVolumeExpansion", False),
        age(obj, now),
    ]


def volume_attributes_class(obj: Object, now: float) -> list[Any]:
    """The cells of a VolumeAttributesClass."""
    return [name(obj), obj.get("driverName", ""), age(obj, now)]


def volume_attachment(obj: Object, now: float) -> list[Any]:
    """The cells of a VolumeAttachment."""
    spec = part(obj, "spec")
    return [
        name(obj),
        spec.get("attacher", ""),
        part(spec, "source").get("persistentVolumeName", ""),
        spec.get("nodeName", ""),
        part(obj, "status").get("attached", False),
        age(obj, now),
    ]


def csi_node(obj: Object, now: float) -> list[Any]:
    """The cells of a CSINode."""
    return [name(obj), len(part(obj, "spec").get("drivers") or ()), age(obj, now)]


def csi_driver(obj: Object, now: float) -> list[Any]:
    """The cells of a CSIDriver."""
    spec = part(obj, "spec")
    requests = spec.get("tokenRequests")
    return [
        name(obj),
        spec.get("attachRequired", True),
        spec.get("podInfoOnMount", False),
        spec.get("storageCapacity", False),
        UNSET if requests is None else ",".join(each.get("audience", "") for each in requests),
        spec.get("requiresRepublish", False),
        ",".join(spec.get("volumeLifecycleModes") or ()) or NONE,
        age(obj, now),
    ]


def secret(obj: Object, now: float) -> list[Any]:
    """The cells of a Secret."""
    return [name(obj), obj.get("type", ""), len(obj.get("data") or ()), age(obj, now)]


def config_map(obj: Object, now: float) -> list[Any]:
    """The cells of a ConfigMap."""
    count = len(obj.get("data") or ()) + len(obj.get("binaryData") or ())
    return [name(obj), count, age(obj, now)]
