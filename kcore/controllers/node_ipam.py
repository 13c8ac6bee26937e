"""Every node has its range of pod addresses from the cluster's.

Source: pkg/controller/nodeipam/ipam/range_allocator.go, cidrset/cidr_set.go of Kubernetes 1.36.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from kcore.api.errors import InputError
from kcore.api.status import ApiError
from kcore.controllers.contract import Controller, Failed, Key, Object, Patch, Steps, Tell, View, Watched

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MASK_BITS: Final = {4: 24, 6: 64}  # --node-cidr-mask-size-ipv4, -ipv6
V6_DIFFERENCE_BITS_MAX: Final = 16  # more ranges than that are kept of no cluster
TRIES_MAX: Final = 3
EXHAUSTED: Final = (
    "CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range"
)


class Ranges:
    """A cluster's range in equal parts, and which are taken. Invariant: every member of ``used`` is below ``count``."""

    def __init__(self, cluster: str, node_bits: int) -> None:
        try:
            self.cluster: Any = ipaddress.ip_network(cluster, strict=False)
        except ValueError as error:
            raise InputError(
                f"{cluster!r} is no range of addresses", field="--cluster-cidr", expected="10.244.0.0/16"
            ) from error
        difference = node_bits - self.cluster.prefixlen
        if difference < 0 or node_bits > self.cluster.max_prefixlen:
            raise InputError(
                "Invalid --cluster-cidr, mask size of cluster CIDR must be less than or equal to "
                "--node-cidr-mask-size configured for CIDR family",
                field="--node-cidr-mask-size", expected=f"at least {self.cluster.prefixlen}",
            )  # fmt: skip
        if self.cluster.version == 6 and difference > V6_DIFFERENCE_BITS_MAX:
            raise InputError(
                "New CIDR set failed; the node CIDR size is too big", field="--node-cidr-mask-size-ipv6",
                expected=f"at most {self.cluster.prefixlen + V6_DIFFERENCE_BITS_MAX}",
            )  # fmt: skip
        self.count = 1 << difference
        self.used: set[int] = set()
        self._node_bits = node_bits
        self._step = 1 << (self.cluster.max_prefixlen - node_bits)
        self._next = 0

    def take(self) -> Network | None:
        """The next range that is free; None where all are taken."""
        if len(self.used) == self.count:
            return None
        index = self._next
        while index in self.used:
            index = (index + 1) % self.count
        self._next = (index + 1) % self.count
        self.used.add(index)
        first = int(self.cluster.network_address) + index * self._step
        network: Network = type(self.cluster)((first, self._node_bits))
        return network

    def occupy(self, network: Network) -> bool:
        """All that the range touches is taken; False where it lies outside."""
        touched = self._touched(network)
        self.used.update(touched)
        return bool(touched)

    def release(self, network: Network) -> None:
        """All that the range touches is free."""
        self.used.difference_update(self._touched(network))

    def _touched(self, network: Network) -> range:
        if network.version != self.cluster.version or not network.overlaps(self.cluster):
            return range(0)
        if network.prefixlen <= self.cluster.prefixlen:
            return range(self.count)
        base = int(self.cluster.network_address)
        first = (int(network.network_address) - base) // self._step
        last = (int(network.broadcast_address) - base) // self._step
        return range(first, last + 1)


class NodeIpam(Controller):
    """``node-ipam-controller``. ``clusters`` are ``--cluster-cidr``, ``services`` the ranges that no node may have."""

    name: ClassVar = "node-ipam-controller"
    aliases: ClassVar = ("nodeipam",)
    component: ClassVar = "cidrAllocator"
    workers: ClassVar[int] = 30

    def __init__(
        self, clusters: Sequence[str], services: Sequence[str] = (), mask_bits: Sequence[int] = ()
    ) -> None:
        versions = [6 if ":" in each else 4 for each in clusters]
        bits = mask_bits or [MASK_BITS[version] for version in versions]
        self._ranges = [Ranges(cluster, each) for cluster, each in zip(clusters, bits, strict=True)]
        for service in services:
            network = ipaddress.ip_network(service, strict=False)
            for ranges in self._ranges:
                ranges.occupy(network)

    @property
    def watches(self) -> Sequence[Watched]:
        """Nodes. What they have is taken before anything is given."""
        return (Watched("nodes", self._keys),)

    def _keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        had = _networks(old)
        if new is None:
            for ranges, network in zip(self._ranges, had, strict=False):
                ranges.release(network)
            return
        has = _networks(new)
        for ranges, network in zip(self._ranges, has, strict=False):
            ranges.occupy(network)
        if not has and (old is None or had):
            yield Key("", new["metadata"]["name"])

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The node has one range of each of the cluster's."""
        node = view.get("nodes", "", key.name)
        if node is None or "deletionTimestamp" in node["metadata"] or node["spec"].get("podCIDRs"):
            return None
        taken: list[Network] = []
        for index, ranges in enumerate(self._ranges):
            network = ranges.take()
            if network is None:
                self._give_back(taken)
                yield [_told(node, "CIDRNotAvailable")]
                raise Failed(f"failed to allocate cidr from cluster cidr at idx:{index}: {EXHAUSTED}")
            taken.append(network)
        texts = [str(network) for network in taken]
        patch = Patch("nodes", "", key.name, {"spec": {"podCIDR": texts[0], "podCIDRs": texts}}, "strategic")
        failure: ApiError | None = None
        for _ in range(TRIES_MAX):
            (outcome,) = yield [patch]
            if not isinstance(outcome, ApiError):
                return None
            failure = outcome
        assert failure is not None
        yield [_told(node, "CIDRAssignmentFailed")]
        if failure.code != 504:  # after a time-out nobody knows whether it was written
            self._give_back(taken)
        raise Failed(str(failure)) from failure

    def _give_back(self, taken: Sequence[Network]) -> None:
        for ranges, network in zip(self._ranges, taken, strict=False):
            ranges.release(network)


def _networks(node: Object | None) -> list[Network]:
    """The ranges that the node has."""
    if node is None:
        return []
    try:
        return [ipaddress.ip_network(each, strict=False) for each in node["spec"].get("podCIDRs") or ()]
    except ValueError:
        return []


def _told(node: Object, status: str) -> Tell:
    """An event of the node's new status (RecordNodeStatusChange)."""
    name = node["metadata"]["name"]
    return Tell(node, "Normal", status, f"Node {name} status is now: {status}")
