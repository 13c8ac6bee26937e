"""Pods with resource claims in a living cluster: allocation, reservation, waiting and giving back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.client.store import key_of
from kcore.online.devices import CLAIMS, CLASSES, SLICES
from kcore.online.queue import GATED, UNSCHEDULABLE
from kcore.scheduler.dynamic.catalog import FINALIZER
from tests.online.cluster import Cluster, Writes
from tests.scheduler.cluster_objects import node_dict, pod_dict
from tests.scheduler.device_objects import DRIVER, asks, claim, device, device_class, slice_of

pytest.importorskip("cel_expr_python", reason="selectors need the extra `cel`")

Object = dict[str, Any]


class Living(Cluster):
    """A cluster whose claims are written, and seen by watches once ``seen`` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.version = 100
        self.unseen: list[Object] = []
        self.written: list[tuple[str, str]] = []
        self.fault: Callable[[str, str], Exception | None] = lambda verb, key: None
        self.writes.update = self._update  # type: ignore[attr-defined]
        self.writes.get = self._get  # type: ignore[attr-defined]
        patch = self.writes.patch

        async def patched(
            resource: str, name: str, body: Object, namespace: str, **more: Any
        ) -> Object | None:
            if resource != CLAIMS:
                await patch(resource, name, body, namespace, **more)
                return None
            self.written.append(("patch", f"{namespace}/{name}"))
            known = self._newest(f"{namespace}/{name}")
            gone = {one["uid"] for one in body["status"]["reservedFor"]}
            status = {
                **known["status"],
                "reservedFor": [one for one in known["status"]["reservedFor"] if one["uid"] not in gone],
            }
            return self._stored({**known, "status": status})

        self.writes.patch = patched  # type: ignore[method-assign,assignment]

    def _newest(self, key: str) -> Object:
        return next(
            (one for one in reversed(self.unseen) if key_of(one) == key), self.objects.get((CLAIMS, key), {})
        )

    def _stored(self, obj: Object) -> Object:
        self.version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        self.unseen.append(obj)
        return obj

    async def _update(self, obj: Object, *, resource: str, subresource: str = "") -> Object:
        key = key_of(obj)
        fault = self.fault(subresource or "update", key)
        if fault is not None:
            raise fault
        if self._newest(key)["metadata"].get("resourceVersion") != obj["metadata"].get("resourceVersion"):
            raise ApiError(409, "Conflict", "the object has been modified")
        self.written.append((subresource or "update", key))
        return self._stored(obj)

    async def _get(self, resource: str, name: str, namespace: str) -> Object:
        if resource == "pods":
            return await Writes.get(self.writes, resource, name, namespace)
        return self._newest(f"{namespace}/{name}")

    def seen(self) -> None:
        """Watches show what was written of claims."""
        unseen, self.unseen = self.unseen, []
        self.put(CLAIMS, *unseen)

    def claim(self, name: str) -> Object:
        """The claim as it was written last."""
        return self._newest(f"default/{name}")


def pod_of(name: str, *claims: str) -> Object:
    pod = pod_dict(name, metadata={"uid": f"uid-{name}"})
    pod["spec"]["resourceClaims"] = [{"name": one, "resourceClaimName": one} for one in claims]
    return pod


def claimed(name: str, *requests: Any) -> Object:
    made = claim(name, *(requests or (asks(),)))
    made["metadata"]["resourceVersion"] = "1"
    return made


def lived(run: Callable[[Living], Any], *devices: Object) -> None:
    """A cluster of one node with these devices."""

    async def main() -> None:
        cluster = Living()
        cluster.put("nodes", node_dict("n"))
        cluster.put(CLASSES, device_class("any"))
        cluster.put(SLICES, slice_of(*(devices or (device("d0"),)), nodeName="n"))
        await run(cluster)

    asyncio.run(main())


