"""The optimum is the best of all placements, no bound is crossed, and every placement passes the engine's filters."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from kcore import Cluster, InputError
from tests.naive.packing import best_placements, most_on_devices
from tests.scheduler.cluster_objects import node_dict, pod_dict

pytest.importorskip("ortools", reason="the extra opt is not installed")

from kcore.sim.instance import instance_of
from kcore.sim.optimum import bound, distance, optimum
from kcore.sim.relaxation import Program

pytestmark = pytest.mark.differential

GPU = "alibabacloud.com/gpu-milli"


def tiny(seed: int, nodes: int = 3, pods: int = 5) -> list[dict[str, Any]]:
    """Few nodes of few sizes, one tainted, one with a pod; pods with selectors, ports and tolerations."""
    random = np.random.default_rng(seed)
    objects = []
    for number in range(nodes):
        spec = {}
        if number == 0 and seed % 2:
            spec = {"taints": [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]}
        labels = {"disk": "ssd"} if random.integers(2) else {}
        cpu, memory = str(random.integers(2, 5)), f"{random.integers(2, 7)}Gi"
        objects.append(
            node_dict(f"n{number}", cpu, memory, str(random.integers(2, 5)), labels=labels, spec=spec)
        )
    objects.append(pod_dict("there", "500m", node=f"n{nodes - 1}", port=80 if seed % 3 == 0 else 0))
    for number in range(pods):
        requests = {"cpu": f"{random.integers(1, 6) * 500}m", "memory": f"{random.integers(1, 6) * 512}Mi"}
        extra: dict[str, Any] = {}
        kind = int(random.integers(5))
        if kind == 0:
            extra["nodeSelector"] = {"disk": "ssd"}
        if kind == 1:
            extra["port"] = 80
        if kind == 2:
            extra["tolerations"] = [{"key": "dedicated", "operator": "Exists"}]
        objects.append(pod_dict(f"p{number}", requests=requests, priority=number % 2, **extra))
    return objects


@pytest.mark.parametrize("seed", range(12))
def test_the_optimum_is_the_best_of_all_placements(seed: int) -> None:
    best = best_placements(Cluster.from_objects(tiny(seed)))
    cluster = Cluster.from_objects(tiny(seed))
    for objective, expected in best._asdict().items():
        found = optimum(cluster, objective=objective, workers=1)
        assert (found.status, found.value, found.bound, found.gap) == ("optimal", expected, expected, 0)
        limit = bound(cluster, objective=objective, placed=best.placed)
        assert (limit.status, limit.value, limit.placements) == ("bound", None, {})
        assert limit.bound <= expected if objective == "nodes_used" else limit.bound >= expected


@pytest.mark.parametrize("objective", ["placed", "nodes_used", "cpu"])
@pytest.mark.parametrize("seed", range(3))
def test_placements_pass_the_engines_filters(seed: int, objective: str) -> None:
    cluster = Cluster.from_objects(tiny(seed, nodes=6, pods=25))
    found = optimum(cluster, objective=objective, workers=1, seconds=10)
    engine, state = cluster.engine(), cluster.state
    rows = cluster.pending_rows()
    engine.compile_demands(rows)
    placed = 0
    for pod, node in found.placements.items():
        row = state.find_pod(*pod.split("/"))
        if node is not None:
            engine.filter(engine.configuration.profiles[0], row)
            slot = state.nodes.find(node)
            assert engine.scratch(state.world()).verdict[slot] == 0, (pod, node)
            state.place(row, slot)
            placed += 1
    assert len(found.placements) == len(rows)
    if objective == "placed":
        assert placed == found.value
    if objective == "nodes_used":
        assert int((state.nodes.pod_count > 0).sum()) == found.value


@pytest.mark.parametrize("seed", range(6))
def test_no_scheduler_crosses_the_bound(seed: int) -> None:
    cluster = Cluster.synthetic("heterogeneous", nodes=12, pods=80, seed=seed, fill=1.4)
    result = cluster.schedule(preemption="off")
    tables = {**vars(cluster.state.nodes), **vars(cluster.state.pods)}
    columns = {name: one.copy() for name, one in tables.items() if isinstance(one, np.ndarray)}
    placed = distance(result, cluster)
    assert placed == {
        "objective": "placed", "value": result.placed, "bound": placed["bound"],
        "gap": placed["bound"] - result.placed,
        "gap_percent": round(100 * (placed["bound"] - result.placed) / placed["bound"], 4), "status": "bound",
    }  # fmt: skip
    assert placed["gap"] >= 0
    assert distance(result, cluster, objective="cpu")["gap"] >= 0
    assert distance(result, cluster, objective="nodes_used")["gap"] >= 0
    tables = {**vars(cluster.state.nodes), **vars(cluster.state.pods)}
    for name, column in columns.items():
        np.testing.assert_array_equal(tables[name], column, err_msg=name)


@pytest.mark.parametrize("seed", range(4))
def test_a_result_is_judged_as_if_its_pods_had_no_node(seed: int) -> None:
    before = instance_of(Cluster.from_objects(tiny(seed)))
    cluster = Cluster.from_objects(tiny(seed))
    after = instance_of(cluster, cluster.schedule(preemption="off").rows)
    for name in ("amount", "allowed", "free", "busy", "kind"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name), err_msg=name)
    assert before.rivals == after.rivals
    exact = distance(cluster.schedule([]), cluster, exact={"workers": 1})
    assert (exact["value"], exact["bound"], exact["status"]) == (0, 0, "optimal")


@pytest.mark.parametrize("seed", range(10))
def test_devices_are_packed_as_well_as_can_be(seed: int) -> None:
    random = np.random.default_rng(seed)
    devices = random.integers(1, 4, size=2).tolist()
    asked = random.choice([200, 300, 400, 500, 600, 700, 1000, 2000], size=7).tolist()
    objects = [node_dict(f"n{one}", **{GPU: str(1000 * count)}) for one, count in enumerate(devices)]
    objects += [pod_dict(f"p{one}", requests={GPU: str(milli)}) for one, milli in enumerate(asked)]
    cluster = Cluster.from_objects(objects)
    expected = most_on_devices(asked, devices)
    found = optimum(cluster, device=GPU, workers=1)
    assert (found.status, found.value) == ("optimal", expected)
    assert bound(cluster, device=GPU).bound >= expected
    assert optimum(cluster, workers=1).value >= expected


def test_filters_that_are_not_modelled_are_named() -> None:
    term = {"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": "kubernetes.io/hostname"}
    away = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    objects = [node_dict("n"), *(pod_dict(f"p{one}", labels={"a": "b"}, affinity=away) for one in range(2))]
    found = optimum(Cluster.from_objects(objects), workers=1)
    assert (found.value, found.left_out) == (2, ("InterPodAffinity",))
    assert optimum(Cluster.from_objects(tiny(0)), workers=1).left_out == ()


def test_with_one_worker_equal_seeds_give_equal_answers() -> None:
    cluster = Cluster.synthetic("heterogeneous", nodes=10, pods=60, seed=3, fill=1.3)
    answers = [optimum(cluster, objective="cpu", workers=1, seed=7, effort=1.0, seconds=60) for _ in range(2)]
    assert answers[0].placements == answers[1].placements
    assert (answers[0].value, answers[0].bound) == (answers[1].value, answers[1].bound)


def test_an_answer_is_at_least_as_good_as_what_it_begins_with() -> None:
    cluster = Cluster.synthetic("heterogeneous", nodes=20, pods=200, seed=5, fill=1.3)
    first = optimum(cluster, workers=1, seconds=2)
    again = optimum(cluster, workers=1, seconds=0.1, starts=[first.placements])
    assert again.value is not None
    assert first.value is not None
    assert again.value >= first.value


def test_gated_pods_are_left_out_and_an_empty_queue_is_placed() -> None:
    gated = pod_dict("gated", schedulingGates=[{"name": "wait"}])
    found = optimum(Cluster.from_objects([node_dict("n"), gated]), workers=1)
    assert (found.value, found.bound, found.pods, found.placements) == (0, 0, 0, {})
    assert optimum(Cluster.from_objects([node_dict("n")]), objective="nodes_used", workers=1).value == 0


@pytest.mark.parametrize("seed", range(20))
def test_weak_duality_holds_for_any_prices(seed: int) -> None:
    random = np.random.default_rng(seed)
    program = Program()
    for _ in range(3):
        program.variable(int(random.integers(0, 5)), int(random.integers(1, 4)))
    for _ in range(3):
        program.limit([(one, int(random.integers(-1, 6))) for one in range(3)], int(random.integers(1, 9)))
    best = max(
        sum(gain * value for gain, value in zip(program.gain, x, strict=True))
        for x in np.ndindex(*(most + 1 for most in program.most))
        if all(sum(factor * x[one] for one, factor in entries) <= most for entries, most in program.rows)
    )
    assert program.bound(random.random(len(program.rows)).tolist()) >= best
    assert program.solve()[1] >= best


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"objective": "speed"},
            "objective: 'speed' cannot be optimized .expected one of placed, nodes_used, cpu, memory",
        ),
        ({"seconds": 0}, "seconds: 0 seconds are none"),
        ({"workers": 0}, "workers: 0 workers are none"),
        ({"seed": -1}, "seed: -1 is no seed"),
        ({"device": "example.com/none"}, "device: no node or pod has the resource 'example.com/none'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        optimum(Cluster.from_objects(tiny(0)), **arguments)


def test_a_request_between_devices_is_named() -> None:
    objects = [node_dict("n", **{GPU: "4000"}), pod_dict("p", requests={GPU: "1500"})]
    with pytest.raises(InputError, match=f"device: a pod asks for 1500 of {GPU}"):
        optimum(Cluster.from_objects(objects), device=GPU)


def test_without_ortools_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools", None)
    with pytest.raises(InputError, match=r"OR-tools is not installed .*kcore\[opt\]"):
        bound(Cluster.from_objects(tiny(0)))
