"""Claims that ask for more than they have are told who makes their volumes larger: the resizers of their drivers.

No plugin of the controller manager's own expands; of volumes that were in-tree the claim is given the resizer's name. Flex
volumes, which upstream only writes down as larger, are left to the outside as others are. Source:
pkg/controller/volume/expand of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from kcore.api.quantity import parse_quantity
from kcore.api.status import ApiError
from kcore.controllers.contract import Controller, Failed, Key, Object, Patch, Steps, Tell, View, Watched
from kcore.controllers.persistent_volume_binder import MIGRATED

CLAIMS: Final = "persistentvolumeclaims"
VOLUMES: Final = "persistentvolumes"
STORAGE: Final = "storage"
RESIZER: Final = "volume.kubernetes.io/storage-resizer"
BEFORE_RESIZE: Final = "volume.alpha.kubernetes.io/pre-resize-capacity"
REASON: Final = "ExternalExpanding"
SOURCES: Final = {
    "awsElasticBlockStore": "kubernetes.io/aws-ebs", "azureDisk": "kubernetes.io/azure-disk",
    "azureFile": "kubernetes.io/azure-file", "cinder": "kubernetes.io/cinder",
    "gcePersistentDisk": "kubernetes.io/gce-pd", "portworxVolume": "kubernetes.io/portworx-volume",
    "vsphereVolume": "kubernetes.io/vsphere-volume",
}  # fmt: skip


class PersistentVolumeExpander(Controller):
    """``persistentvolume-expander-controller``."""

    name: ClassVar = "persistentvolume-expander-controller"
    aliases: ClassVar = ("persistentvolume-expander",)
    component: ClassVar = "volume_expand"
    workers: ClassVar[int] = 10

    @property
    def watches(self) -> Sequence[Watched]:
        """Claims that grow; volumes are only looked up."""
        return (Watched(CLAIMS, _claim_keys), Watched(VOLUMES, lambda old, new, view: ()))

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """Who is to expand the claim's volume has been said."""
        claim = view.get(CLAIMS, key.namespace, key.name)
        if claim is None:
            return None
        name = claim["spec"].get("volumeName") or ""
        volume = view.get(VOLUMES, "", name)
        if volume is None:
            raise Failed(f'failed to get PV "{name}": persistentvolumes "{name}" not found')
        reference = volume["spec"].get("claimRef") or {}
        if (reference.get("namespace"), reference.get("uid")) != (key.namespace, claim["metadata"]["uid"]):
            raise Failed(f"persistent Volume is not bound to PVC being updated : {key}")
        was_resized = BEFORE_RESIZE in (volume["metadata"].get("annotations") or {})
        if _asked(claim) <= _had(claim) and not was_resized:
            return None
        plugin = next((SOURCES[each] for each in SOURCES if each in volume["spec"]), "")
        if not plugin:
            yield [Tell(claim, "Normal", REASON, "waiting for an external controller to expand this PVC")]
            return None
        text = f"CSI migration enabled for {plugin}; waiting for external resizer to expand the pvc"
        yield [Tell(claim, "Normal", REASON, text)]
        yield from _given_to(claim, MIGRATED[plugin])
        return None


def _given_to(claim: Object, resizer: str) -> Steps:
    """The claim names its resizer."""
    metadata = claim["metadata"]
    if (metadata.get("annotations") or {}).get(RESIZER) == resizer:
        return None
    wanted = {"annotations": {RESIZER: resizer}, "resourceVersion": metadata["resourceVersion"]}
    body = {"metadata": wanted}
    key = Key(metadata["namespace"], metadata["name"])
    (outcome,) = yield [Patch(CLAIMS, *key, body, "strategic", "status")]
    if isinstance(outcome, ApiError):
        why = f'patchPVCStatus failed to patch PVC "{key.name}": {outcome}'
        text = f"error setting resizer annotation to pvc {key}, with error {why}"
        yield [Tell(claim, "Warning", REASON, text)]
        raise Failed(text)
    return None


def _asked(claim: Object) -> int:
    return parse_quantity(((claim["spec"].get("resources") or {}).get("requests") or {}).get(STORAGE) or 0)


def _had(claim: Object) -> int:
    return parse_quantity(((claim.get("status") or {}).get("capacity") or {}).get(STORAGE) or 0)


def _claim_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    """Bound ones that are new, or ask for more or have more than before."""
    if new is None or (new.get("status") or {}).get("phase") != "Bound":
        return
    if old is None or _asked(new) > _asked(old) or _had(new) > _had(old):
        yield Key(new["metadata"]["namespace"], new["metadata"]["name"])