def test_a_claim_is_allocated_and_reserved_before_the_pod_is_bound() -> None:
    """The finalizer first, then allocation, its time, and the pod."""

    async def run(cluster: Living) -> None:
        cluster.put(CLAIMS, claimed("c"))
        cluster.put("pods", pod_of("p", "c"))
        await cluster.turn()
        assert cluster.writes.bound == {"default/p": "n"}
        assert cluster.written == [("update", "default/c"), ("status", "default/c")]
        found = cluster.claim("c")
        assert found["metadata"]["finalizers"] == [FINALIZER]
        assert found["status"]["reservedFor"] == [{"resource": "pods", "name": "p", "uid": "uid-p"}]
        allocation = found["status"]["allocation"]
        assert allocation["devices"]["results"] == [
            {"request": "r0", "driver": DRIVER, "pool": "pool", "device": "d0"}
        ]
        assert allocation["allocationTimestamp"] == "2023-11-14T22:13:20Z"

    lived(run)


def test_pods_without_their_claims_are_not_tried() -> None:
    """They stand behind a gate until the last claim is there."""

    async def run(cluster: Living) -> None:
        cluster.put("pods", pod_of("p", "c"))
        await cluster.turn()
        assert cluster.waits("default/p") == GATED
        assert not cluster.notes.events
        cluster.put(CLAIMS, claimed("other"))
        await cluster.turn()
        assert cluster.waits("default/p") == GATED
        cluster.put(CLAIMS, claimed("c"))
        await cluster.turn()
        assert cluster.writes.bound == {"default/p": "n"}

    lived(run)


