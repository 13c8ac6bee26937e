"""VolumeBinding: the pod's bound volumes reach the node, and its unbound claims can get a volume there.

Source: plugins/volumebinding (volume_binding.go, binder.go) of Kubernetes 1.36. Its Score is behind the feature gate
StorageCapacityScoring, which is off, and is always skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import (
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    StorageClass,
    VolumeNodeAffinity,
)
from kcore.api.quantity import parse_quantity, unit_value
from kcore.api.selectors import Selector, from_label_selector
from kcore.scheduler.host import CycleError, HostFilter, Occupants, Refused, Reservation, Turned
from kcore.scheduler.reasons import UNRESOLVABLE, Rejection
from kcore.scheduler.volumes.claims import (
    NO_PROVISIONER,
    SELECTED_NODE,
    WAIT,
    bound_to,
    claim_key,
    class_of_claim,
    has_modes,
    is_alike,
    is_bound,
    may_suit,
    notes_of,
    provisioned_on,
    requested,
    stranger,
    uses_of,
)
from kcore.scheduler.volumes.migration import Untranslatable, in_tree_of, translated_affinity
from kcore.scheduler.volumes.storage import AVAILABLE, Storage, migrated_plugins
from kcore.scheduler.volumes.tables import StorageTables
from kcore.scheduler.volumes.topology import NodeLabels

NAME: Final = "VolumeBinding"
REASONS: Final = (
    "node(s) didn't match PersistentVolume's node affinity",
    "node(s) didn't find available persistent volumes to bind",
    "node(s) did not have enough free storage",
    "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
)
NODE_CONFLICT, BIND_CONFLICT, NO_SPACE, NO_VOLUME = 1, 2, 4, 8


class Claims(NamedTuple):
    """The claims of a pod that may be scheduled: those that are bound, and those that wait for it."""

    bound: tuple[PersistentVolumeClaim, ...]
    waiting: tuple[PersistentVolumeClaim, ...]


class VolumeBinding:
    """The plugin over one state."""

    name = NAME

    def __init__(self, tables: StorageTables, labels: NodeLabels) -> None:
        self.tables = tables
        self.labels = labels
        self._reached: dict[str, tuple[VolumeNodeAffinity | None, int, np.ndarray]] = {}

    def reached_slots(self, volume: PersistentVolume) -> np.ndarray:
        """``int64[..]``: the nodes that the volume's affinity selects, remembered while that and the nodes stay."""
        affinity, changed = volume.spec.node_affinity, self.tables.nodes.changed
        known = self._reached.get(volume.metadata.name)
        if known is None or known[0] is not affinity or known[1] != changed:
            known = (affinity, changed, np.flatnonzero(self.reaches(volume)))
            self._reached[volume.metadata.name] = known
        return known[2]

    def begin(self, row: int, pod: Pod, occupants: Occupants) -> HostFilter | None:
        """PreFilter: the pod's claims are there and are bound, or wait for it."""
        used = list(self._claims(pod))
        if not used:
            return None
        bound, waiting, is_early = [], [], False
        for claim in used:
            if is_bound(claim):
                bound.append(claim)
            elif self._waits(claim):
                waiting.append(claim)
            else:
                is_early = True
        if is_early:
            raise Turned("pod has unbound immediate PersistentVolumeClaims")
        return _Binding(self, Claims(tuple(bound), tuple(waiting)))

    def _claims(self, pod: Pod) -> Iterable[PersistentVolumeClaim]:
        """Source: podHasPVCs."""
        found = []
        for use in uses_of(pod):
            claim = self.tables.storage.claim(f"{pod.metadata.namespace}/{use.name}")
            if claim is None and use.is_ephemeral:
                raise Turned(
                    f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{use.name}"'
                )
            if claim is None:
                raise Turned(f'persistentvolumeclaim "{use.name}" not found')
            if claim.status.phase == "Lost":
                raise Turned(
                    f'persistentvolumeclaim "{use.name}" bound to non-existent persistentvolume '
                    f'"{claim.spec.volume_name}"'
                )
            if claim.metadata.deletion_timestamp is not None:
                raise Turned(f'persistentvolumeclaim "{use.name}" is being deleted')
            if use.is_ephemeral and (why := stranger(pod, claim)):
                raise Turned(why)
            found.append(claim)
        return found

    def _waits(self, claim: PersistentVolumeClaim) -> bool:
        """Nobody has given it a volume, and its class leaves that to the scheduler."""
        found = self.tables.storage.classes.get(class_of_claim(claim))
        return found is not None and found.volume_binding_mode == WAIT and not claim.spec.volume_name

    # -- volumes and nodes

    def reaches(self, volume: PersistentVolume) -> np.ndarray:
        """``bool[slot]``: the nodes that the volume's affinity selects. Source: CheckNodeAffinity."""
        affinity = volume.spec.node_affinity
        if affinity is None or affinity.required is None:
            return np.ones(len(self.tables.nodes.nodes), dtype=bool)
        return self.labels.matching(affinity.required.node_selector_terms or ())

    def reaches_translated(self, volume: PersistentVolume, slots: np.ndarray) -> np.ndarray:
        """The same, on nodes that leave the volume to a CSI driver by the affinity it has there. CycleError as upstream."""
        found = self.reaches(volume)
        plugin = in_tree_of(volume.spec)
        if plugin is None or not plugin.is_on:
            return found
        index, migrated = self.tables.nodes.index, np.zeros(len(found), dtype=bool)
        for name, node in self.tables.storage.csi_nodes.items():
            if name in index and plugin.name in migrated_plugins(node):
                migrated[index[name]] = True
        if not migrated[slots].any():
            return found
        try:
            affinity = translated_affinity(volume, plugin)
        except Untranslatable as error:
            raise CycleError(f"could not translate pv: {error}") from None
        if affinity is None or affinity.required is None:
            return found | migrated
        there = self.labels.matching(affinity.required.node_selector_terms or ())
        return np.where(migrated, there, found)

    def has_room(self, claim: PersistentVolumeClaim, of_class: StorageClass) -> np.ndarray:
        """``bool[slot]``: the nodes that can reach enough of the driver's storage. Source: hasEnoughCapacity."""
        storage, wanted = self.tables.storage, requested(claim)
        driver = storage.drivers.get(of_class.provisioner)
        everywhere = np.ones(len(self.tables.nodes.nodes), dtype=bool)
        if wanted is None or driver is None or not driver.spec.storage_capacity:
            return everywhere
        found = ~everywhere
        for one in storage.capacities.values():
            most = one.maximum_volume_size if one.maximum_volume_size is not None else one.capacity
            if one.storage_class_name != of_class.metadata.name or most is None or one.node_topology is None:
                continue
            if unit_value(parse_quantity(most)) < unit_value(wanted):
                continue
            try:
                found |= self.labels.selected(one.node_topology)
            except InputError:
                continue
        return found


