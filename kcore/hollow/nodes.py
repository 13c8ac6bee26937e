"""The nodes that are simulated, their addresses and the addresses of the pods on them.

Source: kwok pkg/kwok/controllers/pod_controller.go (funcPodIPsWith and the like), node_controller.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from kcore.api.labels import parse
from kcore.api.selectors import Selector
from kcore.hollow.addresses import AddressRange
from kcore.hollow.readiness import is_ready

Object = dict[str, Any]


class Managed(NamedTuple):
    """Which nodes are simulated: all, one by name, or by a selector of labels or annotations."""

    every: bool = True
    name: str = ""
    labels: Selector | None = None
    annotations: Selector | None = None

    def has(self, node: Object) -> bool:
        """Whether the node is one of them."""
        metadata = node.get("metadata") or {}
        if self.name:
            return bool(metadata.get("name") == self.name)
        if self.labels is not None:
            return bool(self.labels.matches(metadata.get("labels") or {}))
        if self.annotations is not None:
            return bool(self.annotations.matches(metadata.get("annotations") or {}))
        return self.every


EVERY: Final = Managed()


def managed_by(name: str = "", labels: str = "", annotations: str = "") -> Managed:
    """The nodes that the flags name, all of them by default; ValueError where a selector is none."""
    return Managed(
        not (name or labels or annotations), name,
        parse(labels) if labels else None, parse(annotations) if annotations else None,
    )  # fmt: skip


class Node(NamedTuple):
    """What pods ask of their node."""

    uid: str
    ips: tuple[str, ...]
    ranges: tuple[AddressRange, ...]
    is_ready: bool


class Nodes:
    """The simulated nodes by name; a ``World`` for the templates of ``functions``."""

    def __init__(self, managed: Managed, node_ip: str, port: Callable[[], int], cidr: str) -> None:
        self.version = version("kcore")
        self._managed = managed
        self._node_ip = node_ip
        self._port = port
        self._ranges: dict[str, AddressRange] = {}
        self._default = self._range(cidr)
        self._nodes: dict[str, Node | None] = {}  # None: there, and not simulated

    def _range(self, cidr: str) -> AddressRange:
        found = self._ranges.get(cidr)
        if found is None:
            found = self._ranges[cidr] = AddressRange(cidr)
        return found

    def __len__(self) -> int:
        return sum(node is not None for node in self._nodes.values())

    def put(self, obj: Object) -> bool:
        """The node is as it is now; returns whether it is simulated."""
        name = obj["metadata"]["name"]
        if not self._managed.has(obj):
            self._nodes[name] = None
            return False
        spec = obj.get("spec") or {}
        cidrs = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
        ranges = tuple(map(self._range, cidrs)) or (self._default,)
        addresses = (obj.get("status") or {}).get("addresses") or ()
        ips = tuple(each["address"] for each in addresses if each.get("type") == "InternalIP")
        self._nodes[name] = Node(
            obj["metadata"].get("uid", ""), ips or (self._node_ip,), ranges, is_ready(obj)
        )
        return True

    def drop(self, name: str) -> None:
        """The node is gone."""
        self._nodes.pop(name, None)

    def knows(self, name: str) -> bool:
        """Whether the node is there, simulated or not."""
        return name in self._nodes

    def get(self, name: str) -> Node | None:
        """The node, None where it is not simulated."""
        return self._nodes.get(name)

    def names(self) -> list[str]:
        """Of the simulated nodes."""
        return [name for name, node in self._nodes.items() if node is not None]

    def all_names(self) -> list[str]:
        """Of all nodes, simulated or not."""
        return list(self._nodes)

    def release_all(self) -> None:
        """No address is in use."""
        for each in self._ranges.values():
            each.clear()

    def mark(self, pod: Object) -> None:
        """The addresses that the pod has are in use."""
        self._each_address(pod, AddressRange.use)

    def release(self, pod: Object) -> None:
        """The addresses that the pod had may be given again."""
        self._each_address(pod, AddressRange.put)

    def _each_address(self, pod: Object, does: Callable[[AddressRange, str], bool]) -> None:
        spec = pod.get("spec") or {}
        node = self._nodes.get(spec.get("nodeName", ""))
        if node is None or spec.get("hostNetwork"):
            return
        for address, within in zip(addresses_of(pod), node.ranges, strict=False):
            does(within, address)

    # -- what templates ask

    def node_ips(self, node: str) -> Sequence[str]:
        """Of the node, else the address that all have."""
        found = self._nodes.get(node)
        return found.ips if found is not None else (self._node_ip,)

    def pod_ips(self, node: str, host_network: bool, uid: str, name: str, namespace: str) -> Sequence[str]:
        """New addresses, one of each range of the node, or the node's own; NoAddressLeft where a range is used up."""
        found = self._nodes.get(node)
        if host_network or found is None:
            return self.node_ips(node)
        return [each.get() for each in found.ranges]

    def node_port(self) -> int:
        """Where the kubelet of every node answers; 0 where none does."""
        return self._port()


def addresses_of(pod: Mapping[str, Any]) -> list[str]:
    """The pod's own addresses as its status has them."""
    status = pod.get("status") or {}
    several = [each["ip"] for each in status.get("podIPs") or () if each.get("ip")]
    return several or ([status["podIP"]] if status.get("podIP") else [])
