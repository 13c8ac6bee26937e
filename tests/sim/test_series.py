"""The numbers of the figures are those of the slow twins; what cannot be drawn is named."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore import InputError
from kcore.sim import series
from tests.naive import study as naive

pytestmark = pytest.mark.differential

ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.integers(-3, 3), st.none() | st.floats(-1e3, 1e3)),
    min_size=1,
    max_size=30,
)


def table_of(rows: list[tuple[Any, Any, Any]]) -> pa.Table:
    """Rows of (group, x, y)."""
    return pa.table(
        {
            "policy": pa.array([row[0] for row in rows], pa.string()),
            "x": pa.array([row[1] for row in rows], pa.int64()),
            "y": pa.array([row[2] for row in rows], pa.float64()),
        }
    )


@given(ROWS)
def test_means_and_spreads_are_those_of_the_twin(rows: list[tuple[Any, Any, Any]]) -> None:
    wanted = naive.lines(rows)
    if not wanted:
        with pytest.raises(InputError, match="no run has a value of y"):
            series.lines(table_of(rows), "x", "y", "policy")
        return
    found = {line.label: line for line in series.lines(table_of(rows), "x", "y", "policy")}
    assert found.keys() == wanted.keys()
    for label, line in found.items():
        assert line.x == sorted(wanted[label])
        for index, x in enumerate(line.x):
            mean, sd, runs = wanted[label][x]
            assert line.runs[index] == runs
            assert line.mean[index] == pytest.approx(mean, abs=1e-9)
            assert math.isnan(line.sd[index]) if sd is None else line.sd[index] == pytest.approx(sd, abs=1e-6)


@given(ROWS)
def test_distributions_are_those_of_the_twin(rows: list[tuple[Any, Any, Any]]) -> None:
    wanted: dict[str, list[float]] = {}
    for group, _, y in rows:
        if y is not None:
            wanted.setdefault(group, []).append(y)
    if not wanted:
        return
    found = {curve.label: curve for curve in series.curves(table_of(rows), "y", "policy")}
    assert found.keys() == wanted.keys()
    for label, curve in found.items():
        assert curve.rows == len(wanted[label])
        assert curve.value.tolist() == sorted(set(wanted[label]))
        shares = [naive.share_at_most(wanted[label], bound) for bound in curve.value.tolist()]
        assert curve.share.tolist() == pytest.approx(shares)


def test_texts_stay_in_order_of_appearance() -> None:
    table = pa.table({"workload": ["b", "a", "b"], "y": [1, 2, 3]})
    (line,) = series.lines(table, "workload", "y", None)
    assert (line.label, line.x, line.mean.tolist(), line.runs.tolist()) == (
        "",
        ["b", "a"],
        [2.0, 2.0],
        [2, 1],
    )


def tidy() -> pa.Table:
    """Two policies, two seeds, two loads; one run failed."""
    rows = [
        {"point": str(index), "workload": "w", "policy": policy, "seed": seed, "load": load, "size": 3}
        for index, (policy, load, seed) in enumerate(
            (policy, load, seed) for policy in "ab" for load in (0.5, 1.0) for seed in (1, 2)
        )
    ]
    for index, row in enumerate(rows):
        row |= {"status": "failed" if index == 7 else "done", "error": None, "placed": index, "word": "x"}
    return pa.Table.from_pylist(rows)


def test_failed_runs_and_conditions() -> None:
    table = series.done(tidy())
    assert len(table) == 7
    assert series.point_names(table) == ["workload", "policy", "seed", "load", "size"]
    assert series.varying(table) == ["policy", "seed", "load"]
    assert series.varying(table, ("policy", None)) == ["seed", "load"]
    assert len(series.where(table, [("policy", "a"), ("policy", "b"), ("load", "0.5")])) == 4
    assert len(series.where(table, [("seed", "1")])) == 4


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (lambda t: series.lines(t, "laod", "placed", None), "--x: there is no column 'laod' (expected load; there are point,"),
        (lambda t: series.lines(t, "load", "qqq", None), "--y: there is no column 'qqq' (expected point, workload,"),
        (lambda t: series.lines(t, "load", "word", None), "--y: word holds no numbers (expected seed, load, size, placed)"),
        (lambda t: series.where(t, [("load", "2")]), "--where: no row has load=2 (expected 0.5, 1.0)"),
        (lambda t: series.where(t, [("load", "much")]), "--where: load holds double, not much (expected 0.5, 1.0)"),
        (lambda t: series.grids(t, None), "KIND: there is no column utilisation:RESOURCE, only point, workload,"),
        (lambda t: series.groups(pa.table({"g": [*range(31)]}), "g"), "--group: g has 31 values (expected a column with 30 at most)"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_named(wrong: Any, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        wrong(tidy())
    assert str(caught.value).startswith(problem)


def test_nodes_are_means_over_runs_and_the_fullest_comes_first() -> None:
    table = pa.table(
        {
            "point": ["p", "p", "p", "q", "q", "q"],
            "name": ["n1", "n2", "n3"] * 2,
            "utilisation:cpu": [0.1, 0.5, 0.9, 0.3, 0.5, 0.7],
            "utilisation:gpu": pa.array([None, 0.9, None, None, 0.7, None], pa.float64()),
            "utilisation:none": pa.array([None] * 6, pa.float64()),
        }
    )
    (grid,) = series.grids(table, None)
    assert (grid.resources, grid.nodes, grid.runs) == (["cpu", "gpu"], ["n3", "n2", "n1"], 2)
    np.testing.assert_allclose(grid.share, [[0.8, 0.5, 0.2], [np.nan, 0.8, np.nan]])
