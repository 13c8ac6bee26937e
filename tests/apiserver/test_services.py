"""Addresses and node ports of Services."""

from __future__ import annotations

from typing import Any

import orjson

from kcore.api.status import internal
from kcore.apiserver.allocators.addresses import AddressRange, range_offset
from kcore.apiserver.allocators.ports import PortError, PortRange
from kcore.apiserver.services.allocation import ServiceAllocation, service_hooks
from kcore.apiserver.services.node_ports import NodePorts
from tests.apiserver.registry.rig import Object, Rig, body, refused, run


def service(name: str = "s", **spec: Any) -> Object:
    """A Service as it comes out of defaulting."""
    ports = [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    made = {"type": "ClusterIP", "selector": {"a": "b"}, "ports": ports, "sessionAffinity": "None"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {**made, **spec}}


def with_services(test: Any, *cidrs: str) -> None:
    """The test is run with services allocated from those ranges, always from the beginning."""

    async def allocated(rig: Rig) -> None:
        rig.allocation = ServiceAllocation(  # type: ignore[attr-defined]
            rig.core, cidrs=cidrs or ("10.0.0.0/24",), below=lambda _: 0
        )
        rig.core.hooks = {("", "services"): service_hooks(rig.allocation)}  # type: ignore[attr-defined]
        await test(rig)

    run(allocated)


async def addresses(rig: Rig) -> list[str]:
    """The names of all IPAddress objects."""
    prefix = b"/registry/ipaddresses/"
    found = await rig.kv.range(prefix, b"/registry/ipaddresses0")
    return [each.key[len(prefix) :].decode() for each in found.kvs]


def test_a_service_gets_an_address_which_goes_with_it() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("services", service())
        assert made["spec"]["clusterIP"] == "10.0.0.17"
        assert made["spec"]["clusterIPs"] == ["10.0.0.17"]
        assert made["spec"]["ipFamilies"] == ["IPv4"]
        assert made["spec"]["ipFamilyPolicy"] == "SingleStack"
        claim = await rig.get("ipaddresses", "10.0.0.17", group="networking.k8s.io")
        assert claim["spec"] == {"parentRef": {"resource": "services", "namespace": "default", "name": "s"}}
        assert claim["metadata"]["labels"] == {
            "ipaddress.kubernetes.io/ip-family": "IPv4",
            "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
        }
        await rig.create("services", service("t"))
        assert await addresses(rig) == ["10.0.0.17", "10.0.0.18"]
        done = await rig.registry.delete(rig.op("services", "s"))
        assert body(done.body)["kind"] == "Service"
        assert await addresses(rig) == ["10.0.0.18"]
        assert (await rig.create("services", service("u")))["spec"]["clusterIP"] == "10.0.0.17"

    with_services(test)


def test_an_address_that_is_asked_for() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("services", service(clusterIP="10.0.0.10"))
        assert made["spec"]["clusterIPs"] == ["10.0.0.10"]
        error = await refused(rig.create("services", service("t", clusterIP="10.0.0.10")))
        assert error.message == (
            'Service "t" is invalid: spec.clusterIPs: Invalid value: ["10.0.0.10"]: failed to allocate IP 10.0.0.10: '
            "provided IP is already allocated"
        )
        error = await refused(rig.create("services", service("t", clusterIP="192.168.0.1")))
        assert error.message.endswith(
            "failed to allocate IP 192.168.0.1: the provided network does not match the current range"
        )
        assert await addresses(rig) == ["10.0.0.10"]

    with_services(test)


def test_headless_and_external_services_have_no_address() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("services", service("h", clusterIP="None"))
        assert (made["spec"]["clusterIPs"], made["spec"]["ipFamilies"]) == (["None"], ["IPv4"])
        bare = service("b", clusterIP="None")
        del bare["spec"]["selector"]
        made = await rig.create("services", bare)
        assert made["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
        assert made["spec"]["ipFamilyPolicy"] == "RequireDualStack"
        made = await rig.create("services", service("e", type="ExternalName", externalName="x.example.com"))
        assert "clusterIP" not in made["spec"]
        assert "ipFamilies" not in made["spec"]
        assert await addresses(rig) == []

    with_services(test)


def test_node_ports_are_taken_kept_and_released() -> None:
    async def test(rig: Rig) -> None:
        two = [{"name": "a", "port": 80, "protocol": "TCP"}, {"name": "b", "port": 80, "protocol": "UDP"}]
        made = await rig.create("services", service(type="NodePort", ports=two))
        assert [port["nodePort"] for port in made["spec"]["ports"]] == [30086, 30086]
        error = await refused(
            rig.create("services", service("t", type="NodePort", ports=[{"port": 1, "nodePort": 30086}]))
        )
        assert error.message == (
            'Service "t" is invalid: spec.ports[0].nodePort: Invalid value: 30086: provided port is already allocated'
        )
        error = await refused(
            rig.create("services", service("t", type="NodePort", ports=[{"port": 1, "nodePort": 80}]))
        )
        assert error.message.endswith(
            "provided port is not in the valid range. The range of valid ports is 30000-32767"
        )
        # a client that sends what it sent before keeps what it got
        again = service(type="NodePort", ports=[{"name": "a", "port": 8080, "protocol": "TCP"}])
        kept = body((await rig.registry.update(rig.op("services", "s"), again)).body)
        assert kept["spec"]["ports"][0]["nodePort"] == 30086
        assert kept["spec"]["clusterIP"] == made["spec"]["clusterIP"]
        plain = body((await rig.registry.update(rig.op("services", "s"), service())).body)
        assert "nodePort" not in plain["spec"]["ports"][0]
        assert rig.allocation.ports.taken == set()  # type: ignore[attr-defined]
        assert len(await addresses(rig)) == 1

    with_services(test)


def test_a_load_balancer_is_asked_for_health_where_it_is_local() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("services", service(type="LoadBalancer", externalTrafficPolicy="Local"))
        assert made["spec"]["ports"][0]["nodePort"] == 30086
        assert made["spec"]["healthCheckNodePort"] == 30087
        made = await rig.create(
            "services", service("n", type="LoadBalancer", allocateLoadBalancerNodePorts=False)
        )
        assert "nodePort" not in made["spec"]["ports"][0]
        await rig.registry.delete(rig.op("services", "s"))
        assert rig.allocation.ports.taken == set()  # type: ignore[attr-defined]

    with_services(test)


def test_what_is_refused_or_dry_run_takes_nothing() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("services", service(type="NodePort"), dry_run=True)
        assert made["spec"]["clusterIP"] == "10.0.0.0"
        assert made["spec"]["ports"][0]["nodePort"] == 32769

        def refuse(phase: str, *_: object) -> None:
            if phase == "validate":
                raise ValueError("no")

        rig.admission.refuse = refuse
        try:
            await rig.create("services", service(type="NodePort"))
            raise AssertionError("it was admitted")
        except ValueError:
            pass
        rig.admission.refuse = None
        assert await addresses(rig) == []
        assert rig.allocation.ports.taken == set()  # type: ignore[attr-defined]

    with_services(test)


def another_server(rig: Rig) -> ServiceAllocation:
    """Writes go through a server that knows nothing but what the store has."""
    made = ServiceAllocation(rig.core, cidrs=("10.0.0.0/24",), below=lambda _: 0)
    through(rig, made)
    return made


def through(rig: Rig, server: ServiceAllocation) -> None:
    """Writes go through that server from now on."""
    rig.core.hooks = {("", "services"): service_hooks(server)}
    rig.core.kinds.clear()


def test_what_exists_is_known_after_a_restart() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("services", service(type="NodePort"))
        another_server(rig)
        made = await rig.create("services", service("t", type="NodePort"))
        assert made["spec"]["clusterIP"] == "10.0.0.18"
        assert made["spec"]["ports"][0]["nodePort"] == 30087

    with_services(test)


RANGE = b"/registry/ranges/servicenodeports"


def test_servers_on_one_store_give_no_port_and_no_address_twice() -> None:
    async def test(rig: Rig) -> None:
        first: ServiceAllocation = rig.allocation  # type: ignore[attr-defined]
        await rig.create("services", service("a", type="NodePort"))
        second = another_server(rig)
        made = [await rig.create("services", service("b", type="NodePort"))]
        through(rig, first)
        made.append(await rig.create("services", service("c", type="NodePort")))
        through(rig, second)
        made.append(await rig.create("services", service("d", type="NodePort")))
        assert [each["spec"]["ports"][0]["nodePort"] for each in made] == [30087, 30088, 30089]
        assert [each["spec"]["clusterIP"] for each in made] == ["10.0.0.18", "10.0.0.19", "10.0.0.20"]
        error = await refused(rig.create("services", service("e", type="NodePort", ports=[{"port": 1, "nodePort": 30088}])))  # fmt: skip
        assert error.message.endswith("provided port is already allocated")
        error = await refused(
            rig.create("services", service("e", clusterIP="10.0.0.19", clusterIPs=["10.0.0.19"]))
        )
        assert error.message.endswith("provided IP is already allocated")

    with_services(test)


def test_what_one_server_gave_back_another_gives_out() -> None:
    async def test(rig: Rig) -> None:
        first: ServiceAllocation = rig.allocation  # type: ignore[attr-defined]
        await rig.create("services", service("a", type="NodePort"))
        second = another_server(rig)
        await rig.create("services", service("b", type="NodePort"))
        through(rig, first)
        await rig.registry.delete(rig.op("services", "b"))
        await rig.registry.delete(rig.op("services", "a"))
        through(rig, second)
        asked = service("c", type="NodePort", ports=[{"port": 1, "nodePort": 30086}], clusterIP="10.0.0.17", clusterIPs=["10.0.0.17"])  # fmt: skip
        made = await rig.create("services", asked)
        assert (made["spec"]["ports"][0]["nodePort"], made["spec"]["clusterIP"]) == (30086, "10.0.0.17")

    with_services(test)


def test_the_range_is_kept_as_upstream_keeps_it() -> None:
    async def test(rig: Rig) -> None:
        ports = [{"port": 1, "nodePort": 30000}, {"name": "b", "port": 2, "nodePort": 30009}]
        await rig.create("services", service("a", type="NodePort", ports=ports))
        kept = await rig.kv.get(RANGE)
        assert kept is not None
        assert orjson.loads(kept.value) == {
            "apiVersion": "v1", "kind": "RangeAllocation", "metadata": {}, "range": "30000-32767", "data": "AgE=",
        }  # fmt: skip

    with_services(test)


def test_a_port_that_nobody_has_is_free_after_a_while() -> None:
    async def test(rig: Rig) -> None:
        now_s = 0.0
        ports = PortRange(30000, 30001)
        used: set[int] = set()

        async def in_use() -> set[int]:
            return used

        def made() -> NodePorts:
            return NodePorts(rig.core.store, PortRange(30000, 30001), in_use, lambda: now_s)

        await NodePorts(rig.core.store, ports, in_use, lambda: now_s).change(lambda: ports.take(30000))
        other = made()  # the first server died before it stored the service
        await other.learn()
        assert other.ports.taken == {30000}
        now_s = 600.0
        assert await other.change(lambda: taken_of(other.ports)) == 30001
        used.add(30001)
        assert await other.change(lambda: taken_of(other.ports)) == 30000

    with_services(test)


def taken_of(ports: PortRange) -> int:
    """Some port, as a write takes it."""
    try:
        return ports.take_any(lambda _: 0)
    except PortError as error:
        raise internal(str(error)) from None


def test_two_families() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("services", service(ipFamilyPolicy="PreferDualStack"))
        assert made["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
        assert made["spec"]["clusterIPs"] == ["10.0.0.17", "fd00::101"]
        made["spec"]["ipFamilyPolicy"] = "SingleStack"
        single = body((await rig.registry.update(rig.op("services", "s"), made)).body)
        assert single["spec"]["clusterIPs"] == ["10.0.0.17"]
        assert await addresses(rig) == ["10.0.0.17"]

    with_services(test, "10.0.0.0/24", "fd00::/112")


def test_a_cluster_of_one_family_has_no_dual_stack() -> None:
    async def test(rig: Rig) -> None:
        error = await refused(rig.create("services", service(ipFamilyPolicy="RequireDualStack")))
        assert error.message == (
            'Service "s" is invalid: spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not '
            "configured for dual-stack services"
        )
        error = await refused(rig.create("services", service(ipFamilies=["IPv6"])))
        assert error.message == (
            'Service "s" is invalid: spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'
        )

    with_services(test)


def test_ranges() -> None:
    assert [range_offset(size) for size in (8, 256, 4096, 65536)] == [0, 16, 256, 256]
    small = AddressRange("10.1.0.0/29")
    taken: set[str] = set()
    found = []
    while (address := small.free(taken, lambda size: size - 1)) is not None:
        taken.add(address)
        found.append(address)
    assert sorted(found) == [f"10.1.0.{n}" for n in range(1, 7)]
    ports = PortRange(30000, 30019)
    assert {ports.take_any(lambda size: size // 2) for _ in range(20)} == set(range(30000, 30020))
