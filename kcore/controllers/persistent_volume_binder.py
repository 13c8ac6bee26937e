"""Claims have volumes and volumes their claims; volumes whose claim is gone are released and reclaimed.

A key with a namespace is a claim, one without is a volume. Nothing is provisioned here: claims are marked for the
provisioner of their class. ``Recycle`` has no recycler; ``Delete`` is done for volumes of a host's path below /tmp, and
left to their drivers for others, as upstream does. The control of claims migrated to CSI adds no annotation.
Source: pkg/controller/volume/persistentvolume/pv_controller.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers import persistent_volume_matching as matching
from kcore.controllers.contract import (
    Action,
    Controller,
    Failed,
    Key,
    Object,
    Outcome,
    Read,
    Steps,
    Tell,
    Update,
    View,
    Watched,
    must,
)
from kcore.controllers.persistent_volume_reclaim import reclaimed
from kcore.controllers.persistent_volume_status import claim_status, volume_phase
from kcore.controllers.pod_claims import by_claim, is_terminated

CLAIMS: Final = "persistentvolumeclaims"
VOLUMES: Final = "persistentvolumes"
CLASSES: Final = "storageclasses.storage.k8s.io"
SYNC_MS: Final = 15_000  # --pvclaimbinder-sync-period
PROVISIONER: Final = "volume.kubernetes.io/storage-provisioner"
BETA_PROVISIONER: Final = "volume.beta.kubernetes.io/storage-provisioner"
IN_TREE: Final = "kubernetes.io/"
HOST_PATH: Final = "kubernetes.io/host-path"
MIGRATED: Final = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com", "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/azure-disk": "disk.csi.azure.com", "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org", "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
}  # fmt: skip
Doing = Generator[Sequence[Action], list[Outcome], Any]


class PersistentVolumeBinder(Controller):
    """``persistentvolume-binder-controller``. One worker: no two claims may see the same volume free."""

    name: ClassVar = "persistentvolume-binder-controller"
    aliases: ClassVar = ("persistentvolume-binder",)
    component: ClassVar = "persistentvolume-controller"
    workers: ClassVar[int] = 1

    def __init__(self, sync_ms: int = SYNC_MS) -> None:
        self._sync_ms = sync_ms

    @property
    def watches(self) -> Sequence[Watched]:
        """Claims and volumes; classes and pods are only looked up."""
        return (
            Watched(CLAIMS, _claim_keys, {"unbound": _unbound}),
            Watched(VOLUMES, _volume_keys, {"free": _free, "claimed": _claimed}),
            Watched(CLASSES, lambda old, new, view: ()),
            Watched("pods", lambda old, new, view: (), {"claim": by_claim}),
        )

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The claim, or the volume, is as far as it can get."""
        if not key.namespace:
            volume = view.get(VOLUMES, "", key.name)
            if volume is not None:
                yield from _volume(volume, view)
            return None
        claim = view.get(CLAIMS, key.namespace, key.name)
        if claim is None:
            return None
        if matching.BIND_COMPLETED in matching.notes_of(claim):
            yield from _bound_claim(claim, view)
            return None
        yield from _unbound_claim(claim, view)
        after = view.get(CLAIMS, key.namespace, key.name)
        if after is None or matching.BIND_COMPLETED in matching.notes_of(after):
            return None
        return self._sync_ms


def _unbound(claim: Object) -> Iterable[str]:
    return () if matching.BIND_COMPLETED in matching.notes_of(claim) else ("",)


def _free(volume: Object) -> Iterable[str]:
    """Index: the class of a volume that is for nobody; a value that is not empty, as a class may be."""
    return () if volume["spec"].get("claimRef") else ("class/" + matching.class_of(volume),)


def _claimed(volume: Object) -> Iterable[str]:
    key = matching.reference_key(volume)
    return (key,) if key else ()


