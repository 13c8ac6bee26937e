"""metrics.k8s.io in a cluster of simulated nodes: what they say their pods use, as metrics-server would tell it.

Source: metrics-server pkg/api/{node,pod}.go, whose texts and order these are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kcore.api.resources import metrics
from kcore.api.rows import Row
from kcore.api.status import not_found
from kcore.apiserver.list_options import ListOptions
from kcore.apiserver.local_groups import LocalGroup
from kcore.apiserver.registry.computed import Source, selected
from kcore.client.calls import Object
from kcore.client.informer import Informer, SharedInformers
from kcore.controllers.node_lifecycle import by_node
from kcore.controllers.view import NAMESPACE, by_namespace
from kcore.hollow.kubelet.resource_metrics import node_metrics, pod_metrics
from kcore.hollow.kubelet.usage import Usages

NODE: Final = "node"
READER: Final = "system:aggregated-metrics-reader"
Now = Callable[[], int]  # milliseconds since 1970


def resource_metrics(informers: SharedInformers, usages: Usages, now_ms: Now) -> LocalGroup:
    """The group, over nodes and pods as the informers see them."""
    nodes = informers.informer("nodes")
    pods = informers.informer("pods", indexers={NODE: by_node, NAMESPACE: by_namespace})
    sources: dict[Row, Source] = {
        metrics.NODES: NodeMetrics(nodes, pods, usages, now_ms),
        metrics.PODS: PodMetrics(pods, usages, now_ms),
    }
    return LocalGroup(metrics.GROUP, metrics.VERSION, sources, READER)


class NodeMetrics:
    """The source of NodeMetrics."""

    def __init__(self, nodes: Informer, pods: Informer, usages: Usages, now_ms: Now) -> None:
        self._nodes = nodes
        self._pods = pods
        self._usages = usages
        self._now_ms = now_ms

    async def get(self, namespace: str, name: str) -> Object:
        """What that node uses."""
        node = self._nodes.get(name)
        if node is None:
            raise not_found("", "nodes", name)
        (found,) = node_metrics([node], self._pods.by_index(NODE, name), self._usages, self._now_ms())
        return found

    async def list(self, namespace: str, options: ListOptions) -> list[Object]:
        """What the nodes use, by name."""
        nodes = [node for node in self._nodes.list() if selected(node["metadata"], options)]
        nodes.sort(key=lambda node: node["metadata"]["name"])
        if options.selects_all:
            pods: Sequence[Object] = self._pods.list()
        else:
            pods = [pod for node in nodes for pod in self._pods.by_index(NODE, node["metadata"]["name"])]
        return node_metrics(nodes, pods, self._usages, self._now_ms())


class PodMetrics:
    """The source of PodMetrics."""

    def __init__(self, pods: Informer, usages: Usages, now_ms: Now) -> None:
        self._pods = pods
        self._usages = usages
        self._now_ms = now_ms

    async def get(self, namespace: str, name: str) -> Object:
        """What that pod uses; 404 too where it does not run."""
        pod = self._pods.get(f"{namespace}/{name}")
        if pod is None:
            raise not_found("", "pods", name)
        found = pod_metrics([pod], self._usages, self._now_ms())
        if not found:
            raise not_found(metrics.GROUP, "podmetrics", f"{namespace}/{name}")
        return found[0]

    async def list(self, namespace: str, options: ListOptions) -> list[Object]:
        """What the pods that run use, by namespace and name."""
        pods = self._pods.by_index(NAMESPACE, namespace) if namespace else self._pods.list()
        chosen = [pod for pod in pods if selected(pod["metadata"], options)]
        chosen.sort(key=lambda pod: (pod["metadata"]["namespace"], pod["metadata"]["name"]))
        return pod_metrics(chosen, self._usages, self._now_ms())
