"""Nodes and pods in the shapes of Kubernetes' scheduler benchmark, for any size.

Source: kubernetes/kubernetes test/integration/scheduler_perf (templates of 2024-2026): nodes of 4 CPU, 32Gi and 110
pods; pods of 100m and 500Mi that carry a ``color`` label for the affinity workloads; initial pods in namespace
``sched-0``, measured pods in ``sched-1``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kcore.api.objects import (
    Affinity,
    ClusterObjects,
    Container,
    ContainerPort,
    Labels,
    LabelSelector,
    Namespace,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodColumns,
    PodSpec,
    Quantity,
    Resources,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from kcore.traces.names import numbered

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
INIT_NAMESPACE = "sched-0"
MEASURED_NAMESPACE = "sched-1"
SKEW_MAX = 5  # of the spreading templates

MIXED_KINDS = (
    "basic",
    "pod-affinity",
    "pod-anti-affinity",
    "preferred-pod-affinity",
    "preferred-pod-anti-affinity",
)


@dataclass(frozen=True)
class _Template:
    """What a kind of pod carries beside its resources."""

    color: str = ""
    affinity: Affinity | None = None
    spread: TopologySpreadConstraint | None = None


def _selector(color: str) -> LabelSelector:
    return LabelSelector(match_labels={"color": color})


def _term(color: str, topology_key: str) -> PodAffinityTerm:
    namespaces = [MEASURED_NAMESPACE, INIT_NAMESPACE]
    return PodAffinityTerm(label_selector=_selector(color), topology_key=topology_key, namespaces=namespaces)


def _required(color: str, topology_key: str) -> PodAffinity:
    return PodAffinity(required=[_term(color, topology_key)])


def _preferred(color: str, topology_key: str) -> PodAffinity:
    return PodAffinity(
        preferred=[WeightedPodAffinityTerm(weight=1, pod_affinity_term=_term(color, topology_key))]
    )


def _spread(when: str) -> TopologySpreadConstraint:
    return TopologySpreadConstraint(
        max_skew=SKEW_MAX, topology_key=ZONE, when_unsatisfiable=when, label_selector=_selector("blue")
    )


def _in_first_zones() -> Affinity:
    zone = NodeSelectorRequirement(key=ZONE, operator="In", values=["zone1", "zone2"])
    terms = [NodeSelectorTerm(match_expressions=[zone])]
    return Affinity(node_affinity=NodeAffinity(required=NodeSelector(node_selector_terms=terms)))


TEMPLATES: dict[str, _Template] = {
    "basic": _Template(),
    "pod-affinity": _Template("blue", Affinity(pod_affinity=_required("blue", ZONE))),
    "pod-anti-affinity": _Template("green", Affinity(pod_anti_affinity=_required("green", HOSTNAME))),
    "preferred-pod-affinity": _Template("red", Affinity(pod_affinity=_preferred("red", HOSTNAME))),
    "preferred-pod-anti-affinity": _Template(
        "yellow", Affinity(pod_anti_affinity=_preferred("yellow", HOSTNAME))
    ),
    "topology-spreading": _Template("blue", spread=_spread("DoNotSchedule")),
    "preferred-topology-spreading": _Template("blue", spread=_spread("ScheduleAnyway")),
    "node-affinity": _Template(affinity=_in_first_zones()),
}


def scheduler_perf(
    *, nodes: int, pods: int, init_pods: int, zones: int, kind: str, seed: int
) -> ClusterObjects:
    """Equal nodes, ``init_pods`` bound in turn over them, ``pods`` pending; nothing is drawn, so seeds agree.

    With ``mixed`` the initial pods are of five kinds in equal parts and the pending pods are basic, as upstream's
    MixedSchedulingBasePod.
    """
    del seed
    node_names = [f"node-{node:05d}" for node in range(nodes)]
    init_kinds = MIXED_KINDS if kind == "mixed" else ("basic" if "spreading" in kind else kind,)
    exemplars = [_pod(init_kind, INIT_NAMESPACE) for init_kind in init_kinds]
    exemplars.append(_pod("basic" if kind == "mixed" else kind, MEASURED_NAMESPACE))
    group = np.arange(init_pods) * len(init_kinds) // max(init_pods, 1)
    columns = PodColumns(
        exemplars=exemplars,
        exemplar=np.concatenate([group, np.full(pods, len(init_kinds))]).astype(np.int32),
        names=numbered("pod-", init_pods + pods),
        node_names=node_names,
        node=np.concatenate([np.arange(init_pods) % nodes, np.full(pods, -1)]).astype(np.int32),
        origin="synthetic:scheduler_perf",
    )
    return ClusterObjects(
        nodes=[_node(name, node, zones) for node, name in enumerate(node_names)],
        node_origins=[("synthetic:scheduler_perf", f"Node {name}") for name in node_names],
        namespaces=[Namespace(metadata=ObjectMeta(name=n)) for n in (INIT_NAMESPACE, MEASURED_NAMESPACE)],
        pod_columns=[columns] if init_pods + pods else [],
    )


def _node(name: str, node: int, zones: int) -> Node:
    labels = {HOSTNAME: name}
    if zones:
        labels[ZONE] = f"zone{node % zones + 1}"
    allocatable: dict[str, Quantity] = {"cpu": "4", "memory": "32Gi", "pods": "110"}
    return Node(
        metadata=ObjectMeta(name=name, labels=labels),
        status=NodeStatus(capacity=allocatable, allocatable=allocatable),
    )


def _pod(kind: str, namespace: str) -> Pod:
    template = TEMPLATES[kind]
    labels: Labels | None = {"color": template.color} if template.color else None
    amounts: dict[str, Quantity] = {"cpu": "100m", "memory": "500Mi"}
    container = Container(
        name="pause",
        image="registry.k8s.io/pause:3.10",
        resources=Resources(requests=amounts, limits=amounts),
        ports=[ContainerPort(container_port=80)],
    )
    return Pod(
        metadata=ObjectMeta(namespace=namespace, labels=labels),
        spec=PodSpec(
            containers=[container],
            affinity=template.affinity,
            topology_spread_constraints=[template.spread] if template.spread else None,
        ),
    )
