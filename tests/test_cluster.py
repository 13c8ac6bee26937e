"""The Python face: clusters from files, objects, tables and generators, changed and scheduled on again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from kcore import Cluster, InputError
from tests.scheduler.cluster_objects import HARD, ZONE, anti_affinity, node_dict, pod_dict

NODES = (node_dict("a", "2"), node_dict("b", "4"))
PODS = (pod_dict("there", "1", node="b"), pod_dict("p", "1"), pod_dict("q", "1"))


def nodes(cluster: Cluster, *args: Any, **options: Any) -> dict[str, str | None]:
    return {row["name"]: row["node"] for row in cluster.schedule(*args, **options).placements.to_pylist()}


def pods_on(cluster: Cluster) -> dict[str, int]:
    """The number of pods by node."""
    table = cluster.nodes_table()
    return dict(zip(table["name"].to_pylist(), table["pod_count"].to_pylist(), strict=True))


# -- making one


def test_a_cluster_is_loaded_from_files_and_folders(tmp_path: Path) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(NODES)}
    (tmp_path / "nodes.json").write_text(json.dumps(listed))
    folder = tmp_path / "pods"
    folder.mkdir()
    for pod in PODS:
        (folder / f"{pod['metadata']['name']}.json").write_text(json.dumps(pod))
    cluster = Cluster.load(tmp_path / "nodes.json", str(folder))
    assert (cluster.node_count, cluster.pending) == (2, 2)
    assert nodes(cluster) == nodes(Cluster.from_objects([*NODES, *PODS]))
    with pytest.raises(InputError, match=r"missing\.yaml"):
        Cluster.load(tmp_path / "missing.yaml")


def arrow_nodes() -> pa.Table:
    return pa.table(
        {
            "name": ["a", "b"],
            "cpu_milli": [2000, 4000],
            "memory_bytes": [8 << 30, 8 << 30],
            "pods": [110, 110],
        }
    )


def test_a_cluster_from_tables_decides_as_one_from_objects() -> None:
    pods = pa.table(
        {
            "name": ["there", "p", "q"],
            "namespace": ["default"] * 3,
            "node": ["b", None, None],
            "cpu_milli": [1000] * 3,
            "memory_bytes": [0] * 3,
        }
    )
    cluster = Cluster.from_arrow(arrow_nodes(), pods)
    assert cluster.pending == 2
    assert nodes(cluster) == nodes(Cluster.from_objects([*NODES, *PODS]))
    assert Cluster.from_arrow(arrow_nodes()).pending == 0


def test_defaults_apply_to_the_rows_of_tables() -> None:
    pods = pa.table({"name": ["p"], "cpu_milli": [1], "memory_bytes": [1]})
    result = Cluster.from_arrow(arrow_nodes(), pods).schedule()
    assert result.placements["namespace"].to_pylist() == ["default"]
    assert result.why("default/p")["node"] == "a"


def test_amounts_in_tables_have_the_same_limit_as_in_objects() -> None:
    names = ["p", "q"]
    pods = pa.table({"name": names, "node": ["a", "a"], "cpu_milli": [2**62] * 2, "memory_bytes": [0] * 2})
    with pytest.raises(InputError, match="at most"):
        Cluster.from_arrow(arrow_nodes(), pods).nodes_table()


def test_a_bad_row_of_a_table_is_named() -> None:
    pods = pa.table({"name": ["p"], "node": ["nowhere"], "cpu_milli": [1], "memory_bytes": [1]})
    with pytest.raises(InputError, match="unknown node 'nowhere'") as caught:
        Cluster.from_arrow(arrow_nodes(), pods)
    assert "row 1" in str(caught.value)


def test_a_generated_cluster_repeats_by_its_parameters() -> None:
    first, second = (Cluster.synthetic("heterogeneous", nodes=20, pods=50, seed=3) for _ in range(2))
    assert first.node_count == 20
    assert first.nodes_table().equals(second.nodes_table())
    assert first.schedule().placements.equals(second.schedule().placements)
    with pytest.raises(InputError, match="nothing-like-it"):
        Cluster.synthetic("nothing-like-it")


def test_a_specification_of_a_generator_stands_among_files(tmp_path: Path) -> None:
    path = tmp_path / "pod.json"
    path.write_text(json.dumps(pod_dict("mine")))
    cluster = Cluster.load("synthetic:heterogeneous?nodes=5&pods=3&seed=1", path)
    assert (cluster.node_count, cluster.pending) == (5, 4)


def test_an_empty_cluster_is_a_cluster() -> None:
    cluster = Cluster.from_objects([])
    assert (cluster.node_count, cluster.pending) == (0, 0)
    assert cluster.nodes_table().num_rows == 0
    assert cluster.schedule().pods == 0


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ((node_dict("a"), node_dict("a")), "'a' is there twice"),
        ((pod_dict("p"), pod_dict("p")), "'default/p' is there twice"),
        ((pod_dict("p", node="nowhere"),), "unknown node 'nowhere'"),
        ((pod_dict("p", "many"),), "'many' is not a quantity"),
        (({"apiVersion": "v1", "kind": "Node", "metadata": {}},), "name"),
    ],
)
def test_what_cannot_be_is_refused(objects: tuple[dict[str, Any], ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Cluster.from_objects(objects)


# -- changing it


def test_nodes_come_change_and_go() -> None:
    cluster = Cluster.from_objects([*NODES, *PODS])
    cluster.add_node(node_dict("c", "9"))
    assert cluster.node_count == 3
    with pytest.raises(InputError, match="exists already"):
        cluster.add_node(node_dict("c"))
    cluster.update_node(node_dict("b", "1"))
    assert cluster.nodes_table()["allocatable:cpu"].to_pylist() == [2000, 1000, 9000]
    assert cluster.remove_node("b") == ["default/there"]
    assert cluster.node_count == 2
    assert nodes(cluster) == {"p": "c", "q": "c"}
    for ask in (lambda: cluster.remove_node("b"), lambda: cluster.update_node(node_dict("b"))):
        with pytest.raises(InputError, match="no node is named 'b'"):
            ask()


def test_pods_come_and_go() -> None:
    cluster = Cluster.from_objects([*NODES, *PODS])
    cluster.add_pod(pod_dict("r", "1", node="a"))
    cluster.add_pod(pod_dict("s", "1"))
    assert cluster.pending == 3
    cluster.remove_pod("default/there")
    cluster.remove_pod("p")
    assert pods_on(cluster) == {"a": 1, "b": 0}
    assert nodes(cluster) == {"q": "b", "s": "b"}
    cluster.add_pod(pod_dict("p", "1"))
    assert nodes(cluster) == {"p": "b"}
    for name in ("default/there", "other/p"):
        with pytest.raises(InputError, match=f"no pod is named {name}"):
            cluster.remove_pod(name)


@pytest.mark.parametrize("name", ["there", "p"])
def test_a_pod_of_a_name_that_is_there_is_refused(name: str) -> None:
    cluster = Cluster.from_objects([*NODES, *PODS])
    with pytest.raises(InputError, match=f"default/{name} exists already"):
        cluster.add_pod(pod_dict(name))
    assert cluster.pending == 2
    cluster.add_pod(pod_dict(name, namespace="other"))


def test_what_is_not_the_asked_kind_is_refused() -> None:
    cluster = Cluster.from_objects(NODES)
    with pytest.raises(InputError):
        cluster.add_pod(node_dict("c"))
    with pytest.raises(InputError):
        cluster.add_node(pod_dict("c"))
    assert (cluster.node_count, cluster.pending) == (2, 0)


def test_a_pod_bound_to_an_unknown_node_is_refused_and_leaves_nothing() -> None:
    cluster = Cluster.from_objects(NODES)
    with pytest.raises(InputError, match="'nowhere'") as caught:
        cluster.add_pod(pod_dict("p", node="nowhere"))
    assert "spec.nodeName" in str(caught.value)
    cluster.add_pod(pod_dict("p"))
    assert cluster.pending == 1


# -- asking


def test_the_numbers_of_the_nodes_table_are_the_state_itself() -> None:
    cluster = Cluster.from_objects([*NODES, *PODS])
    table = cluster.nodes_table()
    view = cluster.state.world().nodes
    for name, array in {
        "alive": view.alive,
        "pods_allowed": view.pods_allowed,
        "pod_count": view.pod_count,
        "allocatable:memory": view.allocatable,
        "requested:cpu": view.requested,
    }.items():
        assert np.shares_memory(table[name].chunk(0).to_numpy(zero_copy_only=True), array), name
    assert table["requested:cpu"].to_pylist() == [0, 1000]


# -- scheduling again


def test_pods_that_are_brought_along_are_the_ones_that_are_placed() -> None:
    cluster = Cluster.from_objects([*NODES, *PODS])
    assert set(nodes(cluster, [pod_dict("r", "1"), pod_dict("bound", "1", node="a")])) == {"r"}
    assert set(nodes(cluster, [pod_dict("s", "1")])) == {"s"}
    assert pods_on(cluster) == {"a": 1, "b": 3}
    assert cluster.pending == 2
    assert set(nodes(cluster)) == {"p", "q"}
    assert nodes(cluster) == {}


def test_scheduling_in_two_calls_is_scheduling_in_one() -> None:
    more = [pod_dict(f"r{number}", "500m") for number in range(4)]
    once = nodes(Cluster.from_objects([*NODES, *more]))
    cluster = Cluster.from_objects(NODES)
    assert {**nodes(cluster, more[:2]), **nodes(cluster, more[2:])} == once


@pytest.mark.parametrize(
    "second",
    [
        [pod_dict("p", "1")],
        [pod_dict("r", "1"), pod_dict("r", "1")],
        [pod_dict("r", "1"), pod_dict("s", "1", node="nowhere")],
        [pod_dict("r", "1"), pod_dict("s", "-1")],
        [pod_dict("r", "1"), pod_dict("s", "99999999E18")],
    ],
    ids=["a name that is there", "a name twice", "an unknown node", "a negative amount", "a huge amount"],
)
def test_a_refused_call_leaves_the_cluster_as_it_was(second: list[dict[str, Any]]) -> None:
    cluster = Cluster.from_objects([*NODES, *PODS])
    with pytest.raises(InputError):
        cluster.schedule(second)
    assert cluster.pending == 2
    assert set(nodes(cluster, [pod_dict("r", "1")])) == {"r"}
    assert set(nodes(cluster)) == {"p", "q"}


def test_repeated_calls_do_not_compile_the_same_demands_again() -> None:
    cluster = Cluster.from_objects([node_dict("a", "1"), pod_dict("p", "2")])
    cluster.schedule()
    before = len(cluster.state.demands)
    for _ in range(3):
        cluster.schedule()
    assert len(cluster.state.demands) == before


def test_labels_that_nobody_read_before_tell_pods_apart_from_then_on() -> None:
    cluster = Cluster.from_objects(
        [
            *(node_dict(name, labels={ZONE: f"z{name}"}) for name in "abc"),
            pod_dict("x", node="a", labels={"tier": "x"}),
            pod_dict("y", node="b", labels={"tier": "y"}),
            pod_dict("pending", "100m", labels={"tier": "x"}),
        ]
    )
    assert nodes(cluster)["pending"] == "c"
    shy = pod_dict("shy", labels={"tier": "y"}, affinity=anti_affinity("tier", "x", ZONE))
    assert nodes(cluster, [shy]) == {"shy": "b"}
    # and the other way round: the shy pod keeps pods of the tier off its zone
    term = {"labelSelector": {"matchLabels": {"team": "t"}}, "topologyKey": ZONE}
    owner = pod_dict("owner", affinity={"podAntiAffinity": {HARD: [term]}}, nodeSelector={ZONE: "zc"})
    assert nodes(cluster, [owner]) == {"owner": "c"}
    told = cluster.schedule([pod_dict("t", labels={"team": "t"})], explain=True).explanations[0]
    assert told["filter"]["c"]["plugin"] == "InterPodAffinity"
    assert told["filter"]["a"] is None


def test_a_service_that_comes_later_spreads_its_pods() -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "default"},
        "spec": {"selector": {"app": "x"}},
    }
    cluster = Cluster.from_objects([*NODES, pod_dict("one", "100m", labels={"app": "x"})])
    cluster.schedule()
    told = cluster.schedule(
        [pod_dict("two", "100m", labels={"app": "x"}), service], explain=True
    ).explanations[0]
    assert "PodTopologySpread" in told["score"]["a"]
    assert told["score"]["a"]["PodTopologySpread"] != told["score"]["b"]["PodTopologySpread"]


def test_an_updated_node_counts_at_once() -> None:
    cluster = Cluster.from_objects([node_dict("a", "1"), pod_dict("p", "2")])
    assert nodes(cluster, preemption="off") == {"p": None}
    cluster.update_node(node_dict("a", "2"))
    assert nodes(cluster) == {"p": "a"}


def test_a_nomination_lasts_until_the_next_call() -> None:
    cluster = Cluster.from_objects(
        [node_dict("a", "1"), pod_dict("v", "1", node="a"), pod_dict("high", "1", priority=9)]
    )
    cluster.schedule()
    cluster.remove_pod("v")
    assert nodes(cluster, [pod_dict("low", "1")], preemption="off") == {"low": None}
    assert nodes(cluster)["high"] == "a"