class _Choice(NamedTuple):
    """What the claims get on each of some nodes; by place in the list of nodes."""

    static: list[tuple[PersistentVolumeClaim, list[PersistentVolume], np.ndarray]]
    """A claim, the volumes that come into question, and which of them each node gives it (-1: none)."""
    provisioned: list[tuple[PersistentVolumeClaim, np.ndarray]]
    """A claim, and whether it is to be provisioned."""


class _Binding(HostFilter):
    plugin = NAME

    def __init__(self, plugin: VolumeBinding, claims: Claims) -> None:
        self._plugin = plugin
        self._claims = claims
        self._order = sorted(claims.waiting, key=lambda one: requested(one) or 0)

    def filter(self, slots: np.ndarray) -> Iterable[Refused]:
        """The nodes that bound volumes do not reach, and those where a claim finds no volume."""
        wrong = self._bound(slots)
        found, _ = self._waiting(slots)
        wrong |= found
        for bits in np.unique(wrong[wrong > 0]).tolist():
            reasons = tuple(text for bit, text in enumerate(REASONS) if bits >> bit & 1)
            yield Refused(slots[wrong == bits], Rejection(NAME, UNRESOLVABLE, reasons))

    def _bound(self, slots: np.ndarray) -> np.ndarray:
        """Source: checkBoundClaims."""
        wrong = np.zeros(len(slots), dtype=np.int64)
        for claim in self._claims.bound:
            left = wrong == 0
            volume = self._plugin.tables.storage.volume(claim.spec.volume_name)
            if volume is None:
                wrong[left] = NO_VOLUME
                break
            reached = self._plugin.reaches_translated(volume, slots[left])[slots]
            wrong[left & ~reached] = NODE_CONFLICT
        return wrong

    def _waiting(self, slots: np.ndarray) -> tuple[np.ndarray, _Choice]:
        """What is wrong with each node for claims that wait, and what they get where nothing is. Source: FindPodVolumes."""
        wrong = np.zeros(len(slots), dtype=np.int64)
        choice = _Choice([], [])
        selected = [one for one in self._claims.waiting if SELECTED_NODE in notes_of(one.metadata)]
        for claim in selected:
            slot = self._plugin.tables.nodes.index.get(notes_of(claim.metadata)[SELECTED_NODE], -1)
            wrong[slots != slot] = BIND_CONFLICT
        everywhere = np.ones(len(slots), dtype=bool)
        wanted = [(claim, everywhere) for claim in selected]
        taken: dict[str, np.ndarray] = {}
        for claim in self._order:
            if SELECTED_NODE in notes_of(claim.metadata):
                continue
            volumes, chosen = self._match(claim, slots, wrong == 0, taken)
            choice.static.append((claim, volumes, chosen))
            wanted.append((claim, chosen < 0))
        for claim, needed in wanted:
            needed = needed & (wrong == 0)
            if needed.any():
                wrong[needed] = self._provision(claim, slots[needed])
            choice.provisioned.append((claim, needed & (wrong == 0)))
        return wrong, choice

    def _match(
        self, claim: PersistentVolumeClaim, slots: np.ndarray, asked: np.ndarray, taken: dict[str, np.ndarray]
    ) -> tuple[list[PersistentVolume], np.ndarray]:
        """The smallest volume for the claim on each node, none that an earlier claim takes. Source: FindMatchingVolume."""
        storage, class_name = self._plugin.tables.storage, class_of_claim(claim)
        chosen = np.full(len(slots), -1, dtype=np.int64)
        volumes: list[PersistentVolume] = []
        left = asked.copy()
        selector = _selector_of(claim) if left.any() else None
        for volume in storage.volumes_for(claim, class_name):
            if not left.any():
                return volumes, chosen
            if not may_suit(volume, claim):
                continue
            free = left & ~taken.get(volume.metadata.name, np.zeros(len(slots), dtype=bool))
            # what is for the claim is the answer, and where it cannot be had there is none
            here = free & self._plugin.reaches(volume)[slots]
            self._take(volume, np.flatnonzero(here), volumes, chosen, taken)
            left &= ~free
        place = np.full(len(self._plugin.tables.nodes.nodes), -1, dtype=np.int64)
        place[slots[left]] = np.flatnonzero(left)
        wanting = int(left.sum())
        for volume in storage.free_volumes(class_name, requested(claim) or 0):
            if not wanting:
                break
            if not self._is_free(volume, claim, selector):
                continue
            found = place[self._plugin.reached_slots(volume)]
            found = found[found >= 0]
            if volume.metadata.name in taken:
                found = found[~taken[volume.metadata.name][found]]
            if len(found):
                self._take(volume, found, volumes, chosen, taken)
                place[slots[found]] = -1
                wanting -= len(found)
        return volumes, chosen

    def _is_free(
        self, volume: PersistentVolume, claim: PersistentVolumeClaim, selector: Selector | None
    ) -> bool:
        return (
            volume.status.phase == AVAILABLE
            and is_alike(volume, claim)
            and (selector is None or selector.matches(volume.metadata.labels or {}))
            and has_modes(volume, claim)
        )

    def _take(
        self, volume: PersistentVolume, here: np.ndarray, volumes: list[PersistentVolume], chosen: np.ndarray,
        taken: dict[str, np.ndarray],
    ) -> None:  # fmt: skip
        """The volume is the claim's at these places of the list of nodes, and no later claim's of the pod."""
        chosen[here] = len(volumes)
        volumes.append(volume)
        if len(self._order) > 1:
            taken.setdefault(volume.metadata.name, np.zeros(len(chosen), dtype=bool))[here] = True

    def _provision(self, claim: PersistentVolumeClaim, slots: np.ndarray) -> np.ndarray:
        """What is wrong with each node for a volume that is to be made. Source: checkVolumeProvisions."""
        class_name = class_of_claim(claim)
        if not class_name:
            raise CycleError(f'no class for claim "{claim_key(claim)}"')
        of_class = self._plugin.tables.storage.classes.get(class_name)
        if of_class is None:
            raise CycleError(f'failed to find storage class "{class_name}"')
        wrong = np.full(len(slots), BIND_CONFLICT, dtype=np.int64)
        if of_class.provisioner in ("", NO_PROVISIONER):
            return wrong
        inside = self._plugin.labels.allowed(of_class.allowed_topologies)[slots]
        wrong[inside] = np.where(self._plugin.has_room(claim, of_class)[slots[inside]], 0, NO_SPACE)
        return wrong

    # -- Reserve

    def reserve(self, slot: int) -> Reservation | None:
        """The volumes that were found are for the claims, and those to be made for this node. Source: AssumePodVolumes."""
        if not self._claims.waiting:
            return None
        _, choice = self._waiting(np.array([slot]))
        node = self._plugin.tables.nodes.name(slot)
        bindings = [
            (volumes[int(chosen[0])], claim) for claim, volumes, chosen in choice.static if chosen[0] >= 0
        ]
        provisions = [claim for claim, needed in choice.provisioned if needed[0]]
        return VolumeReservation(self._plugin.tables.storage, node, bindings, provisions)


