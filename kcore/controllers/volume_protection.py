"""Claims that pods use, volumes that are bound and classes that either names are not deleted before they are free.

Source: pkg/controller/volume/pvcprotection, pvprotection, vacprotection of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers.contract import (
    Controller,
    Failed,
    Key,
    Object,
    ReadAll,
    Steps,
    Update,
    View,
    Watched,
    must,
)
from kcore.controllers.pod_claims import by_claim, claim_name, is_terminated, stranger

CLAIMS: Final = "persistentvolumeclaims"
VOLUMES: Final = "persistentvolumes"
CLAIM_FINALIZER: Final = "kubernetes.io/pvc-protection"
CLASSES: Final = "volumeattributesclasses"
VOLUME_FINALIZER: Final = "kubernetes.io/pv-protection"
CLASS_FINALIZER: Final = "kubernetes.io/vac-protection"


def _wants(obj: Object, finalizer: str) -> bool:
    """It lacks the finalizer, or is being deleted and has it."""
    return ("deletionTimestamp" in obj["metadata"]) == (
        finalizer in (obj["metadata"].get("finalizers") or ())
    )


def _with(obj: Object, finalizer: str) -> Object:
    metadata = obj["metadata"]
    return {**obj, "metadata": {**metadata, "finalizers": [*(metadata.get("finalizers") or ()), finalizer]}}


def _without(obj: Object, finalizer: str) -> Object:
    metadata = obj["metadata"]
    kept = [each for each in metadata.get("finalizers") or () if each != finalizer]
    return {**obj, "metadata": {**metadata, "finalizers": kept}}


class ClaimProtection(Controller):
    """``persistentvolumeclaim-protection-controller``."""

    name: ClassVar = "persistentvolumeclaim-protection-controller"
    aliases: ClassVar = ("pvc-protection",)
    component: ClassVar = "persistentvolumeclaim-protection-controller"
    workers: ClassVar[int] = 1

    @property
    def watches(self) -> Sequence[Watched]:
        """Claims, and pods that use them."""
        return (Watched(CLAIMS, self._claim_keys), Watched("pods", self._pod_keys, {"claim": by_claim}))

    def _claim_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is not None and _wants(new, CLAIM_FINALIZER):
            yield Key(new["metadata"]["namespace"], new["metadata"]["name"])

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        """Claims of a pod that is gone, at its end or not placed yet."""
        pod = new if new is not None else old
        assert pod is not None
        if new is not None and not is_terminated(new) and new["spec"].get("nodeName"):
            return
        for volume in pod["spec"].get("volumes") or ():
            name = claim_name(pod, volume)
            if name:
                yield Key(pod["metadata"]["namespace"], name)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The finalizer is there, or gone once nothing uses the claim that is being deleted."""
        claim = view.get(CLAIMS, key.namespace, key.name)
        if claim is None or not _wants(claim, CLAIM_FINALIZER):
            return None
        if "deletionTimestamp" not in claim["metadata"]:
            yield from must(Update(CLAIMS, _with(claim, CLAIM_FINALIZER)))
            return None
        if any(_uses(pod, claim) for pod in view.by("pods", "claim", str(key))):
            return None
        (outcome,) = yield [ReadAll("pods", key.namespace)]
        if isinstance(outcome, ApiError):
            raise Failed(f"live list of pods failed: {outcome}") from outcome
        assert isinstance(outcome, dict)
        if not any(_uses(pod, claim) for pod in outcome["items"]):
            yield from must(Update(CLAIMS, _without(claim, CLAIM_FINALIZER)))
        return None


def _uses(pod: Object, claim: Object) -> bool:
    """A pod on a node has it as a volume. Source: podUsesPVCForDeletion."""
    if not pod["spec"].get("nodeName"):
        return False
    metadata, name = pod["metadata"], claim["metadata"]["name"]
    is_shut_down = "deletionTimestamp" in metadata and metadata.get("deletionGracePeriodSeconds") == 0
    for volume in pod["spec"].get("volumes") or ():
        if claim_name(pod, volume) != name:
            continue
        if "persistentVolumeClaim" in volume or (not is_shut_down and not stranger(pod, claim)):
            return True
    return False


class VolumeProtection(Controller):
    """``persistentvolume-protection-controller``."""

    name: ClassVar = "persistentvolume-protection-controller"
    aliases: ClassVar = ("pv-protection",)
    component: ClassVar = "persistentvolume-protection-controller"
    workers: ClassVar[int] = 1

    @property
    def watches(self) -> Sequence[Watched]:
        """Volumes."""
        return (Watched(VOLUMES, self._keys),)

    def _keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is not None and _wants(new, VOLUME_FINALIZER):
            yield Key("", new["metadata"]["name"])

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The finalizer is there, or gone once the volume that is being deleted is not bound."""
        volume = view.get(VOLUMES, "", key.name)
        if volume is None or not _wants(volume, VOLUME_FINALIZER):
            return None
        if "deletionTimestamp" not in volume["metadata"]:
            yield from must(Update(VOLUMES, _with(volume, VOLUME_FINALIZER)))
        elif (volume.get("status") or {}).get("phase") != "Bound":
            yield from must(Update(VOLUMES, _without(volume, VOLUME_FINALIZER)))
        return None


def _named_classes(obj: Object) -> set[str]:
    """Names of the classes that a volume is of, or that a claim asks for, has, or is on its way to."""
    status = obj.get("status") or {}
    names = {
        obj["spec"].get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    }
    return {name for name in names if name}


class AttributesClassProtection(Controller):
    """``volumeattributesclass-protection-controller``."""

    name: ClassVar = "volumeattributesclass-protection-controller"
    component: ClassVar = "volumeattributesclass-protection-controller"
    workers: ClassVar[int] = 1

    @property
    def watches(self) -> Sequence[Watched]:
        """Classes, and the claims and volumes that name them."""
        index = {"attributes class": _named_classes}
        return (
            Watched(CLASSES, self._keys),
            Watched(CLAIMS, self._freed, index),
            Watched(VOLUMES, self._freed, index),
        )

    def _keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is not None and _wants(new, CLASS_FINALIZER):
            yield Key("", new["metadata"]["name"])

    def _freed(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        """Classes that are not named any more."""
        before = set() if old is None else _named_classes(old)
        for name in before - (set() if new is None else _named_classes(new)):
            yield Key("", name)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The finalizer is there, or gone once nothing names the class that is being deleted."""
        found = view.get(CLASSES, "", key.name)
        if found is None or not _wants(found, CLASS_FINALIZER):
            return None
        if "deletionTimestamp" not in found["metadata"]:
            yield from must(Update(CLASSES, _with(found, CLASS_FINALIZER)))
        elif not any([*view.by(kind, "attributes class", key.name)] for kind in (CLAIMS, VOLUMES)):
            yield from must(Update(CLASSES, _without(found, CLASS_FINALIZER)))
        return None
