"""VolumeBinding between decision and binding: what was chosen is written, and the pod waits until its claims are bound.

Source: plugins/volumebinding (PreBind, Unreserve), binder.go (bindAPIUpdate, checkBindings) of Kubernetes 1.36; instead of
looking once a second, a pod's claims are looked at whenever something has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import numpy as np

from kcore.api.objects import PersistentVolume, PersistentVolumeClaim
from kcore.clock import Clock, within
from kcore.online.binding import NotBound
from kcore.online.mirror import Mirror
from kcore.scheduler.host import CycleError, Reservation
from kcore.scheduler.host_cycle import unreserve
from kcore.scheduler.volumes.binding import NAME, VolumeBinding, VolumeReservation
from kcore.scheduler.volumes.claims import (
    BOUND_BY_CONTROLLER,
    SELECTED_NODE,
    claim_key,
    is_bound,
    notes_of,
)
from kcore.scheduler.volumes.topology import NodeLabels

TIMED_OUT: Final = "context deadline exceeded"

Object = dict[str, Any]


class Writer(Protocol):
    """What of a client is used."""

    async def update(self, obj: Object, *, resource: str = "") -> Object:
        """The object as the server has it now."""


class NotBindable(Exception):
    """The pod's claims will not be bound as was decided; the text is upstream's."""


class VolumeBinder:
    """The plugin's part in binding, for pods whose volumes were set aside for them (:meth:`keep`).

    ``seconds_max``: by schedulerName, how long claims may take to be bound (bindTimeoutSeconds).
    """

    name = NAME
    is_parallel = True

    def __init__(
        self, client: Writer, mirror: Mirror, clock: Clock, seconds_max: Mapping[str, float]
    ) -> None:
        self._client = client
        self._mirror = mirror
        self._clock = clock
        self._seconds_max = seconds_max
        self._kept: dict[str, tuple[Reservation, ...]] = {}
        self._changed: set[asyncio.Event] = set()

    def keep(self, pod: Object, reservations: tuple[Reservation, ...]) -> None:
        """What has been set aside for the pod is this."""
        self._kept[pod["metadata"]["uid"]] = reservations

    def concerns(self, pod: Object) -> bool:
        """Whether something is set aside for it."""
        return pod["metadata"]["uid"] in self._kept

    def unreserve(self, pod: Object, node: str) -> None:
        """Nothing is set aside for the pod any more; what has been written stays so."""
        unreserve(self._kept.pop(pod["metadata"]["uid"], ()))

    def post_bind(self, pod: Object, node: str) -> None:
        """What was set aside is the pod's."""
        self._kept.pop(pod["metadata"]["uid"], None)

    def look(self) -> None:
        """Something has changed: those that wait look again."""
        for event in self._changed:
            event.set()

    async def pre_bind(self, pod: Object, node: str) -> None:
        """The pod's claims are bound; or NotBound, ApiError, OSError."""
        for one in self._kept.get(pod["metadata"]["uid"], ()):
            if isinstance(one, VolumeReservation):
                await self._bind(pod, one)

    async def _bind(self, pod: Object, reserved: VolumeReservation) -> None:
        volumes = [await self._write_volume(volume, claim) for volume, claim in reserved.bindings]
        claims = [await self._write_claim(claim) for claim in reserved.provisions]
        seconds_max = self._seconds_max[pod["spec"].get("schedulerName", "default-scheduler")]

        def are_bound() -> bool:
            bindings = zip(reserved.bindings, volumes, strict=True)
            return all(self._is_bound(reserved.node, pair, version) for pair, version in bindings) and all(
                self._is_provisioned(reserved.node, claim, version)
                for claim, version in zip(reserved.provisions, claims, strict=True)
            )

        try:
            await within(self._clock, seconds_max, self._until(pod, reserved.node, are_bound))
        except TimeoutError:
            raise _not_bound(TIMED_OUT) from None
        except (NotBindable, CycleError) as error:
            raise _not_bound(str(error)) from error

    async def _until(self, pod: Object, node: str, are_bound: Callable[[], bool]) -> None:
        event = asyncio.Event()
        self._changed.add(event)
        try:
            while not self._is_done(pod, node, are_bound):
                event.clear()
                await event.wait()
        finally:
            self._changed.discard(event)

    def _is_done(self, pod: Object, node: str, are_bound: Callable[[], bool]) -> bool:
        if node not in self._mirror.node_names:
            raise NotBindable(f'failed to get node "{node}": node "{node}" not found')
        metadata = pod["metadata"]
        if self._mirror.object_of(f"{metadata['namespace']}/{metadata['name']}") is None:
            raise NotBindable(f'pod does not exist any more: pod "{metadata["name"]}" not found')
        return are_bound()

    # -- writes

    async def _write_volume(self, volume: PersistentVolume, claim: PersistentVolumeClaim) -> int:
        """The version of the volume that is for the claim. Source: GetBindVolumeToClaim."""
        raw = self._mirror.storage.raw_volume(volume.metadata.name)
        meta = claim.metadata
        reference = {
            "kind": "PersistentVolumeClaim", "namespace": meta.namespace, "name": meta.name, "uid": meta.uid,
            "apiVersion": "v1", "resourceVersion": meta.resource_version,
        }  # fmt: skip
        known = raw["spec"].get("claimRef")
        if known and known.get("uid") == meta.uid:
            reference = known
        notes = {**(raw["metadata"].get("annotations") or {})}
        if BOUND_BY_CONTROLLER in notes_of(volume.metadata):
            notes[BOUND_BY_CONTROLLER] = notes_of(volume.metadata)[BOUND_BY_CONTROLLER]
        metadata = {**raw["metadata"], "resourceVersion": volume.metadata.resource_version}
        if notes:
            metadata["annotations"] = notes
        obj = {**raw, "metadata": metadata, "spec": {**raw["spec"], "claimRef": reference}}
        return _version(await self._client.update(obj, resource="persistentvolumes"))

    async def _write_claim(self, claim: PersistentVolumeClaim) -> int:
        """The version of the claim that says for which node it is to be provisioned."""
        raw = self._mirror.storage.raw_claim(claim_key(claim))
        notes = {
            **(raw["metadata"].get("annotations") or {}),
            SELECTED_NODE: notes_of(claim.metadata)[SELECTED_NODE],
        }
        metadata = {
            **raw["metadata"], "annotations": notes, "resourceVersion": claim.metadata.resource_version,
        }  # fmt: skip
        return _version(
            await self._client.update({**raw, "metadata": metadata}, resource="persistentvolumeclaims")
        )

    # -- what has become of them. Source: checkBindings

    def _is_bound(
        self, node: str, pair: tuple[PersistentVolume, PersistentVolumeClaim], version: int
    ) -> bool:
        storage, name, key = self._mirror.state.storage, pair[0].metadata.name, claim_key(pair[1])
        volume, claim = storage.written_volume(name), storage.written_claim(key)
        if volume is None:
            raise NotBindable(f'failed to check binding: persistentvolumes "{name}" not found')
        if claim is None:
            raise NotBindable(f'failed to check binding: persistentvolumeclaims "{key}" not found')
        if _number(volume.metadata.resource_version) < version:
            return False
        self._check_affinity(volume, node)
        if volume.spec.claim_ref is None or not volume.spec.claim_ref.uid:
            raise NotBindable(f'ClaimRef got reset for pv "{name}"')
        return is_bound(claim)

    def _is_provisioned(self, node: str, chosen: PersistentVolumeClaim, version: int) -> bool:
        storage, key = self._mirror.state.storage, claim_key(chosen)
        claim = storage.written_claim(key)
        if claim is None:
            raise NotBindable(f'failed to check provisioning pvc: persistentvolumeclaims "{key}" not found')
        if _number(claim.metadata.resource_version) < version:
            return False
        if claim.metadata.annotations is None:
            raise NotBindable(f'selectedNode annotation reset for PVC "{claim.metadata.name}"')
        if notes_of(claim.metadata).get(SELECTED_NODE) != node:
            raise NotBindable(f'provisioning failed for PVC "{claim.metadata.name}"')
        if claim.spec.volume_name:
            volume = storage.written_volume(claim.spec.volume_name)
            if volume is None:
                return False
            self._check_affinity(volume, node)
        return is_bound(claim)

    def _check_affinity(self, volume: PersistentVolume, node: str) -> None:
        state = self._mirror.state
        slot = state.nodes.index[node]
        plugin = VolumeBinding(state, NodeLabels(state.nodes))
        if not plugin.reaches_translated(volume, np.array([slot]))[slot]:
            raise NotBindable(
                f'pv "{volume.metadata.name}" node affinity doesn\'t match node "{node}": no matching NodeSelectorTerms'
            )


def _not_bound(why: str) -> NotBound:
    return NotBound(f'running PreBind plugin "{NAME}": binding volumes: {why}')


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0


def _version(obj: Object) -> int:
    return _number(obj["metadata"].get("resourceVersion", ""))
