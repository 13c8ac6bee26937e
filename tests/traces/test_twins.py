"""Columns of events and arrivals give what a loop over them gives."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.api.objects import Node, ObjectMeta
from kcore.traces.arrivals import Arrivals, MachineHistory
from kcore.traces.borg2019 import run_lengths
from kcore.traces.shapes import pod
from tests.naive.traces import arrival_order, presence, run_ms

pytestmark = pytest.mark.differential

events = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 10)), max_size=12)


@settings(deadline=None)
@given(st.lists(events.filter(bool), min_size=1, max_size=6))
def test_runs_of_borg(instances: list[list[tuple[int, int]]]) -> None:
    rows = [(at, time * 1_000, kind) for at, each in enumerate(instances) for time, kind in sorted(each)]
    instance, time_us, kind = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    lengths, ran = run_lengths(time_us, kind, instance, len(instances))
    expected = [run_ms([(time * 1_000, kind) for time, kind in each]) for each in instances]
    assert [int(length) if seen else None for length, seen in zip(lengths, ran, strict=True)] == expected


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(5, 8)), min_size=1, max_size=20))
def test_order_of_arrival(pods: list[tuple[int, int]]) -> None:
    count = len(pods)
    trace = Arrivals(
        names=pa.array([str(row) for row in range(count)], pa.string()),
        submit_ms=np.array([submit for submit, _ in pods], np.int64),
        duration_ms=np.arange(count),
        requests={},
        exemplars=[pod()],
        job=np.array([job for _, job in pods]),
    ).trace(origin="x")
    trace.validate()
    assert list(zip(trace.duration_ms.tolist(), trace.job.tolist(), strict=True)) == arrival_order(pods)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.booleans()),
        max_size=12,
        unique_by=lambda each: each[:2],
    )
)
def test_machines(history: list[tuple[str, int, bool]]) -> None:
    names, times, present = ([event[field] for event in history] for field in range(3))
    nodes = [Node(metadata=ObjectMeta(name=name)) for name in sorted(set(names))]
    kept, changes = MachineHistory(names, np.array(times, np.int64), np.array(present, bool)).since(8, nodes)
    ever, expected = presence(history, 8)
    assert {node.metadata.name for node in kept} == ever
    assert sorted(map(tuple, changes)) == expected
