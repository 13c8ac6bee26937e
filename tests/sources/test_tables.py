"""Tables of pods and nodes in every format become the same columns; wrong cells are named by column and row."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv, feather, parquet

from kcore.api.errors import InputError
from kcore.sources import SourceObjects, arrow_columns, read, validate

LABELS = pa.map_(pa.string(), pa.string())
PODS: dict[str, Any] = {
    "namespace": ["shop", "shop", None, "shop"],
    "name": ["a", "b", "c", "d"],
    "node": ["n1", None, "n2", "n1"],
    "priority": pa.array([1, 2, 3, 4], pa.int32()),
    "cpu_milli": [100, 200, 300, 400],
    "memory_bytes": [1 << 30, 2, 3, 4],
    "request:nvidia.com/gpu": [0, 1, 0, 8],
    "labels": ['{"app":"web"}', '{"app":"web"}', None, '{"app":"web","tier":"x"}'],
    "spec": ['{"nodeSelector":{"disk":"ssd"}}', "", None, '{"nodeSelector":{"disk":"ssd"}}'],
    "start_time": pa.array([1, 2, None, 4], pa.timestamp("s", "UTC")),
    "scheduler_name": ["default-scheduler", "mine", None, "mine"],
}
NODES: dict[str, Any] = {
    "name": ["n1", "n2"],
    "cpu_milli": [4000, 8500],
    "memory_bytes": [1 << 33, 1 << 34],
    "ephemeral_storage_bytes": [1 << 40, 0],
    "pods": [110, 250],
    "allocatable:nvidia.com/gpu": [8, 0],
    "labels": ['{"zone":"a"}', None],
    "taints": [None, '[{"key":"k","effect":"NoSchedule"}]'],
    "unschedulable": [False, True],
    "images": ['[{"names":["web:1"],"sizeBytes":100}]', None],
}


def write(folder: Path, name: str, columns: dict[str, Any]) -> str:
    path, table = str(folder / name), pa.table(columns)
    if name.endswith(".parquet"):
        parquet.write_table(table, path)
    elif name.endswith(".csv"):
        csv.write_csv(table, path)
    elif name.endswith(".csv.gz"):
        csv.write_csv(table, path)
        Path(path).write_bytes(gzip.compress(Path(path).read_bytes()))
    elif name.endswith(".arrows"):
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    else:
        feather.write_feather(table, path)
    return path


def pods_as_dicts(objects: SourceObjects) -> list[dict[str, Any]]:
    """Each row of the only table as a mapping, without the columns' coding."""
    (columns,) = objects.pod_columns
    rows = []
    for index, name in enumerate(list(columns.names)):
        exemplar = columns.exemplars[columns.exemplar[index]]
        assert columns.node is not None
        assert columns.node_names is not None
        assert columns.priority is not None
        assert columns.start_time_ms is not None
        assert columns.requests is not None
        code = int(columns.node[index])
        rows.append(
            {
                "name": str(name),
                "namespace": exemplar.metadata.namespace,
                "labels": exemplar.metadata.labels,
                "selector": exemplar.spec.node_selector,
                "scheduler": exemplar.spec.scheduler_name,
                "node": columns.node_names[code] if code >= 0 else None,
                "priority": int(columns.priority[index]),
                "start": int(columns.start_time_ms[index]),
                "requests": {resource: int(values[index]) for resource, values in columns.requests.items()},
            }
        )
    return rows


EXPECTED = [
    {
        "name": name,
        "namespace": "default" if name == "c" else "shop",
        "labels": labels,
        "selector": {"disk": "ssd"} if name in "ad" else None,
        "scheduler": "mine" if name in "bd" else "default-scheduler",
        "node": node,
        "priority": index + 1,
        "start": -1 if name == "c" else (index + 1) * 1000,
        "requests": {"cpu": 100 * (index + 1), "memory": memory, "nvidia.com/gpu": gpu},
    }
    for index, (name, labels, node, memory, gpu) in enumerate(
        [
            ("a", {"app": "web"}, "n1", 1 << 30, 0),
            ("b", {"app": "web"}, None, 2, 1),
            ("c", None, "n2", 3, 0),
            ("d", {"app": "web", "tier": "x"}, "n1", 4, 8),
        ]
    )
]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.feather", "a.arrows", "a.csv", "a.csv.gz"])
def test_every_format_reads_the_same(tmp_path: Path, name: str) -> None:
    objects = read([write(tmp_path, name, PODS), write(tmp_path, "nodes-" + name, NODES)])
    assert pods_as_dicts(objects) == EXPECTED
    first, second = objects.nodes
    assert first.status.allocatable == {
        "cpu": "4000m", "memory": 1 << 33, "ephemeral-storage": 1 << 40, "pods": 110, "nvidia.com/gpu": 8,
    }  # fmt: skip
    assert (first.metadata.labels, second.metadata.labels) == ({"zone": "a"}, None)
    assert (first.spec.unschedulable, second.spec.unschedulable) == (None, True)
    assert [taint.key for taint in second.spec.taints or ()] == ["k"]
    assert [image.size_bytes for image in first.status.images or ()] == [100]
    validate(objects)


def test_labels_may_be_a_map(tmp_path: Path) -> None:
    maps = pa.array([[("app", "web")], [("app", "web")], None, [("app", "web"), ("tier", "x")]], LABELS)
    objects = read([write(tmp_path, "a.parquet", {**PODS, "labels": maps})])
    assert pods_as_dicts(objects) == EXPECTED


