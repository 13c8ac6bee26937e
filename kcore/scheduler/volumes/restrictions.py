"""VolumeRestrictions: disks that only one node, or only one pod, may use at a time.

Source: plugins/volumerestrictions/volume_restrictions.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from kcore.api.objects import Pod, Volume
from kcore.scheduler.host import HostFilter, Occupants, Refused, Turned
from kcore.scheduler.reasons import UNSCHEDULABLE, Rejection
from kcore.scheduler.volumes.claims import ONE_POD, use_of
from kcore.scheduler.volumes.tables import StorageTables

NAME: Final = "VolumeRestrictions"
DISK: Final = Rejection(NAME, UNSCHEDULABLE, ("node(s) had no available disk",))
IN_USE: Final = Rejection(
    NAME,
    UNSCHEDULABLE,
    (
        "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod",
    ),
)


def _is_exclusive(volume: Volume) -> bool:
    return (
        volume.gce_persistent_disk is not None
        or volume.aws_elastic_block_store is not None
        or volume.rbd is not None
        or volume.iscsi is not None
    )


def _both_read(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return bool(one.get("readOnly")) and bool(two.get("readOnly"))


def conflicts(one: Volume, two: Volume) -> bool:
    """Whether two volumes are the same disk and cannot be mounted by two pods. Source: isVolumeConflict."""
    if one.gce_persistent_disk is not None and two.gce_persistent_disk is not None:
        disk, other = one.gce_persistent_disk, two.gce_persistent_disk
        if disk.get("pdName", "") == other.get("pdName", "") and not _both_read(disk, other):
            return True
    if one.aws_elastic_block_store is not None and two.aws_elastic_block_store is not None:
        disk, other = one.aws_elastic_block_store, two.aws_elastic_block_store
        if disk.get("volumeID", "") == other.get("volumeID", ""):
            return True
    if one.iscsi is not None and two.iscsi is not None:
        disk, other = one.iscsi, two.iscsi
        if disk.get("iqn", "") == other.get("iqn", "") and not _both_read(disk, other):
            return True
    if one.rbd is not None and two.rbd is not None:
        disk, other = one.rbd, two.rbd
        return (
            bool(set(disk.get("monitors") or ()) & set(other.get("monitors") or ()))
            and _pool(disk) == _pool(other)
            and disk.get("image", "") == other.get("image", "")
            and not _both_read(disk, other)
        )
    return False


def _pool(disk: dict[str, Any]) -> str:
    return str(disk.get("pool") or "rbd")  # the API server's default


class VolumeRestrictions:
    """The plugin over one state."""

    name = NAME

    def __init__(self, tables: StorageTables) -> None:
        self._tables = tables

    def begin(self, row: int, pod: Pod, occupants: Occupants) -> HostFilter | None:
        """PreFilter: which claims of the pod are for one pod alone, and how many of them a pod has already."""
        disks = [volume for volume in pod.spec.volumes or () if _is_exclusive(volume)]
        alone = self._for_one_pod(pod)
        used = self._used(pod.metadata.namespace, alone, occupants) if alone else 0
        if not disks and not used:
            return None
        return _Restrictions(disks, alone, used, occupants)

    def _for_one_pod(self, pod: Pod) -> frozenset[str]:
        found = set()
        for volume in pod.spec.volumes or ():
            use = use_of(pod, volume)
            if use is None or use.is_ephemeral:
                continue
            claim = self._tables.storage.claim(f"{pod.metadata.namespace}/{use.name}")
            if claim is None:
                raise Turned(f'persistentvolumeclaim "{use.name}" not found')
            if ONE_POD in (claim.spec.access_modes or ()):
                found.add(use.name)
        return frozenset(found)

    def _used(self, namespace: str, names: frozenset[str], occupants: Occupants) -> int:
        used: set[str] = set()
        rows, _ = occupants.placed()
        for row in rows.tolist():
            other = self._tables.hosted[row]
            if other.metadata.namespace == namespace:
                used |= claims_by_name(other) & names
        return len(used)


def claims_by_name(pod: Pod) -> set[str]:
    """The claims that a pod names in its spec; those made for it do not count."""
    volumes = pod.spec.volumes or ()
    return {use.name for one in volumes if (use := use_of(pod, one)) is not None and not use.is_ephemeral}


class _Restrictions(HostFilter):
    plugin = NAME

    def __init__(self, disks: list[Volume], alone: frozenset[str], used: int, occupants: Occupants) -> None:
        self._disks = disks
        self._alone = alone
        self._used = used
        self._occupants = occupants

    def shift(self, other: Pod, slot: int, sign: int) -> None:
        """Claims count by their names, in whatever namespace, as upstream has it."""
        for volume in other.spec.volumes or ():
            use = use_of(other, volume)
            if use is not None and not use.is_ephemeral and use.name in self._alone:
                self._used += sign

    def filter(self, slots: np.ndarray) -> Iterable[Refused]:
        """Disks first; a claim that is in use elsewhere refuses all the others."""
        refused = self._occupied(slots)
        yield Refused(refused, DISK)
        if self._used > 0:
            yield Refused(slots[~np.isin(slots, refused)], IN_USE)

    def _occupied(self, slots: np.ndarray) -> np.ndarray:
        if not self._disks:
            return slots[:0]
        found = set()
        rows, where = self._occupants.placed(slots)
        for row, slot in zip(rows.tolist(), where.tolist(), strict=True):
            if slot not in found and self._meets(row):
                found.add(slot)
        return np.array(sorted(found), dtype=np.int64)

    def _meets(self, row: int) -> bool:
        other = self._occupants.pod(row)
        assert other is not None
        return any(conflicts(one, two) for one in self._disks for two in other.spec.volumes or ())
