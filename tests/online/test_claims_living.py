"""A cluster in one process: a pod gets its claim from a template, its device, its node, and gives the device back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kcore.controllers.resource_claim import ResourceClaim
from kcore.online.devices import CLAIMS
from tests.controllers.living import Living, living
from tests.scheduler.cluster_objects import node_dict, pod_dict
from tests.scheduler.device_objects import asks, claim, device, device_class, slice_of

pytest.importorskip("cel_expr_python", reason="selectors need the extra `cel`")

Object = dict[str, Any]
GROUP = "resource.k8s.io/v1"
REFUSED = (
    "0/2 nodes are available: 2 cannot allocate all claims. still not schedulable, preemption: 0/2 nodes are available: "
    "2 Preemption is not helpful for scheduling."
)
FAST = 'device.attributes["driver.example.com"].fast'


async def _begin(cluster: Living) -> None:
    client = cluster.client
    for name in ("n1", "n2"):
        await client.create(node_dict(name))
        await client.patch("nodes", name, {"spec": {"taints": None}})  # a kubelet has said that it is ready
    slow, fast = device("slow", {"fast": False}), device("fast", {"fast": True})
    for name, one in (("n1", slow), ("n2", fast)):
        given = slice_of(one, name=name, pool=name, nodeName=name)
        await client.create({"apiVersion": GROUP, "kind": "ResourceSlice", **given})
    await client.create({"apiVersion": GROUP, "kind": "DeviceClass", **device_class("fast", FAST)})
    template = {
        "metadata": {"name": "one", "namespace": "default"},
        "spec": {"spec": claim("x", asks("fast"))["spec"]},
    }
    await client.create({"apiVersion": GROUP, "kind": "ResourceClaimTemplate", **template})


def _pod(name: str) -> Object:
    pod = pod_dict(name)
    del pod["status"]
    pod["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "one"}]
    pod["spec"]["containers"][0]["resources"]["claims"] = [{"name": "gpu"}]
    return pod


async def _live() -> None:
    async with living(ResourceClaim(), schedules=True) as cluster:
        await _begin(cluster)
        client = cluster.client
        await client.create(_pod("first"))
        first = await cluster.until_there("pods", "first", lambda pod: pod["spec"].get("nodeName"))
        assert first["spec"]["nodeName"] == "n2"
        name = first["status"]["resourceClaimStatuses"][0]["resourceClaimName"]
        found = await client.get(CLAIMS, name)
        assert [one["device"] for one in found["status"]["allocation"]["devices"]["results"]] == ["fast"]
        assert [one["name"] for one in found["status"]["reservedFor"]] == ["first"]

        await client.create(_pod("second"))
        await cluster.until(lambda: REFUSED in cluster.told.said("Pod"))
        await client.delete("pods", "first", grace_period_seconds=0)
        second = await cluster.until_there("pods", "second", lambda pod: pod["spec"].get("nodeName"))
        assert second["spec"]["nodeName"] == "n2"


def test_a_device_goes_from_pod_to_pod() -> None:
    """By claims of a template, through the API server."""
    asyncio.run(_live())
