"""A trace's form is told from names and columns; what is no trace is left to others."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kcore.api.errors import InputError
from kcore.cluster import Cluster
from kcore.traces import load_public, load_trace
from kcore.traces.recognition import form_of
from tests.traces.published import (
    BATCH_TASK,
    PAI_TASK,
    PHILLY_JOBS,
    SWF_LOG,
    instance_event,
    sqlite_trace,
)


def contents(folder: Path) -> dict[str, Path]:
    """One file of each form, under a name that tells nothing."""
    found = {
        "openb": "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,0,0\n",
        "alibaba2018": BATCH_TASK,
        "swf": SWF_LOG,
        "philly": json.dumps(PHILLY_JOBS),
        "borg2019": json.dumps(instance_event(1, 0, 1)) + "\n",
        "plain": "name,submit\na,0\n",
    }
    paths = {}
    for form, text in found.items():
        paths[form] = folder / f"file_{form}"
        paths[form].write_text(text)
    paths["azure_packing"] = sqlite_trace(folder / "file_azure", [], [])
    return paths


def test_files_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    for form, path in contents(tmp_path).items():
        if form != "openb":
            assert form_of(path) == form
            packed = path.with_name(path.name + ".gz")
            packed.write_bytes(gzip.compress(path.read_bytes()))
            if form != "azure_packing":
                assert form_of(packed) == form
    path = tmp_path / "x.csv"
    path.write_text((tmp_path / "file_openb").read_text())
    assert form_of(path) == "openb"
    pq.write_table(pa.table({"name": ["a"], "submit_ms": [1]}), tmp_path / "t.parquet")
    assert form_of(tmp_path / "t.parquet") == "plain"
    pq.write_table(pa.table({"collection_id": [1], "instance_index": [1]}), tmp_path / "b.parquet")
    assert form_of(tmp_path / "b.parquet") == "borg2019"


def test_folders_are_told_by_their_files(tmp_path: Path) -> None:
    for form, name, text in (
        ("alibaba2018", "batch_task.csv", BATCH_TASK),
        ("pai2020", "pai_task_table.csv.gz", None),
        ("borg2019", "instance_events-000000000000.json", "{}"),
        ("philly", "cluster_job_log", json.dumps(PHILLY_JOBS)),
        ("swf", "log.swf", SWF_LOG),
        ("plain", "trace.csv", "name,submit\na,0\n"),
    ):
        folder = tmp_path / form
        folder.mkdir()
        if text is None:
            (folder / name).write_bytes(gzip.compress(PAI_TASK.encode()))
        else:
            (folder / name).write_text(text)
        assert form_of(folder) == form
    (tmp_path / "swf" / "trace.csv").write_text("name,submit\na,0\n")
    with pytest.raises(InputError, match="holds traces of several forms: plain, swf"):
        form_of(tmp_path / "swf")


def test_other_files_are_no_traces(tmp_path: Path) -> None:
    for name, text in (
        ("pods.yaml", "kind: Pod\n"),
        ("pods.json", '{"kind": "Pod"}'),
        ("list.json", "[1, 2]"),
        ("pods.csv", "name,namespace\na,b\n"),
        ("broken.csv.gz", "not gzip"),
        ("empty", ""),
    ):
        (tmp_path / name).write_text(text)
        assert form_of(tmp_path / name) is None
    assert form_of(tmp_path) is None
    assert load_public(tmp_path) is None
    with pytest.raises(InputError, match="is in no known form"):
        load_trace(tmp_path)
    with pytest.raises(InputError, match="is not there"):
        load_trace(tmp_path / "nowhere")
    with pytest.raises(InputError, match="form: heterogeneous is made up"):
        load_trace(tmp_path, "heterogeneous")


def test_traces_are_clusters_too(tmp_path: Path) -> None:
    (tmp_path / "log.swf").write_text(SWF_LOG)
    result = Cluster.load(tmp_path / "log.swf").schedule()
    assert result.summary["placed"] == 4  # a wide job on all three nodes, then one core beside it
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "trace.csv").write_text("name,submit,cpu_milli\na,5,100\nb,0,100\n")
    (folder / "nodes.csv").write_text("name,cpu_milli,memory_bytes,pods\nn,1000,1000,5\n")
    result = Cluster.load(folder).schedule()
    assert result.placements.column("name").to_pylist() == ["b", "a"]
    assert result.placements.column("node").to_pylist() == ["n", "n"]
