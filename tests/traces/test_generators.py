"""Generators are seeded, sized as asked, and in the proportions that they promise."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from kcore.api.objects import ClusterObjects, PodColumns
from kcore.traces import make
from kcore.traces.heterogeneous import tables
from kcore.traces.machines import GPU, GPU_MODEL, RACK, ZONE
from kcore.traces.scheduler_perf import HOSTNAME, TEMPLATES


def columns_of(objects: ClusterObjects) -> PodColumns:
    (columns,) = objects.pod_columns
    return columns


def texts(columns: PodColumns) -> list[str]:
    return columns.names if isinstance(columns.names, list) else columns.names.to_pylist()


@pytest.mark.parametrize("kind", [*TEMPLATES, "mixed"])
def test_scheduler_perf_has_the_benchmarks_shapes(kind: str) -> None:
    objects = make("scheduler_perf", nodes=7, pods=20, init_pods=10, zones=3, kind=kind)
    assert [node.metadata.labels[ZONE] for node in objects.nodes[:4]] == ["zone1", "zone2", "zone3", "zone1"]
    assert objects.nodes[0].status.allocatable == {"cpu": "4", "memory": "32Gi", "pods": "110"}
    columns = columns_of(objects)
    assert columns.node.tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, *[-1] * 20]
    assert len(set(texts(columns))) == 30
    namespaces = [columns.exemplars[at].metadata.namespace for at in columns.exemplar.tolist()]
    assert namespaces == ["sched-0"] * 10 + ["sched-1"] * 20
    for pod in columns.exemplars:
        assert pod.spec.containers[0].resources.requests == {"cpu": "100m", "memory": "500Mi"}


def test_scheduler_perf_mixed_starts_with_five_kinds_in_equal_parts() -> None:
    columns = columns_of(make("scheduler_perf", nodes=5, pods=3, init_pods=10, kind="mixed"))
    assert columns.exemplar.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5]


def test_scheduler_perf_without_zones_has_no_zone_label() -> None:
    objects = make("scheduler_perf", nodes=1, pods=0, zones=0)
    assert objects.nodes[0].metadata.labels == {HOSTNAME: "node-00000"}
    assert objects.pod_columns == []


@pytest.mark.parametrize(
    ("nodes", "pods"), [(1, 1), (1, 50), (3, 0), (10, 100), (100, 1000), (5000, 100_000)]
)
def test_heterogeneous_has_the_size_asked_for(nodes: int, pods: int) -> None:
    objects = make("heterogeneous", nodes=nodes, pods=pods)
    assert len({node.metadata.name for node in objects.nodes}) == nodes
    assert len(objects.namespaces) == 12
    if not pods:
        assert objects.pod_columns == []
        return
    columns = columns_of(objects)
    assert len(columns.exemplar) == len(set(texts(columns))) == pods
    assert columns.exemplar.dtype == np.int32
    assert set(columns.exemplar.tolist()) == set(range(len(columns.exemplars)))
    for amounts in columns.requests.values():
        assert amounts.dtype == np.int64
        assert amounts.min() >= 0
    assert columns.requests["cpu"].min() >= 10


def test_the_same_seed_gives_the_same_objects_and_another_gives_others() -> None:
    first, again, other = (make("heterogeneous", nodes=50, pods=500, seed=seed) for seed in (1, 1, 2))
    assert first.nodes == again.nodes
    assert first.nodes != other.nodes
    assert texts(columns_of(first)) == texts(columns_of(again))
    assert columns_of(first).exemplars == columns_of(again).exemplars
    for resource, amounts in columns_of(first).requests.items():
        assert (amounts == columns_of(again).requests[resource]).all()


def test_heterogeneous_asks_for_the_part_of_the_cluster_it_is_told_to() -> None:
    for fill in (0.3, 0.9):
        objects = make("heterogeneous", nodes=500, pods=10_000, fill=fill)
        cpu = sum(
            int(node.status.allocatable["cpu"][:-1]) for node in objects.nodes if not node.spec.unschedulable
        )
        assert columns_of(objects).requests["cpu"].sum() == pytest.approx(fill * cpu, rel=0.02)


def test_heterogeneous_machines_are_in_the_published_proportions() -> None:
    objects = make("heterogeneous", nodes=1523, pods=10, gpu_nodes=1213 / 1523)
    shapes = Counter(
        (
            int(node.status.allocatable["cpu"][:-1]),
            int(node.status.allocatable["memory"][:-2]),
            int(node.status.allocatable.get(GPU, 0)),
            node.metadata.labels.get(GPU_MODEL, ""),
        )
        for node in objects.nodes
    )
    assert shapes == {tuple(row[:4]): row[4] for row in tables()["node_shapes"]}


def test_heterogeneous_gpu_nodes_are_tainted_and_racks_are_within_zones() -> None:
    objects = make("heterogeneous", nodes=200, pods=10, zones=3)
    zones_of: dict[str, set[str]] = {}
    for node in objects.nodes:
        assert (
            (GPU in node.status.allocatable) == bool(node.spec.taints) == (GPU_MODEL in node.metadata.labels)
        )
        zones_of.setdefault(node.metadata.labels[RACK], set()).add(node.metadata.labels[ZONE])
    assert all(len(zones) == 1 for zones in zones_of.values())
    assert set.union(*zones_of.values()) == {"zone-0", "zone-1", "zone-2"}


def test_heterogeneous_mixes_all_kinds_of_pods() -> None:
    columns = columns_of(make("heterogeneous", nodes=500, pods=10_000))
    stems = Counter(
        columns.exemplars[at].metadata.labels["app"].split("-")[0] for at in columns.exemplar.tolist()
    )
    assert set(stems) == {"api", "ssd", "batch", "web", "cache", "db", "quorum", "train"}
    assert 500 <= stems["train"] <= 3000
    priorities = {pod.spec.priority for pod in columns.exemplars}
    assert min(priorities) < 100
    assert max(priorities) >= 360
    assert len({pod.metadata.namespace for pod in columns.exemplars}) > 5


def test_heterogeneous_pods_of_one_application_share_one_exemplar_and_one_size() -> None:
    columns = columns_of(make("heterogeneous", nodes=50, pods=2000))
    for amounts in columns.requests.values():
        sizes = {
            (app, amount) for app, amount in zip(columns.exemplar.tolist(), amounts.tolist(), strict=True)
        }
        assert len(sizes) == len(columns.exemplars)
