"""Ranges of cluster IPs are ready, and not gone before no address of theirs is left that no other range holds.

Source: pkg/controller/servicecidrs, pkg/util/iptree of Kubernetes 1.36.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Generator, Iterable, Sequence
from typing import ClassVar, Final

from kcore.controllers.contract import (
    Action,
    Controller,
    Failed,
    Key,
    Object,
    Outcome,
    Patch,
    Steps,
    Tell,
    View,
    Watched,
    done,
)
from kcore.controllers.times import ms_of, text_of

RANGES: Final = "servicecidrs.networking.k8s.io"
ADDRESSES: Final = "ipaddresses.networking.k8s.io"
FINALIZER: Final = "networking.k8s.io/service-cidr-finalizer"
MANAGED_BY: Final = ("ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io")
GRACE_MS: Final = 10_000  # before a range is let go: every allocator has heard by then that it is
KEPT: Final = (
    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
)

Writing = Generator[Sequence[Action], list[Outcome], None]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ServiceCidr(Controller):
    """``service-cidr-controller``."""

    name: ClassVar = "service-cidr-controller"
    component: ClassVar = "service-cidr-controller"
    workers: ClassVar[int] = 5

    def __init__(self, grace_ms: int = GRACE_MS) -> None:
        self._grace_ms = grace_ms

    @property
    def watches(self) -> Sequence[Watched]:
        """Ranges, and addresses that were taken from them."""
        return (Watched(RANGES, self._of_range), Watched(ADDRESSES, self._of_address))

    def _of_range(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        obj = new if new is not None else old
        assert obj is not None
        yield Key("", obj["metadata"]["name"])
        if new is not None and old is not None:
            return
        mine = networks_of(obj)
        for each in view.list(RANGES):  # one that comes or goes may free another, or hold it
            if any(_overlap(one, other) for one in mine for other in networks_of(each)):
                yield Key("", each["metadata"]["name"])

    def _of_address(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is not None and old is not None:
            return
        obj = new if new is not None else old
        assert obj is not None
        address = _address(obj)
        if address is not None:
            for each in view.list(RANGES):
                if "deletionTimestamp" in each["metadata"] and _holds(each, address):
                    yield Key("", each["metadata"]["name"])

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """It has the finalizer and is ready; one that is being deleted is gone, or says what keeps it."""
        found = view.get(RANGES, "", key.name)
        if found is None:
            return None
        metadata = found["metadata"]
        if "deletionTimestamp" in metadata:
            return (yield from self._released(found, view, now_ms))
        if FINALIZER not in (metadata.get("finalizers") or ()):
            body = {"metadata": {"finalizers": [FINALIZER]}}
            done((yield [Patch(RANGES, "", key.name, body, "strategic")]))
        try:
            yield from _said(found, "True", "", "Kubernetes Service CIDR is ready", now_ms)
        except Failed:
            text = "The ServiceCIDR Status can not be set to Ready=True"
            yield [Tell(found, "Warning", "KubernetesServiceCIDRError", text)]
            raise
        return None

    def _released(self, found: Object, view: View, now_ms: int) -> Steps:
        if not is_free(found, view):
            yield from _said(found, "False", "Terminating", KEPT, now_ms)
            return None
        left_ms = (ms_of(found["metadata"]["deletionTimestamp"]) or 0) + self._grace_ms - now_ms
        if left_ms > 0:
            return left_ms
        if FINALIZER in (found["metadata"].get("finalizers") or ()):
            body = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
            done((yield [Patch(RANGES, "", found["metadata"]["name"], body, "strategic")]))
        return None


def is_free(found: Object, view: View) -> bool:
    """No address would be left without a range if this one went. Source: canDeleteCIDR."""
    others = [
        network
        for each in view.list(RANGES)
        if each["metadata"]["name"] != found["metadata"]["name"]
        for network in networks_of(each)
    ]
    mine = networks_of(found)
    if all(any(_contains(other, one) for other in others) for one in mine):
        return True
    for each in view.list(ADDRESSES):
        address = _address(each)
        if address is None or not any(_has(network, address) for network in mine):
            continue
        if not any(_has(network, address) for network in others):
            return False
    return True


def networks_of(found: Object) -> list[Network]:
    """The ranges of a ServiceCIDR."""
    return [ipaddress.ip_network(text) for text in (found.get("spec") or {}).get("cidrs") or ()]


def _address(found: Object) -> Address | None:
    """The address that a server allocated; None for one that somebody else keeps."""
    label, owner = MANAGED_BY
    if (found["metadata"].get("labels") or {}).get(label) != owner:
        return None
    return ipaddress.ip_address(found["metadata"]["name"])


def _has(network: Network, address: Address) -> bool:
    return network.version == address.version and address in network


def _holds(found: Object, address: Address) -> bool:
    return any(_has(network, address) for network in networks_of(found))


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _contains(outer: Network, inner: Network) -> bool:
    return _overlap(outer, inner) and outer.prefixlen <= inner.prefixlen


def _said(found: Object, status: str, reason: str, message: str, now_ms: int) -> Writing:
    """The condition Ready says so. Source: updateConditionIfNeeded."""
    for each in (found.get("status") or {}).get("conditions") or ():
        if each["type"] == "Ready" and (status, reason, message) == (
            each["status"], each.get("reason", ""), each.get("message", ""),
        ):  # fmt: skip
            return
    condition = {
        "type": "Ready", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": text_of(now_ms),
    }  # fmt: skip
    body = {
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": found["metadata"]["name"]}, "status": {"conditions": [condition]},
    }  # fmt: skip
    name = found["metadata"]["name"]
    outcomes = yield [Patch(RANGES, "", name, body, "apply", "status", "service-cidr-controller", True)]
    done(outcomes)
