"""Addresses and node ports of Services: taken before the object is stored, given back where it is not.

IPAddress objects say which address belongs to which service. Source: pkg/registry/core/service/storage/alloc.go of
Kubernetes 1.36.
"""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from kcore.api import field
from kcore.api.rows import Row
from kcore.api.status import ApiError, internal, invalid
from kcore.apiserver.allocators.addresses import FULL, NOT_HERE, TAKEN, AddressRange
from kcore.apiserver.allocators.ports import PortError, PortOperation, PortRange
from kcore.apiserver.operation import Object, Operation, Options
from kcore.apiserver.registry.core import Core, Hooks
from kcore.apiserver.registry.creating import create
from kcore.apiserver.registry.deleting import delete_object
from kcore.apiserver.services.families import family_of, init_families, is_settled
from kcore.apiserver.services.fields import (
    EXTERNAL_NAME,
    LOAD_BALANCER,
    NODE_PORT,
    NONE,
    Spec,
    keep_allocated,
    needs_health_check_port,
    node_ports,
    normalize_cluster_ips,
)
from kcore.apiserver.services.node_ports import NodePorts

MANAGED_BY: Final = "ipallocator.k8s.io"
FAMILY_LABEL: Final = "ipaddress.kubernetes.io/ip-family"
MANAGED_BY_LABEL: Final = "ipaddress.kubernetes.io/managed-by"
AGENT: Final = "kube-apiserver"
ATTEMPTS_MAX: Final = 1000  # for an address, against other API servers
SERVICE_CIDR: Final = "10.0.0.0/24"  # upstream's default of --service-cluster-ip-range


class Allocated:
    """What one write took: (Transaction of the registry)."""

    def __init__(self, owner: ServiceAllocation, op: Operation, ports: PortOperation) -> None:
        self.owner, self.op, self.ports = owner, op, ports
        self.addresses: list[str] = []
        self.released: list[str] = []

    async def commit(self) -> None:
        """The service is stored: what it no longer has is free."""
        if not self.op.dry_run:
            if self.ports.releases:
                await self.owner.node_ports.change(self.ports.commit)
            await self.owner.give_back(self.released)

    async def revert(self) -> None:
        """The service is not stored: what was taken for it is free."""
        if not self.op.dry_run:
            if self.ports.takes:
                await self.owner.node_ports.change(self.ports.revert)
            await self.owner.give_back(self.addresses)