def _claim_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    claim = new if new is not None else old
    assert claim is not None
    if new is not None:
        yield Key(claim["metadata"]["namespace"], claim["metadata"]["name"])
    elif claim["spec"].get("volumeName"):
        yield Key("", claim["spec"]["volumeName"])


def _volume_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    """The volume; its claim where it is gone; where it is free now, every claim that has none.

    Upstream lets those wait until the next round of all claims, 15 s at most.
    """
    volume = new if new is not None else old
    assert volume is not None
    reference = volume["spec"].get("claimRef")
    if new is not None:
        yield Key("", volume["metadata"]["name"])
        phases = [
            (each.get("status") or {}).get("phase") if each is not None else None for each in (old, new)
        ]
        if not reference and phases[1] == "Available" and phases[0] != "Available":
            for claim in view.by(CLAIMS, "unbound", ""):
                if matching.class_of(claim) == matching.class_of(volume):
                    yield Key(claim["metadata"]["namespace"], claim["metadata"]["name"])
    if reference and (new is None or old is None):
        yield Key(reference.get("namespace", ""), reference.get("name", ""))


# -- claims ---------------------------------------------------------------------------------------------------------


def _unbound_claim(claim: Object, view: View) -> Doing:
    """Source: syncUnboundClaim."""
    named = claim["spec"].get("volumeName")
    if named:
        yield from _named(claim, view.get(VOLUMES, "", named))
        return
    class_name = matching.class_of(claim)
    found = view.get(CLASSES, "", class_name) if class_name else None
    delayed = found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"
    metadata = claim["metadata"]
    key = f"{metadata['namespace']}/{metadata['name']}"
    volumes = [*view.by(VOLUMES, "claimed", key), *view.by(VOLUMES, "free", "class/" + class_name)]
    volume = matching.best(claim, volumes, delayed=delayed)
    if volume is not None:
        yield from _bind(claim, volume)
        return
    if not matching.has_class(claim):
        default = matching.default_class(view.list(CLASSES))
        if default is not None:
            spec = {**claim["spec"], "storageClassName": default["metadata"]["name"]}
            yield from must(Update(CLAIMS, {**claim, "spec": spec}))
            return
    if delayed and matching.SELECTED_NODE not in matching.notes_of(claim):
        yield [_waits(claim, view)]
    elif class_name:
        yield from _provisioned(claim, class_name, found)
        return
    else:
        text = "no persistent volumes available for this claim and no storage class is set"
        yield [Tell(claim, "Normal", "FailedBinding", text)]
    yield from claim_status(claim, "Pending", None)


def _named(claim: Object, volume: Object | None) -> Doing:
    """The claim asks for one volume and no other."""
    if volume is None:
        yield from claim_status(claim, "Pending", None)
    elif not volume["spec"].get("claimRef"):
        why = matching.misfit(volume, claim)
        if not why:
            yield from _bind(claim, volume)
            return
        text = f'Cannot bind to requested volume "{volume["metadata"]["name"]}": {why}'
        yield [Tell(claim, "Warning", "VolumeMismatch", text)]
        yield from claim_status(claim, "Pending", None)
    elif matching.is_for(volume, claim):
        yield from _bind(claim, volume)
    else:
        name = volume["metadata"]["name"]
        text = f'volume "{name}" already bound to a different claim.'
        yield [Tell(claim, "Warning", "FailedBinding", text)]
        if matching.BOUND_BY_CONTROLLER in matching.notes_of(claim):
            metadata = claim["metadata"]
            raise Failed(
                f'invalid binding of claim "{metadata["namespace"]}/{metadata["name"]}" to volume "{name}": volume already '
                f'claimed by "{matching.reference_key(volume)}"'
            )
        yield from claim_status(claim, "Pending", None)


