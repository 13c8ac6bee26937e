"""Pods with volumes online: what is written for them before they are bound, what they wait for, and what wakes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.controllers.persistent_volume_binder import PersistentVolumeBinder
from kcore.scheduler.config import load_configuration
from tests.controllers.living import Living, living
from tests.online.cluster import Cluster

Object = dict[str, Any]
HOST = "kubernetes.io/hostname"
WAIT = "WaitForFirstConsumer"
TIMEOUT = load_configuration({
    "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
    "profiles": [{"pluginConfig": [{"name": "VolumeBinding", "args": {"bindTimeoutSeconds": 30}}]}],
})  # fmt: skip


def node(name: str) -> Object:
    amounts = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {HOST: name}}, "spec": {},
        "status": {"allocatable": amounts, "capacity": amounts},
    }  # fmt: skip


def pod(name: str, *claims: str, **spec: Any) -> Object:
    volumes = [{"name": f"v{index}", "persistentVolumeClaim": {"claimName": claim}} for index, claim in enumerate(claims)]  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": volumes, **spec},
    }  # fmt: skip


def storage_class(name: str, provisioner: str = "kubernetes.io/no-provisioner", mode: str = WAIT) -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": provisioner, "volumeBindingMode": mode, "reclaimPolicy": "Retain",
    }  # fmt: skip


def volume(name: str, on: str = "", version: str = "5", **spec: Any) -> Object:
    if on:
        terms = [{"matchExpressions": [{"key": HOST, "operator": "In", "values": [on]}]}]
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "resourceVersion": version},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
            "hostPath": {"path": f"/{name}"}, "persistentVolumeReclaimPolicy": "Retain", **spec,
        },
        "status": {"phase": "Available"},
    }  # fmt: skip


def claim(name: str, version: str = "4", of_class: str = "local", notes: Any = None, **spec: Any) -> Object:
    metadata: Object = {
        "name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": version,
    }  # fmt: skip
    if notes:
        metadata["annotations"] = notes
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata,
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": of_class,
            "resources": {"requests": {"storage": "1Gi"}}, **spec,
        },
        "status": {"phase": "Pending"},
    }  # fmt: skip


class Stored:
    """What the scheduler writes of volumes and claims; the next version is answered."""

    def __init__(self, cluster: Cluster) -> None:
        self.objects: list[Object] = []
        self.fault: Exception | None = None
        self.version = 10
        cluster.writes.update = self.update  # type: ignore[attr-defined]

    async def update(self, obj: Object, *, resource: str = "") -> Object:
        """It is so now."""
        if self.fault is not None:
            raise self.fault
        self.objects.append(obj)
        self.version += 10
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}


def play(part: Callable[[Cluster, Stored], Coroutine[Any, Any, None]], configuration: Any = None) -> None:
    async def whole() -> None:
        cluster = Cluster(configuration)
        await part(cluster, Stored(cluster))

    asyncio.run(whole())


def local(cluster: Cluster, *pods: Object) -> None:
    """Two nodes, one of which has a disk that the claim ``c`` may have."""
    cluster.put("nodes", node("a"), node("b"))
    cluster.put("storageclasses.storage.k8s.io", storage_class("local"), storage_class("made", "x.csi"))
    cluster.put("persistentvolumes", volume("pv", "b"))
    cluster.put("persistentvolumeclaims", claim("c"), claim("d", of_class="made"))
    cluster.put("pods", *pods)


def bound(written: Object) -> Object:
    """The claim as the binder writes it."""
    return claim("c", "21", notes={"pv.kubernetes.io/bind-completed": "yes"}, volumeName=written["metadata"]["name"])  # fmt: skip


def test_a_volume_is_promised_and_the_pod_bound_once_its_claim_is() -> None:
    async def part(cluster: Cluster, stored: Stored) -> None:
        local(cluster, pod("p", "c"))
        await cluster.turn()
        (written,) = stored.objects
        assert written["metadata"]["resourceVersion"] == "5"
        assert written["metadata"]["annotations"] == {"pv.kubernetes.io/bound-by-controller": "yes"}
        assert written["spec"]["claimRef"] == {
            "kind": "PersistentVolumeClaim", "namespace": "default", "name": "c", "uid": "uid-c", "apiVersion": "v1",
            "resourceVersion": "4",
        }  # fmt: skip
        assert written["spec"]["hostPath"] == {"path": "/pv"}
        assert cluster.writes.bound == {}
        cluster.put("persistentvolumes", {**written, "metadata": {**written["metadata"], "resourceVersion": "20"}})  # fmt: skip
        await cluster.turn()
        assert cluster.writes.bound == {}
        cluster.put("persistentvolumeclaims", bound(written))
        await cluster.turn()
        assert cluster.writes.bound == {"default/p": "b"}

    play(part)


def test_a_claim_is_to_be_provisioned_for_the_node() -> None:
    async def part(cluster: Cluster, stored: Stored) -> None:
        local(cluster, pod("p", "d"))
        await cluster.turn()
        (written,) = stored.objects
        chosen = written["metadata"]["annotations"]["volume.kubernetes.io/selected-node"]
        # the provisioner gives up: the pod is tried again
        cluster.put("persistentvolumeclaims", claim("d", "21", "made", notes={"other": ""}))
        await cluster.turn()
        assert cluster.notes.last("p", "FailedScheduling") == (
            'running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "d"'
        )
        await cluster.later(2)
        await cluster.turn()
        assert len(stored.objects) == 2
        notes = {"volume.kubernetes.io/selected-node": chosen, "pv.kubernetes.io/bind-completed": "yes"}
        cluster.put("persistentvolumes", volume("made"))
        cluster.put("persistentvolumeclaims", claim("d", "30", "made", notes=notes, volumeName="made"))
        await cluster.turn()
        assert cluster.writes.bound == {"default/p": chosen}

    play(part)


def test_a_claim_that_is_not_bound_in_time_lets_the_pod_go_back() -> None:
    async def part(cluster: Cluster, stored: Stored) -> None:
        local(cluster, pod("p", "c"))
        await cluster.turn()
        await cluster.later(29)
        await cluster.turn()
        assert cluster.notes.events == []
        await cluster.later(2)
        await cluster.turn()
        assert cluster.notes.last("p", "FailedScheduling") == (
            'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded'
        )
        # the volume was not seen written: it is free to be chosen again
        assert cluster.scheduler.mirror.state.storage.volume("pv").spec.claim_ref is None  # type: ignore[union-attr]

    play(part, TIMEOUT)


def test_a_volume_that_has_changed_meanwhile_is_not_overwritten() -> None:
    async def part(cluster: Cluster, stored: Stored) -> None:
        stored.fault = ApiError(409, "Conflict", "the object has been modified")
        local(cluster, pod("p", "c"))
        await cluster.turn()
        assert cluster.notes.last("p", "FailedScheduling") == (
            'running PreBind plugin "VolumeBinding": the object has been modified'
        )
        assert cluster.writes.bound == {}
        stored.fault = None
        await cluster.later(2)
        await cluster.turn()
        assert len(stored.objects) == 1

    play(part)


def test_pods_of_one_batch_see_what_those_before_them_have_taken() -> None:
    async def part(cluster: Cluster, stored: Stored) -> None:
        local(cluster, pod("p", "c"), pod("q", "e"), pod("r"))
        cluster.put("persistentvolumeclaims", claim("e"))
        await cluster.turn()
        assert [one["spec"]["claimRef"]["name"] for one in stored.objects] == ["c"]
        assert cluster.notes.last("q", "FailedScheduling") == (
            "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind. no new claims to "
            "deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        )
        assert set(cluster.writes.bound) == {"default/r"}
        # another volume is what it waits for
        cluster.put("persistentvolumes", volume("more", "a"))
        await cluster.later(2)
        await cluster.turn()
        assert [one["spec"]["claimRef"]["name"] for one in stored.objects] == ["c", "e"]

    play(part)


@pytest.mark.parametrize(
    ("first", "then", "wakes"),
    [
        ((), ("persistentvolumeclaims", claim("x")), True),
        ((), ("persistentvolumeclaims", claim("other")), False),
        ((("persistentvolumeclaims", claim("x", of_class="late")),), ("storageclasses.storage.k8s.io", storage_class("late")), True),
        ((("persistentvolumeclaims", claim("x", of_class="late")),), ("persistentvolumes", volume("new")), True),
        ((("persistentvolumeclaims", claim("x")), ("persistentvolumes", volume("pv", "b", "6", storageClassName="no"))), ("nodes", node("c")), True),
        ((("persistentvolumeclaims", claim("x")), ("persistentvolumes", volume("pv", "b", "6", storageClassName="no"))), ("pods", pod("unlike")), False),
    ],
)  # fmt: skip
def test_a_pod_is_woken_by_what_may_help_it(first: Any, then: tuple[str, Object], wakes: bool) -> None:
    async def part(cluster: Cluster, stored: Stored) -> None:
        local(cluster)
        for resource, obj in first:
            cluster.put(resource, obj)
        cluster.put("pods", pod("p", "x"))
        await cluster.turn()
        assert cluster.waits("default/p") == "unschedulable"
        cluster.put(*then)
        cluster.scheduler._take_in()
        assert (cluster.waits("default/p") != "unschedulable") == wakes

    play(part)


def test_a_claim_is_bound_late_and_its_pod_runs_on_the_node_that_has_the_volume() -> None:
    async def play_late() -> None:
        async with living(PersistentVolumeBinder(), schedules=True) as it:
            await late(it)

    async def late(it: Living) -> None:
        for name in ("a", "b"):
            await it.client.create(node(name))
        await it.client.create(storage_class("local"))
        await it.client.create(storage_class("made", "x.csi"))
        for obj in (volume("pv", "b"), claim("c"), claim("d", of_class="made")):
            obj["metadata"].pop("resourceVersion")
            obj["metadata"].pop("uid", None)
            obj.pop("status")
            await it.client.create(obj)
        for obj in (pod("p", "c"), pod("q", "d")):
            obj["spec"]["tolerations"] = [{"operator": "Exists"}]  # nobody says that the nodes are ready
            obj["metadata"].pop("uid")
            await it.client.create(obj)
        found = await it.until_there("pods", "p", lambda one: one["spec"].get("nodeName"))
        assert found["spec"]["nodeName"] == "b"
        bound = await it.client.get("persistentvolumeclaims", "c", "default")
        assert (bound["status"]["phase"], bound["spec"]["volumeName"]) == ("Bound", "pv")
        # an external provisioner is told for which node, and makes the volume
        chosen = "volume.kubernetes.io/selected-node"
        waits = await it.until_there(
            "persistentvolumeclaims", "d", lambda one: chosen in one["metadata"].get("annotations", {})
        )
        assert "nodeName" not in (await it.client.get("pods", "q", "default"))["spec"]
        metadata = waits["metadata"]
        reference = {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "d", "uid": metadata["uid"]}  # fmt: skip
        made = volume("made", metadata["annotations"][chosen], storageClassName="made", claimRef=reference)
        made["metadata"].pop("resourceVersion")
        await it.client.create(made)
        found = await it.until_there("pods", "q", lambda one: one["spec"].get("nodeName"))
        assert found["spec"]["nodeName"] == metadata["annotations"][chosen]

    asyncio.run(play_late())
