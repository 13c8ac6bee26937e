"""YAML text says what was given, to any YAML reader."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kcore.traces.yaml_text import lines, scalar

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_a_reader_gets_back_what_was_written(value: Any) -> None:
    assert yaml.load("\n".join(lines([value])), yaml.CSafeLoader) == [value]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("web-0", "web-0"),
        ("registry.k8s.io/pause", "registry.k8s.io/pause"),
        ("0/5 nodes are available", '"0/5 nodes are available"'),
        ("yes", '"yes"'),
        ("", '""'),
        ("1", '"1"'),
        (None, "null"),
        (1e20, "1.0e+20"),
        (float("inf"), ".inf"),
        ("line\u2028end\x7f", '"line\\u2028end\\u007f"'),
    ],
)
def test_scalars(value: object, text: str) -> None:
    assert scalar(value) == text
