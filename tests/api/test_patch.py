"""JSON patch, merge patch and strategic merge patch: results, refusals, and that arguments stay as they are."""

from __future__ import annotations

import copy
import random
from typing import Any

import jsonpatch
import orjson
import pytest

from kcore.api import schema
from kcore.api.patch import OPERATIONS_MAX, json_patch, json_patch_faults, merge_patch, strategic_merge
from kcore.api.status import ApiError
from tests.api import schema_nodes
from tests.api.schema_nodes import STRING, Node, a_list, a_map, keyed, struct
from tests.naive import strategic as naive


def refusal(call: Any) -> tuple[int, str, str]:
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value.code, caught.value.reason, caught.value.message


REJECTED = (422, "Invalid", "the server rejected our request due to an error in our request")

# JSON patch

DOCUMENT = {"a": {"b": [1, 2, 3], "c": None, "x/y": 1, "m~n": 2}, "s": "text"}


@pytest.mark.parametrize(
    ("operations", "path", "value"),
    [
        ([{"op": "add", "path": "/new", "value": {"k": 1}}], ("new",), {"k": 1}),
        ([{"op": "add", "path": "/a/b/1", "value": 9}], ("a", "b"), [1, 9, 2, 3]),
        ([{"op": "add", "path": "/a/b/-", "value": 9}], ("a", "b"), [1, 2, 3, 9]),
        ([{"op": "add", "path": "/a/b/3", "value": 9}], ("a", "b"), [1, 2, 3, 9]),
        ([{"op": "add", "path": "/a/b/-1", "value": 9}], ("a", "b"), [1, 2, 3, 9]),
        ([{"op": "add", "path": "/s", "value": "other"}], ("s",), "other"),
        ([{"op": "add", "path": "/nothing"}], ("nothing",), None),
        ([{"op": "remove", "path": "/a/b/0"}], ("a", "b"), [2, 3]),
        ([{"op": "remove", "path": "/a/b/-1"}], ("a", "b"), [1, 2]),
        ([{"op": "replace", "path": "/a/b/0", "value": 7}], ("a", "b"), [7, 2, 3]),
        ([{"op": "replace", "path": "/absent", "value": 7}], ("absent",), 7),
        ([{"op": "replace", "path": "", "value": {"q": 1}}], ("q",), 1),
        ([{"op": "move", "from": "/a/b/0", "path": "/a/b/-"}], ("a", "b"), [2, 3, 1]),
        ([{"op": "move", "from": "/s", "path": "/t"}], ("t",), "text"),
        ([{"op": "copy", "from": "/a/b", "path": "/d"}, {"op": "add", "path": "/d/0", "value": 0}], ("a", "b"), [1, 2, 3]),
        ([{"op": "copy", "from": "/absent", "path": "/d"}], ("d",), None),
        ([{"op": "replace", "path": "/a/x~1y", "value": 5}], ("a", "x/y"), 5),
        ([{"op": "replace", "path": "/a/m~0n", "value": 5}], ("a", "m~n"), 5),
        ([{"op": "test", "path": "/a/b", "value": [1, 2, 3]}], ("s",), "text"),
        ([{"op": "test", "path": "/absent", "value": None}], ("s",), "text"),
        ([{"op": "test", "path": "/a/c"}], ("s",), "text"),
        ([{"op": "test", "path": "", "value": DOCUMENT}], ("s",), "text"),
        ([], ("s",), "text"),
        (None, ("s",), "text"),
    ],
)  # fmt: skip
def test_operations_do_what_upstreams_library_does(
    operations: Any, path: tuple[str, ...], value: Any
) -> None:
    document = copy.deepcopy(DOCUMENT)
    found: Any = json_patch(document, operations)
    for name in path:
        found = found[name]
    assert found == value
    assert document == DOCUMENT


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/x/y", "value": 1}, {"op": "add", "path": "/a/b/5", "value": 1},
        {"op": "add", "path": "", "value": {}}, {"op": "add", "path": "a", "value": 1}, {"op": "add", "value": 1},
        {"op": "add", "path": "/a/b/x", "value": 1}, {"op": "add", "path": "/s/x", "value": 1},
        {"op": "add", "path": "/a/c/x", "value": 1}, {"op": "add", "path": "/a/b/-9", "value": 1},
        {"op": "remove", "path": "/absent"}, {"op": "remove", "path": "/a/b/3"}, {"op": "remove", "path": "/a/b/-"},
        {"op": "replace", "path": "/a/b/3", "value": 1}, {"op": "replace", "path": "", "value": 1},
        {"op": "replace", "path": "", "value": []}, {"op": "move", "from": "/absent", "path": "/x"},
        {"op": "move", "path": "/x"}, {"op": "copy", "from": "/x/y", "path": "/z"},
        {"op": "test", "path": "/s", "value": "other"}, {"op": "test", "path": "/a/b/0", "value": 1.0},
        {"op": "test", "path": "/s"}, {"op": "nope", "path": "/s"}, {"path": "/s"}, {}, None,
    ],
)  # fmt: skip
def test_an_operation_that_fails_rejects_the_patch_without_saying_why(operation: Any) -> None:
    assert refusal(lambda: json_patch(DOCUMENT, [operation])) == REJECTED


