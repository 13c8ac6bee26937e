"""Volumes, claims and what else storage is made of, kept in step with watches, and what their changes may mean for pods.

Source: EventsToRegister and the queueing hints of plugins volumebinding, volumezone, volumerestrictions and
nodevolumelimits of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from kcore.api.errors import InputError
from kcore.api.objects import (
    CSIDriver,
    CSINode,
    CSIStorageCapacity,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
    VolumeAttachment,
)
from kcore.api.quantity import parse_quantity, unit_value
from kcore.online.events import Event
from kcore.scheduler.volumes.claims import WAIT, capacity, requested
from kcore.scheduler.volumes.storage import Storage, migrated_plugins
from kcore.scheduler.volumes.zone import topologies_of

Object = dict[str, Any]

STORAGE: Final[dict[str, type[Any]]] = {
    "persistentvolumes": PersistentVolume,
    "persistentvolumeclaims": PersistentVolumeClaim,
    "storageclasses.storage.k8s.io": StorageClass,
    "csinodes.storage.k8s.io": CSINode,
    "csidrivers.storage.k8s.io": CSIDriver,
    "csistoragecapacities.storage.k8s.io": CSIStorageCapacity,
    "volumeattachments.storage.k8s.io": VolumeAttachment,
}


class StorageMirror:
    """``storage`` as watches show it. ``tell`` hears of objects that cannot be read, by key and fault; they are left out."""

    def __init__(self, storage: Storage, tell: Callable[[str, InputError], None]) -> None:
        self.storage = storage
        self._tell = tell
        self._raw: dict[tuple[type[Any], str], Object] = {}

    def raw_volume(self, name: str) -> Object:
        """A volume as the server wrote it; KeyError where there is none."""
        return self._raw[PersistentVolume, name]

    def raw_claim(self, key: str) -> Object:
        """A claim as the server wrote it; KeyError where there is none."""
        return self._raw[PersistentVolumeClaim, key]

    def take(self, resource: str, key: str, old: Object | None, new: Object | None) -> Event:
        """An object of one of these resources came, changed or (None) went; what pods may wait for of that."""
        kind = STORAGE[resource]
        before, after = self._read(kind, key, old, is_new=False), self._read(kind, key, new, is_new=True)
        storage = self.storage
        if kind in (PersistentVolume, PersistentVolumeClaim):
            if new is None:
                self._raw.pop((kind, key), None)
            else:
                self._raw[kind, key] = new
        if kind is PersistentVolume:
            storage.put_volume(key, after)
            return _of_volume(before, after)
        if kind is PersistentVolumeClaim:
            storage.put_claim(key, after)
            return Event.NONE if after is None else Event.CLAIM_UPDATE if before else Event.CLAIM_ADD
        if kind is StorageClass:
            storage.put_class(key, after)
            return _of_class(before, after)
        table, event_of = self._table(kind)
        storage.put(table, key, after)
        return event_of(before, after)

    def _table(self, kind: type[Any]) -> tuple[dict[str, Any], Callable[[Any, Any], Event]]:
        storage = self.storage
        if kind is CSINode:
            return storage.csi_nodes, _of_node
        if kind is CSIDriver:
            return storage.drivers, _of_driver
        if kind is CSIStorageCapacity:
            return storage.capacities, _of_capacity
        return storage.attachments, _of_attachment

    def _read(self, kind: type[Any], key: str, obj: Object | None, *, is_new: bool) -> Any:
        if obj is None:
            return None
        try:
            read = msgspec.convert(obj, kind)
            if kind is PersistentVolume:
                capacity(read)
            elif kind is PersistentVolumeClaim:
                requested(read)
            elif kind is CSIStorageCapacity:
                _limit(read)
            return read
        except (InputError, msgspec.ValidationError) as error:
            if is_new:
                self._tell(key, error if isinstance(error, InputError) else InputError(str(error)))
            return None


def _of_volume(before: PersistentVolume | None, after: PersistentVolume | None) -> Event:
    if after is None:
        return Event.NONE
    if before is None or topologies_of(before) != topologies_of(after):
        return Event.VOLUME | Event.VOLUME_ZONE
    return Event.VOLUME


def _of_class(before: StorageClass | None, after: StorageClass | None) -> Event:
    if after is None:
        return Event.NONE
    if before is None:
        return Event.CLASS | (Event.CLASS_WAITS if after.volume_binding_mode == WAIT else Event.NONE)
    return Event.CLASS if before.allowed_topologies != after.allowed_topologies else Event.NONE


def _of_node(before: CSINode | None, after: CSINode | None) -> Event:
    if after is None:
        return Event.NONE
    if before is None:
        return Event.CSI_NODE | Event.CSI_LIMIT
    found = Event.CSI_NODE if migrated_plugins(before) != migrated_plugins(after) else Event.NONE
    limits = _limits(before)
    if any(limit > limits.get(name, 0) for name, limit in _limits(after).items()):
        found |= Event.CSI_LIMIT
    return found


def _limits(node: CSINode) -> dict[str, int]:
    return {
        driver.name: (driver.allocatable.count or 0) if driver.allocatable else 0
        for driver in node.spec.drivers or ()
    }


def _of_driver(before: CSIDriver | None, after: CSIDriver | None) -> Event:
    if before is None or after is None:
        return Event.NONE
    return (
        Event.CSI_CAPACITY if before.spec.storage_capacity and not after.spec.storage_capacity else Event.NONE
    )


def _of_capacity(before: CSIStorageCapacity | None, after: CSIStorageCapacity | None) -> Event:
    limit = None if after is None else _limit(after)
    if after is None or (before is not None and limit is None):
        return Event.NONE
    was = None if before is None else _limit(before)
    return Event.CSI_CAPACITY if was is None or (limit is not None and limit > was) else Event.NONE


def _limit(one: CSIStorageCapacity) -> int | None:
    most = one.maximum_volume_size if one.maximum_volume_size is not None else one.capacity
    return None if most is None else unit_value(parse_quantity(most))


def _of_attachment(before: VolumeAttachment | None, after: VolumeAttachment | None) -> Event:
    return Event.ATTACHMENT_GONE if after is None else Event.NONE
