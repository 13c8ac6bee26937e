"""The volume plugins, node by node and claim by claim, and one that lets every pod pass.

Source: volumerestrictions, nodevolumelimits, volumebinding and volumezone under pkg/scheduler/framework/plugins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from kcore.api.objects import ClaimReference, Node, PersistentVolume, PersistentVolumeClaim, Pod, Volume
from tests.naive.cluster import NodeInfo, PodInfo
from tests.naive.framework import UNRESOLVABLE, UNSCHEDULABLE, CycleState, Plugin, Skip, Status
from tests.naive.quantity import parse_quantity, whole
from tests.naive.selectors import InvalidSelectorError, selector_of
from tests.naive.storage import (
    COMPLETED,
    SELECTED,
    claim_class,
    find_volume,
    is_for,
    is_owned,
    size,
    volume_class,
)

ZONES = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
BETA = {
    "failure-domain.beta.kubernetes.io/zone": ZONES[0],
    "failure-domain.beta.kubernetes.io/region": ZONES[1],
}


def _turned(reason: str) -> Status:
    return Status(UNRESOLVABLE, (reason,))


@dataclass
class _OnePod:
    names: frozenset[str]
    count: int


class VolumeRestrictions(Plugin):
    """One disk, one user; one claim, one pod."""

    name = "VolumeRestrictions"

    def pre_filter(self, state: CycleState, pod: Pod) -> Status | Skip | None:
        names = set()
        for volume in pod.spec.volumes or ():
            if volume.persistent_volume_claim is None:
                continue
            name = volume.persistent_volume_claim["claimName"]
            claim = self.cluster.storage.claims.get((pod.metadata.namespace, name))
            if claim is None:
                return _turned(f'persistentvolumeclaim "{name}" not found')
            if "ReadWriteOncePod" in (claim.spec.access_modes or ()):
                names.add(name)
        count = sum(1 for name in names if self._is_used(pod.metadata.namespace, name))
        disks = ("gce_persistent_disk", "aws_elastic_block_store", "rbd", "iscsi")
        has_disk = any(
            getattr(volume, disk) is not None for volume in pod.spec.volumes or () for disk in disks
        )
        if not has_disk and not count:
            return Skip()
        state.filter_states[self.name] = _OnePod(frozenset(names), count)
        return None

    def _is_used(self, namespace: str, name: str) -> bool:
        pods = [other.pod for node in self.cluster.nodes.values() for other in node.pods]
        return any(other.metadata.namespace == namespace and name in _named(other) for other in pods)

    def add_pod(self, state: CycleState, pod: Pod, added: PodInfo, node_info: NodeInfo) -> None:
        one = state.filter_states[self.name]
        one.count += sum(name in one.names for name in _named(added.pod))

    def remove_pod(self, state: CycleState, pod: Pod, removed: PodInfo, node_info: NodeInfo) -> None:
        one = state.filter_states[self.name]
        one.count -= sum(name in one.names for name in _named(removed.pod))

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        for volume in pod.spec.volumes or ():
            for other in node_info.pods:
                if any(_conflicts(volume, theirs) for theirs in other.pod.spec.volumes or ()):
                    return Status(UNSCHEDULABLE, ("node(s) had no available disk",))
        if self.name in state.filter_states and state.filter_states[self.name].count > 0:
            reason = (
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use "
                "by another pod"
            )
            return Status(UNSCHEDULABLE, (reason,))
        return None


def _named(pod: Pod) -> list[str]:
    claims = (volume.persistent_volume_claim for volume in pod.spec.volumes or ())
    return [claim["claimName"] for claim in claims if claim is not None]


def _conflicts(one: Volume, two: Volume) -> bool:
    def same(field: str, *keys: str) -> bool:
        mine, theirs = getattr(one, field), getattr(two, field)
        if mine is None or theirs is None or any(mine.get(key) != theirs.get(key) for key in keys):
            return False
        return not (mine.get("readOnly") and theirs.get("readOnly"))

    ebs, other = one.aws_elastic_block_store, two.aws_elastic_block_store
    if ebs is not None and other is not None and ebs["volumeID"] == other["volumeID"]:
        return True
    if same("gce_persistent_disk", "pdName") or same("iscsi", "iqn"):
        return True
    if not same("rbd", "pool", "image"):
        return False
    assert one.rbd is not None and two.rbd is not None
    return any(monitor in two.rbd["monitors"] for monitor in one.rbd["monitors"])


class NodeVolumeLimits(Plugin):
    """A CSI driver attaches so many volumes to a node."""

    name = "NodeVolumeLimits"

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        storage = self.cluster.storage
        csi_node = storage.csi_nodes.get(node_info.name)
        try:
            new = storage.attachables(pod, is_csi_node=csi_node is not None, is_new=True)
        except KeyError as missing:
            name = missing.args[0]
            return _turned(
                f'looking up PVC {pod.metadata.namespace}/{name}: persistentvolumeclaim "{name}" not found'
            )
        limits = {
            driver.name: driver.allocatable.count
            for driver in (csi_node.spec.drivers if csi_node else None) or ()
            if driver.allocatable is not None and driver.allocatable.count is not None
        }
        if not new or not limits:
            return None
        used: set[tuple[str, str]] = set()
        for other in node_info.pods:
            used |= storage.attachables(other.pod, is_csi_node=True, is_new=False)
        attached = set()
        for one in storage.attachments:
            volume = storage.volumes.get(one.spec.source.persistent_volume_name or "")
            if one.spec.node_name == node_info.name and volume is not None and volume.spec.csi is not None:
                attached.add((one.spec.attacher, volume.spec.csi["volumeHandle"]))
        for driver, limit in limits.items():
            more = sum(1 for each in new - used if each[0] == driver)
            here = sum(1 for each in used | attached if each[0] == driver)
            if more and here + more > limit:
                return Status(UNSCHEDULABLE, ("node(s) exceed max volume count",))
        return None


@dataclass
class _Claims:
    bound: list[PersistentVolumeClaim]
    waiting: list[PersistentVolumeClaim]


class VolumeBinding(Plugin):
    """Bound volumes reach the node, and unbound claims get one there."""

    name = "VolumeBinding"

    def pre_filter(self, state: CycleState, pod: Pod) -> Status | Skip | None:
        storage = self.cluster.storage
        claims = _Claims([], [])
        found = []
        for volume in pod.spec.volumes or ():
            used = storage.claim_of(pod, volume)
            if used is None:
                continue
            name, is_ephemeral, claim = used
            if claim is None:
                wait = "waiting for ephemeral volume controller to create the persistentvolumeclaim"
                return _turned(
                    f'{wait} "{name}"' if is_ephemeral else f'persistentvolumeclaim "{name}" not found'
                )
            if claim.status.phase == "Lost":
                return _turned(
                    f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{claim.spec.volume_name}"'
                )
            if claim.metadata.deletion_timestamp is not None:
                return _turned(f'persistentvolumeclaim "{name}" is being deleted')
            if is_ephemeral and not is_owned(claim, pod):
                place = f"{pod.metadata.namespace}/{pod.metadata.name}"
                return _turned(
                    f"PVC {pod.metadata.namespace}/{name} was not created for pod {place} (pod is not owner)"
                )
            found.append(claim)
        if not found:
            return Skip()
        for claim in found:
            if claim.spec.volume_name and COMPLETED in (claim.metadata.annotations or {}):
                claims.bound.append(claim)
            elif storage.is_waiting_class(claim) and not claim.spec.volume_name:
                claims.waiting.append(claim)
            else:
                return _turned("pod has unbound immediate PersistentVolumeClaims")
        state.filter_states[self.name] = claims
        return None

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        claims = state.filter_states[self.name]
        node = node_info.node
        affinity, missing = self._check_bound(claims.bound, node)
        unbound, space, _, _ = self._find(claims.waiting, node)
        reasons = (
            (affinity, "node(s) didn't match PersistentVolume's node affinity"),
            (unbound, "node(s) didn't find available persistent volumes to bind"),
            (space, "node(s) did not have enough free storage"),
            (missing, "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"),
        )
        wrong = tuple(reason for is_wrong, reason in reasons if is_wrong)
        return Status(UNRESOLVABLE, wrong) if wrong else None

    def _check_bound(self, claims: Sequence[PersistentVolumeClaim], node: Node) -> tuple[bool, bool]:
        for claim in claims:
            volume = self.cluster.storage.volumes.get(claim.spec.volume_name)
            if volume is None:
                return False, True
            if not self.cluster.storage.reaches(volume, node):
                return True, False
        return False, False

    def _find(self, claims: Sequence[PersistentVolumeClaim], node: Node) -> tuple[bool, bool, Any, Any]:
        """Whether claims stay unbound, whether space lacks, and what they get: volumes, and what is to be made."""
        storage = self.cluster.storage
        to_make = []
        to_find = []
        for claim in claims:
            chosen = (claim.metadata.annotations or {}).get(SELECTED)
            if chosen is None:
                to_find.append(claim)
            elif chosen != node.metadata.name:
                return True, False, [], []
            else:
                to_make.append(claim)
        bindings: list[tuple[PersistentVolume, PersistentVolumeClaim]] = []
        to_find.sort(key=lambda one: size(one.spec.resources.requests if one.spec.resources else None) or 0)
        for claim in to_find:
            of_class = [one for one in storage.volumes.values() if volume_class(one) == claim_class(claim)]
            of_class.sort(key=lambda one: one.metadata.name)
            volume = find_volume(claim, of_class, node, {one.metadata.name for one, _ in bindings})
            if volume is None:
                to_make.append(claim)
            else:
                bindings.append((volume, claim))
        for claim in to_make:
            found = storage.classes[claim_class(claim)]
            if found.provisioner in ("", "kubernetes.io/no-provisioner"):
                return True, False, [], []
            if not self._is_allowed(found.allowed_topologies, node):
                return True, False, [], []
            if not self._has_room(claim, found.provisioner, node):
                return False, True, [], []
        return False, False, bindings, to_make

    def _is_allowed(self, terms: Any, node: Node) -> bool:
        if not terms:
            return True
        labels = node.metadata.labels or {}
        return any(
            term.match_label_expressions
            and all(
                one.key in labels and labels[one.key] in one.values for one in term.match_label_expressions
            )
            for term in terms
        )

    def _has_room(self, claim: PersistentVolumeClaim, provisioner: str, node: Node) -> bool:
        wanted = size(claim.spec.resources.requests if claim.spec.resources else None)
        driver = self.cluster.storage.drivers.get(provisioner)
        if wanted is None or driver is None or not driver.spec.storage_capacity:
            return True
        for one in self.cluster.storage.capacities:
            most = one.maximum_volume_size if one.maximum_volume_size is not None else one.capacity
            if one.storage_class_name != claim_class(claim) or most is None or one.node_topology is None:
                continue
            try:
                there = selector_of(one.node_topology).matches(node.metadata.labels)
            except InvalidSelectorError:
                continue
            if there and whole(parse_quantity(most)) >= whole(wanted):
                return True
        return False

    def reserve(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> None:
        """Volumes and claims are as the scheduler is about to write them."""
        if self.name not in state.filter_states:
            return
        storage = self.cluster.storage
        _, _, bindings, to_make = self._find(state.filter_states[self.name].waiting, node_info.node)
        for volume, claim in bindings:
            if not is_for(volume, claim) or not (volume.spec.claim_ref and volume.spec.claim_ref.uid):
                meta = claim.metadata
                reference = ClaimReference(namespace=meta.namespace, name=meta.name, uid=meta.uid)
                storage.volumes[volume.metadata.name] = replace(
                    volume, spec=replace(volume.spec, claim_ref=reference)
                )
        for claim in to_make:
            notes = {**(claim.metadata.annotations or {}), SELECTED: node_info.name}
            key = (claim.metadata.namespace, claim.metadata.name)
            storage.claims[key] = replace(claim, metadata=replace(claim.metadata, annotations=notes))

    def pre_score(self, state: CycleState, pod: Pod, nodes: Sequence[NodeInfo]) -> Skip:
        return Skip()


class VolumeZone(Plugin):
    """The node is in the zone that a bound volume's labels name."""

    name = "VolumeZone"

    def pre_filter(self, state: CycleState, pod: Pod) -> Status | Skip | None:
        storage = self.cluster.storage
        wanted: list[tuple[str, set[str]]] = []
        for name in _named(pod):
            claim = storage.claims.get((pod.metadata.namespace, name))
            if claim is None:
                return _turned(f'persistentvolumeclaim "{name}" not found')
            if not claim.spec.volume_name:
                class_name = claim_class(claim)
                if not class_name:
                    return _turned("PersistentVolumeClaim had no pv name and storageClass name")
                if class_name not in storage.classes:
                    return _turned(f'storageclass.storage.k8s.io "{class_name}" not found')
                if not storage.is_waiting_class(claim):
                    return _turned("PersistentVolume had no name")
                continue
            volume = storage.volumes.get(claim.spec.volume_name)
            if volume is None:
                return _turned(f'persistentvolume "{claim.spec.volume_name}" not found')
            for key in (*BETA, *ZONES):
                zones = (volume.metadata.labels or {}).get(key, "").split("__")
                if all(zone.strip() for zone in zones):
                    wanted.append((key, {zone.strip() for zone in zones}))
        if not wanted:
            return Skip()
        state.filter_states[self.name] = wanted
        return None

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        labels = node_info.labels
        if not any(key in labels for key in (*BETA, *ZONES)):
            return None
        for key, zones in state.filter_states[self.name]:
            value = labels.get(key, labels.get(BETA.get(key, key)))
            if value not in zones:
                return _turned("node(s) had no available volume zone")
        return None


class NodeDeclaredFeatures(Plugin):
    """Present by name."""

    name = "NodeDeclaredFeatures"

    def pre_filter(self, state: CycleState, pod: Pod) -> Skip:
        return Skip()
