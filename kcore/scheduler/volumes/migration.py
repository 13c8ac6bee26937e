"""In-tree volumes as the CSI volumes that they have become: driver, handle and topology.

Source: staging/src/k8s.io/csi-translation-lib of Kubernetes 1.36 (translate.go, plugins/*).
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from kcore.api.objects import (
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PersistentVolume,
    Volume,
    VolumeNodeAffinity,
)

ZONE: Final = "topology.kubernetes.io/zone"
REGION: Final = "topology.kubernetes.io/region"
BETA_ZONE: Final = "failure-domain.beta.kubernetes.io/zone"
BETA_REGION: Final = "failure-domain.beta.kubernetes.io/region"
ZONE_DELIMITER: Final = "__"
UNSPECIFIED: Final = "UNSPECIFIED"

_AWS_ID: Final = re.compile(r"vol-[^/]*")


class InTree(NamedTuple):
    """An in-tree plugin: the field of its source, the driver that has its volumes now, and that one's zone label."""

    field: str
    name: str
    driver: str
    topology_key: str = ""
    is_on: bool = True
    """Whether the scheduler ever counts or translates its volumes (isCSIMigrationOn)."""


IN_TREE: Final = (
    InTree("gce_persistent_disk", "kubernetes.io/gce-pd", "pd.csi.storage.gke.io", "topology.gke.io/zone"),
    InTree(
        "aws_elastic_block_store", "kubernetes.io/aws-ebs", "ebs.csi.aws.com", "topology.ebs.csi.aws.com/zone"
    ),
    InTree(
        "cinder", "kubernetes.io/cinder", "cinder.csi.openstack.org", "topology.cinder.csi.openstack.org/zone"
    ),
    InTree("azure_disk", "kubernetes.io/azure-disk", "disk.csi.azure.com"),
    InTree("azure_file", "kubernetes.io/azure-file", "file.csi.azure.com", is_on=False),
    InTree("vsphere_volume", "kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com", is_on=False),
    InTree("portworx_volume", "kubernetes.io/portworx-volume", "pxd.portworx.com"),
)
BY_PLUGIN_NAME: Final = {one.name: one for one in IN_TREE}


class Untranslatable(Exception):
    """The source cannot be one of a CSI driver; the text is upstream's."""


def in_tree_of(source: Any) -> InTree | None:
    """The in-tree plugin of a PersistentVolume's spec, or of a pod's volume; None where it is none of these."""
    for one in IN_TREE:
        if getattr(source, one.field, None) is not None:
            return one
    return None


def inline_handle(volume: Volume, plugin: InTree) -> str:
    """The CSI handle of a volume in a pod's spec. Source: TranslateInTreeInlineVolumeToCSI."""
    source: dict[str, Any] = getattr(volume, plugin.field)
    if plugin.field == "gce_persistent_disk":
        return f"projects/{UNSPECIFIED}/zones/{UNSPECIFIED}/disks/{source.get('pdName', '')}"
    return _handle(source, plugin)


def _handle(source: dict[str, Any], plugin: InTree) -> str:
    if plugin.field == "aws_elastic_block_store":
        return _aws_id(str(source.get("volumeID", "")))
    if plugin.field == "azure_disk":
        kind = str(source.get("kind") or "Shared")  # the API server's default
        if kind.lower() != "managed":
            raise Untranslatable(f"kind({kind}) is not supported in csi migration")
        return str(source.get("diskURI", ""))
    return str(source.get("volumeID", ""))


def _aws_id(text: str) -> str:
    if not text.startswith("aws://"):
        return text
    path = re.split(r"[?#]", text.removeprefix("aws://"), maxsplit=1)[0].partition("/")[2].strip("/")
    if _AWS_ID.fullmatch(path) is None:
        raise Untranslatable(
            f"failed to translate Kubernetes ID to EBS Volume ID Invalid format for AWS volume ({text})"
        )
    return path


def volume_handle(volume: PersistentVolume, plugin: InTree) -> str:
    """The CSI handle of an in-tree PersistentVolume. Source: TranslateInTreePVToCSI."""
    source: dict[str, Any] = getattr(volume.spec, plugin.field)
    if plugin.field != "gce_persistent_disk":
        return _handle(source, plugin)
    labels = volume.metadata.labels or {}
    name = source.get("pdName", "")
    zones = (labels.get(BETA_ZONE) or labels.get(ZONE) or "").split(ZONE_DELIMITER)
    if len(zones) > 1:
        return f"projects/{UNSPECIFIED}/regions/{_gce_region(zones)}/disks/{name}"
    return f"projects/{UNSPECIFIED}/zones/{zones[0] or UNSPECIFIED}/disks/{name}"


def _gce_region(zones: list[str]) -> str:
    regions = set()
    for zone in zones:
        parts = zone.split("-")
        if len(parts) != 3:
            raise Untranslatable(
                "failed to get region from zones: zone in unexpected format, expected: {locale}-{region}-{zone}, "
                f"got: {zone}"
            )
        regions.add("-".join(parts[:2]))
    if len(regions) != 1:
        shown = " ".join(f"{region}:{{}}" for region in sorted(regions))
        raise Untranslatable(
            f"failed to get region from zones: multiple or no regions gotten from zones, got: map[{shown}]"
        )
    return regions.pop()


def translated_affinity(volume: PersistentVolume, plugin: InTree) -> VolumeNodeAffinity | None:
    """The node affinity that the volume has as a CSI volume; Untranslatable where its source cannot be one.

    Source: TranslateInTreePVToCSI, translateTopologyFromInTreeToCSI.
    """
    volume_handle(volume, plugin)
    affinity = volume.spec.node_affinity
    if not plugin.topology_key:
        return affinity
    labels = volume.metadata.labels or {}
    terms = (affinity.required.node_selector_terms if affinity and affinity.required else None) or []
    keys = {one.key for term in terms for one in term.match_expressions or ()}
    is_beta = ZONE not in keys and (BETA_ZONE in keys or (ZONE not in labels and BETA_ZONE in labels))
    zone = BETA_ZONE if is_beta else ZONE
    renamed = {zone: plugin.topology_key}
    if is_beta and _has_values(terms, BETA_REGION):
        renamed[BETA_REGION] = REGION
    if _has_values(terms, zone):
        return _with_terms([_renamed(term, renamed) for term in terms])
    renamed.pop(zone)
    terms = [_renamed(term, renamed) for term in terms]
    zones = sorted({one.strip() for one in labels.get(zone, "").split(ZONE_DELIMITER)} - {""})
    if not zones:
        return _with_terms(terms) if terms else affinity
    added = NodeSelectorRequirement(key=plugin.topology_key, operator="In", values=zones)
    return _with_terms(
        [
            replace(term, match_expressions=[*(term.match_expressions or ()), added])
            for term in terms or [NodeSelectorTerm()]
        ]
    )


def _has_values(terms: list[NodeSelectorTerm], key: str) -> bool:
    return any(one.key == key and one.values for term in terms for one in term.match_expressions or ())


def _renamed(term: NodeSelectorTerm, keys: dict[str, str]) -> NodeSelectorTerm:
    expressions = [replace(one, key=keys.get(one.key, one.key)) for one in term.match_expressions or ()]
    return replace(term, match_expressions=expressions or None)


def _with_terms(terms: list[NodeSelectorTerm]) -> VolumeNodeAffinity:
    return VolumeNodeAffinity(required=NodeSelector(node_selector_terms=terms))
