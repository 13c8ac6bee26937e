"""Ranges of addresses for nodes."""

import asyncio
from typing import Any

import pytest

from kcore.api.errors import InputError
from kcore.controllers.node_ipam import NodeIpam, Ranges
from tests.controllers.living import living


def test_ranges_are_given_in_turn_and_taken_back() -> None:
    ranges = Ranges("10.0.0.0/22", 24)
    assert [str(ranges.take()) for _ in range(2)] == ["10.0.0.0/24", "10.0.1.0/24"]
    first = Ranges("10.0.0.0/24", 24).take()
    assert first is not None
    ranges.release(first)
    given = [str(ranges.take()) for _ in range(4)]
    assert given == ["10.0.2.0/24", "10.0.3.0/24", "10.0.0.0/24", "None"], "those given back come last"


def test_service_ranges_are_left_out_and_both_families_served() -> None:
    controller = NodeIpam(["10.0.0.0/22", "fd00::/60"], ["10.0.0.128/25", "10.0.3.0/24"])
    v4, v6 = controller._ranges
    assert [str(v4.take()) for _ in range(3)] == ["10.0.1.0/24", "10.0.2.0/24", "None"]
    assert [str(v6.take()) for _ in range(2)] == ["fd00::/64", "fd00:0:0:1::/64"]
    assert v6.count == 16
    assert Ranges("10.0.0.0/24", 24).occupy(Ranges("10.0.0.0/8", 24).cluster)


@pytest.mark.parametrize(("cluster", "bits"), [("ten", 24), ("10.0.0.0/25", 24), ("fd00::/40", 64)])
def test_ranges_that_cannot_be(cluster: str, bits: int) -> None:
    with pytest.raises(InputError):
        Ranges(cluster, bits)


def test_nodes_of_a_cluster() -> None:
    def node(name: str, **spec: Any) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec}

    async def run() -> None:
        async with living(NodeIpam(["10.0.0.0/23", "fd00::/48"])) as it:
            await it.client.create(node("old", podCIDR="10.0.0.0/24", podCIDRs=["10.0.0.0/24", "fd00::/64"]))
            await it.until(lambda: it.informers.informer("nodes").get("old"))
            await it.client.create(node("new"))
            made = await it.until_there("nodes", "new", lambda found: found["spec"].get("podCIDRs"))
            assert made["spec"]["podCIDR"] == "10.0.1.0/24"
            assert made["spec"]["podCIDRs"] == ["10.0.1.0/24", "fd00:0:0:1::/64"]
            await it.client.create(node("more"))
            await it.until(lambda: it.told.said("Node"))
            assert it.told.said("Node")[0] == "Node more status is now: CIDRNotAvailable"
            await it.client.delete("nodes", "old")
            made = await it.until_there("nodes", "more", lambda found: found["spec"].get("podCIDRs"))
            assert made["spec"]["podCIDR"] == "10.0.0.0/24"

    asyncio.run(run())
