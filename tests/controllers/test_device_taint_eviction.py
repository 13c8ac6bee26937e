"""Pods go with the devices that they must not use any more."""

import asyncio
from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.controllers.contract import Delete, Patch
from kcore.controllers.device_taint_eviction import DeviceTaintEviction, tolerates
from kcore.controllers.resource_claim import ResourceClaim
from kcore.controllers.times import text_of
from tests.controllers.living import living
from tests.controllers.paper import NOW_MS, Paper

Object = dict[str, Any]
TAINT = {"key": "broken", "value": "yes", "effect": "NoExecute", "timeAdded": text_of(NOW_MS)}
FIVE = {"key": "broken", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
MARKED = "Normal DeviceTaintManagerEviction Marking for deletion"


def pod(**metadata: Any) -> Object:
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default", **metadata},
        "spec": {
            "nodeName": "still", "resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}],
            "containers": [{"name": "main", "image": "a:1", "resources": {"claims": [{"name": "gpu"}]}}],
        },
    }  # fmt: skip


def claim(*tolerations: Object, uid: str = "u") -> Object:
    result = {
        "request": "gpu",
        "driver": "example.com",
        "pool": "p",
        "device": "d",
        "tolerations": [*tolerations],
    }
    return {
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "c", "namespace": "default"},
        "spec": {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu"}}]}},
        "status": {
            "allocation": {"devices": {"results": [result]}},
            "reservedFor": [{"resource": "pods", "name": "web", "uid": uid}],
        },
    }  # fmt: skip


def pool(*taints: Object, name: str = "s", generation: int = 1) -> Object:
    return {
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": name},
        "spec": {
            "driver": "example.com", "nodeName": "still",
            "pool": {"name": "p", "generation": generation, "resourceSliceCount": 1},
            "devices": [{"name": "d", "taints": [*taints]}],
        },
    }  # fmt: skip


def paper(*objects: Object) -> Paper:
    made = Paper(DeviceTaintEviction())
    made.put(pod(uid="u"))
    for each in objects:
        made.put(each)
    return made


def test_a_device_that_is_not_tolerated_takes_its_pod_with_it() -> None:
    it = paper(claim(), pool(TAINT))
    assert it.round("web") is None
    assert it.told == [MARKED]
    (patch,) = [each for each in it.acted if isinstance(each, Patch)]
    assert patch.body["status"]["conditions"] == [
        {
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByDeviceTaintManager",
            "message": "Device Taint manager: deleting due to NoExecute taint", "lastTransitionTime": text_of(NOW_MS),
        }
    ]  # fmt: skip
    assert [each for each in it.acted if isinstance(each, Delete)] == [Delete("pods", "default", "web", "u")]
    assert it.round("web") is None and it.told == [MARKED]  # it is going


@pytest.mark.parametrize(
    "objects",
    [
        (claim(),), (claim(), pool()), (claim(uid="another"), pool(TAINT)),
        (claim(), pool({**TAINT, "effect": "NoSchedule"})),
        (claim({"operator": "Exists", "effect": "NoExecute"}), pool(TAINT)),
        (claim(), pool(TAINT), pool(name="t", generation=2)),
        ({**claim(), "status": {"reservedFor": claim()["status"]["reservedFor"]}}, pool(TAINT)),
    ],
)  # fmt: skip
def test_who_stays(objects: tuple[Object, ...]) -> None:
    it = paper(*objects)
    assert it.round("web") is None and it.acted == []


def test_a_time_that_is_tolerated_is_waited_for_and_called_off() -> None:
    it = paper(claim(FIVE, {**FIVE, "tolerationSeconds": 9}), pool(TAINT))
    it.now_ms += 1000
    assert it.round("web") == 4000 and it.told == []
    it.put(pool())
    assert it.round("web") is None
    assert it.told == ["Normal DeviceTaintManagerEviction Cancelling deletion"]
    it.put(pool(TAINT))
    it.now_ms += 4000
    assert it.round("web") is None and it.told[1:] == [MARKED]


def test_a_refused_eviction_is_tried_again() -> None:
    it = paper(claim(), pool(TAINT))
    it.refuse = lambda action: ApiError(500, "InternalError", "no") if isinstance(action, Patch) else None
    assert it.round("web") == -1
    it.refuse = lambda action: ApiError(404, "NotFound", "gone") if isinstance(action, Delete) else None
    assert it.round("web") is None


def test_tolerations_of_devices() -> None:
    assert tolerates({"operator": "Exists"}, TAINT) and tolerates({"key": "broken", "value": "yes"}, TAINT)
    assert not tolerates({"key": "broken", "operator": "Equal", "value": "no"}, TAINT)
    assert not tolerates({"key": "other", "operator": "Exists"}, TAINT)
    assert not tolerates({"operator": "Exists", "effect": "NoSchedule"}, TAINT)
    assert not tolerates({"operator": "In"}, TAINT)


def test_in_a_cluster() -> None:
    async def run() -> None:
        async with living(DeviceTaintEviction(), ResourceClaim()) as it:
            made, status = claim(), claim()["status"]
            del made["status"]
            made = await it.client.create(made)
            web = await it.client.create(pod())
            status["reservedFor"][0]["uid"] = web["metadata"]["uid"]
            await it.client.update({**made, "status": status}, subresource="status")
            healthy = await it.client.create(pool())
            await it.until(lambda: len(it.informers.informer("resourceslices.resource.k8s.io").list()))
            taint = {name: value for name, value in TAINT.items() if name != "timeAdded"}
            await it.client.update({**healthy, "spec": pool(taint)["spec"]})
            await it.until(lambda: it.pods.get("default/web") is None)
            assert it.told.said("Pod") == ["Marking for deletion"]

    asyncio.run(run())
