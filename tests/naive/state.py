"""The cluster as the scheduler's cache holds it. Source: backend/cache/cache.go, backend/queue/nominator.go."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from kcore.api.objects import (
    Namespace,
    Node,
    Pod,
    PodDisruptionBudget,
    ReplicaSet,
    ReplicationController,
    Service,
    StatefulSet,
)
from tests.naive.cluster import NodeInfo, PodInfo, pod_key
from tests.naive.selectors import Labels
from tests.naive.storage import Storage

TERMINAL_PHASES = ("Succeeded", "Failed")


class ClusterState:
    """Nodes in the order in which they were added, with their pods, and everything the plugins look up.

    Pods bound to a node that is not here are kept aside until it comes. Pods that have ended are ignored.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, NodeInfo] = {}
        self.orphans: dict[str, list[PodInfo]] = {}  # node name -> pods bound to a node that is not here
        self.namespaces: dict[str, Namespace] = {}
        self.services: list[Service] = []
        self.replication_controllers: list[ReplicationController] = []
        self.replica_sets: list[ReplicaSet] = []
        self.stateful_sets: list[StatefulSet] = []
        self.pdbs: list[PodDisruptionBudget] = []
        self.storage = Storage()
        # pod key -> (node name, pod), in order of nomination
        self.nominated: dict[str, tuple[str, PodInfo]] = {}
        self.image_sizes: dict[str, int] = {}  # image name -> size on the first node that had it
        self.image_nodes: dict[str, set[str]] = {}  # image name -> names of the nodes that have it

    # Nodes

    def add_node(self, node: Node) -> None:
        """The node can be chosen; pods bound to it earlier count."""
        node_info = NodeInfo(node)
        self.nodes[node_info.name] = node_info
        for pod_info in self.orphans.pop(node_info.name, ()):
            node_info.add(pod_info)
        self._add_images(node)

    def update_node(self, node: Node) -> None:
        """The node object is replaced; its pods stay."""
        node_info = self.nodes[node.metadata.name]
        self._remove_images(node_info.node)
        node_info.set_node(node)
        self._add_images(node)

    def remove_node(self, name: str) -> None:
        """The node is gone; its pods wait for it to come back."""
        node_info = self.nodes.pop(name)
        self._remove_images(node_info.node)
        if node_info.pods:
            self.orphans[name] = node_info.pods

    def _add_images(self, node: Node) -> None:
        for image in node.status.images or ():
            for name in image.names or ():
                self.image_sizes.setdefault(name, image.size_bytes)
                self.image_nodes.setdefault(name, set()).add(node.metadata.name)

    def _remove_images(self, node: Node) -> None:
        for image in node.status.images or ():
            for name in image.names or ():
                holders = self.image_nodes.get(name, set())
                holders.discard(node.metadata.name)
                if not holders:
                    self.image_nodes.pop(name, None)
                    self.image_sizes.pop(name, None)

    # Pods

    def add_bound(self, pod: Pod) -> None:
        """The pod counts on the node that its spec names, unless it has ended."""
        if pod.status.phase in TERMINAL_PHASES:
            return
        pod_info = PodInfo(pod)
        node_info = self.nodes.get(pod.spec.node_name)
        if node_info is None:
            self.orphans.setdefault(pod.spec.node_name, []).append(pod_info)
        else:
            node_info.add(pod_info)

    def remove_bound(self, pod: Pod) -> None:
        """The pod counts nowhere; KeyError if it did not count before."""
        key = pod_key(pod)
        for node_info in self.nodes.values():
            if any(pod_info.key == key for pod_info in node_info.pods):
                node_info.remove(key)
                return
        for orphans in self.orphans.values():
            for pod_info in orphans:
                if pod_info.key == key:
                    orphans.remove(pod_info)
                    return
        raise KeyError(key)

    def bind(self, pod: Pod, node_name: str, start_time: str | None = None) -> Pod:
        """The pod runs on the node from now on and is no longer nominated; returns it as it is now."""
        status = replace(pod.status, start_time=start_time) if start_time else pod.status
        bound = replace(pod, spec=replace(pod.spec, node_name=node_name), status=status)
        self.nominate(pod, "")
        self.add_bound(bound)
        return bound

    def nominate(self, pod: Pod, node_name: str) -> None:
        """The pod is nominated to run on the node, or nowhere for an empty name."""
        self.nominated.pop(pod_key(pod), None)
        if node_name:
            self.nominated[pod_key(pod)] = (node_name, PodInfo(pod))

    def nominated_to(self, node_name: str) -> list[PodInfo]:
        """The pods nominated to run on the node, first nominated first."""
        return [pod_info for name, pod_info in self.nominated.values() if name == node_name]

    # Look-ups

    def namespace_labels(self, name: str) -> Labels:
        """The namespace's labels; None if it is unknown."""
        namespace = self.namespaces.get(name)
        return None if namespace is None else namespace.metadata.labels or {}

    def set_namespaces(self, namespaces: Iterable[Namespace]) -> None:
        """These are all the namespaces there are."""
        self.namespaces = {namespace.metadata.name: namespace for namespace in namespaces}
