"""Lists as the client takes them: each form made from the stored bytes, one object at a time, long ones in pieces.

A list in the plain form is never decoded. Of every other form one object is decoded, written and forgotten before the
next: of 10,000 at once the garbage collector would take longer than all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

import orjson

from kcore.api.rows import Row
from kcore.apiserver.list_page import PIECE_ITEMS, ListPage
from kcore.apiserver.negotiation import JSON, PARTIAL_LIST, PROTOBUF, TABLE, Accepted
from kcore.apiserver.rendering import GZIP_BYTES_MIN, encoded, gzipped, object_of, partial, transformed
from kcore.http.message import Pieces

STREAMED_ITEMS_MIN: Final = 256  # shorter lists are one piece, with their length before them

Convert = Callable[[bytes], bytes]


def list_answer(
    row: Row, page: ListPage, form: Accepted, convert: Convert | None, *, now: float, include: str, gzip: bool
) -> tuple[bytes | Pieces, bool]:
    """The list's body in that form, and whether it is compressed. ``convert``: from the stored version, None for none."""
    if form.media_type == JSON and not form.pretty and form.kind in ("", PARTIAL_LIST):
        pieces = _plain(row, page, convert) if not form.kind else _metadata(page, form)
        if len(page) >= STREAMED_ITEMS_MIN:
            return _streamed(pieces, len(page) // PIECE_ITEMS, gzip=gzip)
        body = b"".join(pieces)
    else:
        body = _whole(row, page, form, convert, now=now, include=include)
    if gzip and len(body) > GZIP_BYTES_MIN:
        return b"".join(gzipped((body,))), True
    return body, False


def _streamed(pieces: Iterator[bytes], count: int, *, gzip: bool) -> tuple[Pieces, bool]:
    first = next(pieces)  # what cannot be made is said while the status is still to be sent
    gzip = gzip and len(first) * count > GZIP_BYTES_MIN
    rest = chain((first,), pieces)
    return Pieces(gzipped(rest) if gzip else rest), gzip


def _plain(row: Row, page: ListPage, convert: Convert | None) -> Iterator[bytes]:
    if convert is None:
        yield from page.pieces(row.api_version, row.list_kind_name)
    else:
        yield from _around(row.list_kind_name, row.api_version, page, lambda item: _bare(convert(item)))
    yield b"\n"


def _bare(body: bytes) -> Any:
    obj = orjson.loads(body)
    obj.pop("apiVersion", None)
    obj.pop("kind", None)
    return obj


def _metadata(page: ListPage, form: Accepted) -> Iterator[bytes]:
    version = form.version
    yield from _around(
        PARTIAL_LIST, f"meta.k8s.io/{version}", page, lambda item: partial(orjson.loads(item), version)
    )
    yield b"\n"


def _around(kind: str, api_version: str, page: ListPage, made: Callable[[bytes], Any]) -> Iterator[bytes]:
    """The list of what is made of each item, in pieces."""
    head = orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": page.metadata})
    before = head[:-1] + b',"items":['
    items = page.items
    for start in range(0, len(items), PIECE_ITEMS):
        some = items[start : start + PIECE_ITEMS]
        yield before + b",".join([orjson.dumps(made(item)) for item in some])
        before = b","
    yield b"]}" if items else before + b"]}"


def _whole(
    row: Row, page: ListPage, form: Accepted, convert: Convert | None, *, now: float, include: str
) -> bytes:
    items = page.items if convert is None else list(map(convert, page.items))
    if form.media_type == PROTOBUF and not form.kind:
        from kcore.api import protobuf

        bodies = (protobuf.encode_body(orjson.loads(item), row.api_version, row.kind) for item in items)
        return protobuf.encode_list(row.api_version, row.list_kind_name, page.metadata, bodies)
    if form.kind == TABLE and form.media_type == JSON and not form.pretty:
        from kcore.api import tables

        return tables.list_table_json(
            row, items, page.metadata, now=now, include_object=include or "Metadata",
            api_version=f"meta.k8s.io/{form.version}",
        ) + b"\n"  # fmt: skip
    obj = object_of(items, row, page.metadata)
    if form.kind:
        obj = transformed(row, obj, form, now=now, include=include)
    else:
        for item in obj["items"]:
            item.pop("apiVersion", None)
            item.pop("kind", None)
    return encoded(obj, form)
