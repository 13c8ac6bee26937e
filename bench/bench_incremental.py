"""The incremental engine on upstream's workloads: pods a second over the whole queue, decisions only.

Every round begins on a fresh state. The first pods are decided by the full pass too and must come out the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench import inputs
from bench.clusters import Run, plain_pods
from bench.figures import Figures, stopwatch
from kcore import traces
from kcore.api.objects import ClusterObjects
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import Options

ROUNDS = 7
COMPARED = 200
"""Pods that the full pass decides as well."""


class Row(NamedTuple):
    """What is measured: the figure's name, its input, its target in pods a second, what preemption does."""

    what: str
    objects: Callable[[], ClusterObjects | None]
    target: float | None
    preemption: str = "off"


def of(name: str, target: float = 1e6, preemption: str = "off") -> Row:
    """A row of a scheduler_perf workload."""
    return Row(name, lambda: inputs.workload(name), target, preemption)


def mixed() -> ClusterObjects:
    """The cluster of ``make run``."""
    return traces.make("heterogeneous", nodes=5_000, pods=100_000)


ROWS = (
    of("SchedulingBasic/5000Nodes_50000Pods", 5e6),
    Row("1,000,000 equal pods, 5,000 nodes", lambda: inputs.equal_pods(5_000, 1_000_000), 5e6),
    Row("1,000,000 equal pods, 100,000 nodes", lambda: inputs.equal_pods(100_000, 1_000_000), 3e6),
    of("TopologySpreading/5000Nodes_5000Pods"),
    of("PreferredTopologySpreading/5000Nodes_5000Pods"),
    of("DefaultTopologySpreading/5000Nodes_50000Pods"),
    of("SchedulingNodeAffinity/5000Nodes_10000Pods"),
    of("SchedulingPodAffinity/5000Nodes_5000Pods"),
    of("SchedulingPodAntiAffinity/5000Nodes_2000Pods"),
    of("SchedulingPreferredPodAffinity/5000Nodes_5000Pods"),
    of("SchedulingPreferredPodAntiAffinity/5000Nodes_5000Pods"),
    of("SchedulingRequiredPodAffinityWithNSSelector/5000Nodes_2000Pods"),
    of("SchedulingRequiredPodAntiAffinityWithNSSelector/5000Nodes_2000Pods"),
    of("SchedulingPreferredAffinityWithNSSelector/5000Nodes_5000Pods"),
    of("SchedulingPreferredAntiAffinityWithNSSelector/5000Nodes_2000Pods"),
    of("MixedSchedulingBasePod/5000Nodes_5000Pods"),
    Row("openb", inputs.openb, 5e5, "nominate"),
    Row("mixed cluster: 100,000 pods of 2,000 shapes, 5,000 nodes", mixed, None),
    Row("all pods differ, 5,000 nodes", inputs.distinct, 1e5),
    of("PreemptionBasic/5000Nodes", 2e4, "evict"),
    of("Unschedulable/5kNodes/100Init/10kPods", 1e6, "evict"),
)
SMALL = (of("SchedulingBasic/5Nodes"), of("PreemptionBasic/5Nodes", 0, "evict"))


def decide(run: Run, engine: str, preemption: str) -> Decisions:
    """Decide for the pending pods as they stand in the file."""
    return run.engine.schedule(run.rows, Options(order="file", engine=engine, preemption=preemption))


def measure(benchmark: BenchmarkFixture, row: Row, objects: ClusterObjects, compiled: bool) -> Decisions:
    """Run the rounds; the decisions of the last one, whose beginning the full pass has confirmed."""

    def setup() -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (Run(objects, compiled=compiled), "auto" if compiled else "incremental", row.preemption), {}

    warm = 1 if compiled else 0
    decisions = benchmark.pedantic(decide, setup=setup, rounds=ROUNDS if compiled else 1, warmup_rounds=warm)
    first = decide(Run(objects, compiled=compiled, pod_max=COMPARED), "full", row.preemption)
    assert (first.node == decisions.node[: len(first.node)]).all(), "against the full pass"
    assert (first.score == decisions.score[: len(first.node)]).all(), "scores against the full pass"
    return decisions


@pytest.mark.parametrize("row", SMALL, ids=lambda row: row.what)
def test_small(benchmark: BenchmarkFixture, row: Row) -> None:
    """The benchmark works, in the interpreter."""
    objects = row.objects()
    assert objects is not None
    assert (measure(benchmark, row, objects, compiled=False).node >= 0).all()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_workload(benchmark: BenchmarkFixture, figures: Figures, row: Row) -> None:
    """Pods a second against the target."""
    if not figures.enabled:
        pytest.skip("full size: --benchmark-enable")
    objects = row.objects()
    if objects is None:
        pytest.skip(f"the openb trace is not at {inputs.OPENB}; set KCORE_SHARED")
    benchmark.group = "incremental engine"
    decisions = measure(benchmark, row, objects, compiled=True)
    pods, placed = len(decisions.node), int((decisions.node >= 0).sum())
    assert placed == pods or row.what.startswith(("openb", "Unschedulable", "mixed"))
    seconds = list(benchmark.stats.stats.data)
    work = {"nodes": len(objects.nodes), "pods": pods, "placed": placed}
    benchmark.extra_info |= work | {"pods_per_second": round(pods / min(seconds))}
    figures.rates(row.what, seconds, pods, "pods/s", target=row.target, work=work)


CURVE_NODES = (100, 1_000, 5_000, 20_000, 50_000, 100_000, 200_000)
CURVE_PODS = (1_000, 10_000, 100_000, 1_000_000)


@pytest.mark.parametrize("kind", ["equal", "distinct"])
def test_curve_over_nodes(figures: Figures, kind: str) -> None:
    """How pods a second fall as nodes grow: by the logarithm for equal pods, linearly where all differ."""
    if not figures.enabled:
        pytest.skip("full size: --benchmark-enable")
    for nodes in CURVE_NODES:
        # nodes of distinct pods are small: no more than fit
        pods = 1_000_000 if kind == "equal" else min(max(20_000_000 // nodes, 500), 30 * nodes)
        objects = inputs.equal_pods(nodes, pods) if kind == "equal" else plain_pods(nodes, pods)
        _curve_point(figures, f"{kind} pods over nodes: {nodes}", objects, {"nodes": nodes, "pods": pods})


def test_curve_over_pods(figures: Figures) -> None:
    """How pods a second grow with the queue on 5,000 nodes: what a run costs before its first pod is shared."""
    if not figures.enabled:
        pytest.skip("full size: --benchmark-enable")
    for pods in CURVE_PODS:
        objects = inputs.equal_pods(5_000, pods)
        _curve_point(figures, f"equal pods over pods: {pods}", objects, {"nodes": 5_000, "pods": pods})


def _curve_point(figures: Figures, what: str, objects: ClusterObjects, work: dict[str, int]) -> None:
    decide(Run(objects, compiled=True), "auto", "off")
    seconds = []
    for _ in range(3):
        took, decisions = stopwatch(decide, Run(objects, compiled=True), "auto", "off")
        assert len(decisions.node) == work["pods"]
        seconds.append(took)
    figures.rates(what, seconds, work["pods"], "pods/s", work=work)
