"""Simulations of a few pods whose course can be told beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, PodColumns
from kcore.cluster import Cluster
from kcore.sim import Simulation
from kcore.sim.outcome import SimulationResult
from kcore.traces.names import numbered
from kcore.traces.shapes import pod
from kcore.traces.trace import NodeEvent, Trace

MINUTE = 60_000


def node(name: str, cpu: int = 4, **spec: Any) -> dict[str, Any]:
    """A node with so many CPUs."""
    allocatable = {"cpu": str(cpu), "memory": "64Gi", "pods": "110"}
    return {"metadata": {"name": name}, "spec": spec, "status": {"allocatable": allocatable}}


def cluster(*cpus: int) -> Cluster:
    """Nodes n0, n1, ... with so many CPUs."""
    return Cluster.from_objects(
        {"kind": "Node", "apiVersion": "v1", **node(f"n{index}", cpu)} for index, cpu in enumerate(cpus)
    )


def trace(*jobs: tuple[int, int, int] | tuple[int, int, int, int], **more: Any) -> Trace:
    """A pod for each (submit ms, duration ms, CPUs[, priority])."""
    rows = np.array([(*job, 0)[:4] for job in jobs], dtype=np.int64).reshape(-1, 4)
    columns = PodColumns(
        exemplars=[pod()],
        exemplar=np.zeros(len(rows), dtype=np.int32),
        names=numbered("p", len(rows)),
        requests={"cpu": rows[:, 2] * 1000},
        priority=rows[:, 3].astype(np.int32),
    )
    count = len(rows)
    return Trace(
        ClusterObjects(pod_columns=[columns]), rows[:, 0].copy(), rows[:, 1].copy(), np.full(count, -1),
        np.arange(count, dtype=np.int32), more.pop("owner", np.zeros(count, dtype=np.int32)),
        more.pop("owners", ["default"]), **more,
    )  # fmt: skip


def column(result: SimulationResult, name: str) -> list[Any]:
    """A column of the placements."""
    found: list[Any] = result.placements[name].to_pylist()
    return found


def run(given: Trace, *cpus: int, **arguments: Any) -> SimulationResult:
    """The whole trace on nodes with so many CPUs."""
    return Simulation(cluster(*cpus), given, **arguments).run()


# -- the queue


def test_everything_at_once_is_a_batch() -> None:
    given = trace(*((0, -1, 1 + place % 3, place % 2) for place in range(12)))
    result = Simulation(cluster(4, 5, 6), given).run()
    batch = cluster(4, 5, 6).schedule(given.objects, preemption="evict")
    wanted = dict(
        zip(batch.placements["name"].to_pylist(), batch.placements["node"].to_pylist(), strict=True)
    )
    assert dict(zip(column(result, "name"), column(result, "node"), strict=True)) == wanted


def test_the_shortest_comes_first_also_where_all_arrive_together() -> None:
    given = trace((0, 3000, 4), (0, 1000, 4), (0, 2000, 4))
    assert column(run(given, 4, order="sjf"), "start_ms") == [3000, 0, 1000]
    assert column(run(given, 4, policy="sjf"), "start_ms") == [3000, 0, 1000]
    assert column(run(given, 4), "start_ms") == [0, 3000, 4000]


def test_a_small_pod_overtakes_unless_the_order_is_strict() -> None:
    given = trace((0, 5000, 3), (1000, 1000, 4), (2000, 1000, 1))
    assert column(run(given, 4), "start_ms") == [0, 5000, 2000]
    assert column(run(given, 4, strict=True), "start_ms") == [0, 5000, 6000]


def test_in_strict_order_who_comes_first_by_priority_is_tried() -> None:
    given = trace((0, 5000, 3), (1000, 1000, 4), (2000, 1000, 1, 10))
    assert column(run(given, 4, strict=True, preemption="off"), "start_ms") == [0, 5000, 2000]


def test_a_strict_queue_goes_on_when_its_first_is_deleted() -> None:
    given = trace((0, 5000, 3), (1000, 1000, 4), (2000, 1000, 1))
    events = [{"at": 3000, "kind": "delete-pod", "pod": "p00001"}]
    result = run(given, 4, strict=True, scenario=events)
    assert column(result, "start_ms") == [0, None, 3000]
    assert column(result, "status") == ["completed", "deleted", "completed"]


def test_the_owner_with_the_least_share_comes_first() -> None:
    owner = np.array([0, 1, 0, 1], dtype=np.int32)
    given = trace(
        (0, -1, 1), (0, 2000, 3), (1000, 2000, 3), (1000, 2000, 3), owner=owner, owners=["a", "b"]
    )  # fmt: skip
    assert column(run(given, 4, order="drf"), "start_ms") == [0, 0, 4000, 2000]
    assert column(run(given, 4), "start_ms") == [0, 0, 2000, 4000]


def test_pods_of_no_length_come_and_go_within_a_moment() -> None:
    result = run(trace((0, 0, 4), (0, 0, 4), (0, 1000, 4)), 4)
    assert column(result, "start_ms") == [0, 0, 0]
    assert result.summary["completed"] == 3


# -- preemption


def test_of_equal_priorities_the_youngest_makes_room() -> None:
    given = trace((0, 9000, 2), (1000, 9000, 2), (2000, 1000, 2, 10))
    result = run(given, 4)
    assert column(result, "preemptions") == [0, 1, 0]
    assert column(result, "start_ms") == [0, 1000, 2000]
    assert column(result, "end_ms") == [9000, 12_000, 3000]


@pytest.mark.parametrize(
    ("preempted", "end", "status"), [("restart", 11_000, "completed"), ("resume", 9000, "completed"), ("drop", 2000, "failed")]
)  # fmt: skip
def test_what_becomes_of_the_preempted(preempted: str, end: int, status: str) -> None:
    result = run(trace((0, 8000, 4), (2000, 1000, 4, 10)), 4, preempted=preempted)
    assert (column(result, "end_ms")[0], column(result, "status")[0]) == (end, status)
    assert result.summary["preemptions"] == 1
    kinds = [(row["time_ms"], row["kind"], row["name"]) for row in result.events.to_pylist()]
    assert (2000, "preempt", "p00000") in kinds
    assert kinds.count((0, "start", "p00000")) == 1


def test_who_is_preempted_over_and_over_fills_no_table() -> None:
    low = [(0, 1_000_000, 1)] * 4
    high = [(1000 * (2 * index + 1), 1000, 4, 10) for index in range(60)]
    result = run(trace(*low, *high), 4, preempted="resume")
    assert result.summary["preemptions"] == 240
    assert result.summary["completed"] == 64
    assert result.summary["makespan_ms"] == 1_060_000


def test_pods_that_were_there_before_count_and_may_be_preempted() -> None:
    objects = [
        {"kind": "Node", "apiVersion": "v1", **node("n0")},
        {
            "kind": "Pod", "apiVersion": "v1", "metadata": {"name": "old"},
            "spec": {"nodeName": "n0", "containers": [{"name": "c", "resources": {"requests": {"cpu": "4"}}}]},
            "status": {"phase": "Running"},
        },
    ]  # fmt: skip
    given = trace((0, -1, 1, -10), (2000, 2000, 4, 10))
    result = Simulation(Cluster.from_objects(objects), given, interval_ms=1000).run()
    assert column(result, "start_ms") == [4000, 2000]
    assert column(result, "status") == ["running", "completed"]
    assert result.intervals["allocated:cpu"].to_pylist() == [4000] * 5
    assert result.summary["utilisation_cpu"] == 1.0
    assert result.owners["dominant_share"].to_pylist() == [pytest.approx(0.5)]


# -- nodes


def test_pods_wait_while_there_are_no_nodes() -> None:
    given = trace((0, 5000, 2), (3000, 5000, 2))
    events = [
        {"at": 1000, "kind": "fail-node", "name": "n0"},
        {"at": "10s", "kind": "add-node", "name": "n0"},
    ]
    result = run(given, 4, scenario=events, interval_ms=1000)
    assert column(result, "end_ms") == [15_000, 15_000]
    assert column(result, "wait_ms") == [9000, 7000]
    assert column(result, "preemptions") == [0, 0]
    capacity = result.intervals["capacity:cpu"].to_pylist()
    assert capacity == [4000] * 2 + [0] * 9 + [4000] * 5
    assert result.summary["utilisation_cpu"] == pytest.approx((2 * 1 + 4 * 5) / (4 * 6), abs=1e-6)
    kinds = [(row["kind"], row["node"]) for row in result.events.to_pylist() if row["name"] is None]
    assert kinds == [("fail-node", "n0"), ("add-node", "n0")]


def test_nodes_of_the_trace_come_when_it_says() -> None:
    alone = trace((0, 1000, 4))
    made = Cluster.from_objects([{"kind": "Node", "apiVersion": "v1", **node("n0")}])
    first = made.state.nodes.nodes[0]
    assert first is not None
    objects = ClusterObjects(nodes=[first], pod_columns=alone.objects.pod_columns)
    given = Trace(
        objects, alone.submit_ms, alone.duration_ms, alone.estimate_ms, alone.job, alone.owner, alone.owners,
        node_events=[NodeEvent(7000, "add", "n0")],
    )  # fmt: skip
    assert column(Simulation(None, given).run(), "start_ms") == [7000]


def test_a_node_in_another_nodes_slot_has_its_own_name() -> None:
    given = trace((0, 1000, 4), (5000, 1000, 4))
    events = [
        {"at": 2000, "kind": "remove-node", "name": "n0"},
        {"at": 3000, "kind": "add-node", "name": "other", "like": "n0"},
    ]
    result = run(given, 4, scenario=events)
    assert column(result, "node") == ["n0", "other"]


def test_a_cordoned_node_takes_no_more() -> None:
    events = [{"at": 500, "kind": "cordon", "name": "n0"}, {"at": 4000, "kind": "uncordon", "name": "n0"}]
    assert column(run(trace((0, 9000, 1), (1000, 1000, 1)), 4, scenario=events), "start_ms") == [0, 4000]


def test_a_higher_priority_preempts_from_when_it_is_given() -> None:
    events = [{"at": 3000, "kind": "set-priority", "pod": "default/p00001", "priority": 10}]
    result = run(trace((0, 9000, 4), (1000, 1000, 4)), 4, scenario=events)
    assert column(result, "start_ms") == [0, 3000]


# -- node groups


def group(**more: Any) -> dict[str, Any]:
    """A group that is quick to grow and shrink."""
    return {
        "name": "g",
        "template": node("template"),
        "max": 3,
        "delay": "2s",
        "idle": "3s",
        "period": "1s",
    } | more


def test_a_group_grows_from_nothing_and_shrinks() -> None:
    given = trace((500, 5000, 4), (500, 5000, 4), (60_000, 1000, 4))
    result = Simulation(Cluster.from_objects([]), given, groups=[group()]).run()
    # a look at 1 s, nodes after 2 s more
    assert column(result, "start_ms")[:2] == [3000, 3000]
    gone = [row["time_ms"] for row in result.events.to_pylist() if row["kind"] == "remove-node"]
    # seen idle at 8 s, when its pod has ended, and still 3 s later
    assert gone[:2] == [11_000, 11_000]
    assert column(result, "start_ms")[2] == 62_000


def test_a_group_does_not_grow_for_who_cannot_run_there() -> None:
    tainted = node("template", taints=[{"key": "gpu", "effect": "NoSchedule"}])
    result = Simulation(
        cluster(1), trace((0, -1, 1), (1000, 1000, 4)), groups=[group(template=tainted)]
    ).run()
    assert column(result, "status") == ["running", "waiting"]
    assert result.summary["nodes"] == 1


def test_a_group_gives_up_where_more_nodes_do_not_help() -> None:
    # the resources fit, and still the template's node takes nobody
    cordoned = node("template", unschedulable=True)
    result = Simulation(
        cluster(1), trace((0, -1, 1), (1000, 1000, 4)), groups=[group(template=cordoned)]
    ).run()
    assert column(result, "status") == ["running", "waiting"]


def test_a_group_has_its_least_from_the_start() -> None:
    result = Simulation(Cluster.from_objects([]), trace((0, 1000, 4)), groups=[group(min=2)]).run()
    assert column(result, "start_ms") == [0]
    assert result.summary["nodes"] == 2


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"max": -1}, "group 1: max: -1 is no number of nodes"),
        ({"min": 4}, "group 1: min: is more than max"),
        ({"period": 0}, "group 1: period: is no time"),
        ({"size": 3}, "group 1: size: is not known"),
        ({"name": ""}, "group 1: name: '' is no name"),
    ],
)
def test_wrong_groups(more: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Simulation(cluster(4), trace((0, 1, 1)), groups=[group(**more)])


def test_two_groups_of_one_name() -> None:
    with pytest.raises(InputError, match="group 2: name: 'g' is the name of two groups"):
        Simulation(cluster(4), trace((0, 1, 1)), groups=[group(), group()])


# -- going on


def test_forks_do_not_touch_each_other() -> None:
    given = trace(*((1000 * index, 4000, 2) for index in range(12)))
    whole = run(given, 4, 4)
    simulation = Simulation(cluster(4, 4), given)
    simulation.run(5500)
    one, two = simulation.fork(), simulation.fork()
    one.happen({"kind": "fail-node", "name": "n1"})
    assert one.run().summary != whole.summary
    assert two.run().placements.equals(whole.placements)
    assert simulation.run().placements.equals(whole.placements)
    assert simulation.run().summary == whole.summary


def test_steps_are_a_run() -> None:
    given = trace(*((1000 * (index // 3), 4000, 2) for index in range(12)))
    simulation = Simulation(cluster(4, 4), given)
    steps = 0
    while not simulation.is_over:
        simulation.step()
        steps += 1
    assert steps == 24
    assert simulation.result().placements.equals(run(given, 4, 4).placements)


def test_a_result_stays_as_it_was() -> None:
    simulation = Simulation(cluster(4), trace((0, 1000, 4), (0, 1000, 4)))
    early = simulation.run(500)
    simulation.run()
    assert (early.summary["running"], early.summary["simulated_ms"], early.summary["nodes"]) == (1, 500, 1)
    assert early.summary["energy_kwh"] == pytest.approx(300 * 0.5 / 3600 / 1000, abs=1e-6)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"at": 0, "kind": "explode"}, "event 1: kind: 'explode' is no kind of event"),
        ({"at": 0, "kind": "cordon"}, "event 1: name: is missing"),
        ({"kind": "cordon", "name": "n0"}, "event 1: at: is missing"),
        ({"at": "soon", "kind": "cordon", "name": "n0"}, "event 1: at: 'soon' is no time"),
        ({"at": 0, "kind": "cordon", "nam": "n0"}, "event 1: nam: is not known .expected name"),
        ({"at": 0, "kind": "cordon", "name": 7}, "event 1: name: 7 is no name"),
        ({"at": 0, "kind": "add-node", "node": 7}, "event 1: node: is no mapping"),
        ({"at": 0, "kind": "set-priority", "pod": "p", "priority": "high"}, "event 1: priority: 'high'"),
        ([], "event 1: is no mapping"),
    ],
)
def test_wrong_events(event: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Simulation(cluster(4), trace((0, 1, 1)), scenario=[event])


def test_events_that_name_nobody() -> None:
    for event in ({"at": 0, "kind": "cordon", "name": "n9"}, {"at": 0, "kind": "delete-pod", "pod": "p9"}):
        with pytest.raises(InputError, match=f"event {event['kind']} at 0 ms"):
            run(trace((0, 1, 1)), 4, scenario=[event])
