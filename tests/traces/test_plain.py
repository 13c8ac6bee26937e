"""A table of one's own is a trace, and a trace is such a table."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.api.errors import InputError
from kcore.traces import load_trace, write_trace
from kcore.traces.openb import GPU_MILLI, GPU_MODEL
from kcore.traces.plain import trace_table
from kcore.traces.trace import Trace
from tests.traces.published import asked, models, names, owners

NODES = (
    "name,cpu_milli,memory_bytes,pods,labels\n"
    f'n0,4000,1000,110,"{{""{GPU_MODEL}"":""T4""}}"\nn1,4000,1000,110,\n'
)


def table(folder: Path, text: str) -> Path:
    (folder / "trace.csv").write_text(text)
    return folder


def test_times_are_in_seconds_or_in_milliseconds(tmp_path: Path) -> None:
    text = (
        "name,submit,duration,estimate,cpu_milli,memory_bytes,owner\na,10.5,,3,100,5,x\nb,10,2.25,,200,6,\n"
    )
    trace = load_trace(table(tmp_path, text) / "trace.csv")
    assert names(trace) == ["b", "a"]
    assert trace.submit_ms.tolist() == [0, 500]
    assert trace.duration_ms.tolist() == [2250, -1]
    assert trace.estimate_ms.tolist() == [-1, 3000]
    assert asked(trace, "cpu") == [200, 100]
    assert owners(trace) == ["default", "x"]
    again = "name,submit_ms,duration_ms,estimate_ms\na,10500,,3000\nb,10000,2250,\n"
    assert load_trace(table(tmp_path, again)).duration_ms.tolist() == [2250, -1]


def test_a_folder_has_nodes_and_gpus_of_models(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text(NODES)
    affinity = (
        '{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":'
        '[{"matchExpressions":[{"key":"zone","operator":"In","values":["z"]}]}]}}}}'
    ).replace('"', '""')
    text = (
        "name,submit,gpu_count,gpu_milli,gpu_model,spec,priority,job\n"
        f'a,0,1,500,T4,"{affinity}",7,j\nb,0,2,,,,-3,k\nc,0,0,,T4,,0,j\n'
    )
    trace = load_trace(table(tmp_path, text))
    assert names(trace) == ["a", "c", "b"]
    assert models(trace) == [["z", "T4"], ["T4"], None]
    assert asked(trace, GPU_MILLI) == [500, 0, 2000]
    assert trace.gpu_milli is not None and trace.gpu_milli.tolist() == [500, 0, 1000]
    assert trace.columns.priority is not None and trace.columns.priority.tolist() == [7, 0, -3]
    assert trace.job.tolist() == [0, 0, 1]
    assert [node.metadata.name for node in trace.objects.nodes] == ["n0", "n1"]


def test_the_pods_of_a_gang_arrive_together(tmp_path: Path) -> None:
    trace = load_trace(table(tmp_path, "name,submit,job\na,0,1\nb,1,2\nc,0,1\n"), gang="yes")
    assert trace.gang
    assert trace.job.tolist() == [0, 0, 1]
    table(tmp_path, "name,submit,job\na,0,1\nb,1,1\n")
    with pytest.raises(InputError, match="row 2: column 'submit': differs from that of its job's first pod"):
        load_trace(tmp_path, gang="yes")
    assert load_trace(tmp_path, gang="yes", on_bad="skip").skipped == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,submit,duration\na,0,1\nb,1,-1\n", "row 2: column 'duration': is -1 (expected zero or more"),
        ("name,submit_ms,duration_ms\na,0,1\nb,1,-5\n", "row 2: column 'duration_ms': is -5"),
        ("name,submit\na,0\nb,soon\n", "row 2: column 'submit': is \"soon\""),
        ("name,submit\na,0\nb,\n", "row 2: column 'submit': is empty"),
        ("name,submit\na,0\na,1\n", "row 2: column 'name': \"a\" is there twice"),
        ("name,submit,cpu_milli\na,0,1\nb,1,1.5\n", "row 2: column 'cpu_milli': is 1.5"),
        ("name,submit,gpu_count,gpu_milli\na,0,1,1\nb,1,1,2000\n", "row 2: column 'gpu_milli': is 2000"),
        ("name,submit,gpu_count,gpu_model\na,0,1,T4\nb,1,1,H9\n", "row 2: column 'gpu_model': names the GPU model 'H9'"),
        ("name,submit,job\na,0,1\nb,1,\n", "row 2: column 'job': is empty"),
        ("name,submit\na,0\nb,1,2\n", "row 3: has 3 cells"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_named_or_its_row_left_out(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "nodes.csv").write_text(NODES)
    with pytest.raises(InputError) as caught:
        load_trace(table(tmp_path, text))
    assert f"trace.csv: {message}" in str(caught.value)
    trace = load_trace(tmp_path, on_bad="skip")
    assert (names(trace), trace.skipped) == (["a"], 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,cpu_milli\na,1\n", "there is no column 'submit', only name, cpu_milli"),
        ("submit\n1\n", "there is no column 'name', only submit"),
        ("name,submit,submit_ms\na,1,1\n", "there are both submit and submit_ms"),
        ("name,submit,colour\na,1,red\n", "the column 'colour' is not known (expected name, priority"),
        ("name,submit,gpu_milli\na,1,500\n", "gpu_milli stands without gpu_count"),
        (f"name,submit,gpu_count,request:{GPU_MILLI}\na,1,1,1000\n", "GPUs are asked for twice"),
        ("name,submit,spec\na,1,{\n", "column 'spec', row 1: is not JSON"),
        ("name,submit\n", "holds no pods"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_trace(table(tmp_path, text), "plain")
    assert message in str(caught.value)


def test_an_ending_decides_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text(NODES)
    trace = load_trace(table(tmp_path, "name,submit\na,0\n"))
    (tmp_path / "out").mkdir()
    paths = write_trace(trace, tmp_path / "out" / "trace.parquet")
    assert [path.name for path in paths] == ["trace.parquet", "nodes.parquet"]
    assert [node.metadata for node in load_trace(tmp_path / "out").objects.nodes] == [
        node.metadata for node in trace.objects.nodes
    ]
    with pytest.raises(InputError, match=r"is no name of a table \(expected an ending in \.csv"):
        write_trace(trace, tmp_path / "trace.txt")
    with pytest.raises(InputError, match=r"cannot be written: .*No such file"):
        write_trace(trace, tmp_path / "nowhere" / "trace.csv")


def same(first: Trace, second: Trace) -> None:
    """Both traces hold the same."""
    assert names(first) == names(second)
    assert owners(first) == owners(second)
    for name in ("submit_ms", "duration_ms", "estimate_ms", "job", "gpu_count", "gpu_milli"):
        one, other = getattr(first, name), getattr(second, name)
        assert (one is None) == (other is None), name
        assert one is None or np.array_equal(one, other), name
    assert (first.columns.requests or {}).keys() == (second.columns.requests or {}).keys()
    for resource in first.columns.requests or {}:
        assert asked(first, resource) == asked(second, resource)
    kinds = [
        [trace.columns.exemplars[code] for code in trace.columns.exemplar.tolist()]
        for trace in (first, second)
    ]
    assert kinds[0] == kinds[1]


amounts = st.integers(0, 1 << 40)
pod_rows = st.fixed_dictionaries(
    {
        "submit_ms": st.integers(-(10**12), 10**12),
        "duration_ms": st.none() | st.integers(0, 10**12),
        "estimate_ms": st.none() | st.integers(0, 10**12),
        "cpu_milli": amounts,
        "memory_bytes": st.integers(0, (1 << 62) - 1),
        "request:example.com/thing": amounts,
        "gpu_count": st.integers(0, 8),
        "gpu_milli": st.integers(1, 1000),
        "gpu_model": st.sampled_from(["", "T4", "T4|V100"]),
        "job": st.integers(0, 3),
        "owner": st.sampled_from(["", "ann", "bob, jr", 'quo"te']),
        "namespace": st.sampled_from(["", "default", "team"]),
        "labels": st.sampled_from(["", '{"app":"web"}']),
        "priority": st.integers(-(2**31), 2**31 - 1),
    }
)


@settings(deadline=None, max_examples=30)
@given(st.lists(pod_rows, min_size=1, max_size=20))
def test_a_table_round_trips_through_csv_and_parquet(rows: list[dict[str, Any]]) -> None:
    given_table = pa.Table.from_pylist([{"name": f"p-{row}", **cells} for row, cells in enumerate(rows)])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pa_csv.write_csv(given_table, folder / "a.csv")
        pq.write_table(given_table, folder / "a.parquet")
        first = load_trace(folder / "a.csv")
        same(first, load_trace(folder / "a.parquet"))
        for form in ("csv", "parquet", "arrow"):
            write_trace(first, folder / f"b.{form}")
            same(first, load_trace(folder / f"b.{form}"))
        assert trace_table(first).equals(trace_table(load_trace(folder / "b.parquet")))
