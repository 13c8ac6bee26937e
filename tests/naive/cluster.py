"""What the scheduler knows of nodes and pods. Source: pkg/scheduler/framework/types.go, kube-scheduler types.go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from kcore.api.objects import (
    ContainerPort,
    Node,
    Pod,
    PodAffinityTerm,
    Quantity,
    WeightedPodAffinityTerm,
)
from tests.naive.quantity import ResourceList, milli, parse_resources, whole
from tests.naive.requests import (
    NON_ZERO_DEFAULTS,
    has_pod_level_requests,
    host_ports,
    is_scalar,
    pod_requests,
)
from tests.naive.selectors import InvalidSelectorError, Labels, Selector, selector_of


def priority(pod: Pod) -> int:
    """The pod's priority; 0 when it has none."""
    return pod.spec.priority or 0


def pod_name(pod: Pod) -> str:
    """``namespace/name``."""
    return f"{pod.metadata.namespace}/{pod.metadata.name}"


def pod_key(pod: Pod) -> str:
    """What identifies the pod: its UID, or namespace/name where it has none."""
    return pod.metadata.uid or pod_name(pod)


@dataclass
class Resource:
    """Amounts as the scheduler counts them: milli-cpu, bytes, pods, and whole units of scalar resources."""

    milli_cpu: int = 0
    memory: int = 0
    ephemeral_storage: int = 0
    allowed_pods: int = 0
    scalars: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Resource:
        """An independent copy."""
        return replace(self, scalars=dict(self.scalars))


def resource_of(resources: ResourceList) -> Resource:
    """Each quantity rounded up on its own; resources that are not scalar are dropped."""
    result = Resource()
    for name, quantity in resources.items():
        match name:
            case "cpu":
                result.milli_cpu = milli(quantity)
            case "memory":
                result.memory = whole(quantity)
            case "ephemeral-storage":
                result.ephemeral_storage = whole(quantity)
            case "pods":
                result.allowed_pods = whole(quantity)
            case _ if is_scalar(name):
                result.scalars[name] = whole(quantity)
    return result


def allocatable_of(resources: Mapping[str, Quantity] | None) -> Resource:
    """A node's status.allocatable as a Resource."""
    return resource_of(parse_resources(resources))


@dataclass
class AffinityTerm:
    """A parsed pod-(anti-)affinity term; ``weight`` is 0 for required terms."""

    namespaces: set[str]
    selector: Selector
    topology_key: str
    namespace_selector: Selector
    weight: int = 0

    def matches(self, pod: Pod, namespace_labels: Labels) -> bool:
        """Whether the term selects the pod, whose namespace has these labels (None: pretend it has none)."""
        if pod.metadata.namespace in self.namespaces or self.namespace_selector.matches(namespace_labels):
            return self.selector.matches(pod.metadata.labels)
        return False


def _affinity_term(pod: Pod, term: PodAffinityTerm, weight: int = 0) -> AffinityTerm:
    namespaces = set(term.namespaces or ())
    if not namespaces and term.namespace_selector is None:
        namespaces = {pod.metadata.namespace}
    return AffinityTerm(
        namespaces,
        selector_of(term.label_selector),
        term.topology_key,
        selector_of(term.namespace_selector),
        weight,
    )


class PodInfo:
    """A pod with its parsed affinity terms and what it counts for on a node.

    A group of terms of which one does not parse is dropped as a whole; ``parse_error`` then says why.
    """

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.key = pod_key(pod)
        self.parse_error: str | None = None
        affinity = pod.spec.affinity
        attraction = affinity.pod_affinity if affinity else None
        repulsion = affinity.pod_anti_affinity if affinity else None
        self.required_affinity = self._required(attraction.required if attraction else None)
        self.required_anti_affinity = self._required(repulsion.required if repulsion else None)
        self.preferred_affinity = self._preferred(attraction.preferred if attraction else None)
        self.preferred_anti_affinity = self._preferred(repulsion.preferred if repulsion else None)
        self.has_affinity = attraction is not None or repulsion is not None
        self.has_required_anti_affinity = bool(repulsion and repulsion.required)
        self._requested: tuple[Resource, Resource] | None = None

    def _required(self, terms: list[PodAffinityTerm] | None) -> list[AffinityTerm]:
        try:
            return [_affinity_term(self.pod, term) for term in terms or ()]
        except InvalidSelectorError as error:
            self.parse_error = self.parse_error or str(error)
            return []

    def _preferred(self, terms: list[WeightedPodAffinityTerm] | None) -> list[AffinityTerm]:
        try:
            return [_affinity_term(self.pod, term.pod_affinity_term, term.weight) for term in terms or ()]
        except InvalidSelectorError as error:
            self.parse_error = self.parse_error or str(error)
            return []

    def requested(self) -> tuple[Resource, Resource]:
        """What the pod takes on a node: as asked, and with cpu and memory defaults where it asks for nothing.

        Of the second only cpu and memory count. With pod-level requests a default applies only if the resource
        is mentioned nowhere: not by a container, not at pod level, not as overhead.
        """
        if self._requested is None:
            requests = pod_requests(self.pod, use_status=True)
            defaults: dict[str, Fraction] = dict(NON_ZERO_DEFAULTS)
            if has_pod_level_requests(self.pod):
                defaults = {name: value for name, value in defaults.items() if name not in requests}
            non_zero = pod_requests(self.pod, use_status=True, defaults=defaults)
            self._requested = (resource_of(requests), resource_of(non_zero))
        return self._requested