def test_no_more_operations_than_the_limit_are_done() -> None:
    operations = [{"op": "add", "path": "/n", "value": 1}] * OPERATIONS_MAX
    assert json_patch({}, operations) == {"n": 1}
    assert refusal(lambda: json_patch({}, [*operations, operations[0]])) == (
        413,
        "RequestEntityTooLarge",
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
    )


@pytest.mark.parametrize(
    ("patch", "into"),
    [
        ({}, "object into Go value of type []handlers.jsonPatchOp"),
        ("x", "string into Go value of type []handlers.jsonPatchOp"),
        ([1], "number into Go value of type handlers.jsonPatchOp"),
        ([{"op": 1}], "number into Go struct field jsonPatchOp.op of type string"),
        ([{"path": []}], "array into Go struct field jsonPatchOp.path of type string"),
    ],
)
def test_what_is_no_json_patch_is_a_bad_request(patch: Any, into: str) -> None:
    message = f"error decoding patch: json: cannot unmarshal {into}"
    assert refusal(lambda: json_patch({}, patch)) == (400, "BadRequest", message)


def test_unknown_members_of_operations_are_told() -> None:
    operations = [{"op": "add", "path": "/a", "value": 1}, {"op": "test", "foo": 1}]
    assert json_patch_faults(operations) == ['json patch unknown field "[1].foo"']


def test_where_the_rfc_and_upstream_agree_a_library_agrees_too() -> None:
    agreed = 0
    for seed in range(800):
        rng = random.Random(seed)
        document = {name: schema_nodes.random_free(rng, 2) for name in "abc"}
        paths = ["/a", "/b", "/c", "/a/p", "/b/0", "/c/q", "/a/p/r", "/new"]
        operations = [
            {"op": rng.choice(["add", "remove", "move", "copy"]), "path": rng.choice(paths), "from": rng.choice(paths),
             "value": schema_nodes.random_free(rng, 1)} for _ in range(1)
        ]  # fmt: skip
        if any(
            op["op"] in ("move", "copy") and str(op["path"]).startswith(str(op["from"])) for op in operations
        ):
            continue
        try:
            expected = jsonpatch.apply_patch(document, operations)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError):
            continue
        agreed += 1
        assert json_patch(document, operations) == expected, seed
    assert agreed > 30


# Merge patch


@pytest.mark.parametrize(
    ("patch", "made"),
    [
        ({"a": "z"}, {"a": "z", "n": {"x": 1, "l": [{"q": None}]}}),
        ({"a": None, "absent": None}, {"n": {"x": 1, "l": [{"q": None}]}}),
        ({"n": {"x": None}}, {"a": "b", "n": {"l": [{"q": None}]}}),
        ({"n": {"l": [1]}}, {"a": "b", "n": {"x": 1, "l": [1]}}),
        ({"a": {"c": None, "d": 1}}, {"a": {"d": 1}, "n": {"x": 1, "l": [{"q": None}]}}),
        ({"new": {"c": None, "l": [None, {"e": None}]}}, {"a": "b", "n": {"x": 1, "l": [{"q": None}]}, "new": {"l": [None, {}]}}),
        ({"n": [{"x": None}]}, {"a": "b", "n": [{"x": None}]}),
        ({}, {"a": "b", "n": {"x": 1, "l": [{"q": None}]}}),
    ],
)  # fmt: skip
def test_a_merge_patch_does_what_upstreams_library_does(patch: Any, made: Any) -> None:
    document = {"a": "b", "n": {"x": 1, "l": [{"q": None}]}}
    before = orjson.dumps([document, patch])
    assert merge_patch(document, patch) == made
    assert orjson.dumps([document, patch]) == before


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (
            [],
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (
            "x",
            "error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}",
        ),
        (None, "Invalid JSON Patch"),
    ],
)
def test_what_is_no_merge_patch_is_a_bad_request(patch: Any, message: str) -> None:
    assert refusal(lambda: merge_patch({}, patch)) == (400, "BadRequest", message)


# Strategic merge patch


