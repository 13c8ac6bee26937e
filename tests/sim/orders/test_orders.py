"""Orders on cases whose outcome is worked out by hand, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kcore
from kcore import traces
from kcore.api.errors import InputError
from kcore.cluster import CLOCK_ORDERS
from kcore.sim import Simulation
from tests.sim.orders.small import node

# job, submit, run, processors, requested time; in seconds. Four nodes of two processors.
LOG = """; MaxNodes: 4
; MaxProcs: 8
1 0 -1 100 6 -1 -1 6 100 -1 1 1 1 1 1 1 -1 -1
2 1 -1 100 8 -1 -1 8 100 -1 1 2 1 1 1 1 -1 -1
3 2 -1 200 2 -1 -1 2 200 -1 1 3 1 1 1 1 -1 -1
4 3 -1 50 2 -1 -1 2 60 -1 1 4 1 1 1 1 -1 -1
5 4 -1 20 1 -1 -1 1 300 -1 1 5 1 1 1 1 -1 -1
"""


@pytest.fixture
def swf(tmp_path: Path) -> Path:
    """The log as a file."""
    path = tmp_path / "log.swf"
    path.write_text(LOG)
    return path


def starts(simulation: Simulation) -> dict[str, int]:
    """First start in seconds of every job's first pod, by job."""
    table = simulation.run().placements
    found: dict[str, int] = {}
    for name, at in zip(table["name"].to_pylist(), table["start_ms"].to_pylist(), strict=True):
        found.setdefault(name.split("-")[1], -1 if at is None else at // 1000)
    return found


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        # whoever fits goes: job 2 needs all nodes and waits for all others
        ("fifo", {"1": 0, "2": 202, "3": 2, "4": 100, "5": 100}),
        # job 2 is to start at 100: job 3 would be there still, job 4 will not; job 5's user says it would
        ("easy", {"1": 0, "2": 100, "3": 200, "4": 3, "5": 200}),
        ("conservative", {"1": 0, "2": 100, "3": 200, "4": 3, "5": 200}),
    ],
)
def test_a_log_of_parallel_jobs(swf: Path, order: str, expected: dict[str, int]) -> None:
    assert starts(Simulation(None, swf, policy=order)) == expected


def test_a_strict_queue_of_gangs_waits_for_its_head(swf: Path) -> None:
    expected = {"1": 0, "2": 100, "3": 200, "4": 200, "5": 200}
    assert starts(Simulation(None, swf, policy="fifo", strict=True)) == expected


def test_backfill_counts_nodes_not_processors(tmp_path: Path) -> None:
    # two nodes of two processors. Job 1 holds one processor of each node... as two jobs; job 3 wants a whole node.
    # When job 1 has ended at 100 a whole node is free. Job 4 is long: it may take what job 2's node has left, no more.
    log = """; MaxNodes: 2
; MaxProcs: 4
1 0 -1 100 1 -1 -1 1 100 -1 1 1 1 1 1 1 -1 -1
2 0 -1 500 1 -1 -1 1 500 -1 1 1 1 1 1 1 -1 -1
3 1 -1 10 2 -1 -1 2 10 -1 1 1 1 1 1 1 -1 -1
4 2 -1 400 1 -1 -1 1 400 -1 1 1 1 1 1 1 -1 -1
5 3 -1 400 1 -1 -1 1 400 -1 1 1 1 1 1 1 -1 -1
"""
    path = tmp_path / "log.swf"
    path.write_text(log)
    # default scores put jobs 1 and 2 on different nodes
    simulation = Simulation(None, path, policy="easy")
    table = simulation.run().placements.to_pydict()
    where = dict(zip(table["name"], table["node"], strict=True))
    when = dict(zip(table["name"], table["start_ms"], strict=True))
    assert where["job-1"] != where["job-2"]
    assert (when["job-4"], where["job-4"]) == (2_000, where["job-2"])
    assert (when["job-3"], where["job-3"]) == (100_000, where["job-1"])
    assert when["job-5"] == 110_000


