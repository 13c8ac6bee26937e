"""Claims and volumes: which goes with which, what is said, what is protected."""

import asyncio
from typing import Any

import pytest

from kcore.controllers import persistent_volume_matching as matching
from kcore.controllers.ephemeral_volume import EphemeralVolume
from kcore.controllers.persistent_volume_binder import PersistentVolumeBinder
from kcore.controllers.persistent_volume_expander import PersistentVolumeExpander
from kcore.controllers.persistent_volume_reclaim import _driver, reclaimed
from kcore.controllers.pod_claims import is_terminated
from kcore.controllers.volume_protection import (
    AttributesClassProtection,
    ClaimProtection,
    VolumeProtection,
)
from tests.controllers.living import Living, living
from tests.controllers.paper import Paper

Object = dict[str, Any]


def volume(
    name: str, size: str = "1Gi", modes: str = "ReadWriteOnce", phase: str = "", **spec: Any
) -> Object:
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": size}, "accessModes": modes.split(","), "hostPath": {"path": f"/tmp/{name}"},
            "persistentVolumeReclaimPolicy": "Retain", **spec,
        },
        **({"status": {"phase": phase}} if phase else {}),
    }  # fmt: skip


def claim(name: str, size: str = "1Gi", modes: str = "ReadWriteOnce", **spec: Any) -> Object:
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"accessModes": modes.split(","), "resources": {"requests": {"storage": size}}, **spec},
    }  # fmt: skip


def with_uid(obj: Object, uid: str = "u") -> Object:
    return {**obj, "metadata": {**obj["metadata"], "uid": uid, "resourceVersion": "7"}}


def test_the_smallest_volume_that_fits_is_found() -> None:
    wanted = with_uid(claim("c", "2Gi"))
    there = [
        volume("small", "1Gi", phase="Available"), volume("big", "9Gi", phase="Available"),
        volume("right", "3Gi", phase="Available"), volume("taken", "2Gi", phase="Bound", claimRef={"name": "x"}),
        volume("many", "2Gi", "ReadWriteOnce,ReadOnlyMany", phase="Available"),
        volume("other-class", "2Gi", phase="Available", storageClassName="fast"),
        volume("block", "2Gi", phase="Available", volumeMode="Block"), volume("new", "2Gi"),
        volume("read-only", "2Gi", "ReadOnlyMany", phase="Available"),
    ]  # fmt: skip

    def found(of: Object, *, delayed: bool = False) -> str:
        made = matching.best(of, there, delayed=delayed)
        return "" if made is None else made["metadata"]["name"]

    assert found(wanted) == "right" and found(wanted, delayed=True) == ""
    mine = {"namespace": "default", "name": "c"}
    there.append(volume("mine", "5Gi", claimRef=mine))
    assert found(wanted) == "mine" and found(wanted, delayed=True) == "mine"
    there[-1]["spec"]["claimRef"] = {**mine, "uid": "another"}
    assert found(wanted) == "right"
    assert found(with_uid(claim("c", "10Gi"))) == ""
    assert found(with_uid(claim("c", "1Gi", selector={"matchLabels": {"a": "b"}}))) == ""


@pytest.mark.parametrize(
    ("spec", "of", "why"),
    [
        ({}, {}, ""), ({"capacity": {"storage": "1Mi"}}, {}, "requested PV is too small"),
        ({"storageClassName": "a"}, {}, "storageClassName does not match"),
        ({"volumeMode": "Block"}, {}, "incompatible volumeMode"),
        ({}, {"accessModes": ["ReadWriteMany"]}, "incompatible accessMode"),
        ({"volumeAttributesClassName": "gold"}, {}, "volumeAttributesClassName does not match"),
    ],
)  # fmt: skip
def test_what_keeps_a_claim_from_the_volume_it_names(spec: Object, of: Object, why: str) -> None:
    assert matching.misfit(volume("v", **spec), claim("c", **of)) == why


def test_the_newest_default_class_counts() -> None:
    def made(name: str, created: str, default: str = "true") -> Object:
        notes = {"storageclass.kubernetes.io/is-default-class": default}
        return {"metadata": {"name": name, "creationTimestamp": created, "annotations": notes}}

    assert matching.default_class([made("a", "2026-01-01T00:00:00Z", "false")]) is None
    classes = [
        made("b", "2026-01-02T00:00:00Z"),
        made("a", "2026-01-02T00:00:00Z"),
        made("c", "2026-01-01T00:00:00Z"),
    ]
    assert (matching.default_class(classes) or {})["metadata"]["name"] == "a"


def test_who_deletes_a_volume() -> None:
    assert _driver(volume("v")) == ("kubernetes.io/host-path", "")
    csi = volume("v", csi={"driver": "d", "volumeHandle": "h"})
    assert _driver(csi) == ("", "")
    nfs = volume("v", nfs={"server": "s", "path": "/"})
    del nfs["spec"]["hostPath"]
    text = 'error getting deleter volume plugin for volume "v": no deletable volume plugin matched'
    assert _driver(nfs) == ("", text)


