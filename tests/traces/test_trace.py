"""A trace says what it holds, in order of arrival, and refuses to be anything else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from kcore.api.errors import InputError
from kcore.api.objects import Node, ObjectMeta
from kcore.traces.arrivals import PODS_MAX, Arrivals, MachineHistory, repeated
from kcore.traces.shapes import devices, pod
from kcore.traces.trace import NodeEvent, Trace


def arrivals(submit: list[int], job: list[int] | None = None) -> Arrivals:
    count = len(submit)
    return Arrivals(
        names=pa.array([f"p{row}" for row in range(count)], pa.string()),
        submit_ms=np.array(submit, np.int64),
        duration_ms=np.full(count, 5, np.int64),
        requests={"cpu": np.arange(count, dtype=np.int64)},
        exemplars=[pod()],
        job=None if job is None else np.array(job),
    )


def made(submit: list[int], job: list[int] | None = None, **more: Any) -> Trace:
    trace = arrivals(submit, job).trace(origin="x", **more)
    trace.validate()
    return trace


def test_pods_come_in_order_of_arrival_and_time_begins_with_the_first() -> None:
    trace = made([30, 10, 20, 10])
    assert trace.columns.names.to_pylist() == ["p1", "p3", "p2", "p0"]
    assert trace.submit_ms.tolist() == [0, 0, 10, 20]
    assert trace.columns.requests is not None
    assert trace.columns.requests["cpu"].tolist() == [1, 3, 2, 0]
    assert trace.job.tolist() == [0, 1, 2, 3]
    assert (trace.pods, trace.jobs, trace.span_ms) == (4, 4, 20)


def test_the_first_pods_are_a_trace_of_their_own() -> None:
    trace = made([30, 10, 20, 10])
    first = trace.first(3)
    first.validate()
    assert list(first.columns.names.to_pylist()) == ["p1", "p3", "p2"]
    assert first.columns.requests is not None
    assert first.columns.requests["cpu"].tolist() == [1, 3, 2]
    assert (first.pods, first.submit_ms.tolist(), first.duration_ms.tolist()) == (3, [0, 0, 10], [5, 5, 5])
    assert trace.first(4) is trace


def test_a_faster_trace_runs_as_long() -> None:
    trace = made([30, 10, 20, 10])
    assert trace.faster(4).submit_ms.tolist() == [0, 0, 2, 5]
    assert trace.faster(0.5).submit_ms.tolist() == [0, 0, 20, 40]
    assert trace.faster(4).duration_ms.tolist() == [5, 5, 5, 5]


def test_pods_of_a_job_that_arrive_together_stand_together() -> None:
    trace = made([0, 0, 0, 0, 7, 7], job=[9, 4, 9, 4, 9, 5])
    assert trace.columns.names.to_pylist() == ["p0", "p2", "p1", "p3", "p4", "p5"]
    assert trace.job.tolist() == [0, 0, 1, 1, 0, 2]
    assert trace.jobs == 3


def test_a_trace_without_nodes_keeps_its_pods() -> None:
    trace = made([0], nodes=[Node(metadata=ObjectMeta(name="a"))])
    assert trace.without_nodes().objects.nodes == []
    assert trace.without_nodes().pods == 1


def test_nothing_to_place_is_an_error() -> None:
    with pytest.raises(InputError, match="holds no pods"):
        made([])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"duration_ms": np.array([1, -2, 3])}, "duration_ms: is -2 for pod 1"),
        ({"submit_ms": np.array([0, 2, 1])}, "submit_ms: does not ascend from 0"),
        ({"submit_ms": np.array([1, 2, 3])}, "submit_ms: does not ascend from 0"),
        ({"estimate_ms": np.array([1, 2])}, "estimate_ms: has 2 items for 3 pods"),
        ({"owner": np.array([0, 0, 1], np.int32)}, "owner: is 1"),
        ({"job": np.array([0, 2, 1], np.int32)}, "job: is not numbered by first arrival"),
        ({"job": np.array([0, 1, 3], np.int32)}, "job: is not numbered by first arrival"),
        ({"submit_ms": np.zeros(3, np.int64), "job": np.array([0, 1, 0])}, "job: has pods apart"),
        ({"gang": True, "job": np.array([0, 0, 1])}, "submit_ms: differs within a job"),
        ({"gpu_count": np.array([1, -1, 0])}, "gpu_count: is -1 for pod 1"),
        ({"node_events": [NodeEvent(0, "add", "n")]}, "node_events: name the unknown node 'n'"),
        ({"node_events": [NodeEvent(0, "halt", "a")]}, "node_events: have the kind 'halt'"),
        (
            {"node_events": [NodeEvent(5, "add", "a"), NodeEvent(4, "remove", "a")]},
            "are not in order of time",
        ),
    ],
)
def test_what_does_not_hold_is_named(change: dict[str, Any], message: str) -> None:
    trace = made([0, 1, 2], nodes=[Node(metadata=ObjectMeta(name="a"))])
    with pytest.raises(InputError) as caught:
        replace(trace, **change).validate()
    assert message in str(caught.value)


def test_machines_are_there_from_their_first_event_and_changes_count_from_the_first_arrival() -> None:
    nodes = [Node(metadata=ObjectMeta(name=name)) for name in "abcde"]
    history = MachineHistory(
        node=["a", "b", "b", "c", "d", "a", "e", "c"],
        time_ms=np.array([0, 0, 90, 150, 120, 130, 50, 160]),
        present=np.array([True, True, False, True, False, True, False, False]),
    )
    kept, events = history.since(100, nodes)
    # b and e are gone before the first arrival; a's second coming changes nothing; d was there until it went
    assert [node.metadata.name for node in kept] == ["a", "c", "d"]
    assert events == [NodeEvent(20, "remove", "d"), NodeEvent(50, "add", "c"), NodeEvent(60, "remove", "c")]


def test_gpus_in_thousandths_are_whole_devices_or_a_share_of_one() -> None:
    count, each = devices(np.array([0, 500, 1000, 2000, 1500, 2001]))
    assert count.tolist() == [0, 1, 1, 2, 2, 3]
    assert each.tolist() == [0, 500, 1000, 1000, 750, 667]


def test_too_many_pods_are_refused_before_they_are_made() -> None:
    row, number = repeated(np.array([2, 0, 1]), "x")
    assert (row.tolist(), number.tolist()) == ([0, 0, 2], [0, 1, 0])
    with pytest.raises(InputError, match="at most 50,000,000"):
        repeated(np.array([PODS_MAX, 1]), "x")
