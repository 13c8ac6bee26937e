"""Lists are in every form what the whole list, decoded and written anew, would be."""

from __future__ import annotations

import zlib
from typing import Any

import orjson
import pytest

from kcore.api import protobuf
from kcore.api.resources.catalog import builtin
from kcore.apiserver.list_answer import STREAMED_ITEMS_MIN, list_answer
from kcore.apiserver.list_page import ListPage
from kcore.apiserver.negotiation import JSON, PARTIAL_LIST, PROTOBUF, TABLE, YAML, Accepted
from kcore.apiserver.rendering import encoded, object_of, transformed
from kcore.http.message import Pieces
from kcore_native.cacher.table import Entry

NOW = 1_700_000_000.0
FORMS = (
    Accepted(), Accepted(pretty=True), Accepted(YAML), Accepted(PROTOBUF), Accepted(JSON, TABLE, "v1"),
    Accepted(JSON, TABLE, "v1beta1", pretty=True), Accepted(JSON, PARTIAL_LIST, "v1"),
    Accepted(PROTOBUF, PARTIAL_LIST, "v1"), Accepted(YAML, PARTIAL_LIST, "v1"),
)  # fmt: skip


class Taken:
    """An outlet that takes all."""

    is_choked = False
    waiting_bytes = 0

    def __init__(self) -> None:
        self.data = b""
        self.ended = self.aborted = False

    def write(self, data: bytes) -> None:
        self.data += data

    def end(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.aborted = True


def page(count: int) -> ListPage:
    entries = []
    for number in range(count):
        key = f"/registry/configmaps/default/c-{number}".encode()
        metadata = {
            "name": f"c-{number}",
            "namespace": "default",
            "uid": str(number),
            "labels": {"a": "b" * 30},
        }
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value" * 99}}
        entries.append(Entry(key, orjson.dumps(obj), (), (), number + 1))
    return ListPage(entries, "77", "more", 3)


def naive(row: Any, listed: ListPage, form: Accepted) -> bytes:
    obj = object_of(listed.items, row, listed.metadata)
    if form.kind:
        return encoded(transformed(row, obj, form, now=NOW, include="Metadata"), form)
    for item in obj["items"]:
        del item["apiVersion"], item["kind"]
    return encoded(obj, form)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("count", [0, 1, STREAMED_ITEMS_MIN + 70])
def test_every_form_is_that_of_the_whole_list(form: Accepted, count: int) -> None:
    row = builtin().row("", "v1", "configmaps")
    assert row is not None
    if form.media_type == YAML and count > 1:
        count = 3
    listed = page(count)
    for gzip in (False, True):
        body, compressed = list_answer(row, listed, form, None, now=NOW, include="Metadata", gzip=gzip)
        if isinstance(body, Pieces):
            taken = Taken()
            body.start(taken)
            assert taken.ended
            body = taken.data
        if compressed:
            assert gzip
            body = zlib.decompress(body, 31)
        wanted = naive(row, listed, form)
        if form.media_type == JSON and not form.pretty:
            assert orjson.loads(body) == orjson.loads(wanted)
            assert body.endswith(b"}\n")
        elif form.media_type == PROTOBUF:
            assert protobuf.decode(body) == protobuf.decode(wanted)
        else:
            assert body == wanted


def test_what_cannot_be_made_to_its_end_is_cut_off() -> None:
    def pieces() -> Any:
        yield b"a"
        raise ValueError

    taken = Taken()
    Pieces(pieces()).start(taken)
    assert (taken.data, taken.ended, taken.aborted) == (b"a", False, True)
