"""Clusters with the pods that are there already and those to place in order, for benchmarks and for other schedulers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.clusters import plain_pods
from kcore import traces
from kcore.api.objects import ClusterObjects, PodColumns
from kcore.cluster import Cluster
from kcore.scheduler.result import Result
from kcore.traces.documents import documents, rendered_pods
from kcore.workloads import Overrides, choose, run, shipped
from tests.shared import SHARED

OPENB = SHARED / "datasets" / "openb"


@dataclass
class Recorder(Cluster):
    """A cluster that remembers what was put into it, and where the pods of earlier operations went."""

    recorded: list[ClusterObjects] = field(default_factory=list)
    batches: list[tuple[PodColumns, Result]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def add(self, objects: Any) -> None:
        """Remember, then add."""
        self.recorded.append(objects)
        super().add(objects)

    def schedule(self, pods: Any = None, **options: Any) -> Result:
        """Schedule, then remember."""
        result = super().schedule(pods, **options)
        self.batches.append((pods.pod_columns[0], result))
        return result

    def objects(self) -> ClusterObjects:
        """Everything, the pods of all batches but the last on their nodes."""
        found = ClusterObjects()
        for one in self.recorded:
            for name in ClusterObjects.__struct_fields__:
                getattr(found, name).extend(getattr(one, name))
        for columns, result in self.batches[:-1]:
            columns.node_names = result.node_names
            columns.node = result.placements.column("node_index").to_numpy().astype(np.int32)
        found.pod_columns = [columns for columns, _ in self.batches]
        return found


def workload(name: str) -> ClusterObjects:
    """The cluster of a scheduler_perf workload when its last pods are created."""
    recorder = Recorder()
    run(choose(shipped(), [name], [])[0], Overrides({}), cluster=recorder)
    return recorder.objects()


def equal_pods(node_count: int, pod_count: int) -> ClusterObjects:
    """SchedulingBasic's pods on nodes that are large enough for all of them."""
    objects = traces.make("scheduler_perf", nodes=node_count, pods=pod_count)
    each = 2 * pod_count // node_count + 100
    for node in objects.nodes:
        node.status.allocatable = {"cpu": f"{each}", "memory": f"{each}Gi", "pods": f"{each}"}
    return objects


def distinct() -> ClusterObjects:
    """Pods of which no two ask for the same."""
    return plain_pods(5_000, 10_000)


def openb() -> ClusterObjects | None:
    """The openb trace, None where it is not."""
    return traces.load_openb(OPENB) if OPENB.is_dir() else None


def lines(objects: ClusterObjects) -> Iterator[str]:
    """One object in JSON per line, as ``kube_scheduler -input`` reads it."""
    text: Callable[[dict[str, Any]], str] = json.dumps
    for document in documents(objects):
        yield text(document)
    for columns in objects.pod_columns:
        yield from rendered_pods(columns, text, json.dumps)