def pods(count: int, **spec: Any) -> list[dict[str, Any]]:
    """Pods with one core each."""
    container = {"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}
    return [
        {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"web-{at}", "labels": {"app": "web"}},
            "spec": {"containers": [container], **spec},
        }
        for at in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("order", ["easy", "conservative", "srtf", "las"])
def test_filters_of_the_engine_decide_what_fits_now(order: str, tmp_path: Path) -> None:
    apart = [{"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}]
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": apart}}
    nodes = [{**node(f"node-{at}", 8, 8, 110)} for at in range(2)]
    for one in nodes:
        one["metadata"]["labels"] = {"kubernetes.io/hostname": one["metadata"]["name"]}
    cluster = kcore.Cluster.from_objects([*nodes, *pods(3, affinity=affinity)])
    (tmp_path / "trace.csv").write_text(
        "name,cpu_milli,memory_bytes,submit_ms,duration_ms\nlast,1000,1073741824,0,50\n"
    )
    simulation = Simulation(cluster, traces.load_trace(tmp_path / "trace.csv"), order=order)
    table = simulation.run().placements
    # the cluster's own pods have no end: two run for ever, the third fits beside neither
    assert sorted(table["status"].to_pylist()) == ["completed", "running", "running", "waiting"]
    (reason,) = [one for one in table["reason"].to_pylist() if one]
    assert "anti-affinity" in reason


def test_an_order_goes_with_a_placing_policy(swf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kcore.scheduler.plugins import contract

    monkeypatch.setattr(contract, "_registered", {})

    @kcore.score_plugin("Last", normalize="none", depends="node")
    def last(pod: Any, nodes: Any, out: Any) -> None:
        for at in range(out.shape[0]):
            out[at] = at

    simulation = Simulation(None, swf, policy="easy,Last")
    assert (simulation.order, simulation.policy) == ("easy", "easy,Last")
    assert starts(simulation) == {"1": 0, "2": 100, "3": 200, "4": 3, "5": 200}
    table = simulation.result().placements.to_pydict()
    assert dict(zip(table["name"], table["node"], strict=True))["job-1-0"] == "node-00003"


def test_las_prefers_who_has_had_least(tmp_path: Path) -> None:
    # one core. a has had its first 5 s when b comes, and gives way; b ends within its first queue
    (tmp_path / "trace.csv").write_text(
        "name,cpu_milli,memory_bytes,submit,duration\na,1000,1,0,20\nb,1000,1,6,3\nc,1000,1,7,30\n"
    )
    cluster = kcore.Cluster.from_objects([node("node-0", 1, 1, 110)])
    simulation = Simulation(cluster, tmp_path / "trace.csv", policy="las", thresholds="5s")
    table = simulation.run().placements.to_pydict()
    assert table["start_ms"] == [0, 6_000, 9_000]
    # c falls to a's queue at 14 s; a started first, takes its turn again, and keeps it
    assert table["end_ms"] == [28_000, 9_000, 53_000]
    assert table["preemptions"] == [1, 0, 1]
    events = simulation.result().events.to_pydict()
    assert [at for at, kind in zip(events["time_ms"], events["kind"], strict=True) if kind == "preempt"] == [
        6_000,
        14_000,
    ]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"policy": "easy", "strict": True}, "strict"),
        ({"policy": "srtf", "preemption": "off"}, "preemption"),
        ({"policy": "las", "preempted": "drop"}, "preempted"),
        ({"policy": "las", "thresholds": "2h,1h"}, "thresholds"),
        ({"policy": "las", "thresholds": "soon"}, "thresholds"),
        ({"policy": "easy,conservative"}, "policy"),
        ({"policy": "easy", "overrun": "stop"}, "overrun"),
    ],
)
def test_contradictions_are_refused(swf: Path, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as told:
        Simulation(None, swf, **options)
    assert told.value.field == field


@pytest.mark.parametrize("order", [*CLOCK_ORDERS, "easy,anything"])
def test_orders_need_a_clock(order: str) -> None:
    cluster = kcore.Cluster.from_objects([node("node-0", 1, 1, 110), *pods(1)])
    with pytest.raises(InputError, match="needs a clock: kcore simulate"):
        cluster.schedule(policy=order)


@pytest.mark.parametrize("order", CLOCK_ORDERS)
def test_a_gang_that_loses_a_node_starts_again_together(swf: Path, order: str) -> None:
    scenario = [
        {"at": "50s", "kind": "fail-node", "name": "node-00001"},
        {"at": "60s", "kind": "add-node", "name": "node-00001"},
    ]
    result = Simulation(None, swf, policy=order, scenario=scenario).run()
    table = result.placements.to_pydict()
    assert set(table["status"]) == {"completed"}
    first = [at for at, name in enumerate(table["name"]) if name.startswith("job-1-")]
    assert len({table["end_ms"][at] for at in first}) == 1
    assert all(table["attempts"][at] >= 2 for at in first)


def test_a_deleted_job_leaves_the_queue(swf: Path) -> None:
    scenario = [{"at": "10s", "kind": "delete-pod", "pod": f"default/job-2-{at}"} for at in range(4)]
    for order in ("easy", "conservative"):
        found = starts(Simulation(None, swf, policy=order, scenario=scenario))
        assert found["3"] == 53, order
