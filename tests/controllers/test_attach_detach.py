"""Volumes follow the pods that use them from node to node, as far as their drivers and nodes say."""

import asyncio
from typing import Any

from kcore.api.status import ApiError
from kcore.controllers.attach_detach import NODE, VOLUME, AttachDetach
from kcore.controllers.attachments import ATTACHMENTS, MANAGED, PREFIX, attachment_name
from kcore.controllers.persistent_volume_binder import PersistentVolumeBinder
from tests.controllers.living import living
from tests.controllers.paper import NOW_MS, Paper

Object = dict[str, Any]
HANDLE = "csi.example.com^h1"
NAME = PREFIX + HANDLE
READY = {"type": "Ready", "status": "True"}


def node(name: str, *, managed: bool = True, **status: Any) -> Object:
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "annotations": {MANAGED: "true"} if managed else {}}, "spec": {},
        "status": {"conditions": [READY], **status},
    }  # fmt: skip


def volume(modes: str = "ReadWriteOnce") -> Object:
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": modes.split(","), "storageClassName": "",
            "claimRef": {"namespace": "default", "name": "c", "uid": "claim"},
            "csi": {"driver": "csi.example.com", "volumeHandle": "h1"},
        },
    }  # fmt: skip


CLAIM: Object = {
    "apiVersion": "v1", "kind": "PersistentVolumeClaim",
    "metadata": {"name": "c", "namespace": "default", "uid": "claim"},
    "spec": {"volumeName": "v"}, "status": {"phase": "Bound"},
}  # fmt: skip


def pod(name: str, on: str) -> Object:
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": on, "containers": [{"name": "main", "image": "web"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}],
        },
        "status": {"phase": "Running"},
    }  # fmt: skip


class World:
    """A cluster on paper with one volume, nodes a and b, and an attacher that does what it is told."""

    def __init__(self, modes: str = "ReadWriteOnce", *, forces: bool = True) -> None:
        self.paper = Paper(AttachDetach(forces=forces))
        self.paper.put(volume(modes))
        self.paper.put(CLAIM)
        for name in "ab":
            self.paper.put(node(name))

    def rounds(self) -> int | None:
        """Until nothing changes; what the volume's round returned last."""
        again = None
        for _ in range(4):
            again = self.paper.round(VOLUME + HANDLE, "")
            for name in "ab":
                self.paper.round(NODE + name, "")
        return again

    def attachment(self, on: str) -> Object | None:
        return self.paper.get(ATTACHMENTS, "", attachment_name(HANDLE, on))

    def attaches(self, on: str, **status: Any) -> int | None:
        """Its attacher says so."""
        made = self.attachment(on)
        assert made is not None
        self.paper.put({**made, "status": {"attached": not status, **status}})
        return self.rounds()

    def attached(self, on: str) -> list[str]:
        """What the node's status says."""
        found = self.paper.get("nodes", "", on) or {"status": {}}
        return [each["name"] for each in found["status"].get("volumesAttached") or ()]

    def leaves(self, name: str) -> int | None:
        self.paper.leaves({"metadata": {"namespace": "default", "name": name}})
        return self.rounds()

    def status(self, on: str, **status: Any) -> None:
        found = self.paper.get("nodes", "", on)
        assert found is not None
        self.paper.put({**found, "status": {**found["status"], **status}})


def test_a_volume_is_attached_where_a_pod_uses_it_and_detached_after() -> None:
    world = World()
    world.paper.put(pod("p", "a"))
    assert world.rounds() == 120_000
    made = world.attachment("a")
    assert made is not None
    name = (
        "csi-9c46e3321e7d1fde75d90a6a8c4b87ad87271bb0a46e4b896840d3973b1c66fd"  # sha256 of h1csi.example.coma
    )
    assert made["metadata"]["name"] == name
    assert made["spec"] == {
        "attacher": "csi.example.com", "nodeName": "a", "source": {"persistentVolumeName": "v"},
    }  # fmt: skip
    assert world.attached("a") == []
    world.attaches("a")
    assert world.attached("a") == [NAME]
    told = 'Normal SuccessfulAttachVolume AttachVolume.Attach succeeded for volume "v" '
    assert world.paper.told == [told]
    world.status("a", volumesInUse=[NAME])
    assert world.leaves("p") == 6 * 60_000 + 1  # the node has it mounted
    assert world.attached("a") == [NAME]
    world.status("a", volumesInUse=[])
    world.rounds()
    assert world.attached("a") == []
    assert world.attachment("a") is None
    assert world.paper.told == [told]


def test_a_volume_for_one_node_is_not_attached_to_two() -> None:
    world = World()
    world.paper.put(pod("p", "a"))
    world.rounds()
    world.paper.put(pod("q", "b"))
    world.rounds()
    assert world.attachment("b") is None and world.paper.told == []  # the attacher is at it
    world.attaches("a")
    world.rounds()
    assert world.attachment("b") is None
    assert world.paper.told[1:] == [
        'Warning FailedAttachVolume Multi-Attach error for volume "v" Volume is already used by pod(s) p'
    ]
    world.leaves("p")
    assert world.attachment("a") is None and world.attachment("b") is not None
    world.attaches("b")
    assert world.attached("b") == [NAME] and world.attached("a") == []


