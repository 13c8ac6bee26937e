"""Clusters for benchmarks: the objects made once, a fresh state for each round."""

from __future__ import annotations

import numpy as np

from kcore import traces
from kcore.api.objects import (
    Affinity,
    ClusterObjects,
    Container,
    LabelSelector,
    ObjectMeta,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodColumns,
    PodSpec,
    TopologySpreadConstraint,
)
from kcore.scheduler.config import default_configuration
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import Engine, Options
from kcore.scheduler.profile import SchedulerConfiguration
from kcore.scheduler.state import State

ZONE = "topology.kubernetes.io/zone"
MEBIBYTE = 1 << 20


def plain_pods(node_count: int, pod_count: int) -> ClusterObjects:
    """Equal nodes of 4 CPU and 32Gi in three zones, and pending pods no two of which ask for the same."""
    objects = traces.make("scheduler_perf", nodes=node_count, pods=pod_count)
    if pod_count:
        number = np.arange(pod_count, dtype=np.int64)
        # 97 and 10,007 share no factor: the pairs differ for the first 970,679 pods
        objects.pod_columns[0].requests = {
            "cpu": 100 + number % 97,
            "memory": (500 * MEBIBYTE) + number % 10_007 * 4096,
        }
    return objects


def spread_pods(node_count: int, pod_count: int, *, zones: int = 5, apps: int = 20) -> ClusterObjects:
    """Pods that want to be spread over zones and need a pod of their own application in the zone.

    Every application has one pod in each zone from the start, so that the affinity leaves all zones open.
    Requests are all distinct.
    """
    objects = traces.make("scheduler_perf", nodes=node_count, pods=0, zones=zones)
    names = [node.metadata.name for node in objects.nodes]
    exemplars = [_spread_pod(f"app-{app:02d}") for app in range(apps)]
    bound = apps * zones
    number = np.arange(bound + pod_count, dtype=np.int64)
    node = np.full(bound + pod_count, -1, dtype=np.int32)
    node[:bound] = number[:bound] // apps  # node i is in zone i % zones
    objects.pod_columns = [
        PodColumns(
            exemplars=exemplars,
            exemplar=(number % apps).astype(np.int32),
            names=[f"pod-{one:06d}" for one in range(bound + pod_count)],
            requests={"cpu": 100 + number % 97, "memory": 500 * MEBIBYTE + number % 10_007 * 4096},
            node_names=names,
            node=node,
            origin="spread_pods",
        )
    ]
    return objects


def _spread_pod(app: str) -> Pod:
    selector = LabelSelector(match_labels={"app": app})
    spread = TopologySpreadConstraint(
        max_skew=1, topology_key=ZONE, when_unsatisfiable="ScheduleAnyway", label_selector=selector
    )
    term = PodAffinityTerm(label_selector=selector, topology_key=ZONE)
    return Pod(
        metadata=ObjectMeta(namespace="default", labels={"app": app}),
        spec=PodSpec(
            containers=[Container(name="main", image="registry.example/app:1")],
            affinity=Affinity(pod_affinity=PodAffinity(required=[term])),
            topology_spread_constraints=[spread],
        ),
    )


class Run:
    """A fresh state of the objects with everything compiled, so that only deciding is left to time."""

    def __init__(
        self,
        objects: ClusterObjects,
        *,
        compiled: bool,
        pod_max: int | None = None,
        configuration: SchedulerConfiguration | None = None,
    ) -> None:
        self.state = State()
        self.state.load(objects)
        self.state.world()
        self.engine = Engine(self.state, configuration or default_configuration(), compiled=compiled)
        pods = self.state.pods
        self.rows = np.flatnonzero(pods.node[: pods.count] < 0)[:pod_max].astype(np.int32)
        self.engine.compile_demands(self.rows)
        self.world = self.state.world()
        self.engine.scratch(self.world)
        self.engine.warm()

    def schedule(self) -> Decisions:
        """Decide for every pending pod, as Cluster.schedule does between its two looks at the clock."""
        return self.engine.schedule(self.rows, Options())
