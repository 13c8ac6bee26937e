"""Claims, and the volumes they may have: names, classes, sizes, as pure functions.

Source: component-helpers/storage/volume (helpers.go, pv_helpers.go), component-helpers/storage/ephemeral of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from kcore.api.objects import (
    ClaimReference,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    StorageMeta,
    Volume,
)
from kcore.api.quantity import parse_quantity

BIND_COMPLETED: Final = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
CLASS: Final = "volume.beta.kubernetes.io/storage-class"
MIGRATED_PLUGINS: Final = "storage.alpha.kubernetes.io/migrated-plugins"
NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"
WAIT: Final = "WaitForFirstConsumer"
ONE_POD: Final = "ReadWriteOncePod"


class Use(NamedTuple):
    """A claim that a pod uses: its name, and whether it is made for the pod."""

    name: str
    is_ephemeral: bool


def use_of(pod: Pod, volume: Volume) -> Use | None:
    """The claim of one volume of a pod; None where it has none. Source: VolumeClaimName."""
    if volume.persistent_volume_claim is not None:
        return Use(str(volume.persistent_volume_claim.get("claimName") or ""), False)
    if volume.ephemeral is not None:
        return Use(f"{pod.metadata.name}-{volume.name}", True)
    return None


def uses_of(pod: Pod) -> Iterator[Use]:
    """The claims of a pod, by volume."""
    for volume in pod.spec.volumes or ():
        found = use_of(pod, volume)
        if found is not None:
            yield found


def stranger(pod: Pod, claim: PersistentVolumeClaim) -> str:
    """Why the claim is not the pod's own; empty where it is. Source: VolumeIsForPod."""
    meta = pod.metadata
    for owner in claim.metadata.owner_references or ():
        if owner.controller and owner.uid == meta.uid:
            return ""
    return (
        f"PVC {claim.metadata.namespace}/{claim.metadata.name} was not created for pod "
        f"{meta.namespace}/{meta.name} (pod is not owner)"
    )


def claim_key(claim: PersistentVolumeClaim) -> str:
    """NAMESPACE/NAME."""
    return f"{claim.metadata.namespace}/{claim.metadata.name}"


def notes_of(metadata: StorageMeta) -> dict[str, str]:
    """The annotations."""
    return metadata.annotations or {}


def class_of_claim(claim: PersistentVolumeClaim) -> str:
    """The name of its storage class, empty without."""
    told = notes_of(claim.metadata).get(CLASS)
    return told if told is not None else claim.spec.storage_class_name or ""


def class_of_volume(volume: PersistentVolume) -> str:
    """The name of its storage class, empty without."""
    told = notes_of(volume.metadata).get(CLASS)
    return told if told is not None else volume.spec.storage_class_name


def is_bound(claim: PersistentVolumeClaim) -> bool:
    """Both sides of the binding have been written. Source: isPVCFullyBound."""
    return bool(claim.spec.volume_name) and BIND_COMPLETED in notes_of(claim.metadata)


def requested(claim: PersistentVolumeClaim) -> int | None:
    """Bytes, in nano-units; None where it says none."""
    found = (claim.spec.resources.requests if claim.spec.resources else None) or {}
    return parse_quantity(found["storage"]) if "storage" in found else None


def capacity(volume: PersistentVolume) -> int:
    """Bytes, in nano-units."""
    found = volume.spec.capacity or {}
    return parse_quantity(found["storage"]) if "storage" in found else 0


def is_for(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """The volume is for this claim, or for one of its name whichever it be. Source: IsVolumeBoundToClaim."""
    reference, meta = volume.spec.claim_ref, claim.metadata
    if reference is None or (reference.namespace, reference.name) != (meta.namespace, meta.name):
        return False
    return not reference.uid or reference.uid == meta.uid


def may_suit(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Size, mode, attributes and life of the volume are right for the claim, wherever it is and whomever it is for."""
    return capacity(volume) >= (requested(claim) or 0) and is_alike(volume, claim)


def is_alike(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """The same but for the size."""
    return (
        (volume.spec.volume_mode or "Filesystem") == (claim.spec.volume_mode or "Filesystem")
        and (volume.spec.volume_attributes_class_name or "")
        == (claim.spec.volume_attributes_class_name or "")
        and volume.metadata.deletion_timestamp is None
    )


def has_modes(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """The volume can be used in every way that the claim asks for. Source: CheckAccessModes."""
    return set(claim.spec.access_modes or ()) <= set(volume.spec.access_modes or ())


def bound_to(volume: PersistentVolume, claim: PersistentVolumeClaim) -> PersistentVolume:
    """The volume as it is to be written: for that claim. Source: GetBindVolumeToClaim."""
    meta = claim.metadata
    reference = ClaimReference(namespace=meta.namespace, name=meta.name, uid=meta.uid)
    metadata = volume.metadata
    if not is_for(volume, claim):
        metadata = replace(metadata, annotations={BOUND_BY_CONTROLLER: "yes", **notes_of(metadata)})
    return replace(volume, metadata=metadata, spec=replace(volume.spec, claim_ref=reference))


def provisioned_on(claim: PersistentVolumeClaim, node: str) -> PersistentVolumeClaim:
    """The claim as it is to be written: to be provisioned for that node."""
    notes = {**notes_of(claim.metadata), SELECTED_NODE: node}
    return replace(claim, metadata=replace(claim.metadata, annotations=notes))
