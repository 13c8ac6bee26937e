"""All objects that volumes are made of, with what the scheduler has assumed of volumes and claims and not yet seen written.

Source: volumebinding/passive_assume_cache.go, assume_cache.go of Kubernetes 1.36.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from kcore.api.objects import (
    ClusterObjects,
    CSIDriver,
    CSINode,
    CSIStorageCapacity,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
    StoragePhase,
    VolumeAttachment,
)
from kcore.scheduler.volumes.claims import (
    MIGRATED_PLUGINS,
    capacity,
    claim_key,
    class_of_volume,
    is_for,
    notes_of,
)

AVAILABLE: Final = "Available"
IMMEDIATE: Final = "Immediate"  # the API server's default of volumeBindingMode

FIELDS: Final = (
    "persistent_volumes", "persistent_volume_claims", "storage_classes", "csi_nodes", "csi_drivers",
    "csi_storage_capacities", "volume_attachments",
)  # fmt: skip


class Storage:
    """See the module. Cluster-scoped objects are kept by name, others by NAMESPACE/NAME.

    ``changed`` grows with everything that :mod:`kcore.scheduler.volumes.limits` counts by; bindings in the making do not
    count for that.
    """

    def __init__(self) -> None:
        self.classes: dict[str, StorageClass] = {}
        self.csi_nodes: dict[str, CSINode] = {}
        self.drivers: dict[str, CSIDriver] = {}
        self.capacities: dict[str, CSIStorageCapacity] = {}
        self.attachments: dict[str, VolumeAttachment] = {}
        self.changed = 0
        self._volumes: dict[str, PersistentVolume] = {}
        self._claims: dict[str, PersistentVolumeClaim] = {}
        self._assumed_volumes: dict[str, PersistentVolume] = {}
        self._assumed_claims: dict[str, PersistentVolumeClaim] = {}
        # of each class those for no claim, by size and name, and by claim those for one
        self._free: dict[str, list[tuple[int, str]]] = {}
        self._kept: dict[str, set[str]] = {}

    def load(self, objects: ClusterObjects) -> None:
        """Take in all objects of an input. A volume that no controller has seen yet is as the controller will leave it."""
        for volume in objects.persistent_volumes:
            if not volume.status.phase and volume.spec.claim_ref is None:
                volume = replace(volume, status=StoragePhase(phase=AVAILABLE))
            self.put_volume(volume.metadata.name, volume)
        for claim in objects.persistent_volume_claims:
            self.put_claim(claim_key(claim), claim)
        for one in objects.storage_classes:
            self.put_class(one.metadata.name, one)
        tables: tuple[tuple[dict[str, Any], list[Any]], ...] = (
            (self.csi_nodes, objects.csi_nodes), (self.drivers, objects.csi_drivers),
            (self.attachments, objects.volume_attachments),
        )  # fmt: skip
        for table, found in tables:
            for obj in found:
                self.put(table, obj.metadata.name, obj)
        for each in objects.csi_storage_capacities:
            self.put(self.capacities, f"{each.metadata.namespace}/{each.metadata.name}", each)

    def objects(self) -> Iterator[object]:
        """Every object, so that copies of the whole may share them."""
        for table in (
            self._volumes, self._claims, self._assumed_volumes, self._assumed_claims, self.classes, self.csi_nodes,
            self.drivers, self.capacities, self.attachments,
        ):  # fmt: skip
            yield from table.values()

    # -- what watches say

    def put(self, table: dict[str, Any], key: str, obj: Any) -> None:
        """An object of one of the public tables came, changed or (None) went."""
        self.changed += 1
        if obj is None:
            table.pop(key, None)
        else:
            table[key] = obj

    def put_class(self, name: str, obj: StorageClass | None) -> None:
        """A storage class came, changed or went."""
        if obj is not None and obj.volume_binding_mode is None:
            obj = replace(obj, volume_binding_mode=IMMEDIATE)
        self.put(self.classes, name, obj)

    def put_claim(self, key: str, obj: PersistentVolumeClaim | None) -> None:
        """A claim came, changed or went; what was assumed of an older version counts no more."""
        self.changed += 1
        assumed = self._assumed_claims.get(key)
        if assumed is not None and (obj is None or _version(obj) != _version(assumed)):
            del self._assumed_claims[key]
        if obj is None:
            self._claims.pop(key, None)
        else:
            self._claims[key] = obj

    def put_volume(self, name: str, obj: PersistentVolume | None) -> None:
        """A volume came, changed or went; what was assumed of an older version counts no more."""
        before = self._volumes.get(name)
        if before is None or obj is None or before.spec.csi != obj.spec.csi:
            self.changed += 1
        self._unlist(name)
        assumed = self._assumed_volumes.get(name)
        if assumed is not None and (obj is None or _version(obj) != _version(assumed)):
            del self._assumed_volumes[name]
        if obj is None:
            self._volumes.pop(name, None)
        else:
            self._volumes[name] = obj
            self._list(name)

    # -- what there is

    def volume(self, name: str) -> PersistentVolume | None:
        """A volume as it is or is assumed to be."""
        return self._assumed_volumes.get(name) or self._volumes.get(name)

    def claim(self, key: str) -> PersistentVolumeClaim | None:
        """A claim as it is or is assumed to be."""
        return self._assumed_claims.get(key) or self._claims.get(key)

    def written_claim(self, key: str) -> PersistentVolumeClaim | None:
        """A claim as it was seen last, whatever is assumed."""
        return self._claims.get(key)

    def written_volume(self, name: str) -> PersistentVolume | None:
        """A volume as it was seen last, whatever is assumed."""
        return self._volumes.get(name)

    def free_volumes(self, class_name: str, least: int) -> Iterator[PersistentVolume]:
        """The volumes of a class and of at least that size that are for no claim, smallest first, of equal ones by name."""
        free = self._free.get(class_name, [])
        for _, name in free[bisect_left(free, (least, "")) :]:
            yield self._volumes[name]

    def volumes_for(self, claim: PersistentVolumeClaim, class_name: str) -> list[PersistentVolume]:
        """The volumes of a class that are for the claim already, smallest first."""
        found = [self.volume(name) for name in self._kept.get(claim_key(claim), ())]
        kept = [one for one in found if one and class_of_volume(one) == class_name and is_for(one, claim)]
        return sorted(kept, key=lambda one: (capacity(one), one.metadata.name))

    # -- what is assumed

    def assume_volume(self, volume: PersistentVolume) -> None:
        """Let a volume be as it is about to be written."""
        name = volume.metadata.name
        self._unlist(name)
        self._assumed_volumes[name] = volume
        self._list(name)

    def restore_volume(self, volume: PersistentVolume) -> None:
        """Let a volume be as it was seen last, if that is still what the assumption was made from."""
        name = volume.metadata.name
        assumed = self._assumed_volumes.get(name)
        if assumed is not None and _version(assumed) == _version(volume):
            self._unlist(name)
            del self._assumed_volumes[name]
            self._list(name)

    def assume_claim(self, claim: PersistentVolumeClaim) -> None:
        """Let a claim be as it is about to be written."""
        self._assumed_claims[claim_key(claim)] = claim

    def restore_claim(self, claim: PersistentVolumeClaim) -> None:
        """Let a claim be as it was seen last, if that is still what the assumption was made from."""
        assumed = self._assumed_claims.get(claim_key(claim))
        if assumed is not None and _version(assumed) == _version(claim):
            del self._assumed_claims[claim_key(claim)]

    # -- lists of volumes

    def _list(self, name: str) -> None:
        volume = self.volume(name)
        if volume is None:
            return
        reference = volume.spec.claim_ref
        if reference is not None:
            self._kept.setdefault(f"{reference.namespace}/{reference.name}", set()).add(name)
        else:
            insort(self._free.setdefault(class_of_volume(volume), []), (capacity(volume), name))

    def _unlist(self, name: str) -> None:
        volume = self.volume(name)
        if volume is None:
            return
        reference = volume.spec.claim_ref
        if reference is not None:
            self._kept[f"{reference.namespace}/{reference.name}"].discard(name)
            return
        free = self._free[class_of_volume(volume)]
        del free[bisect_left(free, (capacity(volume), name))]


def _version(obj: PersistentVolume | PersistentVolumeClaim) -> str:
    return obj.metadata.resource_version


def migrated_plugins(node: CSINode) -> frozenset[str]:
    """The in-tree plugins whose volumes the node leaves to CSI drivers. Source: isPluginMigratedToCSIOnNode."""
    told = notes_of(node.metadata).get(MIGRATED_PLUGINS, "")
    return frozenset(told.split(",")) if told else frozenset()