def _waits(claim: Object, view: View) -> Tell:
    """Source: emitEventForUnboundDelayBindingClaim."""
    metadata = claim["metadata"]
    names = [
        pod["metadata"]["name"]
        for pod in view.by("pods", "claim", f"{metadata['namespace']}/{metadata['name']}")
        if not pod["spec"].get("nodeName") and not is_terminated(pod)
    ]
    if not names:
        text = "waiting for first consumer to be created before binding"
        return Tell(claim, "Normal", "WaitForFirstConsumer", text)
    text = f"waiting for pod{'s' if len(names) > 1 else ''} {','.join(names)} to be scheduled"
    return Tell(claim, "Normal", "WaitForPodScheduled", text)


def _provisioned(claim: Object, class_name: str, found: Object | None) -> Doing:
    """The claim is marked for whoever provisions its class. Source: provisionClaim."""
    if found is None:
        text = f'storageclass.storage.k8s.io "{class_name}" not found'
        yield [Tell(claim, "Warning", "ProvisioningFailed", text)]
        return
    provisioner: str = found["provisioner"]
    provisioner = MIGRATED.get(provisioner, provisioner)
    if provisioner.startswith(IN_TREE) and provisioner != HOST_PATH:
        text = f"no volume plugin matched name: {provisioner}"
        yield [Tell(claim, "Warning", "ProvisioningFailed", text)]
        return
    if matching.notes_of(claim).get(PROVISIONER) != provisioner:
        marks = {BETA_PROVISIONER: provisioner, PROVISIONER: provisioner}
        (outcome,) = yield [Update(CLAIMS, matching.annotated(claim, **marks))]
        if isinstance(outcome, ApiError):
            yield [Tell(claim, "Warning", "ProvisioningFailed", f"Error saving claim: {outcome}")]
            raise Failed(str(outcome)) from outcome
        assert isinstance(outcome, dict)
        claim = outcome
    if provisioner == HOST_PATH:
        text = f'Failed to create provisioner: provisioning in volume plugin "{HOST_PATH}" is disabled'
        yield [Tell(claim, "Warning", "ProvisioningFailed", text)]
        return
    text = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the "
        "system administrator. If volume creation is delayed, please verify that the provisioner is running and "
        "correctly registered."
    )
    yield [Tell(claim, "Normal", "ExternalProvisioning", text)]


def _bound_claim(claim: Object, view: View) -> Doing:
    """Source: syncBoundClaim."""
    name = claim["spec"].get("volumeName")
    volume = view.get(VOLUMES, "", name) if name else None
    if volume is None:
        what = "its PersistentVolume" if name else "reference to PersistentVolume"
        text = f"Bound claim has lost {what}. Data on the volume is lost!"
        yield from _lost(claim, "ClaimLost", text)
        return
    reference = volume["spec"].get("claimRef")
    if reference and reference.get("uid", "") != claim["metadata"]["uid"]:
        text = "Two claims are bound to the same volume, this one is bound incorrectly"
        yield from _lost(claim, "ClaimMisbound", text)
        return
    yield from _bind(claim, volume)


def _lost(claim: Object, reason: str, text: str) -> Doing:
    if (claim.get("status") or {}).get("phase") != "Lost":
        yield [Tell((yield from claim_status(claim, "Lost", None)), "Warning", reason, text)]


def _bind(claim: Object, volume: Object) -> Doing:
    """Volume and claim say each other's name, and then that they are bound. Source: bind."""
    metadata = claim["metadata"]
    reference = volume["spec"].get("claimRef") or {}
    wanted = volume
    if [reference.get(name, "") for name in ("namespace", "name", "uid")] != [
        metadata["namespace"], metadata["name"], metadata["uid"],
    ]:  # fmt: skip
        wanted = {**wanted, "spec": {**wanted["spec"], "claimRef": matching.reference_to(claim)}}
    if not matching.is_for(volume, claim) and matching.BOUND_BY_CONTROLLER not in matching.notes_of(volume):
        wanted = matching.annotated(wanted, **{matching.BOUND_BY_CONTROLLER: "yes"})
    if wanted is not volume:
        volume = yield from must(Update(VOLUMES, wanted))
    volume = yield from volume_phase(volume, "Bound")
    changed = claim
    if claim["spec"].get("volumeName") != volume["metadata"]["name"]:
        changed = {**changed, "spec": {**changed["spec"], "volumeName": volume["metadata"]["name"]}}
        if matching.BOUND_BY_CONTROLLER not in matching.notes_of(changed):
            changed = matching.annotated(changed, **{matching.BOUND_BY_CONTROLLER: "yes"})
    if matching.BIND_COMPLETED not in matching.notes_of(changed):
        changed = matching.annotated(changed, **{matching.BIND_COMPLETED: "yes"})
    if changed is not claim:
        claim = yield from must(Update(CLAIMS, changed))
    yield from claim_status(claim, "Bound", volume)


