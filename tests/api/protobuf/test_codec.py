"""The codec against the real one's recordings, its slow twin, and whatever bytes there are."""

from __future__ import annotations

import base64
import gzip
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.api import protobuf
from kcore.api.protobuf.table import kinds, messages
from kcore.api.rows import GroupVersionKind
from kcore.api.status import ApiError
from kcore_native.protobuf.decoder import decode_unknown
from kcore_native.quantity_text import canonical
from tests.naive import protobuf as naive

HERE = Path(__file__).parent


def lines(name: str) -> Iterator[list[str]]:
    """The lines of a recording, in three columns.

    They were written by k8s.io/apimachinery 0.36.3: ``round_trips`` has an object's bytes, the bytes of the same object
    read from its JSON (``=`` where equal), the JSON that Go makes of the bytes; ``refusals`` bytes, ``E`` and the error;
    ``quantities`` a text, ``=`` or ``E``, and how Go writes it or why not.
    """
    with gzip.open(HERE / name, "rt", encoding="utf-8") as recorded:
        for line in recorded:
            yield line.rstrip("\n").split("\t")


def test_bytes_become_the_json_that_go_makes_of_them() -> None:
    count = 0
    for wire, _, text in lines("round_trips.txt.gz"):
        want = orjson.loads(text)
        got = protobuf.decode(base64.b64decode(wire))
        assert got == want, want["kind"]
        assert orjson.dumps(got, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
            want, option=orjson.OPT_SORT_KEYS
        )
        assert list(got)[:2] == ["apiVersion", "kind"]
        count += 1
    assert count == 489


def test_json_becomes_the_bytes_that_go_makes_of_it() -> None:
    for wire, second, text in lines("round_trips.txt.gz"):
        obj = orjson.loads(text)
        assert protobuf.encode(obj) == base64.b64decode(wire if second == "=" else second), obj["kind"]


@pytest.mark.differential
def test_the_slow_twin_reads_the_same() -> None:
    for wire, _, _ in lines("round_trips.txt.gz"):
        got = protobuf.decode(base64.b64decode(wire))
        api_version, kind, raw, _, _ = decode_unknown(base64.b64decode(wire), 4)
        message = kinds()[GroupVersionKind.of(api_version, kind)]
        assert {"apiVersion": api_version, "kind": kind, **naive.decode(message, raw)} == got, kind


def test_what_go_refuses_is_refused_in_its_words() -> None:
    count = 0
    for wire, verdict, text in lines("refusals.txt.gz"):
        body = base64.b64decode(wire)
        if verdict == "=":
            assert protobuf.decode(body) == orjson.loads(text)
            continue
        with pytest.raises(ApiError) as refused:
            protobuf.decode(body)
        assert refused.value.code == 400
        if verdict == "E":
            assert text in refused.value.message
        count += 1
    assert count > 100


def test_quantities_are_written_as_go_writes_them() -> None:
    for text, verdict, want in lines("quantities.txt.gz"):
        if verdict == "=":
            assert canonical(text) == want, text
        else:
            with pytest.raises(ValueError) as refused:  # noqa: PT011
                canonical(text)
            assert str(refused.value) == want, text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the object provided is unrecognized (must be of type Pod): empty data (<empty>)"),
        (
            b"k8s\0",
            "the object provided is unrecognized (must be of type Pod): empty body (6b387300)",
        ),
        (
            b'{"kind":"Pod"}',
            (
                "the object provided is unrecognized (must be of type Pod): provided data does not appear to be a "
                'protobuf message, expected prefix [107 56 115 0] ({"kind":"Pod"})'
            ),
        ),
        (
            b"k8s\0\x0a",
            "the object provided is unrecognized (must be of type Pod): unexpected EOF (6b3873000a)",
        ),
    ],
)
def test_a_body_that_is_none_is_named(body: bytes, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        protobuf.decode(body, expected="Pod")
    assert (refused.value.code, refused.value.reason, refused.value.message) == (400, "BadRequest", message)


def test_a_kind_that_is_not_known_is_named() -> None:
    body = protobuf.wrap(b"", "v1", "Pud")
    with pytest.raises(
        ApiError, match='Pud in version "v1" cannot be handled as a Pod: no kind "Pud" is registered'
    ):
        protobuf.decode(body, expected="Pod")


def test_the_kind_of_a_body_can_be_given() -> None:
    body = protobuf.wrap(protobuf.encode_body({"gracePeriodSeconds": 3}, "v1", "DeleteOptions"), "", "")
    options = protobuf.decode(body, default=GroupVersionKind("", "v1", "DeleteOptions"))
    assert options == {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 3}
    with pytest.raises(ApiError, match="Object 'Kind' is missing in"):
        protobuf.decode(body)


def test_options_are_kinds_of_every_group() -> None:
    assert protobuf.can_encode("apps/v1", "DeleteOptions")
    assert protobuf.can_encode("policy/v1", "Eviction")
    assert not protobuf.can_encode("example.com/v1", "Widget")
    assert not protobuf.can_encode("meta.k8s.io/v1", "Table")


def pod(name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1500m"}}}]},
        "status": {},
    }


def test_a_list_is_put_together_from_encoded_items() -> None:
    pods = [pod(f"web-{i}") for i in range(3)]
    meta = {"resourceVersion": "12", "continue": "abc", "remainingItemCount": 5}
    whole = protobuf.encode({"apiVersion": "v1", "kind": "PodList", "metadata": meta, "items": pods})
    items = [protobuf.encode_body(each, "v1", "Pod") for each in pods]
    assert protobuf.encode_list("v1", "PodList", meta, items) == whole
    assert protobuf.decode(whole)["items"] == pods
    assert protobuf.decode(protobuf.encode_list("v1", "PodList", {}, []))["items"] is None
    whole = protobuf.encode(
        {
            "apiVersion": "meta.k8s.io/v1beta1",
            "kind": "PartialObjectMetadataList",
            "metadata": meta,
            "items": [{}],
        }
    )
    item = protobuf.encode_body({}, "meta.k8s.io/v1", "PartialObjectMetadata")
    assert protobuf.encode_list("meta.k8s.io/v1beta1", "PartialObjectMetadataList", meta, [item]) == whole


def test_a_watch_event_is_one_frame() -> None:
    envelope = protobuf.encode({"apiVersion": "v1", "kind": "Pod", **pod("web")})
    frame = protobuf.encode_watch_event("ADDED", envelope)
    assert struct.unpack(">I", frame[:4])[0] == len(frame) - 4
    found = {number: value for number, _, value in naive.parts(frame[4:])}
    assert found[1] == b"ADDED"
    assert naive.parts(found[2]) == [(1, 2, envelope)]


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": []},
        {"metadata": {"name": 3}},
        {"metadata": {"labels": {"a": 1}}},
        {"metadata": {"generation": 2**63}},
        {"metadata": {"generation": True}},
        {"metadata": {"name": "\ud800"}},
        {"metadata": {"creationTimestamp": "yesterday"}},
        {"spec": {"containers": {}}},
        {"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}},
        {"spec": {"hostNetwork": 1}},
    ],
)
def test_an_object_of_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(protobuf.EncodeError):
        protobuf.encode({"apiVersion": "v1", "kind": "Pod", **change})