class ServiceAllocation:
    """``cidrs``: one for each IP family, the default family first. ``list_objects`` gives all objects of a row."""

    def __init__(
        self,
        core: Core,
        *,
        cidrs: Sequence[str] = (SERVICE_CIDR,),
        ports: PortRange | None = None,
        below: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self.core: Final = core
        self.ranges: Final = [AddressRange(cidr) for cidr in cidrs]
        self.families: Final = tuple(each.family for each in self.ranges)
        self.ports: Final = ports or PortRange()
        self.node_ports: Final = NodePorts(core.store, self.ports, self._ports_in_use, core.now_seconds)
        self._below = below
        self._taken: set[str] | None = None  # addresses; None until learnt from what exists
        self._claiming: set[str] = set()  # those that a write of this server is about to claim in the store

    # -- hooks ---------------------------------------------------------------------------------------------------

    async def begin_create(self, op: Operation, obj: Object) -> Allocated:
        """The new service has its families, addresses and ports."""
        await self._learn()
        spec: Spec = obj.setdefault("spec", {})
        normalize_cluster_ips(spec, None)
        init_families(spec, None, obj["metadata"].get("name", ""), self.families)
        taken = Allocated(self, op, PortOperation(self.ports, self._below, dry_run=op.dry_run))
        try:
            await self._addresses(taken, obj, spec)
            await self._with_ports(taken, spec, lambda: self._ports(taken, obj, spec))
        except BaseException:
            await taken.revert()
            raise
        return taken

    async def begin_update(self, op: Operation, obj: Object, old: Object) -> Allocated:
        """The changed service has what it needs; what it does not need any more is released once it is stored."""
        await self._learn()
        spec: Spec = obj.setdefault("spec", {})
        before: Spec = old.get("spec") or {}
        keep_allocated(spec, before)
        normalize_cluster_ips(spec, before)
        init_families(spec, before, obj["metadata"].get("name", ""), self.families)
        taken = Allocated(self, op, PortOperation(self.ports, self._below, dry_run=op.dry_run))
        try:
            await self._change_addresses(taken, obj, spec, before)
            await self._with_ports(taken, spec, lambda: self._change_ports(taken, obj, spec, before))
        except BaseException:
            await taken.revert()
            raise
        return taken

    async def after_delete(self, op: Operation, obj: Object) -> None:
        """Everything that the service had is free, and its Endpoints are gone."""
        if op.dry_run:
            return
        spec = obj.get("spec") or {}
        if listed := [*node_ports(spec), *filter(None, [spec.get("healthCheckNodePort")])]:
            await self.node_ports.change(lambda: self.ports.give_back_all(listed))
        if spec.get("type") != EXTERNAL_NAME:
            await self.give_back([each for each in spec.get("clusterIPs") or () if each != NONE])
        metadata = obj["metadata"]
        await self._delete("", "endpoints", metadata.get("namespace", ""), metadata["name"])

    # -- what is taken -------------------------------------------------------------------------------------------

    async def _learn(self) -> None:
        """What is taken is known from what exists; asked once, addresses again where they are said to be taken."""
        await self.node_ports.learn()
        if self._taken is None:
            await self._learn_addresses()

    async def _learn_addresses(self) -> None:
        """The addresses that are taken now: other servers take some, and give some back."""
        addresses = await self._names("networking.k8s.io", "ipaddresses")
        for service in await self._objects("", "services"):
            listed = (service.get("spec") or {}).get("clusterIPs") or ()
            addresses.update(each for each in listed if each != NONE)
        self._taken = addresses | self._claiming

    async def _ports_in_use(self) -> set[int]:
        """The node ports of all services."""
        taken: set[int] = set()
        for service in await self._objects("", "services"):
            spec = service.get("spec") or {}
            taken.update(node_ports(spec))
            taken.add(spec.get("healthCheckNodePort") or 0)
        return taken - {0}

    async def _objects(self, group: str, plural: str) -> list[Object]:
        row = self._row(group, plural)
        return [orjson.loads(value) for value in await self.core.store.values(row)]

    async def _names(self, group: str, plural: str) -> set[str]:
        return {each["metadata"]["name"] for each in await self._objects(group, plural)}

    def _row(self, group: str, plural: str) -> Row:
        row = self.core.catalog.row(group, "v1", plural)
        assert row is not None, plural
        return row

    # -- addresses -----------------------------------------------------------------------------------------------

    async def _addresses(self, taken: Allocated, obj: Object, spec: Spec) -> None:
        """Each family of the service has an address."""
        addresses = spec.get("clusterIPs") or []
        if spec.get("type") == EXTERNAL_NAME or (addresses and addresses[0] == NONE):
            return
        families = spec.get("ipFamilies") or []
        wanted = [addresses[index] if index < len(addresses) else "" for index in range(len(families))]
        spec["clusterIPs"] = [
            await self._address(taken, obj, spec, family, address)
            for family, address in zip(families, wanted, strict=True)
        ]
        if spec["clusterIPs"]:
            spec["clusterIP"] = spec["clusterIPs"][0]

    async def _change_addresses(self, taken: Allocated, obj: Object, spec: Spec, old: Spec) -> None:
        if is_settled(spec, old):
            return
        external, was_external = spec.get("type") == EXTERNAL_NAME, old.get("type") == EXTERNAL_NAME
        before = old.get("clusterIPs") or []
        if was_external and not external:
            await self._addresses(taken, obj, spec)
            return
        if before and before[0] == NONE:
            return
        if external and not was_external:
            taken.released += before
            return
        families, old_families = spec.get("ipFamilies") or [], old.get("ipFamilies") or []
        if len(old_families) == 1 and len(families) == 2:
            addresses = list(spec.get("clusterIPs") or ())
            second = addresses[1] if len(addresses) > 1 else ""
            spec["clusterIPs"] = [
                *addresses[:1],
                await self._address(taken, obj, spec, families[1], second),
            ]
        elif len(old_families) == 2 and len(families) == 1:
            taken.released += before[1:2]

    async def _address(self, taken: Allocated, obj: Object, spec: Spec, family: str, address: str) -> str:
        """The address, now the service's; some free one where none is asked for."""
        name = obj["metadata"].get("name", "")
        asked = list(spec.get("clusterIPs") or ())
        if address:
            if (why := await self._take(taken, obj, family, address)) is not None:
                text = f"failed to allocate IP {address}: {why}"
                raise invalid("", "Service", name, [field.invalid("spec.clusterIPs", asked, text)])
            return address
        ranges = await self._ranges(family)
        if taken.op.dry_run:
            return ranges[0].base
        for each in ranges:
            for _ in range(ATTEMPTS_MAX):
                found = each.free(self._taken or (), self._below)
                if found is None:
                    await self._learn_addresses()
                    found = each.free(self._taken or (), self._below)
                if found is None:
                    break
                why = await self._take(taken, obj, family, found, known=True)
                if why is None:
                    return found
                if why != TAKEN:
                    fault = field.invalid("spec.clusterIPs", asked, f"failed to allocate IP: {why}")
                    raise invalid("", "Service", name, [fault])
        raise internal(f'failed to allocate a serviceIP for Service "{name}": {FULL}')

    async def _take(
        self, taken: Allocated, obj: Object, family: str, address: str, *, known: bool = False
    ) -> str | None:
        """The address is the service's; the reason where it cannot be."""
        assert self._taken is not None
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return NOT_HERE
        if not known and not any(parsed in each for each in await self._ranges(family)):
            return NOT_HERE
        text = str(parsed)
        if taken.op.dry_run:
            return None
        if text in self._taken and text not in self._claiming:
            await self._learn_addresses()
        if text in self._taken:
            return TAKEN
        self._taken.add(text)
        self._claiming.add(text)
        try:
            await create(
                self.core, self._operation("networking.k8s.io", "ipaddresses"), address_of(obj, text)
            )
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return TAKEN  # by another server: it stays in ``_taken``
            self._taken.discard(text)
            return error.message
        finally:
            self._claiming.discard(text)
        taken.addresses.append(text)
        return None

    async def _ranges(self, family: str) -> list[AddressRange]:
        """The ranges of the family: those of the flags, then those of ServiceCIDR objects."""
        found = [each for each in self.ranges if each.family == family]
        known = {str(each.network) for each in found}
        for each in await self._objects("networking.k8s.io", "servicecidrs"):
            if each["metadata"].get("deletionTimestamp"):
                continue
            for cidr in (each.get("spec") or {}).get("cidrs") or ():
                if family_of(cidr) == family and cidr not in known:
                    known.add(cidr)
                    with contextlib.suppress(ValueError):  # written before ranges were checked
                        found.append(AddressRange(cidr))
        return found

    async def give_back(self, addresses: Sequence[str]) -> None:
        """The addresses are free."""
        for address in addresses:
            try:
                text = str(ipaddress.ip_address(address))
            except ValueError:
                continue
            await self._delete("networking.k8s.io", "ipaddresses", "", text)
            if self._taken is not None:
                self._taken.discard(text)

    async def _delete(self, group: str, plural: str, namespace: str, name: str) -> None:
        op = self._operation(group, plural)
        op.namespace, op.name = namespace, name
        try:
            await delete_object(self.core, self.core.kind(op.row), op, {}, admits=False)
        except ApiError as error:
            if error.code != 404:
                raise

    def _operation(self, group: str, plural: str) -> Operation:
        return Operation(self._row(group, plural), options=Options(user_agent=AGENT))

    # -- ports ---------------------------------------------------------------------------------------------------

    async def _with_ports(self, taken: Allocated, spec: Spec, work: Callable[[], None]) -> None:
        """What ``work`` takes is the service's, in the store too; it may be asked again, of the service as it was."""
        given = [dict(port) for port in spec.get("ports") or ()], spec.get("healthCheckNodePort")

        def attempt() -> None:
            taken.ports = PortOperation(self.ports, self._below, dry_run=taken.op.dry_run)
            for port, before in zip(spec.get("ports") or (), given[0], strict=True):
                port.pop("nodePort", None)
                port.update(before)
            if given[1] is None:
                spec.pop("healthCheckNodePort", None)
            work()

        try:
            await self.node_ports.change(attempt)
        except BaseException:
            taken.ports = PortOperation(self.ports, self._below, dry_run=True)  # it has none to give back
            raise

    def _ports(self, taken: Allocated, obj: Object, spec: Spec) -> None:
        if spec.get("type") in (NODE_PORT, LOAD_BALANCER):
            _init_node_ports(taken.ports, obj["metadata"].get("name", ""), spec)
        if needs_health_check_port(spec):
            _health_check_port(taken.ports, spec)

    def _change_ports(self, taken: Allocated, obj: Object, spec: Spec, old: Spec) -> None:
        before = node_ports(old)
        on_nodes = spec.get("type") in (NODE_PORT, LOAD_BALANCER)
        if on_nodes:
            _update_node_ports(taken.ports, obj["metadata"].get("name", ""), spec, before)
            kept = set(node_ports(spec))
            released = [port for port in before if port not in kept]
        else:
            released = before if old.get("type") in (NODE_PORT, LOAD_BALANCER) else []
        for port in released:
            taken.ports.release(port)
        needed, needs = needs_health_check_port(old), needs_health_check_port(spec)
        if needs and not needed:
            _health_check_port(taken.ports, spec)
        elif needed and not needs:
            taken.ports.release(old.get("healthCheckNodePort") or 0)


def address_of(obj: Object, address: str) -> Object:
    """The IPAddress that says whose the address is."""
    metadata = obj["metadata"]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {
            "name": address,
            "labels": {FAMILY_LABEL: family_of(address), MANAGED_BY_LABEL: MANAGED_BY},
        },
        "spec": {
            "parentRef": {
                "resource": "services",
                "namespace": metadata.get("namespace", ""),
                "name": metadata.get("name", ""),
            }
        },
    }