def test_equal_rows_share_an_exemplar_and_numbers_are_not_copied(tmp_path: Path) -> None:
    count = 1000
    columns = {
        "name": [f"p{index}" for index in range(count)],
        "namespace": ["a", "b"] * (count // 2),
        "cpu_milli": pa.array(np.arange(count)),
    }
    (found,) = read([write(tmp_path, "a.parquet", columns)]).pod_columns
    assert len(found.exemplars) == 2
    assert found.requests is not None
    assert not found.requests["cpu"].flags.owndata


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "null name": ({"name": ["a", None], "node": ["n", "n"]}, "column 'name', row 2: is null"),
    "empty name": ({"name": ["a", ""], "node": ["n", "n"]}, "column 'name', row 2: is empty"),
    "name type": ({"name": [1], "node": ["n"]}, "the column 'name' is of type int64"),
    "no name": ({"namespace": ["a"]}, "the table has no column 'name'"),
    "negative": ({"name": ["a", "b"], "priority": [1, 1], "cpu_milli": [1, -5]}, "column 'cpu_milli', row 2: is -5"),
    "null number": ({"name": ["a"], "node": ["n"], "memory_bytes": pa.array([None], pa.int64())}, "row 1: is null"),
    "fraction": ({"name": ["a"], "node": ["n"], "cpu_milli": [0.5]}, "column 'cpu_milli', row 1: is 0.5"),
    "text number": ({"name": ["a"], "node": ["n"], "cpu_milli": ["5"]}, "the column 'cpu_milli' is of type string"),
    "nan": ({"name": ["a"], "node": ["n"], "cpu_milli": [float("nan")]}, "column 'cpu_milli', row 1: is nan"),
    "large": ({"name": ["a"], "node": ["n"], "cpu_milli": pa.array([2**64 - 1], pa.uint64())}, "row 1: is 18446744073"),
    "priority": ({"name": ["a"], "priority": [1 << 31]}, "column 'priority', row 1: is 2147483648"),
    "labels": ({"name": ["a", "b"], "node": ["n", "n"], "labels": ["{}", "[1]"]}, "column 'labels', row 2: is \"[1]\""),
    "spec": ({"name": ["a"], "spec": ['{"priority": "x"}']}, 'column \'spec\', row 1: priority: is text, "x"'),
    "spec text": ({"name": ["a"], "spec": ["{"]}, "column 'spec', row 1: is not JSON"),
    "taints": ({"name": ["a"], "taints": ['{"key": 1}']}, "column 'taints', row 1: is a mapping"),
    "start": ({"name": ["a"], "start_time": ["yesterday"]}, "the column 'start_time' is of type string"),
    "unknown column": ({"name": ["a"], "node": ["n"], "cpu": [1]}, "the column 'cpu' is not known"),
    "both": ({"name": ["a"], "node": ["n"], "taints": ["[]"]}, "is of a nodes table"),
    "neither": ({"name": ["a"], "cpu_milli": [1]}, "the table may be of pods or of nodes"),
    "twice": ({"name": ["b", "a", "b"], "namespace": ["x", "x", "x"]}, "row 3: the pod 'x/b' is there twice"),
    "class": ({"name": ["a"], "spec": ['{"priorityClassName": "gold"}']}, "no PriorityClass with name gold"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_cells(tmp_path: Path, case: str) -> None:
    columns, message = WRONG[case]
    with pytest.raises(InputError) as caught:
        read([write(tmp_path, "a.parquet", columns)])
    assert message in str(caught.value)
    assert str(tmp_path / "a.parquet") in str(caught.value)


def test_a_bad_number_in_csv_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,node,cpu_milli\na,n,1\nb,n,many\n")
    with pytest.raises(InputError, match=r"column 'cpu_milli', row 2: invalid value 'many'"):
        read([str(path)])


def test_names_may_repeat_in_other_namespaces(tmp_path: Path) -> None:
    read([write(tmp_path, "a.parquet", {"name": ["b", "a", "b"], "namespace": ["x", "x", "y"]})])


def test_a_row_bound_to_an_unknown_node(tmp_path: Path) -> None:
    objects = read(
        [write(tmp_path, "a.parquet", PODS), write(tmp_path, "n.csv", {**NODES, "name": ["n1", "n3"]})]
    )
    with pytest.raises(InputError, match=r"row 3 is bound to the unknown node 'n2'"):
        validate(objects)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.arrows"])
def test_a_table_that_ends_early(tmp_path: Path, name: str) -> None:
    path = Path(write(tmp_path, name, PODS))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"table is damaged"):
        read([str(path)])


LABEL_SETS = st.one_of(st.none(), st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3))


@given(st.lists(LABEL_SETS, max_size=20), st.integers(0, 3))
def test_label_codes_say_what_the_rows_say(rows: list[dict[str, str] | None], skipped: int) -> None:
    as_pairs = pa.array([None if row is None else list(row.items()) for row in rows], LABELS)
    as_text = pa.array([None if row is None else json.dumps(row) for row in rows], pa.string())
    for array in (as_pairs, as_text):
        table = pa.table({"labels": array}).slice(skipped)
        codes, sets = arrow_columns.label_codes(table, "file")
        assert [sets[code] if code >= 0 else None for code in codes.tolist()] == rows[skipped:]


CODES = st.lists(st.lists(st.integers(-1, 3), min_size=10, max_size=10), max_size=4)


@given(CODES)
def test_combinations_are_equal_where_all_parts_are(parts: list[list[int]]) -> None:
    codes, first = arrow_columns.combine([np.array(part, np.int32) for part in parts], 10)
    rows = list(zip(*parts, strict=True)) if parts else [()] * 10
    order = list(dict.fromkeys(rows))
    assert [order[code] for code in codes.tolist()] == rows
    assert [rows.index(row) for row in order] == first.tolist()