WILDCARD_IP = "0.0.0.0"


class HostPorts:
    """The host ports in use on a node: a set, so two users of one port count once (and leave once), as upstream."""

    def __init__(self) -> None:
        self._used: set[tuple[str, str, int]] = set()

    def copy(self) -> HostPorts:
        """An independent copy."""
        result = HostPorts()
        result._used = set(self._used)
        return result

    @staticmethod
    def _entry(port: ContainerPort) -> tuple[str, str, int]:
        return (port.host_ip or WILDCARD_IP, port.protocol or "TCP", port.host_port)

    def add(self, port: ContainerPort) -> None:
        """The port is in use."""
        self._used.add(self._entry(port))

    def remove(self, port: ContainerPort) -> None:
        """The port is free, even if another pod uses it too."""
        self._used.discard(self._entry(port))

    def conflicts(self, port: ContainerPort) -> bool:
        """Whether the port is taken, on the same address or through the wildcard address on either side."""
        ip, protocol, number = self._entry(port)
        return any(
            (protocol, number) == (used_protocol, used_number)
            and (ip == WILDCARD_IP or used_ip in (WILDCARD_IP, ip))
            for used_ip, used_protocol, used_number in self._used
        )


class NodeInfo:
    """A node, its pods, and running totals. Totals change with each add and remove; they are never recomputed."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.allocatable = allocatable_of(node.status.allocatable)
        self.pods: list[PodInfo] = []
        self.requested = Resource()
        self.non_zero_requested = Resource()
        self.used_ports = HostPorts()

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.metadata.name

    @property
    def labels(self) -> Mapping[str, str]:
        """The node's labels, never None."""
        return self.node.metadata.labels or {}

    def set_node(self, node: Node) -> None:
        """The node object is replaced; pods and totals stay."""
        self.node = node
        self.allocatable = allocatable_of(node.status.allocatable)

    def snapshot(self) -> NodeInfo:
        """A copy to try things on; the pods themselves are shared."""
        result = NodeInfo.__new__(NodeInfo)
        result.node = self.node
        result.allocatable = self.allocatable
        result.pods = list(self.pods)
        result.requested = self.requested.copy()
        result.non_zero_requested = self.non_zero_requested.copy()
        result.used_ports = self.used_ports.copy()
        return result

    def add(self, pod_info: PodInfo) -> None:
        """The pod counts on this node."""
        self.pods.append(pod_info)
        self._count(pod_info, 1)
        for port in host_ports(pod_info.pod):
            self.used_ports.add(port)

    def remove(self, key: str) -> PodInfo:
        """The pod with that key no longer counts; returns it. KeyError if it is not here."""
        for pod_info in self.pods:
            if pod_info.key == key:
                break
        else:
            raise KeyError(key)
        self.pods.remove(pod_info)
        self._count(pod_info, -1)
        for port in host_ports(pod_info.pod):
            self.used_ports.remove(port)
        return pod_info

    def _count(self, pod_info: PodInfo, sign: int) -> None:
        requested, non_zero = pod_info.requested()
        self.requested.milli_cpu += sign * requested.milli_cpu
        self.requested.memory += sign * requested.memory
        self.requested.ephemeral_storage += sign * requested.ephemeral_storage
        for name, amount in requested.scalars.items():
            self.requested.scalars[name] = self.requested.scalars.get(name, 0) + sign * amount
        self.non_zero_requested.milli_cpu += sign * non_zero.milli_cpu
        self.non_zero_requested.memory += sign * non_zero.memory
