"""Inputs come back from the shelf as they were, from files and from buffers; a damaged one is not used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from kcore import sources, traces
from kcore.api.objects import ClusterObjects, PodColumns
from kcore.cluster import Cluster
from kcore.sim import shelf
from kcore.sim.points import Source


@dataclass(frozen=True)
class Trace:
    """As loaders of traces make them: objects, arrays of one length, plain values."""

    objects: ClusterObjects
    submit_ms: np.ndarray
    duration_ms: np.ndarray
    gang: bool
    owners: list[str]
    node_events: list[tuple[int, str, str]] | None = None
    gpu_count: np.ndarray | None = None


def rows() -> PodColumns:
    """Three pods of two kinds, one of them running."""
    objects = traces.make("scheduler_perf", nodes=1, pods=2)
    kinds = objects.pods or [*objects.pod_columns[0].exemplars, *objects.pod_columns[0].exemplars]
    return PodColumns(
        exemplars=[msgspec.structs.replace(kinds[0]), kinds[-1]],
        exemplar=np.array([0, 1, 0], np.int32),
        names=pa.array(["a", "b", "c"]),
        requests={"cpu": np.array([100, 200, 300]), "x/y": np.array([0, 1, 0])},
        priority=np.array([1, 2, 3], np.int32),
        node_names=["node-0"],
        node=np.array([-1, 0, -1], np.int32),
        origin="rows.parquet",
    )


def equal(left: ClusterObjects, right: ClusterObjects) -> None:
    """Fail where the two differ."""
    for name in ClusterObjects.__struct_fields__:
        if name != "pod_columns":
            assert getattr(left, name) == getattr(right, name), name
    assert len(left.pod_columns) == len(right.pod_columns)
    for one, other in zip(left.pod_columns, right.pod_columns, strict=True):
        assert one.exemplars == other.exemplars
        assert list(map(str, one.names)) == list(map(str, other.names))
        assert (one.node_names, one.origin) == (other.node_names, other.origin)
        assert (one.requests or {}).keys() == (other.requests or {}).keys()
        arrays = [(getattr(one, name), getattr(other, name)) for name in ("exemplar", "priority", "node")]
        arrays += [((one.requests or {})[name], (other.requests or {})[name]) for name in one.requests or {}]
        for mine, theirs in arrays:
            assert (mine is None) == (theirs is None)
            if mine is not None:
                assert mine.dtype == theirs.dtype
                np.testing.assert_array_equal(mine, theirs)


def both_ways(folder: Path) -> list[object]:
    """What the folder holds, mapped, and from buffers."""
    return [
        shelf.opened(shelf.mapped(folder)),
        shelf.opened(shelf.buffers(shelf.contents(folder))),
    ]


@pytest.mark.parametrize("name", ["scheduler_perf", "heterogeneous"])
def test_objects_come_back(tmp_path: Path, name: str) -> None:
    objects = shelf.load(Source(key="k", paths=(f"synthetic:{name}?nodes=7&pods=40",)))
    objects.pod_columns.append(rows())
    shelf.shelve(objects, tmp_path / "k")
    for found in both_ways(tmp_path / "k"):
        equal(found, objects)
    index = shelf.index_of(tmp_path / "k")
    assert index is not None
    assert (index.nodes, index.pods) == (7, 43)


def test_what_comes_back_is_scheduled_alike(tmp_path: Path) -> None:
    objects = shelf.load(Source(key="k", paths=("synthetic:heterogeneous?nodes=9&pods=60",)))
    shelf.shelve(objects, tmp_path / "k")
    found = shelf.opened(shelf.mapped(tmp_path / "k"))
    tables = [Cluster(one).schedule().placements for one in (objects, found, found)]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2]), "a run changes what the next one is given"


def test_files_and_generated_objects_are_read_together(tmp_path: Path) -> None:
    traces.write_objects(traces.make("scheduler_perf", nodes=2, pods=0), tmp_path / "nodes.yaml")
    paths = (str(tmp_path / "nodes.yaml"), "synthetic:heterogeneous?nodes=1&pods=5")
    objects = shelf.load(Source(key="k", paths=paths))
    assert type(objects) is ClusterObjects
    assert (len(objects.nodes), shelf.pod_count(objects)) == (3, 5)


def test_a_trace_comes_back(tmp_path: Path) -> None:
    objects = ClusterObjects(pod_columns=[rows()])
    trace = Trace(
        objects,
        submit_ms=np.array([0, 5, 9]),
        duration_ms=np.array([10, -1, 3]),
        gang=False,
        owners=["x", "y"],
        node_events=[(3, "add", "n")],
    )
    shelf.shelve(trace, tmp_path / "t")
    for found in both_ways(tmp_path / "t"):
        assert isinstance(found, Trace)
        equal(found.objects, objects)
        np.testing.assert_array_equal(found.submit_ms, trace.submit_ms)
        np.testing.assert_array_equal(found.duration_ms, trace.duration_ms)
        assert (found.gang, found.owners, found.node_events, found.gpu_count) == (
            False,
            ["x", "y"],
            [(3, "add", "n")],
            None,
        )


@pytest.mark.parametrize("name", ["objects.msgpack", "pods-0.arrow", "shelf.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_input_is_not_used(tmp_path: Path, name: str, damage: str) -> None:
    shelf.shelve(ClusterObjects(pod_columns=[rows()]), tmp_path / "k")
    file = tmp_path / "k" / name
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[:-1] if damage == "cut" else content[:20] + b"\xff" + content[21:])
    assert shelf.index_of(tmp_path / "k") is None
    shelf.shelve(sources.decode_objects([]), tmp_path / "k")
    assert shelf.index_of(tmp_path / "k") is not None
