"""Sets of fields, and the walks of objects, against their slow twins and as fieldsV1."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from kcore_native.fieldset import merge, sets, shape, walk
from tests.api import schema_nodes
from tests.naive import fieldset as naive

pytestmark = pytest.mark.differential

SEEDS = range(600)


def paths_of(node: dict[str, Any]) -> naive.Paths:
    return set(sets.members(node))


def some_set(rng: random.Random, node: Any) -> dict[str, Any]:
    value = schema_nodes.random_value(rng, node, null=0)
    found = sorted(naive.Compare(node, naive.ABSENT, value).added)
    return sets.from_paths([path for path in found if rng.random() < 0.5])


@pytest.mark.parametrize("seed", range(0, 600, 100))
def test_comparison_is_the_slow_one(seed: int) -> None:
    for each in range(seed, seed + 100):
        rng = random.Random(each)
        node = schema_nodes.random_struct(rng, 3)
        node.map_type = "granular"
        left, right = (schema_nodes.random_value(rng, node, repeated=True, null=0.05) or {} for _ in range(2))
        fast = walk.Comparison(shape.shape_of(node), left, right)
        slow = naive.Compare(node, left, right)
        assert sets.ordered(fast.changed) == naive.encode(slow.added | slow.modified), each
        assert sets.ordered(fast.removed) == naive.encode(slow.removed), each


def test_the_set_of_an_object_is_the_slow_one() -> None:
    for each in SEEDS:
        rng = random.Random(each)
        node = schema_nodes.random_struct(rng, 3)
        node.map_type = "granular"
        value = schema_nodes.random_value(rng, node, repeated=True) or {}
        assert walk.to_set(shape.shape_of(node), value) == naive.encode(naive.to_set(node, value)), each


def test_merging_and_removing_are_the_slow_ones() -> None:
    for each in SEEDS:
        rng = random.Random(each)
        node = schema_nodes.random_struct(rng, 3)
        node.map_type = "granular"
        left = schema_nodes.random_value(rng, node, repeated=True, null=0) or {}
        right = schema_nodes.random_value(rng, node, null=0.05) or {}
        before = orjson.dumps([left, right])
        merged = merge.merge(shape.shape_of(node), left, right)
        slow = naive.merge(node, left, right)
        assert orjson.dumps(merged, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
            slow, option=orjson.OPT_SORT_KEYS
        ), each
        taken = some_set(rng, node)
        left_over = merge.remove_items(shape.shape_of(node), left, taken)
        assert left_over == naive.remove(node, left, paths_of(taken)), each
        assert orjson.dumps([left, right]) == before


def test_set_operations_are_those_of_sets_of_paths() -> None:
    for each in SEEDS:
        rng = random.Random(each)
        node = schema_nodes.random_struct(rng, 3)
        node.map_type = "granular"
        left, right = some_set(rng, node), some_set(rng, node)
        a, b = paths_of(left), paths_of(right)
        assert sets.size(left) == len(a)
        assert paths_of(sets.union(left, right)) == a | b
        assert paths_of(sets.intersection(left, right)) == a & b
        assert paths_of(sets.difference(left, right)) == a - b
        assert paths_of(sets.recursive_difference(left, right)) == naive.recursive_difference(a, b)
        assert paths_of(sets.ensure_named(left, shape.shape_of(node))) == naive.ensure_named(a, node)
        assert all(sets.has(left, path) == (path in a) for path in a | b)
        for made in (sets.union(left, right), sets.difference(left, right), sets.intersection(left, right)):
            assert sets.decode(made) == made


def test_fields_go_around_and_come_in_order() -> None:
    for each in SEEDS:
        rng = random.Random(each)
        node = schema_nodes.random_struct(rng, 3)
        fields = sets.ordered(some_set(rng, node))
        pairs = list(fields.items())
        rng.shuffle(pairs)
        assert orjson.dumps(sets.ordered(sets.decode(dict(pairs)))) == orjson.dumps(fields)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ('{"f:b":{},"f:a":{}}', '{"f:a":{},"f:b":{}}'),
        ('{"f:a":{".":{}}}', '{"f:a":{}}'),
        ('{"f:a":{"f:b":{},".":{}}}', '{"f:a":{".":{},"f:b":{}}}'),
        ('{".":{},"f:a":{}}', '{"f:a":{}}'),
        ('{"f:a":{"x:unknown":{"f:b":{}}}}', '{"f:a":{}}'),
        ('{"f:a":{"k:{\\"b\\": 1, \\"a\\":\\"x\\"}":{}}}', '{"f:a":{"k:{\\"a\\":\\"x\\",\\"b\\":1}":{}}}'),
        ('{"f:a":{"v:10":{},"v:9":{}}}', '{"f:a":{"v:9":{},"v:10":{}}}'),
        ('{"f:a":{"i:10":{},"i:9":{},"f:z":{}}}', '{"f:a":{"f:z":{},"i:9":{},"i:10":{}}}'),
        ('{"f:a":{"v:true":{},"v:\\"s\\"":{},"v:1":{}}}', '{"f:a":{"v:1":{},"v:\\"s\\"":{},"v:true":{}}}'),
        (
            '{"f:a":{"k:{\\"p\\":443}":{},"k:{\\"p\\":80}":{},"k:{\\"n\\":\\"a\\"}":{}}}',
            '{"f:a":{"k:{\\"n\\":\\"a\\"}":{},"k:{\\"p\\":80}":{},"k:{\\"p\\":443}":{}}}',
        ),
    ],
)
def test_fields_are_written_as_upstream_writes_them(given: str, written: str) -> None:
    assert orjson.dumps(sets.ordered(sets.decode(orjson.loads(given)))).decode() == written


@pytest.mark.parametrize(
    "given", ["[]", '{"f":{}}', '{"fa:":{}}', '{"k:{":{}}', '{"k:1":{}}', '{"i:x":{}}', '{"f:a":1}']
)
def test_what_is_no_set_of_fields_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        sets.decode(orjson.loads(given))


def test_a_very_deep_object_is_refused() -> None:
    value: Any = 1
    for _ in range(5000):
        value = {"a": value}
    free = shape.deduced()
    for walked in (
        lambda: walk.to_set(free, value),
        lambda: walk.Comparison(free, {}, value),
        lambda: merge.merge(free, value, {"a": {"a": value}}),
        lambda: merge.faults(free, value),
    ):
        with pytest.raises(ValueError, match="nested too deeply"):
            walked()


def test_equal_tells_booleans_from_numbers() -> None:
    assert walk.equal({"a": [1, 2.0]}, {"a": [1.0, 2]})
    assert not walk.equal({"a": True}, {"a": 1})
    assert not walk.equal([0], [False])
    assert not walk.equal({"a": None}, {})


def test_repeated_items_are_one_field() -> None:
    node = schema_nodes.struct(
        ports=schema_nodes.keyed(schema_nodes.struct(port=schema_nodes.NUMBER), "port")
    )
    twice = {"ports": [{"port": 1}, {"port": 1}]}
    assert walk.to_set(shape.shape_of(node), twice) == {"f:ports": {'k:{"port":1}': {}}}


@pytest.mark.parametrize(
    ("value", "path", "text"),
    [
        ({"name": 1}, ".name", "expected string, got &value.valueUnstructured{Value:1}"),
        ({"count": "x"}, ".count", "expected numeric (int or float), got string"),
        ({"on": "yes"}, ".on", "expected boolean, got &{yes}"),
        ({"tags": "x"}, ".tags", "expected list, got &{x}"),
        ({"labels": ["x"]}, ".labels", "expected map, got &{[x]}"),
        ({"nope": 1}, ".nope", "field not declared in schema"),
        ({"tags": ["a", "a"]}, ".tags", 'duplicate entries for key [="a"]'),
        (
            {"tags": [{}]},
            ".tags",
            "element 0: associative list without keys has an element that's a map type",
        ),
        ({"ports": [{"port": 1}, {"port": 1}]}, ".ports", "duplicate entries for key [port=1]"),
        (
            {"ports": [{}]},
            ".ports",
            (
                'element 0: associative list with keys has an element that omits all key fields ["port"] '
                "(and doesn't have default values for any key fields)"
            ),
        ),
        ({"ports": [{"port": 1, "x": 2}]}, ".ports[port=1].x", "field not declared in schema"),
    ],
)
def test_what_is_not_of_the_schema_is_said_as_upstream_says_it(value: Any, path: str, text: str) -> None:
    nodes = schema_nodes
    node = nodes.struct(
        name=nodes.STRING, count=nodes.NUMBER, on=nodes.BOOLEAN, tags=nodes.a_set(), labels=nodes.a_map(nodes.STRING),
        ports=nodes.keyed(nodes.struct(port=nodes.NUMBER), "port"),
    )  # fmt: skip
    assert merge.faults(shape.shape_of(node), value) == [(path, text)]