def test_a_pod_that_is_being_deleted_ends_with_its_containers() -> None:
    pod: Object = {"metadata": {}, "status": {"containerStatuses": [{"state": {"running": {}}}]}}
    assert not is_terminated(pod)
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not is_terminated(pod)
    pod["status"]["containerStatuses"] = [{"state": {"terminated": {}}}]
    assert is_terminated(pod)


def test_claims_are_bound_lost_and_their_volumes_reclaimed() -> None:
    async def run() -> None:
        async with living(PersistentVolumeBinder(), ClaimProtection(), VolumeProtection()) as it:
            kept, gone = volume("kept", "2Gi"), volume("gone", persistentVolumeReclaimPolicy="Delete")
            await it.client.create(claim("early", "2Gi", storageClassName=""))
            text = "no persistent volumes available for this claim and no storage class is set"
            await it.until(lambda: text in it.told.said("PersistentVolumeClaim"))
            await it.client.create(kept)
            bound = await it.until_there("persistentvolumeclaims", "early", is_bound)
            assert bound["spec"]["volumeName"] == "kept" and bound["status"]["capacity"] == {"storage": "2Gi"}
            assert bound["metadata"]["annotations"] == {
                "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
            }  # fmt: skip
            made = await it.client.get("persistentvolumes", "kept", "")
            assert made["spec"]["claimRef"]["uid"] == bound["metadata"]["uid"]
            assert made["metadata"]["annotations"] == {"pv.kubernetes.io/bound-by-controller": "yes"}
            assert made["status"]["phase"] == "Bound"

            await it.client.create(gone)
            await it.client.create(claim("late", storageClassName="", volumeName="gone"))
            await it.until_there("persistentvolumeclaims", "late", is_bound)
            await it.client.create(claim("third", storageClassName="", volumeName="gone"))
            text = 'volume "gone" already bound to a different claim.'
            await it.until(lambda: text in it.told.said("PersistentVolumeClaim"))
            for name in ("early", "late"):
                await it.client.delete("persistentvolumeclaims", name, "default")
            await it.until_there("persistentvolumes", "kept", in_phase("Released"), "")
            await it.until(lambda: it.informers.informer("persistentvolumes").get("gone") is None)

    asyncio.run(run())


def test_a_class_goes_when_no_claim_names_it_any_more() -> None:
    async def run() -> None:
        async with living(AttributesClassProtection()) as it:
            fast: Object = {
                "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass", "metadata": {"name": "fast"},
                "driverName": "d.example", "parameters": {"iops": "1"},
            }  # fmt: skip
            await it.client.create(fast)
            await it.client.create(claim("mine", volumeAttributesClassName="fast", storageClassName="x"))
            await it.until_there("persistentvolumeclaims", "mine", lambda obj: True)
            classes = it.informers.informer("volumeattributesclasses")
            await it.until(lambda: (classes.get("fast") or {"metadata": {}})["metadata"].get("finalizers"))
            await it.client.delete("volumeattributesclasses", "fast", "")
            await it.until(lambda: "deletionTimestamp" in (classes.get("fast") or fast)["metadata"])
            await it.client.patch(
                "persistentvolumeclaims", "mine", {"metadata": {"finalizers": None}}, "default"
            )
            assert classes.get("fast") is not None
            await it.client.delete("persistentvolumeclaims", "mine", "default")
            await it.until(lambda: classes.get("fast") is None)

    asyncio.run(run())


def is_bound(obj: Object) -> bool:
    return bool(obj["status"]["phase"] == "Bound")


def in_phase(phase: str) -> Any:
    return lambda obj: (obj.get("status") or {}).get("phase") == phase


def driven(steps: Any) -> list[Any]:
    """All actions of a generator for which every write succeeds."""
    performed: list[Any] = []
    answers: list[Any] | None = None
    try:
        while True:
            actions = next(steps) if answers is None else steps.send(answers)
            performed += actions
            answers = [getattr(action, "obj", None) for action in actions]
    except StopIteration:
        return performed


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (volume("v", phase="Released", persistentVolumeReclaimPolicy="Retain"), []),
        (
            volume("v", phase="Released", persistentVolumeReclaimPolicy="Recycle"),
            ["No recycler plugin found for the volume!"],
        ),
        (
            volume("v", phase="Released", persistentVolumeReclaimPolicy="Delete", hostPath={"path": "/data"}),
            ["host_path deleter only supports /tmp/.+ but received provided /data"],
        ),
        (volume("v", phase="Failed", persistentVolumeReclaimPolicy="Recycle"), []),
    ],
)
def test_volumes_that_cannot_be_reclaimed_fail_once(given: Object, wanted: list[str]) -> None:
    performed = driven(reclaimed(with_uid(given)))
    assert [action.message for action in performed if hasattr(action, "message")] == wanted
    failed = [action.obj["status"] for action in performed if hasattr(action, "subresource")]
    assert failed == [{"phase": "Failed", "message": text} for text in wanted]


async def put_class(it: Living, name: str, provisioner: str, binding: str) -> None:
    await it.client.create(
        {
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
            "provisioner": provisioner, "volumeBindingMode": binding,
        }
    )  # fmt: skip


