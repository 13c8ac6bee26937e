"""Services and the IPAddresses that stand for their cluster IPs agree: what was lost is made again, what leaked is gone.

Source: pkg/registry/core/service/ipallocator/controller/repairip.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from kcore.api.status import ApiError
from kcore.apiserver.cache_view import CacheView
from kcore.apiserver.services.allocation import MANAGED_BY, MANAGED_BY_LABEL, address_of
from kcore.apiserver.services.fields import EXTERNAL_NAME, NONE
from kcore.apiserver.view import Writer

Object = dict[str, Any]

SERVICES: Final = ("", "services")
ADDRESSES: Final = ("networking.k8s.io", "ipaddresses")
RANGES: Final = ("networking.k8s.io", "servicecidrs")
REPORTER: Final = "ipallocator-repair-controller"
GRACE_S: Final = 60.0  # of an address whose service is not there yet
YOUNG_S: Final = 5.0  # the same of one whose service does not name it yet
SETTLE_S: Final = 1.0  # a service and its address are seen one after the other
RETRY_S: Final = 5.0

log = logging.getLogger("kcore.apiserver")


class Fault(NamedTuple):
    """What does not agree, as an event tells it; ``name`` is the address, which is deleted, made, both or left."""

    about: Object
    reason: str
    action: str
    note: str
    name: str
    deletes: bool = False
    makes: Object | None = None


class Seen(NamedTuple):
    """The cluster as the repair sees it."""

    service: Callable[[str, str], Object | None]
    address: Callable[[str], Object | None]
    ranges: Callable[[], list[str]]


def service_faults(service: Object, seen: Seen) -> Iterator[Fault]:
    """Of each of its cluster IPs what is wrong (syncService)."""
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    spec = service.get("spec") or {}
    addresses = spec.get("clusterIPs") or ()
    if spec.get("type") == EXTERNAL_NAME or not addresses or addresses[0] == NONE:
        return
    for text in addresses:
        ip = ipaddress.ip_address(text)
        family = f"IPv{ip.version}"

        def fault(reason: str, note: str, **more: Any) -> Fault:
            return Fault(service, reason, "ClusterIPAllocation", note, str(ip), **more)  # noqa: B023

        if not any(_holds(each, ip) for each in seen.ranges()):
            note = f"Cluster IP [{family}]: {ip} is not within any configured Service CIDR; please recreate service"
            yield fault("ClusterIPOutOfRange", note)
            continue
        found, made = seen.address(str(ip)), address_of(service, str(ip))
        wrong = (
            f"the ClusterIP [{family}]: {ip} for Service {namespace}/{name} has a wrong reference; repairing"
        )
        if found is None:
            note = f"Cluster IP [{family}]: {ip} is not allocated; repairing"
            yield fault("ClusterIPNotAllocated", note, makes=made)
            continue
        parent = found["spec"]["parentRef"]
        if parent.get("group") or parent.get("resource") != "services":
            yield fault("ClusterIPNotAllocated", wrong, deletes=True, makes=made)
        elif (parent.get("namespace"), parent.get("name")) != (namespace, name):
            other = seen.service(parent.get("namespace", ""), parent.get("name", ""))
            if other is None:
                yield fault("ClusterIPNotAllocated", wrong, deletes=True, makes=made)
            elif str(ip) in ((other.get("spec") or {}).get("clusterIPs") or ()):
                note = (
                    f"Cluster IP [{family}]:{ip} was assigned to multiple services; please recreate service"
                )
                yield fault("ClusterIPAlreadyAllocated", note)
        elif not made["metadata"]["labels"].items() <= (found["metadata"].get("labels") or {}).items():
            yield fault("", "", deletes=True, makes=made)


def address_fault(address: Object, seen: Seen, now_s: float) -> Fault | float | None:
    """Why nobody has the address, or after how many seconds to look again (syncIPAddress)."""
    metadata, parent = address["metadata"], address["spec"]["parentRef"]
    if (metadata.get("labels") or {}).get(MANAGED_BY_LABEL) != MANAGED_BY:
        return None
    name = metadata["name"]

    def fault(reason: str, note: str) -> Fault:
        return Fault(address, reason, "IPAddressAllocation", note, name, deletes=True)

    if parent.get("group") or parent.get("resource") != "services":
        note = f"IPAddress {name} appears to have been modified, not referencing a Service: cleaning up"
        return fault("IPAddressNotAllocated", note)
    namespace, owner = parent.get("namespace", ""), parent.get("name", "")
    service = seen.service(namespace, owner)
    age_s = now_s - _seconds(metadata["creationTimestamp"])
    if service is None:
        if age_s <= GRACE_S:
            return GRACE_S - age_s + SETTLE_S
        note = f"IPAddress: {name} for Service {namespace}/{owner} appears to have leaked: cleaning up"
        return fault("IPAddressNotAllocated", note)
    spec = service.get("spec") or {}
    if name in (spec.get("clusterIPs") or ()):
        return None
    if spec.get("type") == EXTERNAL_NAME and age_s < GRACE_S:
        return GRACE_S - age_s
    if age_s < YOUNG_S and metadata["creationTimestamp"] > service["metadata"]["creationTimestamp"]:
        return YOUNG_S
    note = f"IPAddress: {name} for Service {namespace}/{owner} has a wrong reference; cleaning up"
    return fault("IPAddressWrongReference", note)


def _holds(text: str, ip: Any) -> bool:
    network = ipaddress.ip_network(text, strict=False)
    return network.version == ip.version and ip in network


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class AddressRepair:
    """``run`` keeps them in agreement until it is cancelled."""

    def __init__(
        self, view: CacheView, writer: Writer, now_s: Callable[[], float], settle_s: float = SETTLE_S
    ) -> None:
        self._view = view
        self._writer = writer
        self._now_s = now_s
        self._settle_s = settle_s
        self._keys: set[tuple[tuple[str, str], str, str]] = set()
        self._changed = asyncio.Event()
        self._seen = Seen(
            lambda namespace, name: view.get(*SERVICES, namespace, name),
            lambda name: view.get(*ADDRESSES, "", name),
            lambda: [cidr for each in view.list(*RANGES) for cidr in each["spec"].get("cidrs") or ()],
        )

    async def run(self) -> None:
        """See the class."""
        await self._view.start(SERVICES, ADDRESSES, RANGES)
        self._view.follow(*SERVICES, lambda namespace, name, obj: self._look(SERVICES, namespace, name))
        self._view.follow(*ADDRESSES, self._address_changed)
        while True:
            await self._changed.wait()
            await asyncio.sleep(self._settle_s)
            self._changed.clear()
            keys, self._keys = self._keys, set()
            for key in keys:
                try:
                    await self._check(*key)
                except ApiError as error:
                    log.warning("a cluster IP could not be repaired: %s", error)
                    asyncio.get_running_loop().call_later(RETRY_S, self._look, *key)

    def _look(self, row: tuple[str, str], namespace: str, name: str) -> None:
        self._keys.add((row, namespace, name))
        self._changed.set()

    def _address_changed(self, namespace: str, name: str, obj: Object | None) -> None:
        self._look(ADDRESSES, "", name)
        for each in self._view.list(*SERVICES) if obj is None else ():
            if name in ((each.get("spec") or {}).get("clusterIPs") or ()):
                self._look(SERVICES, each["metadata"]["namespace"], each["metadata"]["name"])

    async def _check(self, row: tuple[str, str], namespace: str, name: str) -> None:
        found = self._view.get(*row, namespace, name)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return
        if row == SERVICES:
            for fault in service_faults(found, self._seen):
                await self._repair(fault)
            return
        fault_or_wait = address_fault(found, self._seen, self._now_s())
        if isinstance(fault_or_wait, Fault):
            await self._repair(fault_or_wait)
        elif fault_or_wait is not None:
            asyncio.get_running_loop().call_later(fault_or_wait, self._look, row, namespace, name)

    async def _repair(self, fault: Fault) -> None:
        if fault.reason:
            log.warning("%s", fault.note)
            await self._writer.create(_event(fault, self._now_s()))
        if fault.deletes:
            try:
                await self._writer.delete(*ADDRESSES, "", fault.name)
            except ApiError as error:
                if error.code != 404:
                    raise
        if fault.makes is not None:
            await self._writer.create(fault.makes)


def _event(fault: Fault, now_s: float) -> Object:
    about: Mapping[str, Any] = fault.about
    metadata = about["metadata"]
    namespace = metadata.get("namespace") or "default"
    regarding = {
        "apiVersion": about["apiVersion"], "kind": about["kind"], "name": metadata["name"], "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        **({"namespace": metadata["namespace"]} if metadata.get("namespace") else {}),
    }  # fmt: skip
    return {
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{secrets.token_hex(8)}", "namespace": namespace},
        "eventTime": datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": REPORTER, "reportingInstance": f"{REPORTER}-{socket.gethostname()}",
        "type": "Warning", "reason": fault.reason, "action": fault.action, "note": fault.note, "regarding": regarding,
    }  # fmt: skip
