"""Volumes and claims as plain dictionaries, and what the volume plugins ask of them, one object at a time.

Source: component-helpers/storage/volume/pv_helpers.go, nodevolumelimits/csi.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from kcore.api.objects import (
    ClusterObjects,
    CSINode,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    StorageClass,
    Volume,
    VolumeNodeAffinity,
)
from kcore.scheduler.volumes.migration import (
    BY_PLUGIN_NAME,
    Untranslatable,
    in_tree_of,
    inline_handle,
    translated_affinity,
    volume_handle,
)
from tests.naive.framework import PluginError
from tests.naive.quantity import parse_quantity
from tests.naive.selectors import (
    InvalidSelectorError,
    new_requirement,
    selector_of,
)

BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
SELECTED = "volume.kubernetes.io/selected-node"
COMPLETED = "pv.kubernetes.io/bind-completed"


class Storage:
    """All storage objects by name, or by (namespace, name)."""

    def __init__(self, objects: ClusterObjects | None = None) -> None:
        objects = objects if objects is not None else ClusterObjects()
        self.volumes = {one.metadata.name: one for one in objects.persistent_volumes}
        self.claims = {
            (one.metadata.namespace, one.metadata.name): one for one in objects.persistent_volume_claims
        }
        self.classes: dict[str, StorageClass] = {one.metadata.name: one for one in objects.storage_classes}
        self.csi_nodes: dict[str, CSINode] = {one.metadata.name: one for one in objects.csi_nodes}
        self.drivers = {one.metadata.name: one for one in objects.csi_drivers}
        self.capacities = list(objects.csi_storage_capacities)
        self.attachments = list(objects.volume_attachments)

    def claim_of(self, pod: Pod, volume: Volume) -> tuple[str, bool, PersistentVolumeClaim | None] | None:
        """Name of the volume's claim, whether it is made for the pod, and the claim; None where it has none."""
        if volume.persistent_volume_claim is not None:
            name, is_ephemeral = volume.persistent_volume_claim["claimName"], False
        elif volume.ephemeral is not None:
            name, is_ephemeral = f"{pod.metadata.name}-{volume.name}", True
        else:
            return None
        return name, is_ephemeral, self.claims.get((pod.metadata.namespace, name))

    def is_waiting_class(self, claim: PersistentVolumeClaim) -> bool:
        """Whether the claim's class leaves binding to the scheduler."""
        found = self.classes.get(claim_class(claim))
        return found is not None and found.volume_binding_mode == "WaitForFirstConsumer"

    def migrates(self, node: Node, plugin_name: str) -> bool:
        """Whether the node says that the plugin's volumes are a CSI driver's there."""
        csi_node = self.csi_nodes.get(node.metadata.name)
        notes = (csi_node.metadata.annotations if csi_node else None) or {}
        return plugin_name in notes.get("storage.alpha.kubernetes.io/migrated-plugins", "").split(",")

    def reaches(self, volume: PersistentVolume, node: Node) -> bool:
        """Whether the node is where the volume can be used, as its CSI driver has it if that has taken it over."""
        affinity = volume.spec.node_affinity
        plugin = in_tree_of(volume.spec)
        if plugin is not None and plugin.is_on and self.migrates(node, plugin.name):
            try:
                affinity = translated_affinity(volume, plugin)
            except Untranslatable as error:
                raise PluginError(str(error)) from None
        return affinity_matches(affinity, node)

    def attachable(self, claim: PersistentVolumeClaim) -> tuple[str, str] | None:
        """Driver and handle of a claim's volume; one that is to be made has a handle of its own."""
        volume = self.volumes.get(claim.spec.volume_name) if claim.spec.volume_name else None
        if volume is None:
            found = self.classes.get(claim_class(claim))
            if found is None:
                return None
            plugin = BY_PLUGIN_NAME.get(found.provisioner)
            if plugin is not None and not plugin.is_on:
                return None
            driver = found.provisioner if plugin is None else plugin.driver
            return driver, f"random-{claim.metadata.namespace}/{claim.metadata.name}"
        if volume.spec.csi is not None:
            return volume.spec.csi["driver"], volume.spec.csi["volumeHandle"]
        plugin = in_tree_of(volume.spec)
        if plugin is None or not plugin.is_on:
            return None
        try:
            return plugin.driver, volume_handle(volume, plugin)
        except Untranslatable:
            return None

    def attachables(self, pod: Pod, *, is_csi_node: bool, is_new: bool) -> set[tuple[str, str]]:
        """Driver and handle of all volumes of a pod; KeyError with the claim that a new pod lacks."""
        found: set[tuple[str, str]] = set()
        for volume in pod.spec.volumes or ():
            used = self.claim_of(pod, volume)
            if used is None:
                plugin = in_tree_of(volume)
                if plugin is not None and plugin.is_on and is_csi_node:
                    try:
                        found.add((plugin.driver, inline_handle(volume, plugin)))
                    except Untranslatable as error:
                        raise PluginError(str(error)) from None
                continue
            name, is_ephemeral, claim = used
            if claim is None:
                if is_new:
                    raise KeyError(name)
                continue
            if is_ephemeral and not is_owned(claim, pod):
                raise PluginError("pod is not owner")
            one = self.attachable(claim)
            if one is not None and one[0] and one[1]:
                found.add(one)
        return found