def test_a_class_delays_the_binding_until_a_node_is_chosen() -> None:
    async def run() -> None:
        async with living(PersistentVolumeBinder()) as it:
            await put_class(it, "late", "kubernetes.io/no-provisioner", "WaitForFirstConsumer")
            await it.client.create(volume("v", storageClassName="late"))
            await it.until_there("persistentvolumes", "v", in_phase("Available"), "")
            await it.client.create(claim("waits", storageClassName="late"))
            said = "waiting for first consumer to be created before binding"
            await it.until(lambda: said in it.told.said("PersistentVolumeClaim"))
            reference = {"namespace": "default", "name": "waits"}
            await it.client.patch("persistentvolumes", "v", {"spec": {"claimRef": reference}}, "")
            selected = {"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n"}}}
            await it.client.patch("persistentvolumeclaims", "waits", selected, "default")
            await it.until_there("persistentvolumeclaims", "waits", is_bound)
            await it.client.patch("persistentvolumes", "v", {"metadata": {"finalizers": None}}, "")
            await it.client.delete("persistentvolumes", "v", "")
            lost = await it.until_there("persistentvolumeclaims", "waits", in_phase("Lost"))
            assert "capacity" not in lost["status"]
            said = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
            await it.until(lambda: said in it.told.said("PersistentVolumeClaim"))

    asyncio.run(run())


def test_an_ephemeral_volume_has_a_claim_for_its_provisioner_which_stays_while_the_pod_does() -> None:
    async def run() -> None:
        async with living(PersistentVolumeBinder(), EphemeralVolume(), ClaimProtection()) as it:
            await put_class(it, "fast", "disk.example.com", "Immediate")
            template = {
                "metadata": {"labels": {"a": "b"}},
                "spec": claim("", storageClassName="fast")["spec"],
            }
            pod = {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"},
                "spec": {
                    "nodeName": "still", "containers": [{"name": "main", "image": "web:1"}],
                    "volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}],
                },
            }  # fmt: skip
            await it.client.create(pod)
            key = "volume.kubernetes.io/storage-provisioner"
            made = await it.until_there(
                "persistentvolumeclaims",
                "web-scratch",
                lambda obj: key in obj["metadata"].get("annotations", {}),
            )
            assert made["metadata"]["ownerReferences"][0]["name"] == "web" and made["metadata"]["labels"] == {
                "a": "b"
            }
            assert made["metadata"]["annotations"][key] == "disk.example.com"
            await it.until(
                lambda: any("'disk.example.com'" in text for text in it.told.said("PersistentVolumeClaim"))
            )
            # a claim that a pod uses stays until the pod is gone
            await it.client.delete("persistentvolumeclaims", "web-scratch", "default")
            await asyncio.sleep(0.05)
            found = await it.client.get("persistentvolumeclaims", "web-scratch", "default")
            assert found["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
            await it.client.delete("pods", "web", "default", grace_period_seconds=0)
            claims = it.informers.informer("persistentvolumeclaims")
            await it.until(lambda: claims.get("default/web-scratch") is None)

    asyncio.run(run())


def test_a_claim_that_asks_for_more_is_told_who_expands_its_volume() -> None:
    it = Paper(PersistentVolumeExpander())
    asked = {
        **with_uid(claim("c", "2Gi"), "claim"),
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
    }
    asked["spec"]["volumeName"] = "v"
    it.put(asked)
    assert it.round("c") == -1 and it.told == []  # its volume has not been seen
    bound = volume(
        "v", csi={"driver": "d", "volumeHandle": "h"}, claimRef={"namespace": "default", "uid": "another"}
    )
    it.put(bound)
    assert it.round("c") == -1 and it.told == []
    bound["spec"]["claimRef"]["uid"] = "claim"
    it.put(bound)
    assert it.round("c") is None
    waiting = "Normal ExternalExpanding waiting for an external controller to expand this PVC"
    assert it.told == [waiting]
    it.put(volume("v", awsElasticBlockStore={"volumeID": "x"}, claimRef=bound["spec"]["claimRef"]))
    assert it.round("c") is None
    migrated = (
        "CSI migration enabled for kubernetes.io/aws-ebs; waiting for external resizer to expand the pvc"
    )
    assert it.told == [waiting, f"Normal ExternalExpanding {migrated}"]
    found = it.get("persistentvolumeclaims", "default", "c")
    assert found is not None
    assert found["metadata"]["annotations"] == {"volume.kubernetes.io/storage-resizer": "ebs.csi.aws.com"}
    acted = len(it.acted)
    assert it.round("c") is None and len(it.acted) == acted + 1  # told again, and nothing to write
    it.put({**found, "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}})
    assert it.round("c") is None and len(it.acted) == acted + 1
    (watched, _) = it.controller.watches
    grown = {**asked, "spec": {**asked["spec"], "resources": {"requests": {"storage": "3Gi"}}}}
    assert [*watched.keys(asked, grown, it)] == [("default", "c")] == [*watched.keys(None, asked, it)]
    assert [*watched.keys(grown, asked, it)] == [] == [*watched.keys(asked, {**grown, "status": {}}, it)]
