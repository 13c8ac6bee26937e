"""Endpoints, endpoint slices and their mirrors."""

import asyncio
from typing import Any

from kcore.controllers import endpoint_slice_packing as packing
from kcore.controllers.contract import Key
from kcore.controllers.endpoint_slice import EndpointSlice
from kcore.controllers.endpoint_slice_mirroring import EndpointSliceMirroring
from kcore.controllers.endpoint_subsets import fnv_128a, repacked, subset_hash
from kcore.controllers.endpoints import OVER_CAPACITY, Endpoints, truncated
from kcore.controllers.service_pods import TriggerTimes, read_ip
from tests.controllers.living import Living, living

Object = dict[str, Any]


def endpoint(number: int, *, ready: bool = True) -> Object:
    return {
        "addresses": [f"10.0.{number // 250}.{number % 250 + 1}"],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        "targetRef": {"kind": "Pod", "namespace": "default", "name": f"pod-{number}", "uid": f"u{number}"},
    }


def piece(name: str, numbers: range) -> Object:
    return {"metadata": {"name": name}, "endpoints": [endpoint(number) for number in numbers]}


def pack(existing: list[Object], wanted: list[Object], count_max: int = 100) -> packing.Changes:
    return packing.packed(
        existing, {packing.identity(each): each for each in wanted},
        lambda: {"metadata": {}, "endpoints": []}, lambda _: ({}, False), count_max,
    )  # fmt: skip


def sizes(pieces: list[Object]) -> list[tuple[str, int]]:
    return [(each["metadata"].get("name", ""), len(each["endpoints"])) for each in pieces]


def test_endpoints_are_packed_in_as_few_changed_slices_as_can_be() -> None:
    made = pack([], [endpoint(number) for number in range(250)])
    assert sizes(made.create) == [("", 100), ("", 100), ("", 50)] and not made.update

    there = [piece("a", range(90)), piece("b", range(100, 162))]
    same = [each for one in there for each in one["endpoints"]]
    assert pack(there, same) == packing.Changes()
    # 38 more fit exactly in b, 10 exactly in a, 39 in neither
    more = [endpoint(number) for number in range(200, 300)]
    assert sizes(pack(there, same + more[:38]).update) == [("b", 100)]
    assert sizes(pack(there, same + more[:10]).update) == [("a", 100)]
    assert sizes(pack(there, same + more[:39]).create) == [("", 39)]
    # one goes from a: it is written anyway, and takes what is new
    changes = pack(there, same[1:] + more[:20])
    assert sizes(changes.update) == [("a", 100), ("b", 71)]
    # all of b go
    assert sizes(pack(there, there[0]["endpoints"]).delete) == [("b", 62)]
    # readiness changes
    changed = [endpoint(0, ready=False), *same[1:]]
    (update,) = pack(there, changed).update
    assert update["endpoints"][0]["conditions"]["ready"] is False


def test_hints_follow_the_distribution_of_traffic() -> None:
    near = {**endpoint(1), "zone": "a", "nodeName": "n1"}
    there = {"metadata": {"name": "s"}, "endpoints": [near, endpoint(2, ready=False)]}
    for distribution, hints in (
        ("PreferClose", {"forZones": [{"name": "a"}]}),
        ("PreferSameNode", {"forZones": [{"name": "a"}], "forNodes": [{"name": "n1"}]}),
    ):
        changes = packing.Changes()
        packing.hinted(changes, [there], distribution)
        assert changes.update[0]["endpoints"][0]["hints"] == hints
        assert "hints" not in changes.update[0]["endpoints"][1]
        again = packing.Changes()
        packing.hinted(again, changes.update, distribution)
        assert again == packing.Changes()
        packing.hinted(again, changes.update, None)
        assert again.update == [there]


def address(ip: str, uid: str = "") -> Object:
    return {"ip": ip, "targetRef": {"uid": uid}} if uid else {"ip": ip}