def claim_class(claim: PersistentVolumeClaim) -> str:
    """The storage class, the annotation first."""
    notes = claim.metadata.annotations or {}
    return notes[BETA_CLASS] if BETA_CLASS in notes else claim.spec.storage_class_name or ""


def volume_class(volume: PersistentVolume) -> str:
    """The storage class, the annotation first."""
    notes = volume.metadata.annotations or {}
    return notes[BETA_CLASS] if BETA_CLASS in notes else volume.spec.storage_class_name


def is_owned(claim: PersistentVolumeClaim, pod: Pod) -> bool:
    """Whether the claim was made for the pod."""
    owners = claim.metadata.owner_references or ()
    return any(one.controller and one.uid == pod.metadata.uid for one in owners)


def size(amounts: Any) -> Fraction | None:
    """The storage among amounts."""
    return parse_quantity(amounts["storage"]) if amounts and "storage" in amounts else None


def is_for(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether the volume's claimRef is the claim."""
    reference, meta = volume.spec.claim_ref, claim.metadata
    return (
        reference is not None
        and (reference.namespace, reference.name) == (meta.namespace, meta.name)
        and reference.uid in ("", meta.uid)
    )


def affinity_matches(affinity: VolumeNodeAffinity | None, node: Node) -> bool:
    """CheckNodeAffinity: the node has labels, but no name."""
    if affinity is None or affinity.required is None:
        return True
    for term in affinity.required.node_selector_terms or ():
        if not term.match_expressions and not term.match_fields:
            continue
        try:
            for one in term.match_fields or ():
                if one.operator not in ("In", "NotIn") or len(one.values or ()) != 1:
                    raise InvalidSelectorError("fields")
            requirements = [
                new_requirement(one.key, one.operator, one.values) for one in term.match_expressions or ()
            ]
        except InvalidSelectorError:
            continue
        if all(one.matches(node.metadata.labels) for one in requirements):
            return True
    return False


def find_volume(
    claim: PersistentVolumeClaim, volumes: Iterable[PersistentVolume], node: Node, taken: set[str]
) -> PersistentVolume | None:
    """FindMatchingVolume: the one that is for the claim, or the smallest that suits it and that the node reaches."""
    wanted = size(claim.spec.resources.requests if claim.spec.resources else None) or Fraction(0)
    smallest: PersistentVolume | None = None
    for volume in volumes:
        spec = volume.spec
        if volume.metadata.name in taken or (spec.claim_ref is not None and not is_for(volume, claim)):
            continue
        amount = size(spec.capacity) or Fraction(0)
        if amount < wanted or (spec.volume_mode or "Filesystem") != (claim.spec.volume_mode or "Filesystem"):
            continue
        if (spec.volume_attributes_class_name or "") != (claim.spec.volume_attributes_class_name or ""):
            continue
        if volume.metadata.deletion_timestamp is not None:
            continue
        reached = affinity_matches(spec.node_affinity, node)
        if is_for(volume, claim):
            return volume if reached else None
        if volume.status.phase != "Available" or volume_class(volume) != claim_class(claim) or not reached:
            continue
        if claim.spec.selector is not None and not selector_of(claim.spec.selector).matches(
            volume.metadata.labels
        ):
            continue
        if not set(claim.spec.access_modes or ()) <= set(spec.access_modes or ()):
            continue
        if smallest is None or amount < (size(smallest.spec.capacity) or Fraction(0)):
            smallest = volume
    return smallest
