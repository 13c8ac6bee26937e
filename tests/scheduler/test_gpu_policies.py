"""Every policy, on both engines, places random pods on random nodes as its slow twin does, device by device."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kcore
from kcore.scheduler.devices import GpuRequest, card_models
from kcore.scheduler.plugins.policies import POLICIES
from kcore.scheduler.typical import PodKind, typical_pods
from tests.naive.gpu import fragmentation, protocol
from tests.naive.gpu.node import GpuNode, GpuPod
from tests.naive.gpu.policies import SCORES, Largest, fgd_choice, sigmoid_score
from tests.scheduler.gpu_clusters import node_object, pod_object, random_node, random_pod

pytestmark = pytest.mark.differential
NAMES = [policy.name for policy in POLICIES]


def fresh(nodes: list[GpuNode]) -> list[GpuNode]:
    return [GpuNode(one.name, one.cpu, one.memory, one.model, one.devices, one.pods_allowed) for one in nodes]


def drawer(seed: int, count: int) -> tuple[Callable[[], None], Callable[[int], int]]:
    """The engine's draws: one a pod, its first bits for the node, the others for the devices."""
    draws = np.random.default_rng(seed).random(count).tolist()
    state = {"pod": -1, "rest": None}

    def next_pod() -> None:
        state["pod"] += 1
        state["rest"] = None

    def draw(limit: int) -> int:
        if state["rest"] is None:
            one = draws[state["pod"]]
            scaled = one * (1 << 20)
            state["rest"] = scaled - int(scaled)
            return int(one * limit)
        scaled = state["rest"] * limit
        wanted = min(int(scaled), limit - 1)
        state["rest"] = scaled - wanted
        return wanted

    return next_pod, draw


@pytest.mark.parametrize("policy", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_a_policy_places_as_its_twin(policy: str, seed: int) -> None:
    draw = random.Random(f"{policy} {seed}")
    nodes = [random_node(draw, number) for number in range(9)]
    pods = [random_pod(draw, parts_of_several=seed % 2 == 1) for _ in range(50)]
    typical = fragmentation.typical_pods(pods)
    next_pod, number = drawer(seed, len(pods))
    twins = fresh(nodes)
    expected: list[Any] = []
    for pod in pods:
        next_pod()
        expected += protocol.run(twins, [pod], policy, typical, number)
    placed = sum(node is not None for node, _ in expected)
    assert 10 < placed < len(pods) or policy == "fgd"
    for engine in ("full", "incremental"):
        cluster = kcore.Cluster.from_objects([node_object(node) for node in nodes])
        result = cluster.schedule(
            [pod_object(pod, f"p{index}") for index, pod in enumerate(pods)],
            policy=policy, engine=engine, seed=seed, preemption="off", order="file",
        )  # fmt: skip
        rows = result.placements.select(["node", "devices"]).to_pylist()
        assert [(row["node"], row["devices"] or []) for row in rows] == expected, engine
        left = cluster.state.nodes.gpu_left
        assert [left[: one.devices, slot].tolist() for slot, one in enumerate(twins)] == [
            one.left for one in twins
        ]


@pytest.mark.parametrize("policy", [name for name in NAMES if name not in ("random", "first_fit")])
def test_a_policy_scores_as_its_twin(policy: str) -> None:
    draw = random.Random(policy)
    nodes = [random_node(draw, number) for number in range(8)]
    pods = [random_pod(draw) for _ in range(30)]
    cluster = kcore.Cluster.from_objects([node_object(node) for node in nodes])
    result = cluster.schedule(
        [pod_object(pod, f"p{index}") for index, pod in enumerate(pods)],
        policy=policy, preemption="off", order="file", explain=True,
    )  # fmt: skip
    typical = fragmentation.typical_pods(pods)
    largest = Largest(max(node.cpu for node in nodes), 1000 * max(node.devices for node in nodes))
    twins = {node.name: node for node in fresh(nodes)}
    seen = set()
    for pod, told, row in zip(pods, result.explanations, result.placements.to_pylist(), strict=True):
        feasible = {name for name, node in twins.items() if node.fits(pod)}
        assert {name for name, why in told["filter"].items() if why is None} == feasible
        for name in feasible:
            score = SCORES[policy](twins[name], pod, largest, typical)
            assert told["score"][name][policy] == {"raw": score, "normalized": score, "weighted": score}
            seen.add(score)
        if row["node"] is not None:
            twins[row["node"]].put(pod, row["devices"] or [])
    assert len(seen) > 5


def test_typical_pods_are_the_twins_to_the_last_bit() -> None:
    draw = random.Random(1)
    pods = [random_pod(draw) for _ in range(400)]
    counts = Counter(
        PodKind(
            pod.cpu,
            GpuRequest(pod.count, pod.milli, card_models(pod.models)) if pod.count else GpuRequest(),
        )
        for pod in pods
    )
    ours, twins = typical_pods(counts), fragmentation.typical_pods(pods)
    assert ours.share.tolist() == [one.share for one in twins]
    assert [(kind.cpu, kind.gpu.devices, kind.gpu.milli) for kind in ours.kinds] == [
        (one.pod.cpu, one.pod.count, one.pod.milli) for one in twins
    ]
    assert abs(sum(ours.share) - 1) < 1e-9
    assert len(ours.kinds) < len(counts)


def test_fragments_by_hand() -> None:
    # the example of a node with 1.5 idle GPUs: a pod of 700 can use one device, one of 2 GPUs neither
    node = GpuNode("n", 8000, 1 << 30, "A", 2)
    node.put(GpuPod(1000, 0, 1, 500), [0])
    typical = [
        fragmentation.Typical(GpuPod(1000, 0, 1, 700), 0.5),
        fragmentation.Typical(GpuPod(1000, 0, 2, 1000), 0.25),
        fragmentation.Typical(GpuPod(1000), 0.25),
    ]
    assert fragmentation.fragments(node, typical) == 0.5 * 500 + 0.25 * 1500 + 0.25 * 1500
    score, devices = fgd_choice(node, GpuPod(1000, 0, 1, 400), typical)
    # on the device in use 100 are left that none of them wants; on the other 600 and 500, of which neither takes 700
    assert devices == [0]
    assert score == sigmoid_score(1000.0, 0.5 * 100 + 0.5 * 1100)
