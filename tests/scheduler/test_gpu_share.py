"""GPU devices through the whole engine: annotations, preemption, explanations, and what is refused."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import kcore
from kcore.api.errors import InputError
from tests.naive.gpu.node import GpuNode, GpuPod
from tests.scheduler.gpu_clusters import DOMAIN, node_object, pod_object, random_node, random_pod

pytestmark = pytest.mark.differential


def two_devices(name: str = "n0", model: str = "A") -> dict[str, Any]:
    return node_object(GpuNode(name, 8000, 1 << 36, model, 2))


def placements(result: kcore.Result) -> list[tuple[str | None, list[int] | None]]:
    return [(row["node"], row["devices"]) for row in result.placements.to_pylist()]


def annotated(pod: dict[str, Any], **notes: str) -> dict[str, Any]:
    for key, value in notes.items():
        pod["metadata"]["annotations"][DOMAIN + key.replace("_", "-")] = value
    return pod


def used(cluster: kcore.Cluster) -> np.ndarray:
    """What the pods on nodes have of every device, added up anew."""
    nodes, pods = cluster.state.nodes, cluster.state.pods
    requests = cluster.state.world().requests
    found = np.zeros_like(nodes.gpu_left)
    for row in np.flatnonzero(pods.node[: pods.count] >= 0):
        for device in range(len(found)):
            if pods.devices[row] >> device & 1:
                found[device, pods.node[row]] += requests.gpu[pods.request[row], 1]
    return found


def capacity(cluster: kcore.Cluster) -> np.ndarray:
    nodes = cluster.state.nodes
    return np.where(np.arange(len(nodes.gpu_left))[:, np.newaxis] < nodes.gpu_count, 1000, 0)


def test_the_default_profile_knows_no_devices() -> None:
    cluster = kcore.Cluster.from_objects([two_devices()])
    result = cluster.schedule([pod_object(GpuPod(100, 0, 1, 600), f"p{index}") for index in range(4)])
    assert placements(result) == [("n0", None)] * 4
    assert "devices" not in result.to_dict()["placements"][0]
    assert (cluster.state.nodes.gpu_left == capacity(cluster)).all()


def test_a_part_of_a_device_is_of_one_device() -> None:
    cluster = kcore.Cluster.from_objects([two_devices()])
    pods = [pod_object(GpuPod(100, 0, 1, 600), f"p{index}") for index in range(3)]
    result = cluster.schedule(pods, policy="best_fit")
    assert placements(result) == [("n0", [0]), ("n0", [1]), (None, None)]
    reason = result.placements["reason"].to_pylist()[2]
    assert reason.startswith("0/1 nodes are available: 1 node(s) didn't have enough left of a GPU.")
    assert result.to_dict()["placements"][0]["devices"] == [0]


def test_nodes_are_refused_for_their_model_and_their_number_of_devices() -> None:
    cluster = kcore.Cluster.from_objects(
        [two_devices("a", "A"), two_devices("b", "B"), node_object(GpuNode("c", 8000, 1 << 36))]
    )
    result = cluster.schedule(
        [pod_object(GpuPod(100, 0, 4, 1000, "B"), "p"), pod_object(GpuPod(100, 0, 1, 10, "C"), "q")],
        policy="fgd",
    )
    reasons = result.placements["reason"].to_pylist()
    assert "3 node(s) had fewer GPUs than requested" in reasons[0]
    assert "1 node(s) had fewer GPUs than requested, 2 node(s) had no GPU of a requested model" in reasons[1]
    why = result.why("default/q")["filter"]["a"]
    assert why == {"plugin": "GpuShare", "reasons": ["node(s) had no GPU of a requested model"]}


def test_bound_pods_have_the_devices_of_their_annotation_or_the_tightest() -> None:
    bound = [
        annotated(pod_object(GpuPod(100, 0, 1, 300), "a", nodeName="n0"), gpu_index="1"),
        pod_object(GpuPod(100, 0, 1, 500), "b", nodeName="n0"),
        pod_object(GpuPod(100, 0, 1, 500), "c", nodeName="n0"),
    ]
    cluster = kcore.Cluster.from_objects([two_devices(), *bound])
    result = cluster.schedule([pod_object(GpuPod(100, 0, 1, 500), "p")], policy="best_fit")
    assert placements(result) == [("n0", [0])]
    assert cluster.state.nodes.gpu_left[:, 0].tolist() == [0, 200]


def test_pods_placed_without_sharing_get_devices_when_sharing_begins() -> None:
    cluster = kcore.Cluster.from_objects([two_devices()])
    cluster.schedule([pod_object(GpuPod(100, 0, 1, 700), "a"), pod_object(GpuPod(100, 0, 1, 700), "b")])
    assert placements(cluster.schedule([pod_object(GpuPod(100, 0, 1, 400), "c")], policy="fgd")) == [
        (None, None)
    ]
    cluster.schedule([pod_object(GpuPod(100, 0, 1, 700), "d")])
    with pytest.raises(InputError, match="node 'n0' have not enough left for default/d"):
        cluster.schedule([pod_object(GpuPod(100, 0, 1, 100), "e")], policy="fgd")


@pytest.mark.parametrize(
    ("notes", "problem"),
    [
        ({"gpu_milli": "1001"}, r"gpu-milli: is 1001 \(expected a whole number from 0 to 1000\)"),
        ({"gpu_milli": "half"}, "gpu-milli: 'half' is not a number"),
        ({"gpu_count": "-1"}, "gpu-count: is -1"),
        ({"gpu_count": "32"}, "gpu-count: is 32"),
    ],
)
def test_wrong_annotations_are_named(notes: dict[str, str], problem: str) -> None:
    cluster = kcore.Cluster.from_objects([two_devices()])
    with pytest.raises(InputError, match=problem):
        cluster.schedule([annotated(pod_object(GpuPod(100, 0, 1, 500), "p"), **notes)], policy="fgd")


@pytest.mark.parametrize(
    ("index", "problem"), [("2", "is no list"), ("0-0", "names 1 devices"), ("x", "is no list")]
)
def test_wrong_indices_are_named(index: str, problem: str) -> None:
    pod = annotated(pod_object(GpuPod(100, 0, 2, 1000), "p", nodeName="n0"), gpu_index=index)
    with pytest.raises(InputError, match=f"gpu-index: '{index}' {problem}"):
        kcore.Cluster.from_objects([two_devices(), pod])


def test_a_node_has_at_most_31_devices() -> None:
    with pytest.raises(InputError, match="32 GPU devices are more than a node can have"):
        kcore.Cluster.from_objects([node_object(GpuNode("n", 1000, 1 << 30, "A", 32))])


def test_overcommitted_devices_are_refused() -> None:
    pods = [
        annotated(pod_object(GpuPod(100, 0, 1, 700), name, nodeName="n0"), gpu_index="0") for name in "ab"
    ]
    cluster = kcore.Cluster.from_objects([two_devices(), *pods])
    with pytest.raises(InputError, match="pods have more of a GPU of node 'n0' than there is"):
        cluster.schedule([pod_object(GpuPod(100, 0, 1, 100), "p")], policy="fgd")


def test_a_node_that_changes_keeps_what_its_pods_use() -> None:
    cluster = kcore.Cluster.from_objects([two_devices()])
    cluster.schedule([pod_object(GpuPod(100, 0, 1, 600), "p")], policy="fgd")
    cluster.update_node(node_object(GpuNode("n0", 8000, 1 << 36, "B", 4)))
    assert cluster.state.nodes.gpu_left[:, 0].tolist() == [400, 1000, 1000, 1000]
    result = cluster.schedule([pod_object(GpuPod(100, 0, 3, 1000, "B"), "q")], policy="gpu_packing")
    assert placements(result) == [("n0", [1, 2, 3])]
    cluster.remove_pod("default/p")
    assert cluster.state.nodes.gpu_left[:, 0].tolist() == [1000, 0, 0, 0]


def test_preemption_gives_devices_back() -> None:
    cluster = kcore.Cluster.from_objects([two_devices()])
    cluster.schedule([pod_object(GpuPod(100, 0, 1, 1000), name) for name in "ab"], policy="fgd")
    result = cluster.schedule(
        [pod_object(GpuPod(100, 0, 1, 500), "p", priority=5)], policy="fgd", preemption="evict"
    )
    (row,) = result.placements.to_pylist()
    assert (row["node"], row["victims"], row["devices"]) == ("n0", ["default/b"], [1])
    assert cluster.state.nodes.gpu_left[:, 0].tolist() == [0, 500]
    assert result.why("default/p")["filter"] == {
        "n0": {"plugin": "GpuShare", "reasons": ["node(s) didn't have enough left of a GPU"]}
    }
    assert cluster.state.nodes.gpu_left[:, 0].tolist() == [0, 500]


@pytest.mark.parametrize("preemption", ["off", "nominate", "evict"])
@pytest.mark.parametrize("seed", range(6))
def test_engines_agree_and_devices_add_up(preemption: str, seed: int) -> None:
    draw = random.Random(f"{preemption} {seed}")
    nodes = [node_object(random_node(draw, number)) for number in range(6)]
    policies = [draw.choice(["fgd", "best_fit", "random", "default", "gpu_clustering"]) for _ in range(3)]
    batches = [
        [
            pod_object(
                random_pod(draw, parts_of_several=True),
                f"p{turn}-{number}",
                priority=draw.choice((0, 0, 1, 5)),
            )
            for number in range(25)
        ]
        for turn in range(3)
    ]
    told = []
    for engine in ("full", "incremental"):
        cluster = kcore.Cluster.from_objects(nodes)
        rows = []
        for policy, pods in zip(policies, batches, strict=True):
            result = cluster.schedule(pods, policy=policy, engine=engine, preemption=preemption, seed=seed)
            rows.append(result.to_dict()["placements"])
            before = cluster.state.nodes.gpu_left.copy()
            result.explain_rows(result._decisions.rows.tolist())
            assert (cluster.state.nodes.gpu_left == before).all()
            assert (before == capacity(cluster) - used(cluster)).all()
            assert (before >= 0).all()
        told.append(rows)
    assert told[0] == told[1]


def test_a_policy_by_configuration() -> None:
    document = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [
            {
                "schedulerName": "default-scheduler",
                "plugins": {
                    "filter": {"enabled": [{"name": "GpuShare"}]},
                    "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "fgd", "weight": 3}]},
                },
                "pluginConfig": [
                    {"name": "fgd", "args": {"typicalPods": [{"gpuCount": 1, "gpuMilli": 500, "count": 4}]}}
                ],
            }
        ],
    }
    cluster = kcore.Cluster.from_objects([two_devices()])
    result = cluster.schedule([pod_object(GpuPod(100, 0, 1, 500), "p")], config=document)
    # nothing becomes a fragment: 3 * 50
    assert result.to_dict()["placements"][0] == {
        "namespace": "default", "name": "p", "node": "n0", "score": 150, "devices": [0]
    }  # fmt: skip
    args = document["profiles"][0]["pluginConfig"][0]["args"]
    for wrong, problem in (
        ({"typicalPods": []}, "typicalPods: is no list of pods"),
        ({"typicalPods": [{"gpus": 1}]}, r"typicalPods\[0\].gpus: is not known"),
        ({"typicalPods": [{"gpuMilli": 2000}]}, r"typicalPods\[0\].gpuMilli: is 2000"),
        ({"other": 1}, "other: is not known"),
    ):
        args.clear()
        args.update(wrong)
        with pytest.raises(InputError, match=problem):
            cluster.schedule([pod_object(GpuPod(1), "q")], config=document)


def test_unknown_policies_are_told_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no policy is named 'best' .*best_fit.*fgd"):
        kcore.Cluster.from_objects([two_devices()]).schedule([], policy="best")
