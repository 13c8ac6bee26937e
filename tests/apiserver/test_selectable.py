"""What can be selected of each resource's objects is read from their text as a walk of the decoded object reads it."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from kcore.api.resources import ROWS
from kcore.api.resources.catalog import builtin
from kcore.api.rows import Row
from kcore.apiserver.selectable import _PLACES, plan_of

SELECTABLE = [row for row in ROWS if row.fields]
VALUES: list[Any] = ["", "a", 'q"\\', "é", 0, 7, True, False, None, {}, []]


def put(obj: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for step in above:
        obj = obj.setdefault(step, {})
    obj[last] = value


def got(obj: Any, path: str) -> str:
    for step in path.split("."):
        obj = obj.get(step) if isinstance(obj, dict) else None
    if isinstance(obj, str):
        return obj
    return "" if obj is None or isinstance(obj, dict | list) else orjson.dumps(obj).decode()


def naive(row: Row, name: str, obj: dict[str, Any]) -> str:
    paths, default = _PLACES.get((row.kind, name), ((name,), ""))
    return next((text for path in paths if (text := got(obj, path))), default)


@pytest.mark.parametrize("row", SELECTABLE, ids=lambda row: f"{row.plural}.{row.group}")
def test_fields_are_read_as_a_walk_reads_them(row: Row) -> None:
    plan, chance = plan_of(row), random.Random(row.plural)
    paths = [path for name in plan.names for path in _PLACES.get((row.kind, name), ((name,), ""))[0]]
    for _ in range(50):
        labels = {"a": "b"} if chance.random() < 0.5 else {}
        obj: dict[str, Any] = {"apiVersion": "v1", "kind": row.kind, "metadata": {"labels": labels}}
        for path in chance.sample(paths, chance.randint(0, len(paths))):
            put(obj, path, chance.choice(VALUES))
        found = plan.attributes(orjson.dumps(obj))
        assert found[0] == tuple(part for pair in labels.items() for part in pair)
        assert dict(zip(plan.names, found[1], strict=True)) == {
            name: naive(row, name, obj) for name in plan.names
        }


def test_events_are_selected_by_all_their_fields_whichever_group_reads_them_first() -> None:
    rows = [builtin().row(group, "v1", "events") for group in ("", "events.k8s.io")]
    plans = [plan_of(row) for row in rows if row is not None]
    assert plans[0].names == plans[1].names
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {}, "reportingComponent": "c", "source": {}}
    found = dict(zip(plans[1].names, plans[1].attributes(orjson.dumps(event))[1], strict=True))
    assert (found["source"], found["reportingComponent"]) == ("c", "c")
    event["source"] = {"component": "s"}
    found = dict(zip(plans[1].names, plans[1].attributes(orjson.dumps(event))[1], strict=True))
    assert (found["source"], found["reportingComponent"]) == ("s", "c")
