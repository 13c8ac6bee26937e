"""Applies and updates end as structured-merge-diff itself ends them: objects, owners, conflicts, faults, byte for byte."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from kcore.api.apply.entries import Owned, Owner
from kcore.api.apply.updater import Conflicts, Typed, Updater
from kcore_native.fieldset import merge, sets, walk
from kcore_native.fieldset.shape import shape_of
from tests.api.schema_nodes import ANY, Node

RECORDED = Path(__file__).parent / "recordings" / "structured_merge.json.gz"
KINDS = {"string": "string", "numeric": "integer", "boolean": "boolean"}

Scenario = dict[str, Any]


def scenarios() -> list[Scenario]:
    found: list[Scenario] = orjson.loads(gzip.decompress(RECORDED.read_bytes()))
    return found


def node_of(atom: dict[str, Any]) -> Node:
    """The schema node of an inlined type."""
    if "namedType" in atom:
        return ANY
    if "scalar" in atom:
        return Node(KINDS[atom["scalar"]])
    if "list" in atom:
        held = atom["list"]
        keys = tuple(held.get("keys", ()))
        kind = "atomic" if held["elementRelationship"] == "atomic" else "map" if keys else "set"
        return Node("list", items=node_of(held["elementType"]), list_type=kind, list_keys=keys)
    held = atom["map"]
    map_type = "atomic" if held["elementRelationship"] == "atomic" else "granular"
    if "elementType" in held:
        return Node("map", items=node_of(held["elementType"]), map_type=map_type)
    fields = {each["name"]: node_of(each["type"]) for each in held["fields"]}
    defaults = {each["name"]: each["default"] for each in held["fields"] if "default" in each}
    return Node("object", fields, map_type=map_type, defaults=defaults)


class Replay:
    """One object and its owners, who have one name space for applies and updates as the recorder had it."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self.shape = shape_of(node_of(schema))
        self.live: dict[str, Any] = {}
        self.owners: dict[Owner, Owned] = {}
        self.updater = Updater({})

    def typed(self, value: dict[str, Any]) -> Typed:
        return Typed(value, self.shape, "v1")

    def done(self, step: dict[str, Any]) -> dict[str, Any]:
        value = step["Object"]
        faults = merge.faults(self.shape, value, step["Op"] == "update")
        if faults:
            texts = [f"{path}: {text}" if path else text for path, text in faults]
            return {"invalid": texts[0] if len(texts) == 1 else "\n  ".join(["errors:", *texts])}
        who, owners = Owner(step["Manager"], "Apply", "", ""), dict(self.owners)
        result: dict[str, Any] = {}
        if step["Op"] == "apply":
            try:
                made = self.updater.apply(
                    self.typed(self.live), self.typed(value), owners, who, force=step["Force"]
                )
            except Conflicts as error:
                return {
                    "conflicts": [f"{each.manager} {merge.path_text(path)}" for each, path in error.found]
                }
            result["noop"] = walk.equal(self.live, made)
            self.live = self.live if result["noop"] else made
        else:
            before = owners.get(who)
            removed = walk.Comparison(self.shape, self.live, value).removed
            changed = self.updater.update(self.typed(self.live), self.typed(value), owners)
            owners.pop(who, None)
            kept = sets.difference(before.fields, removed) if before else {}
            if fields := sets.union(kept, changed):
                owners[who] = Owned(fields, "v1", False)
            self.live = value
        self.owners = owners
        names = {each: f"{each.manager}/{str(owned.applied).lower()}" for each, owned in owners.items()}
        result["managers"] = {names[each]: sets.ordered(owned.fields) for each, owned in owners.items()}
        return result | {"object": self.live}


def unordered(text: str) -> list[str]:
    """Upstream walks maps in no order, so faults come in none."""
    return sorted(text.split("\n"))


@pytest.mark.parametrize("part", range(5))
def test_scenarios_end_as_recorded(part: int) -> None:
    for number, scenario in list(enumerate(scenarios()))[part::5]:
        replay = Replay(scenario["schema"])
        for step, wanted in zip(scenario["ops"], scenario["results"], strict=True):
            found = replay.done(step)
            where = (number, step)
            if "invalid" in wanted:
                assert unordered(found["invalid"]) == unordered(wanted["invalid"]), where
            elif "conflicts" in wanted:
                assert sorted(found["conflicts"]) == sorted(wanted["conflicts"]), where
            else:
                assert found == wanted, where
                for name, fields in wanted["managers"].items():
                    assert json.dumps(found["managers"][name]) == json.dumps(fields), where


def test_all_outcomes_are_recorded() -> None:
    results = [result for scenario in scenarios() for result in scenario["results"]]
    for outcome in ("conflicts", "invalid", "managers"):
        assert sum(outcome in result for result in results) > 20
    assert sum(result.get("noop", False) for result in results) > 20