def _allocates(spec: Spec) -> bool:
    return spec.get("type") == NODE_PORT or spec.get("allocateLoadBalancerNodePorts") is not False


def _init_node_ports(ports: PortOperation, name: str, spec: Spec) -> None:
    """Each port has a node port; ports of one number (TCP and UDP) share theirs."""
    listed: list[dict[str, Any]] = spec.get("ports") or []
    by_port: dict[int, int] = {}
    asked_of: dict[int, int] = {}  # the first that is asked for, by the port's number
    for port in listed:
        if port.get("nodePort"):
            asked_of.setdefault(port["port"], port["nodePort"])
    for index, port in enumerate(listed):
        asked, number = port.get("nodePort") or 0, port["port"]
        if not asked and not _allocates(spec):
            continue
        shared = by_port.get(number, 0)
        if shared:
            if not asked:
                port["nodePort"] = shared
            elif asked != shared:
                _take_port(ports, name, index, asked)
            continue
        if wanted := asked_of.get(number, 0):
            _take_port(ports, name, index, wanted)
        else:
            wanted = _take_any(ports)
        port["nodePort"] = by_port[number] = wanted


def _update_node_ports(ports: PortOperation, name: str, spec: Spec, before: Sequence[int]) -> None:
    taken: set[int] = set()
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(spec.get("ports") or ()):
        asked = port.get("nodePort") or 0
        if not asked and not _allocates(spec):
            continue
        if asked:
            if asked not in before and asked not in taken:
                _take_port(ports, name, index, asked)
                taken.add(asked)
        else:
            asked = port["nodePort"] = _take_any(ports)
        pair = (port.get("protocol", "TCP"), asked)
        if pair in seen:
            raise ApiError(500, "", f"duplicate nodePort: {{{pair[0]} {pair[1]}}}")
        seen.add(pair)


def _take_port(ports: PortOperation, name: str, index: int, port: int) -> None:
    try:
        ports.take(port)
    except PortError as error:
        fault = field.invalid(f"spec.ports[{index}].nodePort", port, str(error))
        raise invalid("", "Service", name, [fault]) from None


def _take_any(ports: PortOperation) -> int:
    try:
        return ports.take_any()
    except PortError as error:
        raise internal(f"failed to allocate a nodePort: {error}") from None


def _health_check_port(ports: PortOperation, spec: Spec) -> None:
    asked = spec.get("healthCheckNodePort") or 0
    try:
        if asked:
            ports.take(asked)
        else:
            spec["healthCheckNodePort"] = ports.take_any()
    except PortError as error:
        if asked:
            raise internal(f"failed to allocate requested HealthCheck NodePort {asked}: {error}") from None
        raise internal(f"failed to allocate a HealthCheck NodePort 0: {error}") from None


def service_hooks(allocation: ServiceAllocation) -> Hooks:
    """What the registry calls for Services."""
    return Hooks(allocation.begin_create, allocation.begin_update, allocation.after_delete)