# -- volumes --------------------------------------------------------------------------------------------------------


def _volume(volume: Object, view: View) -> Doing:
    """Source: syncVolume."""
    reference = volume["spec"].get("claimRef")
    if not reference or not reference.get("uid"):
        yield from volume_phase(volume, "Available")
        return
    claim = yield from _claim_of(volume, reference, view)
    name = volume["metadata"]["name"]
    if claim is None:
        if (volume.get("status") or {}).get("phase") not in ("Released", "Failed"):
            volume = yield from volume_phase(volume, "Released")
        yield from reclaimed(volume)
        return
    held = claim["spec"].get("volumeName")
    if held == name:
        yield from volume_phase(volume, "Bound")
    elif held:
        yield from _misbound(volume)
    elif not matching.same_mode(claim, volume):
        text = (
            f'Cannot bind PersistentVolume to requested PersistentVolumeClaim "{claim["metadata"]["name"]}" due to '
            "incompatible volumeMode."
        )
        of_claim = f'Cannot bind PersistentVolume "{name}" to requested PersistentVolumeClaim due to incompatible volumeMode.'
        yield [
            Tell(volume, "Warning", "VolumeMismatch", text), Tell(claim, "Warning", "VolumeMismatch", of_claim),
        ]  # fmt: skip
    elif matching.BIND_COMPLETED in matching.notes_of(claim):
        yield from _bound_claim(claim, view)
    else:
        yield from _unbound_claim(claim, view)


def _claim_of(volume: Object, reference: Object, view: View) -> Doing:
    """The claim of that uid; a look past the view before it counts as gone."""
    namespace, name = reference["namespace"], reference["name"]
    claim = view.get(CLAIMS, namespace, name)
    if claim is None and (volume.get("status") or {}).get("phase") in ("Released", "Failed"):
        return None
    if claim is None or claim["metadata"]["uid"] != reference["uid"]:
        (outcome,) = yield [Read(CLAIMS, namespace, name)]
        if isinstance(outcome, ApiError):
            if outcome.code != 404:
                raise Failed(str(outcome)) from outcome
            return None
        assert isinstance(outcome, dict)
        claim = outcome
    return claim if claim["metadata"]["uid"] == reference["uid"] else None


def _misbound(volume: Object) -> Doing:
    """Its claim has another volume: it is reclaimed where it was made for the claim, free again where not."""
    notes = matching.notes_of(volume)
    spec = volume["spec"]
    if "pv.kubernetes.io/provisioned-by" in notes and spec.get("persistentVolumeReclaimPolicy") == "Delete":
        if (volume.get("status") or {}).get("phase") not in ("Released", "Failed"):
            volume = yield from volume_phase(volume, "Released")
        yield from reclaimed(volume)
        return
    metadata = dict(volume["metadata"])
    if matching.BOUND_BY_CONTROLLER in notes:
        spec = {name: value for name, value in spec.items() if name != "claimRef"}
        kept = {name: value for name, value in notes.items() if name != matching.BOUND_BY_CONTROLLER}
        metadata["annotations"] = kept
    else:
        reference = {name: value for name, value in spec["claimRef"].items() if name != "uid"}
        spec = {**spec, "claimRef": reference}
    written = yield from must(Update(VOLUMES, {**volume, "metadata": metadata, "spec": spec}))
    yield from volume_phase(written, "Available")