def pod() -> dict[str, Any]:
    return {
        "metadata": {"labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]},
        "spec": {
            "containers": [
                {"name": "one", "image": "i1", "args": ["a", "b"], "env": [{"name": "E", "value": "1"}]},
                {"name": "two", "image": "i2", "ports": [{"containerPort": 80, "name": "http"}]},
            ],
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "k"}],
        },
    }


def patched(patch: dict[str, Any]) -> Any:
    node = schema.load().node("io.k8s.api.core.v1.Pod")
    document = pod()
    before = orjson.dumps([document, patch])
    made = strategic_merge(document, patch, node)
    assert orjson.dumps([document, patch]) == before
    return made


def names(made: Any) -> list[str]:
    return [each["name"] for each in made["spec"]["containers"]]


def test_list_items_are_merged_by_their_merge_key() -> None:
    made = patched(
        {
            "spec": {
                "containers": [
                    {"name": "two", "image": "new", "ports": [{"containerPort": 80, "protocol": "UDP"}]}
                ]
            }
        }
    )
    assert names(made) == ["one", "two"]
    assert made["spec"]["containers"][1] == {
        "name": "two", "image": "new", "ports": [{"containerPort": 80, "name": "http", "protocol": "UDP"}],
    }  # fmt: skip


def test_new_list_items_come_first() -> None:
    assert names(patched({"spec": {"containers": [{"name": "new", "image": "i"}]}})) == ["new", "one", "two"]


def test_lists_without_merge_strategy_are_replaced() -> None:
    made = patched({"spec": {"tolerations": [{"key": "z"}], "containers": [{"name": "one", "args": ["c"]}]}})
    assert made["spec"]["tolerations"] == [{"key": "z"}]
    assert made["spec"]["containers"][0]["args"] == ["c"]


def test_null_deletes() -> None:
    made = patched({"metadata": {"labels": {"a": None, "absent": None}}, "spec": {"nodeSelector": None}})
    assert made["metadata"]["labels"] == {"b": "2"}
    assert "nodeSelector" not in made["spec"]


def test_an_item_is_deleted_by_directive() -> None:
    assert names(patched({"spec": {"containers": [{"$patch": "delete", "name": "one"}]}})) == ["two"]
    assert names(patched({"spec": {"containers": [{"$patch": "delete", "name": "absent"}]}})) == [
        "one",
        "two",
    ]


def test_a_list_is_replaced_by_directive() -> None:
    assert names(patched({"spec": {"containers": [{"$patch": "replace"}, {"name": "new"}]}})) == ["new"]


def test_a_map_is_replaced_or_emptied_by_directive() -> None:
    assert patched({"metadata": {"labels": {"$patch": "replace", "c": "3"}}})["metadata"]["labels"] == {
        "c": "3"
    }
    assert patched({"metadata": {"labels": {"$patch": "delete"}}})["metadata"]["labels"] == {}


def test_primitives_are_added_and_deleted() -> None:
    assert patched({"metadata": {"finalizers": ["z", "y"]}})["metadata"]["finalizers"] == ["z", "x", "y"]
    made = patched({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x", "q"]}})
    assert made["metadata"]["finalizers"] == ["y"]


def test_items_are_put_in_the_order_asked_for() -> None:
    order = [{"name": "two"}, {"name": "new"}, {"name": "one"}]
    made = patched(
        {"spec": {"$setElementOrder/containers": order, "containers": [{"name": "new", "image": "i"}]}}
    )
    assert names(made) == ["two", "new", "one"]
    assert names(patched({"spec": {"$setElementOrder/containers": [{"name": "two"}, {"name": "one"}]}})) == [
        "two",
        "one",
    ]
    assert patched({"metadata": {"$setElementOrder/finalizers": ["y", "x"]}})["metadata"]["finalizers"] == [
        "y",
        "x",
    ]


def test_only_the_keys_that_are_retained_stay() -> None:
    made = patched(
        {"spec": {"containers": [{"name": "one", "$retainKeys": ["name", "image"], "image": "n"}]}}
    )
    assert made["spec"]["containers"][0] == {"name": "one", "image": "n"}


def test_directives_in_what_is_new_are_left_out() -> None:
    added = {"name": "new", "env": [{"name": "E", "$patch": "delete"}], "resources": {"$patch": "replace"}}
    made = patched({"spec": {"containers": [added], "volumes": [{"name": "v", "$patch": "delete"}]}})
    assert made["spec"]["containers"][0] == {"name": "new", "env": [{"name": "E", "$patch": "delete"}], "resources": {
        "$patch": "replace"}}  # fmt: skip
    assert made["spec"]["volumes"] == []


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"spec": {"containers": [{"image": "x"}]}}, (500, "", "map: map[image:x] does not contain declared merge key: name")),
        ({"metadata": {"labels": {"$patch": "nope"}}}, (500, "", "unknown patch type: nope in map: map[$patch:nope]")),
        ({"$deleteFromPrimitiveList": ["x"]}, (400, "BadRequest", "invalid patch format of primitive list")),
        ({"spec": {"$setElementOrder": []}}, (400, "BadRequest", "invalid patch format of setElementOrder list")),
        ({"spec": {"$retainKeys": ["a"], "nodeSelector": {}}}, (400, "BadRequest", "invalid patch format of retainKeys")),
        ({"spec": {"$retainKeys": {}}}, (400, "BadRequest", "invalid patch format of retainKeys")),
        ({"metadata": {"finalizers": [1]}}, (500, "", "list element types are not identical: [[x y] [1]]")),
        ({"metadata": {"finalizers": [["x"]]}}, REJECTED),
        (
            {"spec": {"containers": [{"name": "one", "$patch": "merge"}]}},
            (500, "", "merging lists cannot yet be specified in the patch"),
        ),
        (
            {"metadata": {"$setElementOrder/finalizers": ["x"], "finalizers": ["z"]}},
            (500, "", "The order in patch list:\n[z]\n doesn't match $setElementOrder list:\n[x]\n"),
        ),
        ({"metadata": {"$setElementOrder/nope": ["x"]}}, (500, "", 'unable to find api field in struct ObjectMeta for the json field "nope"')),
        ([], (400, "BadRequest", "json: cannot unmarshal array into Go value of type map[string]interface {}")),
    ],
)  # fmt: skip
def test_a_malformed_strategic_patch_is_refused_in_upstreams_words(
    patch: Any, expected: tuple[int, str, str]
) -> None:
    assert refusal(lambda: patched(patch)) == expected


