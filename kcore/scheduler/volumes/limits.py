"""NodeVolumeLimits: a node attaches so many volumes of a CSI driver as its CSINode says.

Source: plugins/nodevolumelimits/csi.go of Kubernetes 1.36, with its feature gates (VolumeLimitScaling is off).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np

from kcore.api.objects import PersistentVolumeClaim, Pod, Volume
from kcore.scheduler.host import CycleError, HostFilter, Occupants, Refused
from kcore.scheduler.reasons import UNRESOLVABLE, UNSCHEDULABLE, Rejection
from kcore.scheduler.volumes.claims import class_of_claim, stranger, use_of
from kcore.scheduler.volumes.migration import (
    BY_PLUGIN_NAME,
    Untranslatable,
    in_tree_of,
    inline_handle,
    volume_handle,
)
from kcore.scheduler.volumes.tables import StorageTables

NAME: Final = "NodeVolumeLimits"
EXCEEDED: Final = Rejection(NAME, UNSCHEDULABLE, ("node(s) exceed max volume count",))
UNPROVISIONED: Final = "\0"
"""Begins the handle of a volume that is still to be made, which no other volume's handle does."""


class Attachable(NamedTuple):
    """A volume as a node attaches it."""

    driver: str
    handle: str


class NodeVolumeLimits:
    """The plugin over one state."""

    name = NAME

    def __init__(self, tables: StorageTables) -> None:
        self._tables = tables
        self._changed = -1
        self._limits: dict[str, dict[str, int]] = {}
        self._attached: dict[int, tuple[Attachable, ...] | CycleError] = {}

    def begin(self, row: int, pod: Pod, occupants: Occupants) -> HostFilter | None:
        """PreFilter: pods with claims or with volumes that CSI drivers have taken over are asked about."""
        for volume in pod.spec.volumes or ():
            if use_of(pod, volume) is not None or in_tree_of(volume) is not None:
                return _Limits(self, pod, occupants)
        return None

    def _refresh(self) -> None:
        storage = self._tables.storage
        if self._changed == storage.changed:
            return
        self._changed = storage.changed
        self._attached.clear()
        self._limits.clear()
        for name, node in storage.csi_nodes.items():
            for driver in node.spec.drivers or ():
                if driver.allocatable is not None and driver.allocatable.count is not None:
                    self._limits.setdefault(driver.name, {})[name] = driver.allocatable.count

    def limits(self, drivers: Iterable[str]) -> dict[str, dict[int, int]]:
        """By driver, the slots of nodes that limit it, and their limits."""
        self._refresh()
        index = self._tables.nodes.index
        return {
            driver: {index[name]: most for name, most in self._limits[driver].items() if name in index}
            for driver in drivers
            if driver in self._limits
        }

    def limited(self, slots: set[int]) -> set[int]:
        """Those of the nodes that limit any driver."""
        self._refresh()
        index = self._tables.nodes.index
        named = {name for by_name in self._limits.values() for name in by_name}
        return {slot for name in named if (slot := index.get(name, -1)) in slots}

    # -- the volumes of a pod

    def attachables(self, pod: Pod, *, is_new: bool, is_csi: bool = True) -> Iterator[Attachable]:
        """The volumes of a pod on a node that has a CSINode (``is_csi``) or none. Source: filterAttachableVolumes.

        Raises:
            LookupError: a claim of a new pod is not there; the text says which.
            CycleError: a claim is somebody else's, or a volume cannot be translated.
        """
        for volume in pod.spec.volumes or ():
            found = self._of_volume(pod, volume, is_new, is_csi)
            if found is not None and found.driver and found.handle:
                yield found

    def _of_volume(self, pod: Pod, volume: Volume, is_new: bool, is_csi: bool) -> Attachable | None:
        use = use_of(pod, volume)
        if use is None:
            return _inline(volume) if is_csi else None
        if not use.name:
            raise CycleError("PersistentVolumeClaim had no name")
        namespace = pod.metadata.namespace
        claim = self._tables.storage.claim(f"{namespace}/{use.name}")
        if claim is None:
            if is_new:
                raise LookupError(
                    f'looking up PVC {namespace}/{use.name}: persistentvolumeclaim "{use.name}" not found'
                )
            return None
        if use.is_ephemeral and (why := stranger(pod, claim)):
            raise CycleError(why)
        return self._of_claim(claim)

    def _of_claim(self, claim: PersistentVolumeClaim) -> Attachable | None:
        """Source: getCSIDriverInfo."""
        name = claim.spec.volume_name
        volume = self._tables.storage.volume(name) if name else None
        if volume is None:
            return self._of_class(claim)
        if volume.spec.csi is not None:
            return Attachable(
                str(volume.spec.csi.get("driver", "")), str(volume.spec.csi.get("volumeHandle", ""))
            )
        plugin = in_tree_of(volume.spec)
        if plugin is None or not plugin.is_on:
            return None
        try:
            return Attachable(plugin.driver, volume_handle(volume, plugin))
        except Untranslatable:
            return None

    def _of_class(self, claim: PersistentVolumeClaim) -> Attachable | None:
        """A claim without a volume counts as one of its own. Source: getCSIDriverInfoFromSC."""
        found = self._tables.storage.classes.get(class_of_claim(claim))
        if found is None:
            return None
        driver = found.provisioner
        plugin = BY_PLUGIN_NAME.get(driver)
        if plugin is not None:
            if not plugin.is_on:
                return None
            driver = plugin.driver
        return Attachable(driver, f"{UNPROVISIONED}{claim.metadata.namespace}/{claim.metadata.name}")

    def of_row(self, row: int) -> tuple[Attachable, ...]:
        """The volumes of a pod that has a node; CycleError where they cannot be told."""
        self._refresh()
        found = self._attached.get(row)
        if found is None:
            try:
                found = tuple(self.attachables(self._tables.hosted[row], is_new=False))
            except CycleError as error:
                found = error
            self._attached[row] = found
        if isinstance(found, CycleError):
            raise found
        return found

    def has_csi_node(self, slots: set[int]) -> bool:
        """Whether one of the nodes has a CSINode."""
        index = self._tables.nodes.index
        return any(index.get(name) in slots for name in self._tables.storage.csi_nodes)

    def attachments(self, slots: set[int]) -> Iterator[tuple[int, Attachable]]:
        """What VolumeAttachments say is attached to nodes. Source: getNodeVolumeAttachmentInfo."""
        storage, index = self._tables.storage, self._tables.nodes.index
        for one in storage.attachments.values():
            slot = index.get(one.spec.node_name, -1)
            name = one.spec.source.persistent_volume_name
            if slot not in slots or not one.spec.attacher or name is None:
                continue
            volume = storage.volume(name)
            if volume is not None and volume.spec.csi is not None:
                yield slot, Attachable(one.spec.attacher, str(volume.spec.csi.get("volumeHandle", "")))


