"""Which pods a run is offered: a load takes the pods that the slow twin takes, in its order and under its names."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore import Cluster, InputError, traces
from kcore.api.objects import ClusterObjects, PodColumns
from kcore.sim.offered import amounts_of, as_columns, capacity, offered, together
from tests.naive import study as naive

pytestmark = pytest.mark.differential


def nodes(count: int) -> ClusterObjects:
    """Nodes of 4 CPU each."""
    return traces.make("scheduler_perf", nodes=count, pods=0)


def columns(amounts: list[int]) -> ClusterObjects:
    """Pods that ask for so many milli-CPU."""
    exemplar = as_columns(traces.make("scheduler_perf", nodes=1, pods=1)).exemplars[0]
    return ClusterObjects(
        pod_columns=[
            PodColumns(
                exemplars=[exemplar],
                exemplar=np.zeros(len(amounts), np.int32),
                names=pa.array([f"p{pod}" for pod in range(len(amounts))]),
                requests={"cpu": np.array(amounts, np.int64)},
            )
        ]
    )


@given(
    st.lists(st.integers(0, 900), min_size=1, max_size=12).filter(any),
    st.floats(0.001, 2),
    st.none() | st.integers(0, 3),
)
def test_a_load_takes_the_pods_that_the_twin_takes(amounts: list[int], load: float, seed: int | None) -> None:
    there = nodes(2)
    random = None if seed is None else np.random.default_rng(seed)
    chosen = offered(columns(amounts), there, load=load, resource="cpu", random=random).pod_columns[0]
    order = np.arange(len(amounts))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(order)
    taken = naive.pods_to_load(order.tolist(), amounts, load * 8000)
    names = naive.repeated_names([f"p{pod}" for pod in range(len(amounts))], taken)
    assert chosen.names.to_pylist() == names
    assert chosen.requests is not None
    assert chosen.requests["cpu"].tolist() == [amounts[pod] for pod in taken]


def test_pods_of_manifests_become_rows_that_are_scheduled_alike() -> None:
    objects = Cluster.synthetic("scheduler_perf", nodes=4, pods=30, kind="pod-anti-affinity")._objects
    assert objects.pods or objects.pod_columns
    rows = as_columns(objects)
    copied = together(None, objects)
    copied.pods, copied.pod_origins, copied.pod_columns = [], [], [rows]
    first, second = (Cluster(one).schedule(order="file").placements for one in (objects, copied))
    assert first["name"].to_pylist() == second["name"].to_pylist()
    assert first["node"].to_pylist() == second["node"].to_pylist()
    assert amounts_of(rows, "cpu").tolist() == [100] * 30


def test_without_load_and_shuffle_nothing_is_touched() -> None:
    workload = columns([1, 2])
    assert offered(workload, nodes(1), load=None, resource="cpu", random=None) is workload


def test_of_a_cluster_the_running_pods_count_and_of_a_workload_the_pods() -> None:
    cluster = traces.make("scheduler_perf", nodes=3, pods=5, init_pods=4)
    workload = traces.make("scheduler_perf", nodes=9, pods=0)
    workload.pod_columns = columns([100, 200]).pod_columns
    joined = together(cluster, workload)
    found = Cluster(joined)
    assert (found.node_count, found.pending) == (3, 2)
    assert found.state.pods.count == 6
    assert len(cluster.nodes) == 3, "the cluster itself is as it was"
    assert Cluster(cluster).pending == 5


def test_capacity_is_what_all_nodes_can_allocate() -> None:
    assert capacity(nodes(3), "cpu") == 12_000
    assert capacity(nodes(3), "memory") == 3 * (32 << 30)
    assert capacity(nodes(3), "nvidia.com/gpu") == 0


@pytest.mark.parametrize(
    ("amounts", "load", "resource", "problem"),
    [
        ([1], 1.0, "x/y", "no node has x/y"),
        ([0], 1.0, "cpu", "no pod asks for cpu"),
        ([1], 900_000.0, "cpu", "more than 50,000,000 pods would be needed"),
    ],
)
def test_a_load_that_cannot_be(amounts: list[int], load: float, resource: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        offered(columns(amounts), nodes(1000), load=load, resource=resource, random=None)


def test_pods_of_several_tables_cannot_be_cut() -> None:
    workload = columns([1])
    workload.pod_columns.append(columns([2]).pod_columns[0])
    with pytest.raises(InputError, match="in several tables"):
        offered(workload, nodes(1), load=1.0, resource="cpu", random=None)
