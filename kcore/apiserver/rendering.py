"""Answers in the form that was negotiated: JSON, YAML or protobuf; an object as it is, as a Table, or its metadata alone.

An object comes as the JSON bytes that the store has; where the client takes JSON it is not decoded.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import orjson

from kcore.api import status
from kcore.api.rows import Row
from kcore.apiserver.negotiation import JSON, PARTIAL, PARTIAL_LIST, TABLE, YAML, Accepted
from kcore.apiserver.operation import Object

GZIP_BYTES_MIN: Final = 128 << 10  # shorter answers are sent as they are
GZIP_LEVEL: Final = 1  # upstream's: the least CPU, and about as small


def encoded(obj: Object, accepted: Accepted) -> bytes:
    """The object in that form."""
    if accepted.media_type == JSON:
        option = orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if accepted.pretty else 0)
        return orjson.dumps(obj, option=option)
    if accepted.media_type == YAML:
        import yaml

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        text: bytes = yaml.dump(
            obj, Dumper=dumper, sort_keys=True, default_flow_style=False, allow_unicode=True, encoding="utf-8"
        )
        return text
    from kcore.api import protobuf

    return protobuf.encode(obj)


def rendered(
    row: Row, body: bytes | Object, accepted: Accepted, *, now: float, include: str = "Metadata"
) -> bytes:
    """One object in that form, transformed as asked; a Status stays one."""
    if isinstance(body, bytes):
        if accepted.media_type == JSON and not accepted.kind and not accepted.pretty:
            return body + b"\n"
        obj = orjson.loads(body)
    else:
        obj = body
    if accepted.kind and obj.get("kind") != "Status":
        obj = transformed(row, obj, accepted, now=now, include=include)
    return encoded(obj, accepted)


def transformed(row: Row, obj: Object, accepted: Accepted, *, now: float, include: str) -> Object:
    """The object as the kind that was asked for."""
    items = obj.get("items")
    is_list = isinstance(items, list) and obj.get("kind", "").endswith("List")
    if accepted.kind == TABLE:
        found = items if is_list and items is not None else [obj]
        return table(row, found, obj["metadata"] if is_list else None, accepted, now=now, include=include)
    if accepted.kind == PARTIAL:
        if is_list:
            raise _not_acceptable("you requested PartialObjectMetadata, but the requested object is a list")
        return partial(obj, accepted.version)
    if not is_list:
        raise _not_acceptable(
            "you requested PartialObjectMetadataList, but the requested object is not a list"
        )
    return partial_list(items or (), obj["metadata"], accepted.version)


def _not_acceptable(message: str) -> status.ApiError:
    return status.ApiError(406, "NotAcceptable", message)


def table(
    row: Row,
    items: Iterable[Object],
    metadata: Object | None,
    accepted: Accepted,
    *,
    now: float,
    include: str,
    headers: bool = True,
) -> Object:
    """The rows that kubectl prints; ``metadata`` is the list's, None for one object."""
    from kcore.api import tables

    made: Object = tables.table(
        row, items, now=now, include_object=include or "Metadata", list_meta=metadata, headers=headers,
        api_version=f"meta.k8s.io/{accepted.version}",
    )  # fmt: skip
    return made


def partial(obj: Object, version: str) -> Object:
    """The object's metadata alone."""
    return {
        "kind": PARTIAL, "apiVersion": f"meta.k8s.io/{version}", "metadata": obj.get("metadata") or {},
    }  # fmt: skip


def partial_list(items: Iterable[Object], metadata: Object, version: str) -> Object:
    """The metadata of every object."""
    made = [partial(item, version) for item in items]
    return {"kind": PARTIAL_LIST, "apiVersion": f"meta.k8s.io/{version}", "metadata": metadata, "items": made}


def gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same, compressed."""
    engine = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    for piece in pieces:
        if made := engine.compress(piece):
            yield made
    yield engine.flush()


def accepts_gzip(header: bytes | None) -> bool:
    """Whether the client says that it reads gzip."""
    return header is not None and any(part.strip() == b"gzip" for part in header.split(b","))


def object_of(items: Sequence[bytes], row: Row, metadata: Object) -> dict[str, Any]:
    """The list as an object."""
    return {
        "kind": row.list_kind_name, "apiVersion": row.api_version, "metadata": metadata,
        "items": [orjson.loads(item) for item in items],
    }  # fmt: skip
