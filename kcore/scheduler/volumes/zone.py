"""VolumeZone: a node must be in the zone and region that labels of the pod's bound volumes name.

Source: plugins/volumezone/volume_zone.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from kcore.api.objects import PersistentVolume, PersistentVolumeClaim, Pod
from kcore.scheduler.host import HostFilter, Occupants, Refused, Turned
from kcore.scheduler.reasons import UNRESOLVABLE, Rejection
from kcore.scheduler.volumes.claims import WAIT, class_of_claim, use_of
from kcore.scheduler.volumes.migration import BETA_REGION, BETA_ZONE, REGION, ZONE, ZONE_DELIMITER
from kcore.scheduler.volumes.tables import StorageTables
from kcore.scheduler.volumes.topology import NodeLabels

NAME: Final = "VolumeZone"
LABELS: Final = (BETA_ZONE, BETA_REGION, ZONE, REGION)
_TODAY: Final = {BETA_ZONE: ZONE, BETA_REGION: REGION}
CONFLICT: Final = Rejection(NAME, UNRESOLVABLE, ("node(s) had no available volume zone",))

Topology = tuple[str, frozenset[str]]


def topologies_of(volume: PersistentVolume) -> list[Topology]:
    """The zones and regions that a volume's labels name, by key; a label that cannot be read is left out."""
    found = []
    for key in LABELS:
        text = (volume.metadata.labels or {}).get(key)
        if text is not None:
            values = [one.strip() for one in text.split(ZONE_DELIMITER)]
            if all(values):
                found.append((key, frozenset(values)))
    return found


class VolumeZone:
    """The plugin over one state."""

    name = NAME

    def __init__(self, tables: StorageTables, labels: NodeLabels) -> None:
        self._tables = tables
        self._labels = labels

    def begin(self, row: int, pod: Pod, occupants: Occupants) -> HostFilter | None:
        """PreFilter: the topologies of the volumes that the pod's claims are bound to."""
        found = [topology for claim in self._claims(pod) for topology in self._topologies(claim)]
        return _Zones(self._labels, found) if found else None

    def _claims(self, pod: Pod) -> Iterator[PersistentVolumeClaim]:
        for volume in pod.spec.volumes or ():
            use = use_of(pod, volume)
            if use is None or use.is_ephemeral:
                continue
            if not use.name:
                raise Turned("PersistentVolumeClaim had no name")
            claim = self._tables.storage.claim(f"{pod.metadata.namespace}/{use.name}")
            if claim is None:
                raise Turned(f'persistentvolumeclaim "{use.name}" not found')
            yield claim

    def _topologies(self, claim: PersistentVolumeClaim) -> list[Topology]:
        storage, name = self._tables.storage, claim.spec.volume_name
        if name:
            volume = storage.volume(name)
            if volume is None:
                raise Turned(f'persistentvolume "{name}" not found')
            return topologies_of(volume)
        class_name = class_of_claim(claim)
        if not class_name:
            raise Turned("PersistentVolumeClaim had no pv name and storageClass name")
        found = storage.classes.get(class_name)
        if found is None:
            raise Turned(f'storageclass.storage.k8s.io "{class_name}" not found')
        if found.volume_binding_mode != WAIT:
            raise Turned("PersistentVolume had no name")
        return []


class _Zones(HostFilter):
    plugin = NAME

    def __init__(self, labels: NodeLabels, topologies: list[Topology]) -> None:
        self._labels = labels
        self._topologies = topologies

    def filter(self, slots: np.ndarray) -> Iterable[Refused]:
        """A node without any of these labels passes, and so does one that has all those of the volumes."""
        labels = self._labels
        refused = np.zeros(len(labels.column(ZONE)), dtype=bool)
        for key, values in self._topologies:
            passes = labels.among(key, values)
            if key in _TODAY:
                # a node that has the label under its later name alone is judged by that
                passes |= (labels.column(key) < 0) & labels.among(_TODAY[key], values)
            refused |= ~passes
        refused &= labels.has_any(LABELS)
        yield Refused(slots[refused[slots]], CONFLICT)