def test_a_volume_for_many_nodes_is_attached_to_all() -> None:
    world = World("ReadWriteMany")
    for name, on in (("p", "a"), ("q", "b")):
        world.paper.put(pod(name, on))
    world.rounds()
    for on in "ab":
        world.attaches(on)
        assert world.attached(on) == [NAME]


def test_what_an_attacher_says_and_that_it_says_nothing_is_told() -> None:
    world = World()
    world.paper.put(pod("p", "a"))
    world.rounds()
    world.attaches("a", attachError={"message": "no such disk"})
    text = 'Warning FailedAttachVolume AttachVolume.Attach failed for volume "v" : '
    assert world.paper.told == [text + "no such disk"]
    world.paper.now_ms += 500
    assert world.rounds() == 1000
    assert world.paper.told == [text + "no such disk"] * 2
    world.paper.now_ms += 1000
    made = world.attachment("a")
    assert made is not None
    world.paper.put({**made, "status": {"attached": False}})
    assert world.rounds() == 120_000
    world.paper.now_ms += 120_000
    assert world.rounds() == 2000
    why = "timed out waiting for external-attacher of csi.example.com CSI driver to attach volume h1"
    assert world.paper.told[2:] == [text + why]
    world.attaches("a")
    assert world.attached("a") == [NAME]


def test_a_node_that_is_not_ready_loses_what_it_uses_in_the_end() -> None:
    for forces in (True, False):
        world = World(forces=forces)
        world.paper.put(pod("p", "a"))
        world.rounds()
        world.attaches("a")
        world.status("a", volumesInUse=[NAME], conditions=[{**READY, "status": "Unknown"}])
        assert world.leaves("p") == (6 * 60_000 + 1 if forces else None)
        world.paper.now_ms += 6 * 60_000 + 1
        world.rounds()
        assert (world.attachment("a") is None) == forces
        found = world.paper.get("nodes", "", "a")
        assert found is not None
        taints = [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]
        world.paper.put({**found, "spec": {"taints": taints}})
        world.rounds()
        assert world.attachment("a") is None and world.attached("a") == []


def test_what_is_not_there_to_be_attached_is_left_alone() -> None:
    world = World()
    world.paper.put(node("a", managed=False))
    world.paper.put(pod("p", "a"))
    assert world.rounds() is None and world.attachment("a") is None
    world.paper.put(node("a"))
    driver = {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": "csi.example.com"}}
    world.paper.put({**driver, "spec": {"attachRequired": False}})
    assert world.rounds() is None and world.attachment("a") is None
    world.paper.put({**driver, "spec": {"attachRequired": True}})
    world.rounds()
    assert world.attachment("a") is not None


def test_a_refusal_of_the_server_is_told_and_tried_again() -> None:
    world = World()
    world.paper.put(pod("p", "a"))
    world.paper.refuse = lambda action: (
        ApiError(403, "Forbidden", "no") if getattr(action, "resource", "") == ATTACHMENTS else None
    )
    assert world.rounds() == 500
    text = 'AttachVolume.Attach failed for volume "v" : kubernetes.io/csi: attacher.Attach failed: no'
    assert world.paper.told == [f"Warning FailedAttachVolume {text}"]


def test_a_new_process_takes_over_what_nodes_and_attachments_say() -> None:
    first = World()
    first.paper.put(pod("p", "a"))
    first.rounds()
    first.attaches("a")
    second = World()
    second.paper.objects = first.paper.objects
    keys = second.paper.controller.at_start(second.paper, NOW_MS)
    assert {str(key) for key in keys} == {VOLUME + HANDLE, NODE + "a"}
    second.rounds()
    assert second.paper.told == [] and second.attached("a") == [NAME]
    second.leaves("p")
    assert second.attachment("a") is None and second.attached("a") == []


def test_in_a_cluster() -> None:
    async def main() -> None:
        async with living(AttachDetach(), PersistentVolumeBinder()) as it:
            client = it.client
            made = volume()
            del made["spec"]["claimRef"]["uid"]
            await client.create(made)
            spec = {
                "storageClassName": "", "volumeName": "v", "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            }  # fmt: skip
            await client.create({**CLAIM, "metadata": {"name": "c", "namespace": "default"}, "spec": spec})
            await client.create(node("still-a"))
            await it.until_there("persistentvolumeclaims", "c", lambda c: c["status"]["phase"] == "Bound")
            await client.create(
                {name: value for name, value in pod("p", "still-a").items() if name != "status"}
            )
            name = attachment_name(HANDLE, "still-a")
            await it.until_there("volumeattachments", name, lambda found: True, "")
            body = {"status": {"attached": True}}
            await client.patch("volumeattachments", name, body, "", subresource="status")
            there = lambda found: found["status"].get("volumesAttached")  # noqa: E731
            found = await it.until_there("nodes", "still-a", there, "")
            assert there(found) == [{"name": NAME, "devicePath": ""}]
            await client.delete("pods", "p", grace_period_seconds=0)
            await it.until_there("nodes", "still-a", lambda found: not there(found), "")
            await it.until(lambda: not it.informers.informer(ATTACHMENTS).list())
            assert it.told.said("Pod") == ['AttachVolume.Attach succeeded for volume "v" ']

    asyncio.run(main())
