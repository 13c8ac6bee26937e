"""Usage as metrics-server's API (metrics.k8s.io/v1beta1) tells it, and as a kubelet's /metrics/resource does.

An API server that aggregates sends ``/apis/metrics.k8s.io`` here by an APIService; a scraper asks
``/metrics/nodes/NODE/metrics/resource``, Kwok's path, since all nodes have one port.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from kcore.api.labels import parse
from kcore.api.status import ApiError
from kcore.hollow.kubelet.usage import RESOURCES, Usages
from kcore.hollow.times import time_text
from kcore.http.message import Response

GROUP: Final = "metrics.k8s.io"
API_VERSION: Final = f"{GROUP}/v1beta1"
WINDOW: Final = "15s"
NANO: Final = 1_000_000_000
MILLION: Final = 1_000_000
KIB: Final = 1024
Object = dict[str, Any]
ListAll = Callable[[str, str], Awaitable[Sequence[Object]]]  # of a resource and namespace ('' all)

_VERSION: Final = {"groupVersion": API_VERSION, "version": "v1beta1"}
_RESOURCES: Final[Sequence[Object]] = tuple(
    {"name": name, "singularName": "", "namespaced": spaced, "kind": kind, "verbs": ["get", "list"]}
    for name, spaced, kind in (("nodes", False, "NodeMetrics"), ("pods", True, "PodMetrics"))
)


class ResourceMetrics:
    """What nodes and pods use, summed up when it is asked for. ``list_all`` lists nodes and pods."""

    def __init__(self, list_all: ListAll, usages: Usages) -> None:
        self._list_all = list_all
        self._usages = usages

    async def answer(self, parts: Sequence[str], query: str) -> Response | None:
        """The answer for that path, None where it is none of these."""
        parts = [part for part in parts if part]
        if parts[:1] == ["apis"] and parts[1:2] in ([], [GROUP]):
            return _json(await self._api(parts[2:], query, bool(parts[1:])))
        if len(parts) == 5 and parts[:2] == ["metrics", "nodes"] and parts[3:] == ["metrics", "resource"]:
            return Response(
                200, [(b"content-type", b"text/plain; version=0.0.4")], await self._scraped(parts[2])
            )
        return None

    async def _api(self, parts: Sequence[str], query: str, has_group: bool) -> Object:
        group = {"name": GROUP, "versions": [_VERSION], "preferredVersion": _VERSION}
        if not has_group:
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]}
        if not parts:
            return {"kind": "APIGroup", "apiVersion": "v1", **group}
        if parts[0] != "v1beta1":
            raise ApiError(404, "NotFound", "the server could not find the requested resource", None)
        rest = parts[1:]
        if not rest:
            found = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API_VERSION}
            return {**found, "resources": list(_RESOURCES)}
        selector = parse(parse_qs(query).get("labelSelector", [""])[0])
        if rest[0] == "nodes" and len(rest) <= 2:
            return _answered("Node", await self._nodes(), rest[1:], selector)
        if rest == ["pods"]:
            return _answered("Pod", await self._pods(""), [], selector)
        if rest[0] == "namespaces" and rest[2:3] == ["pods"] and len(rest) <= 4:
            return _answered("Pod", await self._pods(rest[1]), rest[3:], selector)
        raise ApiError(404, "NotFound", "the server could not find the requested resource", None)

    async def _pods(self, namespace: str) -> list[Object]:
        pods = await self._list_all("pods", namespace)
        return pod_metrics(pods, self._usages, time.time_ns() // MILLION)

    async def _nodes(self) -> list[Object]:
        nodes, pods = await self._list_all("nodes", ""), await self._list_all("pods", "")
        return node_metrics(nodes, pods, self._usages, time.time_ns() // MILLION)

    async def _scraped(self, node: str) -> bytes:
        every = await self._list_all("pods", "")
        pods = [pod for pod in every if runs(pod) and pod["spec"].get("nodeName") == node]
        rows: list[tuple[str, dict[str, float]]] = []
        total = dict.fromkeys(RESOURCES, 0.0)
        for pod in pods:
            metadata = pod["metadata"]
            for each in pod["spec"].get("containers") or ():
                usage = self._usages.of(pod, each)
                where = (
                    f'container="{each["name"]}",namespace="{metadata["namespace"]}",pod="{metadata["name"]}"'
                )
                rows.append((where, usage))
                for resource, amount in usage.items():
                    total[resource] += amount
        now_s = time.time()
        lines: list[str] = []
        for resource, unit, factor, kind in (
            ("cpu", "seconds_total", now_s, "counter"),
            ("memory", "bytes", 1.0, "gauge"),
        ):
            word = f"{resource}_usage_{unit}" if resource == "cpu" else f"{resource}_working_set_{unit}"
            lines += [f"# TYPE node_{word} {kind}", f"node_{word} {total[resource] * factor:.6f}"]
            lines.append(f"# TYPE container_{word} {kind}")
            lines += [f"container_{word}{{{where}}} {usage[resource] * factor:.6f}" for where, usage in rows]
        return ("\n".join(lines) + "\n").encode()


def node_metrics(
    nodes: Iterable[Object], pods: Iterable[Object], usages: Usages, now_ms: int
) -> list[Object]:
    """NodeMetrics of those nodes; ``pods`` are all that may be on them."""
    now = time_text(now_ms // 1000 * 1000)
    nodes = tuple(nodes)
    sums = {node["metadata"]["name"]: dict.fromkeys(RESOURCES, 0.0) for node in nodes}
    for pod in pods:
        total = sums.get(pod["spec"].get("nodeName", ""))
        if total is None or not runs(pod):
            continue
        for each in pod["spec"].get("containers") or ():
            for resource, amount in usages.of(pod, each).items():
                total[resource] += amount
    return [
        {**_head("NodeMetrics", node, now), "usage": shown(sums[node["metadata"]["name"]])} for node in nodes
    ]


def pod_metrics(pods: Iterable[Object], usages: Usages, now_ms: int) -> list[Object]:
    """PodMetrics of those that run."""
    now = time_text(now_ms // 1000 * 1000)
    found = []
    for pod in filter(runs, pods):
        containers = [
            {"name": each["name"], "usage": shown(usages.of(pod, each))}
            for each in pod["spec"].get("containers") or ()
        ]
        found.append({**_head("PodMetrics", pod, now), "containers": containers})
    return found


def runs(pod: Object) -> bool:
    """It has a node that measures it."""
    return (pod.get("status") or {}).get("phase") == "Running"


def _head(kind: str, obj: Mapping[str, Any], now: str) -> Object:
    metadata = obj["metadata"]
    kept = {name: metadata[name] for name in ("name", "namespace", "labels") if metadata.get(name)}
    kept["creationTimestamp"] = now
    return {"kind": kind, "apiVersion": API_VERSION, "metadata": kept, "timestamp": now, "window": WINDOW}


def _answered(kind: str, items: Iterable[Object], name: Sequence[str], selector: Any) -> Object:
    if name:
        found = next((each for each in items if each["metadata"]["name"] == name[0]), None)
        if found is None:
            message = f'{kind.lower()}s.{GROUP} "{name[0]}" not found'
            raise ApiError(404, "NotFound", message, None)
        return found
    kept = [each for each in items if selector.matches(each["metadata"].get("labels") or {})]
    return {"kind": f"{kind}MetricsList", "apiVersion": API_VERSION, "metadata": {}, "items": kept}


def shown(usage: Mapping[str, float]) -> dict[str, str]:
    """Cores in nanocores and memory in KiB, as metrics-server writes them."""
    return {"cpu": f"{round(usage['cpu'] * NANO)}n", "memory": f"{round(usage['memory'] / KIB)}Ki"}


def _json(value: Object) -> Response:
    return Response(200, [(b"content-type", b"application/json")], orjson.dumps(value))
