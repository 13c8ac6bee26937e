"""Compiled and plain agree on heads and UUIDs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore_native.http import head
from tests.naive import http_head

pytestmark = pytest.mark.differential

TEXT = st.one_of(st.binary(max_size=40), st.sampled_from([b"a\r", b"\n", b"", b"\r\n\r\n"]))


def outcome(work: Callable[..., Any], *given: Any) -> Any:
    try:
        return work(*given)
    except ValueError as error:
        return str(error)


@given(st.binary(max_size=30), st.lists(st.tuples(TEXT, TEXT), max_size=6))
def test_heads_agree(line: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    assert outcome(head.response_head, line, fields) == outcome(http_head.response_head, line, fields)


@given(st.binary(max_size=64), st.integers(-20, 70))
def test_uuids_agree(random: bytes, at: int) -> None:
    assert outcome(head.uuid_text, random, at) == outcome(http_head.uuid_text, random, at)


def test_fields_are_bytes() -> None:
    for wrong in ([("a", b"b")], [(b"a", None)], [[b"a", b"b"]], [(b"a",)]):
        with pytest.raises((TypeError, ValueError)):
            head.response_head(b"", wrong)  # type: ignore[arg-type]
