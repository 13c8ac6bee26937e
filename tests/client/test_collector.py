"""Decoded JSON is taken from the garbage collector, and freed by counting alone."""

from __future__ import annotations

import gc

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore_native.collector import untracked

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