def test_subsets_are_repacked() -> None:
    http, dns = {"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}
    made = repacked(
        [
            {"addresses": [address("10.0.0.2"), address("10.0.0.1")], "ports": [http]},
            {"addresses": [address("10.0.0.1"), address("10.0.0.2")], "ports": [dns]},
        ]
    )
    assert len(made) == 1 and [each["ip"] for each in made[0]["addresses"]] == ["10.0.0.1", "10.0.0.2"]
    assert sorted(port["port"] for port in made[0]["ports"]) == [53, 80]
    # what is not ready for one subset is not ready
    made = repacked(
        [
            {"addresses": [address("10.0.0.1")], "ports": [http]},
            {"notReadyAddresses": [address("10.0.0.1")], "ports": [http]},
        ]
    )
    assert made == [{"notReadyAddresses": [address("10.0.0.1")], "ports": [http]}]
    assert repacked(made) == made
    assert fnv_128a(b"") == 0x6C62272E07BB014262B821756295C58D
    assert fnv_128a(b"a") == 0xD228CB696F1A8CAF78912B704E4A8964


def test_ports_and_subsets_are_in_the_order_of_go() -> None:
    """Recorded from k8s.io/api v0.36 and k8s.io/utils/dump."""
    target = {"kind": "Pod", "namespace": "default", "name": "p", "uid": "u"}
    subset = {
        "addresses": [
            {"ip": "10.0.0.1", "nodeName": "node-1", "targetRef": target}, {"ip": "10.0.0.2", "hostname": "h"},
        ],
        "ports": [
            {"name": "a", "port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "appProtocol": "http"},
        ],
    }  # fmt: skip
    assert subset_hash(subset) == 0x5C3C33DE68567FC1D9CDAE44BB6BC8A2
    ports = [{"name": f"p{number}", "port": 8000 + number, "protocol": "TCP"} for number in range(1, 9)]
    (made,) = repacked([{"addresses": [{"ip": "10.0.0.1"}], "ports": ports}])
    assert [port["name"] for port in made["ports"]] == ["p6", "p8", "p2", "p3", "p5", "p1", "p4", "p7"]


def test_a_thousand_addresses_are_kept_ready_ones_first() -> None:
    subsets = [
        {"addresses": [address(f"10.0.0.{n}") for n in range(600)], "ports": []},
        {"notReadyAddresses": [address(f"10.0.1.{n}") for n in range(600)], "ports": []},
    ]
    kept = truncated(subsets)
    assert [len(kept[0]["addresses"]), len(kept[1]["notReadyAddresses"])] == [600, 400]
    many = [{"addresses": [address(f"10.0.{m}.{n}") for n in range(700)]} for m in range(3)]
    assert [len(each["addresses"]) for each in truncated(many)] == [334, 334, 332]
    assert truncated(subsets[:1])[0] is subsets[0]


def test_addresses_are_read_as_older_go_did() -> None:
    assert read_ip("010.0.0.01") == ("10.0.0.1", "IPv4") and read_ip("::ffff:1.2.3.4") == ("1.2.3.4", "IPv4")
    assert read_ip("fd00::0:1") == ("fd00::1", "IPv6") and read_ip("web") is None and read_ip("") is None


def test_changes_of_many_pods_are_gathered_and_the_first_change_counts() -> None:
    def ready(name: str, second: int) -> Object:
        condition = {
            "type": "Ready",
            "status": "True",
            "lastTransitionTime": f"2026-01-01T00:00:{second:02}Z",
        }
        return {"metadata": {"name": name}, "status": {"conditions": [condition]}}

    times, key = TriggerTimes(), Key("default", "web")
    of = {"metadata": {"name": "web", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    many = [ready(f"pod-{number}", 1) for number in range(4000)]
    assert times.wait_ms(key) == 0
    assert times.next(of, many) == "2026-01-01T00:00:00Z" and times.wait_ms(key) == 400
    assert times.next(of, many) is None
    assert times.next(of, [ready("pod-0", 9), ready("pod-1", 8)]) == "2026-01-01T00:00:08Z"
    assert times.wait_ms(key) == 0


def service(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default", "labels": {"of": name}},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": "web"}], **spec},
    }  # fmt: skip


async def put_pod(it: Living, name: str, ip: str) -> None:
    ports = [{"name": "web", "containerPort": 8080}]
    await it.client.create(
        {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
            "spec": {"nodeName": "still", "containers": [{"name": "main", "image": "web:1", "ports": ports}]},
        }
    )  # fmt: skip
    await set_status(it, name, ip, "False")


async def set_status(it: Living, name: str, ip: str, ready: str) -> None:
    condition = {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [condition]}
    await it.client.patch("pods", name, {"status": status}, "default", type="strategic", subresource="status")


async def slices_of(it: Living, name: str) -> list[Object]:
    found = await it.client.list(
        "endpointslices.discovery.k8s.io", "default", label_selector=f"kubernetes.io/service-name={name}"
    )
    items: list[Object] = found["items"]
    return items


async def until_slice(it: Living, name: str, holds: Any) -> Object:
    async with asyncio.timeout(10):
        while True:
            found = await slices_of(it, name)
            if len(found) == 1 and holds(found[0]):
                return found[0]
            await asyncio.sleep(0.01)


def test_services_have_endpoints_and_slices() -> None:
    async def run() -> None:
        async with living(EndpointSlice(), Endpoints(), EndpointSliceMirroring()) as it:
            labels = {"topology.kubernetes.io/zone": "a"}
            await it.client.create(
                {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "still", "labels": labels}}
            )
            await it.client.create(service("web", selector={"app": "web"}))
            empty = await until_slice(it, "web", lambda found: True)
            assert not empty["endpoints"] and not empty.get("ports")
            assert empty["metadata"]["name"].startswith("web-")
            created = (await it.client.get("services", "web", "default"))["metadata"]["creationTimestamp"]
            trigger = "endpoints.kubernetes.io/last-change-trigger-time"
            assert empty["metadata"]["annotations"] == {trigger: created}

            await put_pod(it, "one", "10.0.0.1")
            waiting = await until_slice(it, "web", lambda found: found["endpoints"])
            assert waiting["metadata"]["name"] == empty["metadata"]["name"]
            assert waiting["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
            (found,) = waiting["endpoints"]
            assert found["conditions"] == {"ready": False, "serving": False, "terminating": False}
            assert (found["addresses"], found["zone"], found["nodeName"]) == (["10.0.0.1"], "a", "still")

            await set_status(it, "one", "10.0.0.1", "True")
            await until_slice(it, "web", lambda found: found["endpoints"][0]["conditions"]["ready"])
            endpoints = await it.until_there(
                "endpoints", "web", lambda found: "addresses" in found["subsets"][0]
            )
            assert endpoints["subsets"][0]["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
            assert endpoints["metadata"]["labels"] == {
                "of": "web", "endpoints.kubernetes.io/managed-by": "endpoint-controller",
            }  # fmt: skip
            assert OVER_CAPACITY not in endpoints["metadata"].get("annotations", {})

            await it.client.patch("pods", "one", {"metadata": {"labels": {"app": "other"}}}, "default")
            await until_slice(it, "web", lambda found: not found["endpoints"])
            await it.until_there("endpoints", "web", lambda found: not found.get("subsets"))
            await it.client.delete("services", "web", "default")
            await it.until(lambda: not it.informers.informer("endpoints").list())
            assert not it.told.said("Service")

    asyncio.run(run())


def test_written_endpoints_are_mirrored() -> None:
    async def run() -> None:
        async with living(EndpointSliceMirroring()) as it:
            await it.client.create(service("db", ports=[{"port": 5432}]))
            endpoints = {
                "apiVersion": "v1", "kind": "Endpoints",
                "metadata": {"name": "db", "namespace": "default", "labels": {"tier": "db"}},
                "subsets": [{"addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}], "ports": [{"port": 5432}]}],
            }  # fmt: skip
            await it.client.create(endpoints)
            async with asyncio.timeout(10):
                while len(found := await slices_of(it, "db")) < 2:
                    await asyncio.sleep(0.01)
            assert sorted((each["addressType"], each["endpoints"][0]["addresses"]) for each in found) == [
                ("IPv4", ["192.0.2.1"]), ("IPv6", ["2001:db8::1"]),
            ]  # fmt: skip
            assert found[0]["metadata"]["labels"] == {
                "tier": "db", "kubernetes.io/service-name": "db",
                "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
            }  # fmt: skip
            skip = {"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}
            await it.client.patch("endpoints", "db", skip, "default")
            async with asyncio.timeout(10):
                while await slices_of(it, "db"):
                    await asyncio.sleep(0.01)

    asyncio.run(run())
