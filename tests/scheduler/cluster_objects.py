"""Builders of nodes, pods and small clusters, as plain dicts and as the structs made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kcore.api.objects import ClusterObjects, Node, Pod
from kcore.scheduler.state import State

Object = dict[str, Any]
HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
HARD = "requiredDuringSchedulingIgnoredDuringExecution"


def node_dict(
    name: str,
    cpu: str = "4",
    memory: str = "8Gi",
    pods: str = "110",
    *,
    labels: Mapping[str, str] | None = None,
    spec: Object | None = None,
    images: Sequence[Object] = (),
    **more: str,
) -> Object:
    """A node with room; ``more`` are further resources, underscores for what a keyword cannot hold."""
    allocatable = {"cpu": cpu, "memory": memory, "pods": pods, **more}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {HOSTNAME: name, **(labels or {})}},
        "spec": spec or {},
        "status": {"allocatable": allocatable, "images": list(images)},
    }


def pod_dict(
    name: str,
    cpu: str | None = "1",
    *,
    node: str = "",
    namespace: str = "default",
    labels: Mapping[str, str] | None = None,
    priority: int | None = None,
    requests: Mapping[str, Any] | None = None,
    port: int = 0,
    start: str | None = None,
    metadata: Object | None = None,
    status: Object | None = None,
    **spec: Any,
) -> Object:
    """A pod of one container; ``spec`` are further fields of its spec, in the API's own names."""
    asked = dict(requests) if requests is not None else ({"cpu": cpu} if cpu is not None else {})
    container: Object = {"name": "c", "image": "img", "resources": {"requests": asked}}
    if port:
        container["ports"] = [{"containerPort": port, "hostPort": port}]
    body: Object = {"schedulerName": "default-scheduler", "containers": [container], **spec}
    if priority is not None:
        body["priority"] = priority
    told: Object = dict(status or {})
    if node:
        body["nodeName"] = node
        told.setdefault("phase", "Running")
    if start is not None:
        told["startTime"] = start
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels or {}), **(metadata or {})},
        "spec": body,
        "status": told,
    }


def node_of(*args: Any, **fields: Any) -> Node:
    """:func:`node_dict` as the struct that tables read."""
    return msgspec.convert(node_dict(*args, **fields), Node)


def pod_of(*args: Any, **fields: Any) -> Pod:
    """:func:`pod_dict` as the struct that tables read."""
    return msgspec.convert(pod_dict(*args, **fields), Pod)


def state_of(nodes: Sequence[Node] = (), pods: Sequence[Pod] = (), **others: Any) -> State:
    """A state that has loaded these objects."""
    state = State()
    state.load(ClusterObjects(nodes=list(nodes), pods=list(pods), **others))
    return state


def anti_affinity(key: str, value: str, topology: str = HOSTNAME) -> Object:
    """A required anti-affinity against pods labelled ``key=value``, as the affinity of a pod."""
    term = {"labelSelector": {"matchLabels": {key: value}}, "topologyKey": topology}
    return {"podAntiAffinity": {HARD: [term]}}


def configuration(*profiles: Object, **fields: Any) -> Object:
    """A KubeSchedulerConfiguration with these profiles."""
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": list(profiles),
        **fields,
    }