def test_a_claim_made_for_the_pod_is_found_by_the_pods_status() -> None:
    """Once its controller has written it there."""

    async def run(cluster: Living) -> None:
        pod = pod_of("p")
        pod["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "t"}]
        made = claimed("p-gpu-x")
        made["metadata"]["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "uid-p", "controller": True}
        ]
        cluster.put("pods", pod)
        cluster.put(CLAIMS, made)
        await cluster.turn()
        assert cluster.waits("default/p") == GATED
        statuses = [{"name": "gpu", "resourceClaimName": "p-gpu-x"}]
        cluster.put("pods", {**pod, "status": {"resourceClaimStatuses": statuses}})
        await cluster.turn()
        assert cluster.writes.bound == {"default/p": "n"}

    lived(run)


def test_a_device_that_was_given_back_helps_the_next() -> None:
    """Its claim is deallocated; a claim that changes otherwise wakes nobody but its own pods."""

    async def run(cluster: Living) -> None:
        cluster.put(CLAIMS, claimed("c"), claimed("d"))
        cluster.put("pods", pod_of("p", "c"))
        await cluster.turn()
        cluster.seen()
        cluster.show("default/p")
        cluster.put("pods", pod_of("q", "d"))
        await cluster.turn()
        assert cluster.waits("default/q") == UNSCHEDULABLE
        assert "1 cannot allocate all claims" in cluster.notes.last("q", "FailedScheduling")
        await cluster.later(20)
        told = len(cluster.notes.events)
        cluster.put(CLAIMS, claimed("e"))
        await cluster.turn()
        assert len(cluster.notes.events) == told
        free = cluster.claim("c")
        cluster.put(
            CLAIMS, {**free, "metadata": {**free["metadata"], "resourceVersion": "999"}, "status": {}}
        )
        await cluster.turn()
        assert cluster.writes.bound["default/q"] == "n"

    lived(run)


def test_a_claim_on_its_way_is_waited_for_by_those_who_share_it() -> None:
    """They are bound once it is written."""

    async def run(cluster: Living) -> None:
        cluster.put(CLAIMS, claimed("c"))
        cluster.put("pods", pod_of("p", "c"), pod_of("q", "c"))
        await cluster.turn()
        assert cluster.writes.bound == {"default/p": "n"}
        assert "resource claim default/c is in the process of being allocated" in cluster.notes.last(
            "q", "FailedScheduling"
        )
        await cluster.later(20)
        cluster.seen()
        await cluster.turn()
        assert cluster.writes.bound["default/q"] == "n"
        assert [one["name"] for one in cluster.claim("c")["status"]["reservedFor"]] == ["p", "q"]

    lived(run)


def test_a_conflict_is_tried_again_and_another_fault_gives_all_back() -> None:
    """The device is free, the claim no more reserved."""

    async def run(cluster: Living) -> None:
        cluster.put(CLAIMS, claimed("c"), claimed("d"))
        conflicts = [ApiError(409, "Conflict", "modified"), None]
        cluster.fault = lambda verb, key: conflicts.pop(0) if conflicts and verb == "status" else None
        cluster.put("pods", pod_of("p", "c"))
        await cluster.turn()
        await cluster.later(1)
        assert cluster.writes.bound == {"default/p": "n"}

        cluster.fault = lambda verb, key: ApiError(403, "Forbidden", "no") if key.endswith("/d") else None
        free = {**cluster.claim("c"), "status": {}}
        cluster.unseen.clear()
        cluster.put(CLAIMS, {**free, "metadata": {**free["metadata"], "resourceVersion": "900"}})
        cluster.put("pods", pod_of("q", "d"))
        await cluster.turn()
        assert (
            'running PreBind plugin "DynamicResources": add finalizer to claim default/d: no'
            in cluster.notes.last("q", "FailedScheduling")
        )
        assert not cluster.scheduler.mirror.state.devices.allocated.devices

    lived(run)


def test_a_binding_that_fails_unreserves_the_claim() -> None:
    """The allocation stays for the next try."""

    async def run(cluster: Living) -> None:
        cluster.put(CLAIMS, claimed("c"))
        cluster.writes.answer = lambda verb, key: (
            ApiError(500, "InternalError", "no") if verb == "bind" else None
        )
        cluster.put("pods", pod_of("p", "c"))
        await cluster.turn()
        assert cluster.written[-1] == ("patch", "default/c")
        assert cluster.claim("c")["status"]["reservedFor"] == []
        assert cluster.claim("c")["status"]["allocation"]
        cluster.seen()
        cluster.writes.answer = lambda verb, key: None
        await cluster.later(20)
        await cluster.turn()
        assert cluster.writes.bound == {"default/p": "n"}

    lived(run)


def test_devices_that_are_prepared_first_are_waited_for() -> None:
    """Until their conditions are true; a failure is told, and the claim given up at the next try."""
    pending = device("d0", bindingConditions=["attached"], bindingFailureConditions=["broken"])

    async def run(cluster: Living) -> None:
        cluster.put(CLAIMS, claimed("c"))
        cluster.put("pods", pod_of("p", "c"))
        await cluster.turn()
        assert not cluster.writes.bound
        assert (
            cluster.notes.last("p", "BindingConditionsPending")
            == "waiting for binding conditions for device on node n"
        )
        cluster.seen()
        _say(cluster, "attached")
        await cluster.turn()
        await cluster.later(6)
        assert cluster.writes.bound == {"default/p": "n"}

    lived(run, pending)

    async def fails(cluster: Living) -> None:
        cluster.put(CLAIMS, claimed("c"))
        cluster.put("pods", pod_of("p", "c"))
        await cluster.turn()
        cluster.seen()
        _say(cluster, "broken")
        await cluster.turn()
        await cluster.later(6)
        words = 'device binding failed: claim=c, reason=Because, message="no"'
        assert words in cluster.notes.last("p", "FailedScheduling")
        cluster.seen()
        await cluster.later(20)
        await cluster.turn()
        assert "deallocation of ResourceClaim completed" in cluster.notes.last("p", "FailedScheduling")
        assert "allocation" not in cluster.claim("c")["status"]

    lived(fails, pending)


def _say(cluster: Living, condition: str) -> None:
    """The driver says that of its device."""
    found = cluster.claim("c")
    said = {"type": condition, "status": "True", "reason": "Because", "message": "no"}
    device = {"driver": DRIVER, "pool": "pool", "device": "d0", "conditions": [said]}
    stored = cluster._stored({**found, "status": {**found["status"], "devices": [device]}})
    assert stored
    cluster.seen()