def test_nesting_has_a_limit() -> None:
    schema: dict[str, Any] = {}
    for _ in range(2000):
        schema = {"not": schema}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]},
    }
    with pytest.raises(protobuf.EncodeError, match="nested too deep"):
        protobuf.encode(crd)
    raw = b""
    for _ in range(20_000):  # not: field 28 of JSONSchemaProps
        length = len(raw)
        size = b""
        while length >= 0x80:
            size += bytes([length & 0x7F | 0x80])
            length >>= 7
        raw = b"\xda\x01" + size + bytes([length]) + raw
    with pytest.raises(protobuf.DecodeError, match="exceeded max depth"):
        decode_schema(raw)


def test_a_few_bytes_make_no_flood_of_objects() -> None:
    raw = b"\x12\x00" * 100_000  # empty pods, of four objects each and more
    with pytest.raises(ApiError, match="more than 500000 objects"):
        protobuf.decode(protobuf.wrap(raw * 3, "v1", "PodList"))
    assert len(protobuf.decode(protobuf.wrap(raw, "v1", "PodList"))["items"]) == 100_000


def decode_schema(raw: bytes) -> Any:
    from kcore.api.protobuf import codec
    from kcore_native.protobuf.decoder import decode

    return decode(codec._codec()[1]["apiextensions.v1.JSONSchemaProps"], raw, {})


def test_text_that_is_no_utf_8_is_replaced_byte_by_byte() -> None:
    raw = b"\x0a\x07\x0a\x05a\xe2\x28\xa1\xff"
    assert protobuf.decode_body("v1", "Pod", raw)["metadata"]["name"] == "a\ufffd(\ufffd\ufffd"


def test_a_time_beyond_the_calendar_is_refused() -> None:
    body = protobuf.wrap(b"\x0a\x0e\x42\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x10\x00", "v1", "Pod")
    with pytest.raises(ApiError, match="outside the years"):
        protobuf.decode(body)


def decoded(body: bytes) -> dict[str, Any] | None:
    """The object, or None where it is refused as it should be."""
    try:
        return protobuf.decode(body)
    except ApiError as error:
        return None if error.code == 400 else pytest.fail(error.message)


@settings(max_examples=300)
@given(st.data())
def test_no_bytes_crash_it(data: st.DataObject) -> None:
    gvk = data.draw(st.sampled_from(sorted(kinds())))
    raw = data.draw(st.binary(max_size=200))
    if (got := decoded(protobuf.wrap(raw, gvk.api_version, gvk.kind))) is not None:
        orjson.dumps(got)


SAMPLES = [base64.b64decode(line[0]) for line in lines("round_trips.txt.gz")]


@settings(max_examples=300)
@given(st.data())
def test_no_damage_crashes_it(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        body = body or bytearray(b"k")
    if (got := decoded(bytes(body))) is not None:
        again = protobuf.decode(protobuf.encode(got))
        assert protobuf.encode(again) == protobuf.encode(got)


def test_every_type_of_the_table_is_known() -> None:
    for message in messages().values():
        numbers = [field.number for field in message.fields]
        assert len(numbers) == len(set(numbers)), message.name
