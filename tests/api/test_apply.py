"""Server-side apply: who owns what afterwards, who is in the way. Tests are named as sentences."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.api.apply import last_applied, managed_fields, scale
from kcore.api.apply.entries import BadEntry
from kcore.api.status import ApiError
from tests.api.apply_world import THING, World, conflict_of
from tests.api.schema_nodes import NUMBER, STRING, struct

# What an apply owns, and takes along


def test_an_applier_owns_what_it_applies() -> None:
    world = World().apply("one", {"numeric": 1, "items": [{"name": "a", "value": 1}], "tags": ["x"]})
    assert world.has() == {"numeric": 1, "items": [{"name": "a", "value": 1}], "tags": ["x"]}
    assert world.owners() == {
        "one/Apply": {
            "f:items": {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:value": {}}},
            "f:numeric": {},
            "f:tags": {'v:"x"': {}},
        }
    }


def test_a_field_left_out_goes_where_nobody_else_owns_it() -> None:
    world = World().apply("one", {"numeric": 1, "string": "s"}).apply("one", {"numeric": 1})
    assert world.has() == {"numeric": 1}
    assert world.owners() == {"one/Apply": {"f:numeric": {}}}


def test_a_field_left_out_stays_where_another_applier_owns_it() -> None:
    world = (
        World()
        .apply("one", {"numeric": 1, "string": "s"})
        .apply("two", {"string": "s"})
        .apply("one", {"numeric": 1})
    )
    assert world.has() == {"numeric": 1, "string": "s"}
    assert world.owners() == {"one/Apply": {"f:numeric": {}}, "two/Apply": {"f:string": {}}}


def test_a_field_left_out_goes_though_an_updater_has_set_it_to_the_same() -> None:
    world = World().apply("one", {"numeric": 1, "string": "s"})
    world.update("ctl", {"numeric": 1, "string": "s"}).apply("one", {"numeric": 1})
    assert world.has() == {"numeric": 1}


def test_a_field_that_an_updater_changed_stays_when_the_applier_leaves_it_out() -> None:
    world = World().apply("one", {"numeric": 1, "string": "s"})
    world.update("ctl", {"numeric": 1, "string": "other"}).apply("one", {"numeric": 1})
    assert world.has() == {"numeric": 1, "string": "other"}
    assert world.owners() == {"one/Apply": {"f:numeric": {}}, "ctl/Update": {"f:string": {}}}


def test_a_list_item_left_out_goes_and_what_others_have_in_it_stays() -> None:
    world = World().apply("one", {"items": [{"name": "a", "value": 1}, {"name": "b"}]})
    world.apply("two", {"items": [{"name": "a", "other": "o"}]}).apply("one", {"items": [{"name": "b"}]})
    assert world.has() == {"items": [{"name": "a", "other": "o"}, {"name": "b"}]}


def test_a_list_item_goes_with_what_an_updater_put_in_without_owning_the_item() -> None:
    world = World().apply("one", {"items": [{"name": "a"}, {"name": "b"}]})
    world.update("ctl", {"items": [{"name": "a"}, {"name": "b", "value": 3}]})
    world.apply("one", {"items": [{"name": "a"}]})
    assert world.has() == {"items": [{"name": "a"}]}
    assert list(world.owners()) == ["one/Apply"]


def test_an_item_of_a_set_goes_when_its_only_owner_leaves_it_out() -> None:
    world = (
        World()
        .apply("one", {"tags": ["a", "b", "c"]})
        .apply("two", {"tags": ["c"]})
        .apply("one", {"tags": ["a"]})
    )
    assert world.has() == {"tags": ["a", "c"]}


def test_items_keep_the_order_of_the_object_and_shared_ones_that_of_the_applier() -> None:
    world = (
        World().update("ctl", {"tags": ["a", "b", "c", "d"]}).apply("one", {"tags": ["d", "a"]}, force=True)
    )
    assert world.has() == {"tags": ["b", "c", "d", "a"]}


def test_an_atomic_list_is_one_field() -> None:
    world = World().apply("one", {"steps": ["a", "b"]})
    assert world.owners() == {"one/Apply": {"f:steps": {}}}
    error = conflict_of(world, "two", {"steps": ["a"]})
    assert error.details == {
        "causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".steps"}]
    }
    world.apply("two", {"steps": ["a"]}, force=True)
    assert world.has() == {"steps": ["a"]}
    assert world.owners() == {"two/Apply": {"f:steps": {}}}


def test_an_atomic_map_is_one_field() -> None:
    world = World().apply("one", {"color": {"r": 1, "g": 2}}).apply("one", {"color": {"r": 3}})
    assert world.has() == {"color": {"r": 3}}
    assert world.owners() == {"one/Apply": {"f:color": {}}}


def test_members_of_a_map_are_shared_between_appliers() -> None:
    world = World().apply("one", {"labels": {"a": "1"}}).apply("two", {"labels": {"b": "2"}})
    assert world.has() == {"labels": {"a": "1", "b": "2"}}
    world.apply("one", {})
    assert world.has() == {"labels": {"b": "2"}}


def test_a_map_that_was_emptied_by_its_applier_is_gone() -> None:
    world = World().apply("one", {"labels": {"a": "1"}, "numeric": 1}).apply("one", {"numeric": 1})
    assert world.has() == {"numeric": 1}


def test_a_struct_goes_with_its_last_field() -> None:
    world = World().apply("one", {"nested": {"inner": {"x": 1, "y": 2}}})
    assert world.owners() == {"one/Apply": {"f:nested": {"f:inner": {"f:x": {}, "f:y": {}}}}}
    world.apply("one", {"nested": {"inner": {"y": 2}}})
    assert world.has() == {"nested": {"inner": {"y": 2}}}
    world.apply("one", {"numeric": 1})
    assert world.has() == {"numeric": 1}


def test_values_without_schema_have_granular_maps_and_atomic_lists() -> None:
    world = World().apply("one", {"free": {"a": {"b": 1}, "l": [1, 2]}}).apply("two", {"free": {"c": 1}})
    assert world.has() == {"free": {"a": {"b": 1}, "l": [1, 2], "c": 1}}
    assert world.owners() == {
        "one/Apply": {"f:free": {"f:a": {".": {}, "f:b": {}}, "f:l": {}}},
        "two/Apply": {"f:free": {"f:c": {}}},
    }


# Conflicts


def test_a_changed_field_of_another_applier_is_a_conflict() -> None:
    world = World().apply("one", {"numeric": 1})
    error = conflict_of(world, "two", {"numeric": 2})
    assert error.message == 'Apply failed with 1 conflict: conflict with "one": .numeric'


def test_the_same_value_is_shared() -> None:
    world = World().apply("one", {"numeric": 1}).apply("two", {"numeric": 1})
    assert world.owners() == {"one/Apply": {"f:numeric": {}}, "two/Apply": {"f:numeric": {}}}
    world.apply("one", {"string": "s"})
    assert world.has() == {"numeric": 1, "string": "s"}


def test_an_owner_of_a_shared_field_conflicts_when_it_changes_it() -> None:
    world = World().apply("one", {"numeric": 1}).apply("two", {"numeric": 1})
    assert "conflict with" in conflict_of(world, "two", {"numeric": 3}).message


def test_a_changed_field_of_an_updater_is_a_conflict_that_names_its_version() -> None:
    world = World().update("kubectl-client-side-apply", {"numeric": 1})
    error = conflict_of(world, "two", {"numeric": 2})
    assert (
        error.message
        == 'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .numeric'
    )


def test_several_conflicts_are_listed_by_owner() -> None:
    world = (
        World()
        .update("ctl", {"numeric": 1, "items": [{"name": "a", "value": 1}]})
        .apply("one", {"string": "s"})
    )
    error = conflict_of(world, "two", {"numeric": 2, "string": "t", "items": [{"name": "a", "value": 2}]})
    assert error.message == (
        'Apply failed with 3 conflicts: conflicts with "ctl" using v1:\n- .numeric\n- .items[name="a"].value\n'
        'conflicts with "one":\n- .string'
    )
    assert error.details is not None
    assert error.details["causes"][1] == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "ctl" using v1',
        "field": '.items[name="a"].value',
    }


def test_a_subresource_is_named_in_the_conflict() -> None:
    world = World().update("ctl", {"numeric": 1}, subresource="status")
    error = conflict_of(world, "two", {"numeric": 2})
    assert error.message == (
        'Apply failed with 1 conflict: conflict with "ctl" with subresource "status" using v1: .numeric'
    )


def test_force_takes_the_field() -> None:
    world = World().update("ctl", {"numeric": 1, "string": "s"}).apply("two", {"numeric": 2}, force=True)
    assert world.owners() == {"ctl/Update": {"f:string": {}}, "two/Apply": {"f:numeric": {}}}


# Times, no-ops, types


def test_an_apply_that_changes_nothing_keeps_its_time() -> None:
    world = World().apply("one", {"numeric": 1})
    before = world.entries()
    world.apply("one", {"numeric": 1})
    assert world.entries() == before


def test_another_applier_of_the_same_gets_an_entry_without_a_time() -> None:
    world = World().apply("one", {"numeric": 1}).apply("two", {"numeric": 1})
    assert ["time" in each for each in world.entries()] == [False, True]


def test_what_was_there_before_anyone_applied_is_owned_by_before_first_apply() -> None:
    world = World()
    world._store({"apiVersion": "v1", "kind": "Thing", "numeric": 1, "string": "s"})
    error = conflict_of(world, "one", {"numeric": 2})
    assert (
        error.message == 'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .numeric'
    )


@pytest.mark.parametrize(
    ("applied", "code", "message"),
    [
        ({"apiVersion": "v2", "kind": "Thing"}, 400, "invalid object type: /v2, Kind=Thing"),
        ({"apiVersion": "g/v2", "kind": "Thing"}, 400, "invalid object type: g/v2, Kind=Thing"),
        ({"kind": "Thing"}, 400, "invalid object type: /, Kind=Thing"),
        (
            {"apiVersion": "v1", "kind": "Thing", "metadata": {"managedFields": []}},
            400,
            "metadata.managedFields must be nil",
        ),
        (
            {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "n"}, "nope": 1},
            500,
            "failed to create typed patch object (/n; /v1, Kind=Thing): .nope: field not declared in schema",
        ),
        (
            {"apiVersion": "v1", "kind": "Thing", "tags": ["a", "a"], "numeric": "x"},
            500,
            (
                "failed to create typed patch object (/; /v1, Kind=Thing): errors:\n"
                '  .tags: duplicate entries for key [="a"]\n  .numeric: expected numeric (int or float), got string'
            ),
        ),
    ],
)
def test_what_cannot_be_applied_is_refused(applied: dict[str, Any], code: int, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        managed_fields.apply(
            None, applied, manager="m", api_version="v1", now="2026-01-01T00:00:00Z", node=THING, kind="Thing"
        )
    assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"operation": "X"}, "operation must be `Apply` or `Update`"),
        ({"operation": "Update"}, "apiVersion must not be empty"),
        ({"operation": "Update", "apiVersion": "v1"}, "missing fieldsType in managed fields entry 0"),
        (
            {"operation": "Apply", "apiVersion": "v1", "fieldsType": "V2"},
            'invalid fieldsType "V2" in managed fields entry 0',
        ),
    ],
)
def test_malformed_entries_are_told_in_upstreams_words(entry: dict[str, Any], message: str) -> None:
    assert managed_fields.fault([entry]) == message
    with pytest.raises(BadEntry):
        scale.to_subresource([entry], {})


# Client-side apply


def test_kubectl_takes_over_from_its_client_side_apply_without_conflicts() -> None:
    applied = '{"apiVersion":"v1","kind":"Thing","numeric":1}\n'
    annotated = {"annotations": {last_applied.ANNOTATION: applied}}
    world = World().update("kubectl-client-side-apply", {"metadata": annotated, "numeric": 1})
    assert "conflict" in conflict_of(world, "someone", {"numeric": 2}).message
    world.apply("kubectl", {"numeric": 2})
    assert world.has() == {"numeric": 2}
    assert world.live is not None
    value = world.live["metadata"]["annotations"][last_applied.ANNOTATION]
    assert value == '{"apiVersion":"v1","kind":"Thing","numeric":2}\n'


def test_kubectl_conflicts_over_what_its_client_side_apply_no_longer_has() -> None:
    applied = '{"apiVersion":"v1","kind":"Thing","numeric":1,"string":"s"}\n'
    annotated = {"annotations": {last_applied.ANNOTATION: applied}}
    world = World().update("kubectl-client-side-apply", {"metadata": annotated, "numeric": 1, "string": "s"})
    world.update("ctl", {"metadata": annotated, "numeric": 5, "string": "s"})
    error = conflict_of(world, "kubectl", {"numeric": 2, "string": "t"})
    assert error.message == 'Apply failed with 1 conflict: conflict with "ctl" using v1: .numeric'


# Versions

OTHER = struct(apiVersion=STRING, kind=STRING, metadata=THING.fields["metadata"], count=NUMBER, string=STRING)


def in_version(obj: dict[str, Any], version: str) -> tuple[dict[str, Any], Any] | None:
    """v1 has ``numeric`` where v2 has ``count``; v0 is no longer served."""
    if version == "v0":
        return None
    old, new = ("numeric", "count") if version == "v2" else ("count", "numeric")
    made = {new if name == old else name: value for name, value in obj.items()}
    return {**made, "apiVersion": version}, OTHER if version == "v2" else THING


def test_owners_in_another_version_own_the_field_of_that_version() -> None:
    world = World(convert=in_version).apply("one", {"numeric": 1, "string": "s"})
    assert world.live is not None
    world.live, _ = in_version(world.live, "v2") or ({}, None)
    world.node, world.api_version = OTHER, "v2"
    error = conflict_of(world, "two", {"count": 2})
    assert error.message == 'Apply failed with 1 conflict: conflict with "one": .numeric'
    world.apply("two", {"count": 2}, force=True)
    assert world.owners() == {"one/Apply": {"f:string": {}}, "two/Apply": {"f:count": {}}}
    world.apply("one", {"string": "t"})
    assert world.has() == {"count": 2, "string": "t"}


def test_what_was_applied_in_another_version_is_pruned_in_it() -> None:
    world = World(convert=in_version).apply("one", {"numeric": 1, "string": "s"})
    assert world.live is not None
    world.live, _ = in_version(world.live, "v2") or ({}, None)
    world.node, world.api_version = OTHER, "v2"
    world.apply("one", {"string": "s"})
    assert world.has() == {"string": "s"}
    assert [each["apiVersion"] for each in world.entries()] == ["v2"]


def test_owners_in_a_version_that_is_gone_are_gone() -> None:
    world = World(convert=in_version).update("ctl", {"numeric": 1})
    old = {**world.entries()[0], "manager": "old", "apiVersion": "v0"}
    world.update("ctl", {"numeric": 2, "metadata": {"managedFields": [old, *world.entries()]}})
    assert list(world.owners()) == ["ctl/Update"]


# Schemas that change


def test_an_owner_of_parts_of_what_became_atomic_owns_the_whole() -> None:
    world = World().update("ctl", {"nested": {"inner": {"x": 1, "y": 2}}, "numeric": 1})
    world.node = struct(**{**THING.fields, "nested": struct("atomic", **THING.fields["nested"].fields)})
    world.update("other", {"nested": {"inner": {"x": 1, "y": 2}}, "numeric": 2})
    assert world.owners()["ctl/Update"] == {"f:nested": {}}
