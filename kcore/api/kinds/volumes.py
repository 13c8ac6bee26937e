"""What is wrong with the volumes of a pod.

Source, Kubernetes 1.36: pkg/apis/core/validation/validation.go (ValidateVolumes, validateVolumeSource). One row a
type of volume, in upstream's order, since of several only the first is looked at. Upstream's slips of the pen in
paths (``persistentDisk``, ``cephFS``, ``downwarAPI``) are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kcore.api.field import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
    too_long,
)
from kcore.api.kinds.claims import validate_claim_template
from kcore.api.kinds.names import between, byte_count, dns1123_label, dns1123_subdomain, faults
from kcore.api.kinds.pod_options import PodOptions
from kcore.api.kinds.projections import (
    validate_downward_items,
    validate_items,
    validate_mode,
    validate_projected,
)
from kcore.api.kinds.relative_paths import validate_descending, validate_no_backsteps
from kcore.api.quantity import parse_quantity

Source = Mapping[str, Any]
Check = Callable[[Source, str, list[FieldError]], None]

CSI_DRIVER_BYTES_MAX: Final = 63
ISCSI_PORTAL_BYTES_MAX: Final = 64
QUOBYTE_TENANT_BYTES_MAX: Final = 64
HOST_PATH_TYPES: Final = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip
PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
AZURE_CACHING: Final = ("None", "ReadOnly", "ReadWrite")
AZURE_KINDS: Final = ("Dedicated", "Managed", "Shared")
AZURE_MANAGED_URI: Final = (
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
)
AZURE_BLOB_URI: Final = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"

_QUALIFIERS: Final = {
    "iqn": re.compile(r"iqn\.\d{4}-\d{2}\.([0-9A-Za-z\-.]+)(:[^,;*&$|\s]+)\Z", re.ASCII),
    "eui": re.compile(r"\Aeui.[0-9A-Za-z]{16}\Z"),
    "naa": re.compile(r"\Anaa.[0-9A-Za-z]{32}\Z"),
}


def validate_volumes(
    volumes: list[Source], pod_name: str, path: str, options: PodOptions, errors: list[FieldError]
) -> dict[str, Source]:
    """The good volumes by name (ValidateVolumes); ``pod_name`` is empty in a template."""
    created = set()
    if pod_name:
        created = {
            f"{pod_name}-{each.get('name') or ''}" for each in volumes if each.get("ephemeral") is not None
        }
    found: dict[str, Source] = {}
    for index, volume in enumerate(volumes):
        at = f"{path}[{index}]"
        name = volume.get("name") or ""
        before = len(errors)
        _validate_source(volume, name, pod_name, at, options, errors)
        if not name:
            errors.append(required(f"{at}.name"))
        elif complaints := dns1123_label(name):
            errors += faults(f"{at}.name", name, complaints)
        if name in found:
            errors.append(duplicate(f"{at}.name", name))
        if len(errors) == before:
            found[name] = volume
        if created and (claim := volume.get("persistentVolumeClaim")) is not None:
            claim_name = claim.get("claimName") or ""
            if claim_name in created:
                detail = "must not reference a PVC that gets created for an ephemeral volume"
                errors.append(invalid(f"{at}.persistentVolumeClaim.claimName", claim_name, detail))
    return found


def _validate_source(
    volume: Source, name: str, pod_name: str, path: str, options: PodOptions, errors: list[FieldError]
) -> None:
    present = [each for each in volume if each != "name" and volume[each] is not None]
    if len(present) == 1:  # the usual case
        row = _CHECKS.get(present[0])
        if row is not None:
            row[1](volume[present[0]], f"{path}.{row[0]}", errors)
    elif not present:
        errors.append(required(path, "must specify a volume type"))
        return
    else:
        _validate_several(volume, path, errors)
    for each in present:
        source = volume[each]
        if each == "iscsi":
            portal = source.get("targetPortal") or ""
            if (
                source.get("initiatorName") is not None
                and byte_count(f"{name}:{portal}") > ISCSI_PORTAL_BYTES_MAX
            ):
                detail = (
                    "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
                    "iscsi.initiatorName is specified."
                )
                errors.append(invalid(f"{path}.name", name, detail))
        elif each == "projected" and each == present[0]:
            validate_projected(source, f"{path}.projected", options, errors)
        elif each == "ephemeral" and each == present[0] and pod_name and name:
            claim = f"{pod_name}-{name}"
            errors += [
                invalid(f"{path}.name", name, f'PVC name "{claim}": {complaint}')
                for complaint in dns1123_subdomain(claim)
            ]
        elif each == "image" and each == present[0]:
            _validate_image(source, f"{path}.image", options, errors)


def _validate_several(volume: Source, path: str, errors: list[FieldError]) -> None:
    first = True
    for each, (below, check) in _CHECKS.items():
        if (source := volume.get(each)) is None:
            continue
        if first:
            check(source, f"{path}.{below}", errors)
        else:
            errors.append(
                forbidden(f"{path}.{_SECOND.get(each, each)}", "may not specify more than 1 volume type")
            )
        first = False


def _validate_image(source: Source, path: str, options: PodOptions, errors: list[FieldError]) -> None:
    if options.is_pod and not source.get("reference"):
        errors.append(required(f"{path}.reference"))
    validate_pull_policy(source.get("pullPolicy") or "", f"{path}.pullPolicy", errors)


def validate_pull_policy(policy: str, path: str, errors: list[FieldError]) -> None:
    """validatePullPolicy."""
    if policy not in PULL_POLICIES:
        errors.append(not_supported(path, policy, PULL_POLICIES) if policy else required(path))


def validate_needed(*names: str) -> Check:
    """A check that all of the fields are there."""

    def check(source: Source, path: str, errors: list[FieldError]) -> None:
        errors += [required(f"{path}.{name}") for name in names if not source.get(name)]

    return check


def _ignore(source: Source, path: str, errors: list[FieldError]) -> None:
    """Looked at elsewhere, since it needs more than its source."""


def _empty_dir(source: Source, path: str, errors: list[FieldError]) -> None:
    limit = source.get("sizeLimit")
    if limit is not None and parse_quantity(limit) < 0:
        errors.append(forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity"))


def validate_host_path(source: Source, path: str, errors: list[FieldError]) -> None:
    """validateHostPathVolumeSource."""
    where = source.get("path")
    if not where:
        errors.append(required(f"{path}.path"))
        return
    validate_no_backsteps(where, f"{path}.path", errors)
    kind = source.get("type")
    if kind is not None and kind not in HOST_PATH_TYPES:
        errors.append(not_supported(f"{path}.type", kind, HOST_PATH_TYPES))


def _git_repo(source: Source, path: str, errors: list[FieldError]) -> None:
    if not source.get("repository"):
        errors.append(required(f"{path}.repository"))
    validate_descending(source.get("directory") or "", f"{path}.directory", errors)


def validate_partitioned(name: str) -> Check:
    """A check of a disk with partitions, that is named by the field."""

    def check(source: Source, path: str, errors: list[FieldError]) -> None:
        if not source.get(name):
            errors.append(required(f"{path}.{name}"))
        partition = source.get("partition") or 0
        if not 0 <= partition <= 255:
            errors.append(invalid(f"{path}.partition", partition, between(1, 255)))

    return check


def _files(name: str) -> Check:
    """A secret or a ConfigMap: its name, the mode of its files, which of its keys become which files."""

    def check(source: Source, path: str, errors: list[FieldError]) -> None:
        if not source.get(name):
            errors.append(required(f"{path}.{name}"))
        validate_mode(source.get("defaultMode"), f"{path}.defaultMode", errors)
        if items := source.get("items"):
            validate_items(items, f"{path}.items", errors)

    return check


def validate_nfs(source: Source, path: str, errors: list[FieldError]) -> None:
    """validateNFSVolumeSource."""
    if not source.get("server"):
        errors.append(required(f"{path}.server"))
    where = source.get("path") or ""
    if not where:
        errors.append(required(f"{path}.path"))
    if not where.startswith("/"):
        errors.append(invalid(f"{path}.path", where, "must be an absolute path"))


def validate_iscsi_name(name: str, path: str, persistent: bool, errors: list[FieldError]) -> None:
    """One iSCSI name: iqn, eui or naa in its form."""
    pattern = _QUALIFIERS.get(name[:3])
    if pattern is None:
        started = "" if persistent else " starting with iqn, eui, or naa"
        errors.append(invalid(path, name, f"must be valid format{started}"))
    elif not pattern.search(name):
        errors.append(invalid(path, name, "must be valid format"))


def validate_iscsi(source: Source, path: str, errors: list[FieldError], persistent: bool = False) -> None:
    """validateISCSIVolumeSource, and of a PersistentVolume without the length of its name."""
    get = source.get
    if not get("targetPortal"):
        errors.append(required(f"{path}.targetPortal"))
    if not (name := get("iqn")):
        errors.append(required(f"{path}.iqn"))
    else:
        validate_iscsi_name(name, f"{path}.iqn", persistent, errors)
    if not 0 <= (lun := get("lun") or 0) <= 255:
        errors.append(invalid(f"{path}.lun", lun, between(0, 255)))
    if (get("chapAuthDiscovery") or get("chapAuthSession")) and get("secretRef") is None:
        errors.append(required(f"{path}.secretRef"))
    secret = get("secretRef")
    if persistent and secret is not None and not secret.get("name"):
        errors.append(required(f"{path}.secretRef.name"))
    if (initiator := get("initiatorName")) is not None:
        validate_iscsi_name(initiator, f"{path}.initiatorname", persistent, errors)


def validate_fc(source: Source, path: str, errors: list[FieldError]) -> None:
    """validateFCVolumeSource."""
    names, ids, lun = source.get("targetWWNs") or [], source.get("wwids") or [], source.get("lun")
    at = f"{path}.targetWWNs"
    if not names and not ids:
        errors.append(required(at, "must specify either targetWWNs or wwids, but not both"))
    if names and ids:
        errors.append(invalid(at, names, "targetWWNs and wwids can not be specified simultaneously"))
    if names:
        if lun is None:
            errors.append(required(f"{path}.lun", "lun is required if targetWWNs is specified"))
        elif not 0 <= lun <= 255:
            errors.append(invalid(f"{path}.lun", lun, between(0, 255)))


def validate_quobyte(source: Source, path: str, errors: list[FieldError]) -> None:
    """validateQuobyteVolumeSource."""
    registry = source.get("registry") or ""
    pairs = "must be a host:port pair or multiple pairs separated by commas"
    if not registry:
        errors.append(required(f"{path}.registry", pairs))
    elif byte_count(source.get("tenant") or "") > QUOBYTE_TENANT_BYTES_MAX:
        errors.append(
            required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters")
        )
    else:
        for pair in registry.split(","):
            host, colon, port = pair.rpartition(":")
            bracketed = host.startswith("[") and host.endswith("]")
            bare = host[1:-1] if bracketed else host
            odd = "]" in port or any(char in bare for char in "[]") or (":" in host and not bracketed)
            if not colon or odd:
                errors.append(invalid(f"{path}.registry", registry, pairs))
    if not source.get("volume"):
        errors.append(required(f"{path}.volume"))


def validate_flocker(source: Source, path: str, errors: list[FieldError]) -> None:
    """validateFlockerVolumeSource."""
    name, uuid = source.get("datasetName") or "", source.get("datasetUUID") or ""
    if not name and not uuid:
        errors.append(required(path, "one of datasetName and datasetUUID is required"))
    if name and uuid:
        detail = "datasetName and datasetUUID can not be specified simultaneously"
        errors.append(invalid(path, "resource", detail))
    if "/" in name:
        errors.append(invalid(f"{path}.datasetName", name, "must not contain '/'"))


def _cinder(source: Source, path: str, errors: list[FieldError]) -> None:
    validate_needed("volumeID")(source, path, errors)
    if (secret := source.get("secretRef")) is not None and not secret.get("name"):
        errors.append(required(f"{path}.secretRef.name"))


def validate_flex(source: Source, path: str, errors: list[FieldError]) -> None:
    """validateFlexVolumeSource."""
    if not source.get("driver"):
        errors.append(required(f"{path}.driver"))
    for key in source.get("options") or ():
        if f".{key.partition('/')[0].lower()}".endswith((".kubernetes.io", ".k8s.io")):
            detail = "kubernetes.io and k8s.io namespaces are reserved"
            errors.append(invalid(f"{path}.options[{key}]", key, detail))


def validate_azure_disk(source: Source, path: str, errors: list[FieldError]) -> None:
    """validateAzureDisk."""
    validate_needed("diskName", "diskURI")(source, path, errors)
    caching, kind, uri = source.get("cachingMode"), source.get("kind"), source.get("diskURI") or ""
    if caching is not None and caching not in AZURE_CACHING:
        errors.append(not_supported(f"{path}.cachingMode", caching, AZURE_CACHING))
    if kind is not None and kind not in AZURE_KINDS:
        errors.append(not_supported(f"{path}.kind", kind, AZURE_KINDS))
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        errors.append(not_supported(f"{path}.diskURI", uri, (AZURE_MANAGED_URI,)))
    if kind is not None and kind != "Managed" and not uri.startswith("https://"):
        errors.append(not_supported(f"{path}.diskURI", uri, (AZURE_BLOB_URI,)))


def validate_storage_os(source: Source, path: str, errors: list[FieldError]) -> None:
    """validateStorageOSVolumeSource."""
    if not (name := source.get("volumeName")):
        errors.append(required(f"{path}.volumeName"))
    else:
        errors += faults(f"{path}.volumeName", name, dns1123_label(name))
    if namespace := source.get("volumeNamespace"):
        errors += faults(f"{path}.volumeNamespace", namespace, dns1123_label(namespace))
    if (secret := source.get("secretRef")) is not None and not secret.get("name"):
        errors.append(required(f"{path}.secretRef.name"))


def validate_csi_driver(driver: str, path: str) -> list[FieldError]:
    """ValidateCSIDriverName."""
    if not driver:
        return [required(path)]
    errors = [too_long(path, CSI_DRIVER_BYTES_MAX)] if byte_count(driver) > CSI_DRIVER_BYTES_MAX else []
    return errors + faults(path, driver, dns1123_subdomain(driver.lower()))


def _csi(source: Source, path: str, errors: list[FieldError]) -> None:
    errors += validate_csi_driver(source.get("driver") or "", f"{path}.driver")
    if (secret := source.get("nodePublishSecretRef")) is not None:
        if not (name := secret.get("name")):
            errors.append(required(f"{path}.nodePublishSecretRef.name"))
        else:
            errors += faults(f"{path}.name", name, dns1123_subdomain(name))


def _downward(source: Source, path: str, errors: list[FieldError]) -> None:
    validate_mode(source.get("defaultMode"), f"{path}.defaultMode", errors)
    validate_downward_items(source.get("items") or (), path, errors)


def _ephemeral(source: Source, path: str, errors: list[FieldError]) -> None:
    template = source.get("volumeClaimTemplate")
    if template is None:
        errors.append(required(f"{path}.volumeClaimTemplate"))
    else:
        errors += validate_claim_template(template, f"{path}.volumeClaimTemplate")


# name of the source: how its path goes on, its check; in upstream's order
_CHECKS: Final[dict[str, tuple[str, Check]]] = {
    "emptyDir": ("emptyDir", _empty_dir),
    "hostPath": ("hostPath", validate_host_path),
    "gitRepo": ("gitRepo", _git_repo),
    "gcePersistentDisk": ("persistentDisk", validate_partitioned("pdName")),
    "awsElasticBlockStore": ("awsElasticBlockStore", validate_partitioned("volumeID")),
    "secret": ("secret", _files("secretName")),
    "nfs": ("nfs", validate_nfs),
    "iscsi": ("iscsi", validate_iscsi),
    "glusterfs": ("glusterfs", validate_needed("endpoints", "path")),
    "flocker": ("flocker", validate_flocker),
    "persistentVolumeClaim": ("persistentVolumeClaim", validate_needed("claimName")),
    "rbd": ("rbd", validate_needed("monitors", "image")),
    "cinder": ("cinder", _cinder),
    "cephfs": ("cephfs", validate_needed("monitors")),
    "quobyte": ("quobyte", validate_quobyte),
    "downwardAPI": ("downwardAPI", _downward),
    "fc": ("fc", validate_fc),
    "flexVolume": ("flexVolume", validate_flex),
    "configMap": ("configMap", _files("name")),
    "azureFile": ("azureFile", validate_needed("secretName", "shareName")),
    "vsphereVolume": ("vsphereVolume", validate_needed("volumePath")),
    "photonPersistentDisk": ("photonPersistentDisk", validate_needed("pdID")),
    "portworxVolume": ("portworxVolume", validate_needed("volumeID")),
    "azureDisk": ("azureDisk", validate_azure_disk),
    "storageos": ("storageos", validate_storage_os),
    "projected": ("projected", _ignore),
    "scaleIO": ("scaleIO", validate_needed("gateway", "system", "volumeName")),
    "csi": ("csi", _csi),
    "ephemeral": ("ephemeral", _ephemeral),
    "image": ("image", _ignore),
}
# where a second source is refused under another path
_SECOND: Final = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}


# Mounts of a container


def validate_mounts(
    container: Mapping[str, Any], volumes: Mapping[str, Source], path: str, errors: list[FieldError]
) -> None:
    """ValidateVolumeMounts and ValidateVolumeDevices of one container."""
    mounts, devices = container.get("volumeMounts") or (), container.get("volumeDevices") or ()
    device_paths = {each.get("name") or "": each.get("devicePath") or "" for each in devices}
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        at = f"{path}.volumeMounts[{index}]"
        name, where = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            errors.append(required(f"{at}.name"))
        if name not in volumes:
            errors.append(not_found(f"{at}.name", name))
        if not where:
            errors.append(required(f"{at}.mountPath"))
        if where in seen:
            errors.append(invalid(f"{at}.mountPath", where, "must be unique"))
        seen.add(where)
        if devices:
            if name in device_paths:
                errors.append(invalid(f"{at}.name", name, "must not already exist in volumeDevices"))
            if where in device_paths.values():
                detail = "must not already exist as a path in volumeDevices"
                errors.append(invalid(f"{at}.mountPath", where, detail))
        if len(mount) > 2:
            _validate_mount_rest(mount, container, at, f"{path}.volumeMounts", errors)
    if devices:
        mount_paths = {each.get("name") or "": each.get("mountPath") or "" for each in mounts}
        _validate_devices(devices, mount_paths, volumes, f"{path}.volumeDevices", errors)


def _validate_mount_rest(
    mount: Source, container: Mapping[str, Any], at: str, path: str, errors: list[FieldError]
) -> None:
    if sub_path := mount.get("subPath"):
        validate_descending(sub_path, f"{path}.subPath", errors)
    if expression := mount.get("subPathExpr"):
        if sub_path:
            detail = "subPathExpr and subPath are mutually exclusive"
            errors.append(invalid(f"{at}.subPathExpr", expression, detail))
        validate_descending(expression, f"{path}.subPathExpr", errors)
    propagation = mount.get("mountPropagation")
    if propagation is not None:
        supported = ("Bidirectional", "HostToContainer", "None")
        if propagation not in supported:
            errors.append(not_supported(f"{path}.mountPropagation", propagation, supported))
        privileged = (container.get("securityContext") or {}).get("privileged")
        if propagation == "Bidirectional" and not privileged:
            detail = "Bidirectional mount propagation is available only to privileged containers"
            errors.append(forbidden(f"{path}.mountPropagation", detail))
    recursive = mount.get("recursiveReadOnly")
    if recursive in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            errors.append(
                forbidden(f"{path}.recursiveReadOnly", "may only be specified when readOnly is true")
            )
        if propagation not in (None, "None"):
            detail = "may only be specified when mountPropagation is None or not specified"
            errors.append(forbidden(f"{path}.recursiveReadOnly", detail))
    elif recursive not in (None, "Disabled"):
        supported = ("Disabled", "Enabled", "IfPossible")
        errors.append(not_supported(f"{path}.recursiveReadOnly", recursive, supported))


def _validate_devices(
    devices: list[Source],
    mount_paths: Mapping[str, str],
    volumes: Mapping[str, Source],
    path: str,
    errors: list[FieldError],
) -> None:
    names: set[str] = set()
    paths: set[str] = set()
    for index, device in enumerate(devices):
        at = f"{path}[{index}]"
        name, where = device.get("name") or "", device.get("devicePath") or ""
        volume = volumes.get(name)
        if not name:
            errors.append(required(f"{at}.name"))
        if name in names:
            errors.append(invalid(f"{at}.name", name, "must be unique"))
        if volume is None:
            errors.append(not_found(f"{at}.name", name))
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            errors.append(invalid(f"{at}.name", name, detail))
        if not where:
            errors.append(required(f"{at}.devicePath"))
        if where in paths:
            errors.append(invalid(f"{at}.devicePath", where, "must be unique"))
        if where and ".." in where.split("/"):
            errors.append(invalid(f"{at}.devicePath", where, "can not contain backsteps ('..')"))
        else:
            paths.add(where)
        if name in mount_paths:
            errors.append(invalid(f"{at}.name", name, "must not already exist in volumeMounts"))
        if where in mount_paths.values():
            detail = "must not already exist as a path in volumeMounts"
            errors.append(invalid(f"{at}.devicePath", where, detail))
        if name:
            names.add(name)
