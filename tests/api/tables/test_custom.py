"""Tables of custom resources."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kcore.api import tables
from kcore.api.rows import Row
from kcore.api.tables.custom import find, parse_path

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp()
OBJECT: dict[str, Any] = {
    "metadata": {"name": "w", "creationTimestamp": "2026-03-03T05:06:07Z", "annotations": {"a.b/c": "d"}},
    "spec": {
        "replicas": 3,
        "ratio": 2.5,
        "on": True,
        "list": ["x", "y"],
        "map": {"b": "<", "a": 1},
        "none": None,
    },
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (".spec.replicas", [3]),
        ("", [OBJECT]),
        (".spec.list[1]", ["y"]),
        (".spec.list[-1]", ["y"]),
        (".spec.list[5]", []),
        (".spec.list[*]", ["x", "y"]),
        (".spec.absent.deep", []),
        (r".metadata.annotations.a\.b/c", ["d"]),
        (".metadata.annotations['a.b/c']", ["d"]),
        ('.metadata["name"]', ["w"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type!='Ready')].status", ["False"]),
        (".status.conditions[?(@.type == 'Absent')].status", []),
        (".spec.map[*]", ["<", 1]),
    ],
)
def test_paths(path: str, want: list[Any]) -> None:
    assert find(OBJECT, parse_path(path)) == want


@pytest.mark.parametrize("path", ["spec", ".spec..x", ".a[", ".a[?(@.b>1)]", "..x", ".a b"])
def test_paths_that_are_not_understood(path: str) -> None:
    with pytest.raises(ValueError, match="unrecognized column definition"):
        parse_path(path)


@pytest.mark.parametrize(
    ("kind", "path", "want"),
    [
        ("string", ".spec.replicas", "3"),
        ("string", ".spec.on", "true"),
        ("string", ".spec.map", '{"a":1,"b":"\\u003c"}'),
        ("string", ".spec.list", '["x","y"]'),
        ("string", ".spec.none", None),
        ("string", ".spec.absent", None),
        ("integer", ".spec.replicas", 3),
        ("integer", ".spec.ratio", 2),
        ("integer", ".spec.on", None),
        ("number", ".spec.ratio", 2.5),
        ("boolean", ".spec.on", True),
        ("boolean", ".spec.ratio", None),
        ("date", ".metadata.creationTimestamp", "24h"),
        ("date", ".metadata.name", "<invalid>"),
        ("date", ".spec.replicas", None),
    ],
)
def test_cells(kind: str, path: str, want: Any) -> None:
    shown = tables.custom_table([{"name": "C", "type": kind, "jsonPath": path}])
    assert shown.cells(OBJECT, NOW) == ["w", want]


def test_columns() -> None:
    given = [{"name": "R", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1, "format": "int32"}]
    shown = tables.custom_table(given)
    assert shown.columns[0].name == "Name"
    assert shown.columns[1].definition() == {
        "name": "R", "type": "integer", "format": "int32", "priority": 1,
        "description": "Custom resource definition column (in JSONPath format): .spec.replicas",
    }  # fmt: skip
    assert [each.name for each in tables.custom_table(None).columns] == ["Name", "Age"]
    made = tables.table(
        Row("e", "v1", "W", "ws", "w", True, "e/ws", ""), [OBJECT], now=NOW, shown=tables.custom_table(None)
    )
    assert made["rows"][0]["cells"] == ["w", "24h"]