def _selector_of(claim: PersistentVolumeClaim) -> Selector | None:
    if claim.spec.selector is None:
        return None
    try:
        return from_label_selector(claim.spec.selector)
    except InputError as error:
        key = claim_key(claim)
        raise CycleError(f"error creating internal label selector for claim: {key}: {error}") from None


class VolumeReservation(Reservation):
    """Volumes that were found for claims, and claims that are to be provisioned, on one node.

    ``bindings`` are volumes as they are to be written, with their claims; ``provisions`` claims, likewise.
    """

    plugin = NAME

    def __init__(
        self,
        storage: Storage,
        node: str,
        bindings: list[tuple[PersistentVolume, PersistentVolumeClaim]],
        provisions: list[PersistentVolumeClaim],
    ) -> None:
        self._storage = storage
        self.node = node
        self.bindings = [(bound_to(volume, claim), claim) for volume, claim in bindings]
        self._dirty = [
            bound for (volume, _), (bound, _) in zip(bindings, self.bindings, strict=True) if bound != volume
        ]
        self.provisions = [provisioned_on(claim, node) for claim in provisions]
        self._chosen = [
            made for claim, made in zip(provisions, self.provisions, strict=True) if made != claim
        ]
        self.redo()

    def redo(self) -> None:
        """Volumes and claims are assumed to be as they are to be written."""
        for volume in self._dirty:
            self._storage.assume_volume(volume)
        for claim in self._chosen:
            self._storage.assume_claim(claim)

    def undo(self) -> None:
        """What this has changed is as it was seen last, if it has not been written since. Source: RevertAssumedPodVolumes.

        (Upstream lets go of what pods before this one had assumed of the same claims as well.)
        """
        for volume in self._dirty:
            self._storage.restore_volume(volume)
        for claim in self._chosen:
            self._storage.restore_claim(claim)
