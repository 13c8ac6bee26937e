"""Cluster IPs and IPAddresses that do not agree, as upstream's repair tells them, and a server that mends them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from kcore.apiserver.services.allocation import address_of
from kcore.apiserver.services.repair import (
    ADDRESSES,
    AddressRepair,
    Fault,
    Seen,
    address_fault,
    service_faults,
)
from tests.apiserver.handled import Server

Object = dict[str, Any]
MADE_S = 1_767_225_600.0  # 2026-01-01


def service(name: str = "web", *addresses: str, **spec: Any) -> Object:
    metadata = {"name": name, "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "spec": {"clusterIPs": list(addresses), **spec}}


def address(name: str, owner: str = "web", labels: Object | None = None, **parent: str) -> Object:
    made = address_of(service(owner), name)
    made["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:00Z"} | (
        {} if labels is None else {"labels": labels}
    )
    made["spec"]["parentRef"] |= parent
    return made


def seen(*objects: Object) -> Seen:
    services = {each["metadata"]["name"]: each for each in objects if each.get("kind") != "IPAddress"}
    addresses = {each["metadata"]["name"]: each for each in objects if each.get("kind") == "IPAddress"}
    return Seen(lambda namespace, name: services.get(name), addresses.get, lambda: ["10.0.0.0/24"])


@pytest.mark.parametrize(
    ("of", "others", "reason", "note", "deletes", "makes"),
    [
        (service("web", "10.0.0.7"), [], "ClusterIPNotAllocated", "Cluster IP [IPv4]: 10.0.0.7 is not allocated; repairing", False, True),
        (service("web", "10.1.0.7"), [], "ClusterIPOutOfRange", "Cluster IP [IPv4]: 10.1.0.7 is not within any configured Service CIDR; please recreate service", False, False),
        (service("web", "10.0.0.7"), [address("10.0.0.7", resource="gateways")], "ClusterIPNotAllocated", "the ClusterIP [IPv4]: 10.0.0.7 for Service default/web has a wrong reference; repairing", True, True),
        (service("web", "10.0.0.7"), [address("10.0.0.7", "gone")], "ClusterIPNotAllocated", "the ClusterIP [IPv4]: 10.0.0.7 for Service default/web has a wrong reference; repairing", True, True),
        (service("web", "10.0.0.7"), [address("10.0.0.7", "db"), service("db", "10.0.0.7")], "ClusterIPAlreadyAllocated", "Cluster IP [IPv4]:10.0.0.7 was assigned to multiple services; please recreate service", False, False),
        (service("web", "10.0.0.7"), [address("10.0.0.7", labels={})], "", "", True, True),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_service(
    of: Object, others: list[Object], reason: str, note: str, deletes: bool, makes: bool
) -> None:
    (fault,) = service_faults(of, seen(of, *others))
    assert (fault.reason, fault.note, fault.deletes, fault.makes is not None) == (
        reason,
        note,
        deletes,
        makes,
    )


def test_a_service_that_agrees_or_has_no_address_is_well() -> None:
    for of in (
        service("web", "10.0.0.7"),
        service("web", "None"),
        service("web"),
        service("web", type="ExternalName"),
    ):
        assert not list(service_faults(of, seen(of, address("10.0.0.7"))))


def test_an_address_without_its_service_is_given_up_after_a_while() -> None:
    lost = address("10.0.0.9", "gone")
    assert address_fault(lost, seen(lost), MADE_S + 10) == 51.0
    fault = address_fault(lost, seen(lost), MADE_S + 61)
    assert isinstance(fault, Fault) and fault.deletes
    assert fault.note == "IPAddress: 10.0.0.9 for Service default/gone appears to have leaked: cleaning up"
    web = service("web", "10.0.0.7")
    assert address_fault(address("10.0.0.7"), seen(web), MADE_S + 61) is None
    wrong = address_fault(address("10.0.0.8"), seen(web), MADE_S + 61)
    assert isinstance(wrong, Fault) and wrong.reason == "IPAddressWrongReference"
    assert address_fault(address("10.0.0.8", labels={}), seen(web), MADE_S + 61) is None  # somebody else's


def test_a_server_mends_them() -> None:
    server = Server()
    try:
        body = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"ports": [{"port": 80}]},
        }
        code, made = server("POST", "/api/v1/namespaces/default/services", body)
        assert code == 201
        ip = made["spec"]["clusterIP"]
        lost = address("10.0.0.250", "gone")
        base = "/apis/networking.k8s.io/v1/ipaddresses"
        assert server("POST", base, lost)[0] == 201
        assert server("DELETE", f"{base}/{ip}")[0] == 200
        assembly = server.assembly
        repair = AddressRepair(assembly.view, assembly._writer, lambda: time.time() + 100, settle_s=0.01)

        async def mended() -> None:
            work = asyncio.ensure_future(repair.run())
            async with asyncio.timeout(30):
                while True:
                    found = [await assembly.view.live(*ADDRESSES, "", name) for name in (ip, "10.0.0.250")]
                    if found[0] is not None and found[1] is None:
                        break
                    await asyncio.sleep(0.01)
            work.cancel()

        server.run(mended())
        events = server("GET", "/apis/events.k8s.io/v1/namespaces/default/events")[1]["items"]
        assert {each["reason"] for each in events} == {"ClusterIPNotAllocated", "IPAddressNotAllocated"}
    finally:
        server.close()