def test_custom_resources_have_no_strategic_merge() -> None:
    message = "strategic merge patch format is not supported"
    assert refusal(lambda: strategic_merge({}, {}, None)) == (400, "BadRequest", message)


THING = struct(
    a=STRING, labels=a_map(STRING), plain=a_list(STRING), list=keyed(struct(name=STRING, v=STRING, inner=keyed(
        struct(name=STRING, v=STRING), "name"), nums=Node("list", items=STRING, patch_strategies=("merge",))), "name"),
    nums=Node("list", items=STRING, patch_strategies=("merge",)),
    whole=Node("object", {"x": STRING, "y": STRING}, patch_strategies=("replace",)), sub=struct(a=STRING, b=STRING),
)  # fmt: skip


def random_patch(rng: random.Random, node: Node, depth: int = 3) -> dict[str, Any]:
    made: dict[str, Any] = schema_nodes.random_value(rng, node, null=0.15) or {}
    for name, child in node.fields.items():
        if child.kind == "list" and child.patch_strategies and rng.random() < 0.4:
            items = made.get(name) or []
            if child.patch_merge_key:
                order = [{"name": each["name"]} for each in items] + [
                    {"name": rng.choice(["n1", "n2", "n4"])}
                ]
                if rng.random() < 0.3:
                    made.setdefault(name, []) or made.update({name: []})
                    made[name] = [
                        *made[name],
                        {"name": rng.choice(["n1", "n2"]), "$patch": rng.choice(["delete", "replace"])},
                    ]
            else:
                order = [*items, rng.choice("xyz")]
                if rng.random() < 0.5:
                    made[f"$deleteFromPrimitiveList/{name}"] = [rng.choice("xyz")]
            if rng.random() < 0.6:
                made[f"$setElementOrder/{name}"] = order
        elif child.kind == "list" and child.patch_merge_key and made.get(name):
            made[name] = [item | (random_patch(rng, child.items, depth - 1) if depth and child.items else {}) | {
                "name": item["name"]} for item in made[name]]  # fmt: skip
    if rng.random() < 0.1:
        made["$retainKeys"] = [each for each in made if not each.startswith("$")]
    if rng.random() < 0.05:
        made["$patch"] = rng.choice(["replace", "delete", "what"])
    return made


@pytest.mark.differential
def test_strategic_merge_is_the_slow_one() -> None:
    same = refused = 0
    for seed in range(3000):
        rng = random.Random(seed)
        document = schema_nodes.random_value(rng, THING, null=0) or {}
        patch = random_patch(rng, THING)
        before = orjson.dumps([document, patch])
        try:
            expected = naive.merge_map(copy.deepcopy(document), copy.deepcopy(patch), THING)
        except naive.Refused:
            with pytest.raises(ApiError):
                strategic_merge(document, patch, THING)
            refused += 1
            continue
        assert strategic_merge(document, patch, THING) == expected, seed
        assert orjson.dumps([document, patch]) == before
        same += 1
    assert same > 1000 and refused > 100
