"""What the pods of the heterogeneous cluster's applications look like, by the application's name."""

from __future__ import annotations

from kcore.api.objects import (
    Affinity,
    Container,
    Labels,
    LabelSelector,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    ObjectMeta,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodSpec,
    Toleration,
    TopologySpreadConstraint,
)
from kcore.traces.machines import DISK, GPU, GPU_MODEL, HOSTNAME, ZONE

GPU_TOLERATION = Toleration(key=GPU, operator="Exists", effect="NoSchedule")


def _pod(
    app: str,
    *,
    affinity: Affinity | None = None,
    node_selector: Labels | None = None,
    tolerations: list[Toleration] | None = None,
    spread: list[TopologySpreadConstraint] | None = None,
) -> Pod:
    kind = app.partition("-")[0]
    spec = PodSpec(
        containers=[Container(name=kind, image=f"registry.example/{kind}:1")],
        affinity=affinity,
        node_selector=node_selector,
        tolerations=tolerations,
        topology_spread_constraints=spread,
    )
    return Pod(metadata=ObjectMeta(labels={"app": app}), spec=spec)


def _own(app: str, topology_key: str) -> PodAffinity:
    selector = LabelSelector(match_labels={"app": app})
    return PodAffinity(required=[PodAffinityTerm(label_selector=selector, topology_key=topology_key)])


def plain(app: str) -> Pod:
    """Resources and nothing else."""
    return _pod(app)


def select_ssd(app: str) -> Pod:
    """Only nodes with an SSD."""
    return _pod(app, node_selector={DISK: "ssd"})


def tolerating(app: str) -> Pod:
    """Every node, those with GPUs included."""
    return _pod(app, tolerations=[GPU_TOLERATION])


def soft_spread(app: str) -> Pod:
    """Evenly over zones as far as that is possible."""
    constraint = TopologySpreadConstraint(
        max_skew=1,
        topology_key=ZONE,
        when_unsatisfiable="ScheduleAnyway",
        label_selector=LabelSelector(match_labels={"app": app}),
    )
    return _pod(app, spread=[constraint])


def zone_affinity(app: str) -> Pod:
    """All in the zone of the first."""
    return _pod(app, affinity=Affinity(pod_affinity=_own(app, ZONE)))


def anti_affinity(app: str) -> Pod:
    """Never two on a node."""
    return _pod(app, affinity=Affinity(pod_anti_affinity=_own(app, HOSTNAME)))


def zone_anti_affinity(app: str) -> Pod:
    """Never two in a zone."""
    return _pod(app, affinity=Affinity(pod_anti_affinity=_own(app, ZONE)))


def gpu_pod(app: str, models: tuple[str, ...]) -> Pod:
    """Nodes with GPUs, of one of the models where any are named."""
    affinity = None
    if models:
        wants = NodeSelectorRequirement(key=GPU_MODEL, operator="In", values=list(models))
        terms = [NodeSelectorTerm(match_expressions=[wants])]
        affinity = Affinity(node_affinity=NodeAffinity(required=NodeSelector(node_selector_terms=terms)))
    return _pod(app, affinity=affinity, tolerations=[GPU_TOLERATION])
