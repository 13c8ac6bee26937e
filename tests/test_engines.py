"""Both engines through the Python face: explanations, users' plugins in the same queue, progress."""

from __future__ import annotations

from typing import Any

import pytest

from kcore import Cluster, InputError, Result, kernel, loading, score_plugin
from kcore.scheduler.plugins import contract
from tests.scheduler.cluster_objects import configuration, node_dict, pod_dict

ENGINES = ("full", "incremental")


def outcome(result: Result) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = result.placements.to_pylist()
    return rows


def test_pods_placed_long_ago_are_explained_alike() -> None:
    results = [
        Cluster.synthetic("heterogeneous", nodes=25, pods=150, seed=3).schedule(engine=engine, explain=True)
        for engine in ENGINES
    ]
    assert [result.engine for result in results] == [f"{engine}, interpreted" for engine in ENGINES]
    first, second = (result.explanations for result in results)
    assert len(first) == 150
    assert first == second
    assert outcome(results[0]) == outcome(results[1])


@pytest.mark.parametrize("preemption", ["nominate", "evict"])
def test_profiles_with_users_plugins_stand_in_the_same_queue(
    preemption: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "_load_entry_points", lambda: None)
    monkeypatch.setattr(contract, "_registered", {})

    @score_plugin("Crowded", normalize="default")
    def crowded(pod: Any, view: Any, out: Any) -> None:
        for node in range(out.shape[0]):
            out[node] = view.pod_count[node]

    enabled = {"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "Crowded", "weight": 1}]}}
    config = configuration(
        {"schedulerName": "default-scheduler"}, {"schedulerName": "packing", "plugins": enabled}
    )
    objects = [node_dict(f"node-{number}", "4") for number in range(6)]
    for number in range(40):
        spec = {"schedulerName": "packing"} if number % 3 == 0 else {}
        pod = pod_dict(f"pod-{number:02d}", "1")
        pod["spec"] |= {**spec, "priority": 10 if number > 30 else 0}
        objects.append(pod)
    full, incremental = (
        Cluster.from_objects(objects).schedule(
            config=config, engine=engine, order="file", preemption=preemption
        )
        for engine in ENGINES
    )
    assert outcome(full) == outcome(incremental)
    assert full.placed == 24
    assert any(row["victims"] for row in outcome(full))


@pytest.mark.parametrize("engine", ENGINES)
def test_progress_as_often_as_asked(engine: str) -> None:
    cluster = Cluster.synthetic("scheduler_perf", nodes=5, pods=23)
    seen: list[tuple[int, int]] = []
    result = cluster.schedule(
        engine=engine, progress=lambda done, of: seen.append((done, of)), report_every=10
    )
    assert seen == [(10, 23), (20, 23), (23, 23)]
    assert result.seconds > 0


def test_objects_of_any_kind_are_added() -> None:
    cluster = Cluster()
    cluster.add([node_dict("a"), pod_dict("there", node="a"), pod_dict("p")])
    assert (cluster.node_count, cluster.pending) == (1, 1)
    with pytest.raises(InputError):
        cluster.add([pod_dict("p")])
    assert cluster.pending == 1


@pytest.mark.skipif(not kernel.JIT, reason="nothing is compiled with the JIT off")
@pytest.mark.parametrize("engine", ENGINES)
def test_without_kernels_the_interpreter_begins_and_they_go_on(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(stages: list[str]) -> Result:
        cluster = Cluster.synthetic("heterogeneous", nodes=25, pods=150, seed=3)
        return cluster.schedule(engine=engine, stage=stages.append)

    expected = run([])
    monkeypatch.setattr("kcore.cluster.INTERPRETED_MAX", -1)
    monkeypatch.setattr(kernel, "is_cached", lambda: False)
    monkeypatch.setattr(kernel, "mark_cached", lambda: None)
    monkeypatch.setattr(loading, "PATIENCE_S", -1.0)
    monkeypatch.setattr(loading, "LOOKS_EVERY", 50)
    stages: list[str] = []
    result = run(stages)
    assert stages == [
        "compiling what the pods demand", "scheduling", "compiling kernels, once: about a minute", "scheduling",
    ]  # fmt: skip
    assert result.engine == engine
    assert outcome(result) == outcome(expected)
