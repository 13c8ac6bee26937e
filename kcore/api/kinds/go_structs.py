"""Objects as Go's internal structs, whose fields have no JSON names: for messages that show them, and their difference.

Sources, Kubernetes 1.36: pkg/apis/core/types.go; apimachinery pkg/util/diff (a unified diff of indented JSON).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, Final

from kcore.api.field import Struct

_ZEROS: Final = {"string": "", "bool": False, "int": 0, "pointer": None, "list": None, "map": None}

# type: (Go's name, the name in JSON, what it is: a key of _ZEROS or a type, "*" for a pointer, "[]" for a list)
_TYPES: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "PersistentVolumeClaimSpec": (
        ("AccessModes", "accessModes", "list"),
        ("Selector", "selector", "map"),  # a type of metav1, with names of JSON
        ("Resources", "resources", "VolumeResourceRequirements"),
        ("VolumeName", "volumeName", "string"),
        ("StorageClassName", "storageClassName", "pointer"),
        ("VolumeMode", "volumeMode", "pointer"),
        ("DataSource", "dataSource", "*TypedLocalObjectReference"),
        ("DataSourceRef", "dataSourceRef", "*TypedObjectReference"),
        ("VolumeAttributesClassName", "volumeAttributesClassName", "pointer"),
    ),
    "VolumeResourceRequirements": (("Limits", "limits", "map"), ("Requests", "requests", "map")),
    "TypedLocalObjectReference": (
        ("APIGroup", "apiGroup", "pointer"),
        ("Kind", "kind", "string"),
        ("Name", "name", "string"),
    ),
    "TypedObjectReference": (
        ("APIGroup", "apiGroup", "pointer"),
        ("Kind", "kind", "string"),
        ("Name", "name", "string"),
        ("Namespace", "namespace", "pointer"),
    ),
    "VolumeNodeAffinity": (("Required", "required", "*NodeSelector"),),
    "NodeSelector": (("NodeSelectorTerms", "nodeSelectorTerms", "[]NodeSelectorTerm"),),
    "NodeSelectorTerm": (
        ("MatchExpressions", "matchExpressions", "[]NodeSelectorRequirement"),
        ("MatchFields", "matchFields", "[]NodeSelectorRequirement"),
    ),
    "NodeSelectorRequirement": (
        ("Key", "key", "string"),
        ("Operator", "operator", "string"),
        ("Values", "values", "list"),
    ),
    "SecretReference": (("Name", "name", "string"), ("Namespace", "namespace", "string")),
    "PersistentVolumeSource": (
        ("GCEPersistentDisk", "gcePersistentDisk", "*GCEPersistentDisk"),
        ("AWSElasticBlockStore", "awsElasticBlockStore", "*AWSElasticBlockStore"),
        ("HostPath", "hostPath", "*HostPath"),
        ("Glusterfs", "glusterfs", "*"),
        ("NFS", "nfs", "*NFS"),
        ("RBD", "rbd", "*"),
        ("Quobyte", "quobyte", "*"),
        ("ISCSI", "iscsi", "*ISCSI"),
        ("FlexVolume", "flexVolume", "*"),
        ("Cinder", "cinder", "*"),
        ("CephFS", "cephfs", "*"),
        ("FC", "fc", "*"),
        ("Flocker", "flocker", "*"),
        ("AzureFile", "azureFile", "*"),
        ("VsphereVolume", "vsphereVolume", "*"),
        ("AzureDisk", "azureDisk", "*"),
        ("PhotonPersistentDisk", "photonPersistentDisk", "*"),
        ("PortworxVolume", "portworxVolume", "*"),
        ("ScaleIO", "scaleIO", "*"),
        ("Local", "local", "*Local"),
        ("StorageOS", "storageos", "*"),
        ("CSI", "csi", "*CSI"),
    ),
    "GCEPersistentDisk": (
        ("PDName", "pdName", "string"),
        ("FSType", "fsType", "string"),
        ("Partition", "partition", "int"),
        ("ReadOnly", "readOnly", "bool"),
    ),
    "AWSElasticBlockStore": (
        ("VolumeID", "volumeID", "string"),
        ("FSType", "fsType", "string"),
        ("Partition", "partition", "int"),
        ("ReadOnly", "readOnly", "bool"),
    ),
    "HostPath": (("Path", "path", "string"), ("Type", "type", "pointer")),
    "NFS": (("Server", "server", "string"), ("Path", "path", "string"), ("ReadOnly", "readOnly", "bool")),
    "ISCSI": (
        ("TargetPortal", "targetPortal", "string"),
        ("IQN", "iqn", "string"),
        ("Lun", "lun", "int"),
        ("ISCSIInterface", "iscsiInterface", "string"),
        ("FSType", "fsType", "string"),
        ("ReadOnly", "readOnly", "bool"),
        ("Portals", "portals", "list"),
        ("DiscoveryCHAPAuth", "chapAuthDiscovery", "bool"),
        ("SessionCHAPAuth", "chapAuthSession", "bool"),
        ("SecretRef", "secretRef", "*SecretReference"),
        ("InitiatorName", "initiatorName", "pointer"),
    ),
    "Local": (("Path", "path", "string"), ("FSType", "fsType", "pointer")),
    "CSI": (
        ("Driver", "driver", "string"),
        ("VolumeHandle", "volumeHandle", "string"),
        ("ReadOnly", "readOnly", "bool"),
        ("FSType", "fsType", "string"),
        ("VolumeAttributes", "volumeAttributes", "map"),
        ("ControllerPublishSecretRef", "controllerPublishSecretRef", "*SecretReference"),
        ("NodeStageSecretRef", "nodeStageSecretRef", "*SecretReference"),
        ("NodePublishSecretRef", "nodePublishSecretRef", "*SecretReference"),
        ("ControllerExpandSecretRef", "controllerExpandSecretRef", "*SecretReference"),
        ("NodeExpandSecretRef", "nodeExpandSecretRef", "*SecretReference"),
    ),
}


def struct(kind: str, value: Mapping[str, Any]) -> Struct:
    """The value as the type of that name."""
    return Struct({name: _member(value.get(key), what) for name, key, what in _TYPES[kind]})


def _member(value: Any, what: str) -> Any:
    if what in _ZEROS:
        return _ZEROS[what] if value is None else value
    if value is None:
        return None if what[0] in "*[" else struct(what, {})
    kind = what.removeprefix("*").removeprefix("[]")
    if what.startswith("[]"):
        return [struct(kind, each) for each in value]
    if (
        not kind
    ):  # a type of volume that hardly anybody has: its names begin with a capital, what it lacks is left out
        return Struct({name[:1].upper() + name[1:]: each for name, each in value.items()})
    return struct(kind, value)


def volume_source(sources: Mapping[str, Any]) -> Struct:
    """A PersistentVolumeSource."""
    return struct("PersistentVolumeSource", sources)


def volume_affinity(affinity: Mapping[str, Any]) -> Struct:
    """A VolumeNodeAffinity."""
    return struct("VolumeNodeAffinity", affinity)


def claim_spec(spec: Mapping[str, Any]) -> Struct:
    """A PersistentVolumeClaimSpec."""
    return struct("PersistentVolumeClaimSpec", spec)


def difference(old: Any, new: Any) -> str:
    """The lines that differ, as diff.Diff shows them."""
    before, after = ([f"{line}\n" for line in _indented(each).split("\n")] for each in (old, new))
    return "".join([*difflib.unified_diff(before, after, n=3)][2:])


def _indented(value: Any) -> str:
    text = json.dumps(_sorted(value), indent=1, ensure_ascii=False, separators=(",", ": "))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _sorted(value: Any) -> Any:
    """Maps by their keys, structs as they are."""
    if isinstance(value, Struct):
        return {name: _sorted(each) for name, each in value.items()}
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value