def _inline(volume: Volume) -> Attachable | None:
    """Source: checkAttachableInlineVolume."""
    plugin = in_tree_of(volume)
    if plugin is None or not plugin.is_on:
        return None
    try:
        return Attachable(plugin.driver, inline_handle(volume, plugin))
    except Untranslatable as error:
        raise CycleError(f"converting volume({volume.name}) from inline to csi: {error}") from None


class _Limits(HostFilter):
    plugin = NAME

    def __init__(self, plugin: NodeVolumeLimits, pod: Pod, occupants: Occupants) -> None:
        self._plugin = plugin
        self._pod = pod
        self._occupants = occupants

    def filter(self, slots: np.ndarray) -> Iterable[Refused]:
        """Nodes on which some driver of the pod's new volumes would have more than its limit."""
        asked = set(slots.tolist())
        is_csi = self._plugin.has_csi_node(asked)
        try:
            new = set(self._plugin.attachables(self._pod, is_new=True, is_csi=is_csi))
        except LookupError as error:
            yield Refused(slots, Rejection(NAME, UNRESOLVABLE, (str(error.args[0]),)))
            return
        limits = self._plugin.limits({one.driver for one in new})
        if not new:
            return
        used, attached = self._present(self._plugin.limited(asked))
        limited = {slot for by_slot in limits.values() for slot in by_slot if slot in asked}
        refused = [
            slot
            for slot in sorted(limited)
            if _is_exceeded(slot, new, used.get(slot, set()), attached.get(slot, set()), limits)
        ]
        yield Refused(np.array(refused, dtype=np.int64), EXCEEDED)

    def _present(self, slots: set[int]) -> tuple[_BySlot, _BySlot]:
        """By node the volumes of its pods, and those that are attached to it for nobody that is there."""
        used: _BySlot = {}
        rows, where = self._occupants.placed(np.array(sorted(slots), dtype=np.int64))
        for row, slot in zip(rows.tolist(), where.tolist(), strict=True):
            used.setdefault(slot, set()).update(self._plugin.of_row(row))
        attached: _BySlot = {}
        for slot, volume in self._plugin.attachments(slots):
            if volume not in used.get(slot, ()):
                attached.setdefault(slot, set()).add(volume)
        return used, attached


_BySlot = dict[int, set[Attachable]]


def _is_exceeded(
    slot: int,
    new: set[Attachable],
    used: set[Attachable],
    attached: set[Attachable],
    limits: dict[str, dict[int, int]],
) -> bool:
    """A volume that a pod on the node has already is none more; one that is only attached there counts twice."""
    for driver, by_slot in limits.items():
        count = sum(1 for one in new if one.driver == driver and one not in used)
        here = sum(1 for one in used if one.driver == driver) + sum(
            1 for one in attached if one.driver == driver
        )
        if count and slot in by_slot and here + count > by_slot[slot]:
            return True
    return False
