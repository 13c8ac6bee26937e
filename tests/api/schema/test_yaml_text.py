"""Bodies in YAML that are JSON: the quick reader and the one of YAML's events agree, or the quick one does not know."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.api.schema import yaml_text

TEXTS = st.text(st.characters(max_codepoint=0x17F), max_size=8) | st.sampled_from(
    ["null", "1e3", "~", "yes", "0x10", "<<", "a: b", '"', "\\", "\n", "\t"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.differential
@settings(max_examples=300, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_json_reads_as_its_yaml_does(value: dict[str, object]) -> None:
    body = orjson.dumps(value)
    quick = yaml_text._plain_json(body)
    if quick is not None:
        slow, doubled = yaml_text._read_events(body)
        assert not doubled
        assert orjson.dumps(slow) == orjson.dumps(quick)


@pytest.mark.parametrize(
    "body",
    [b'{"a":1,"a":2}', b'{"a":1.0}', b'{"a": 1}', b"a: 1", b'{"a":"\\u0041"}', b'{"a":123456789012345678}', b'{"a":"\x7f"}',
     b'{"a":' + b"[" * 250 + b"]" * 250 + b"}", b'["a"]', b"", b"{", b'{"' + b"k" * 1100 + b'":1}', '{"ä":1}'.encode()],
)  # fmt: skip
def test_what_may_read_otherwise_is_left_to_the_reader_of_yaml(body: bytes) -> None:
    assert yaml_text._plain_json(body) is None


def test_a_clients_apply_is_read_quickly() -> None:
    assert yaml_text._plain_json(b'{"kind":"Pod","apiVersion":"v1"}\n') == {"apiVersion": "v1", "kind": "Pod"}
