"""Decoded JSON is taken from the garbage collector, and freed by counting alone; equal parts are kept once."""

from __future__ import annotations

import gc

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore_native.collector import Sharing, untracked

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=30,
)  # fmt: skip


def containers(value: object) -> list[object]:
    if isinstance(value, dict):
        return [value, *(each for inner in value.values() for each in containers(inner))]
    if isinstance(value, list):
        return [value, *(each for inner in value for each in containers(inner))]
    return []


@given(JSON)
@settings(max_examples=30, deadline=None)
def test_nothing_of_it_is_tracked_and_nothing_else_changes(value: object) -> None:
    made = orjson.loads(orjson.dumps(value))
    assert untracked(made) is made
    assert made == orjson.loads(orjson.dumps(value))
    assert not any(gc.is_tracked(each) for each in containers(made))
    assert untracked(made) is made


def test_it_is_freed_without_a_collection() -> None:
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(1000):
            untracked(orjson.loads(b'{"a":[{"b":{"c":[[]]}}]}'))
        assert len(gc.get_objects()) - before < 50
    finally:
        gc.enable()


@given(st.lists(st.lists(JSON, min_size=1, max_size=3), max_size=8), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_trees_that_share_parts_are_what_they_were(values: list[object], parts_max: int) -> None:
    sharing = Sharing(parts_max)
    texts = [orjson.dumps(value) for value in values for _ in range(4)]
    trees = [sharing.shared(orjson.loads(text)) for text in texts]
    assert [orjson.dumps(tree) for tree in trees] == texts


def test_equal_parts_are_one_from_their_third_sight_on() -> None:
    sharing = Sharing()
    text = b'{"spec":{"ports":[{"port":1,"name":"a"}],"on":true},"name":"%d"}'
    trees = [sharing.shared(orjson.loads(text % number)) for number in range(5)]
    assert trees[3]["spec"] is trees[4]["spec"]
    assert trees[3] is not trees[4] and trees[3]["name"] == "3"
    ones = [
        sharing.shared(orjson.loads(text)) for text in (b'[{"a":1}]', b'[{"a":true}]', b'[{"a":1.0}]') * 3
    ]
    assert [type(one[0]["a"]) for one in ones] == [int, bool, float] * 3
    assert ones[8][0] is ones[5][0] and ones[8][0] is not ones[6][0]
