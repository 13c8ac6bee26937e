"""Objects between the dict of the write path and the bytes that the store keeps.

Stored: compact JSON that begins ``{"apiVersion":..,"kind":..,"metadata":{`` and holds no resourceVersion; what a
client gets is the same bytes with the resourceVersion spliced in as the first member of the metadata.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from kcore.apiserver.operation import Object
from kcore_native.cacher.scan import splice

__all__ = ["copied", "decode", "dumps", "encode", "loads", "same", "splice"]

PROTOBUF_PREFIX: Final = b"k8s\0"
NULL: Final = b":null"  # of a member; may be in a string, too

loads = orjson.loads
dumps = orjson.dumps


def encode(obj: Object, api_version: str, kind: str, node: Any) -> bytes:
    """The stored form; ``obj`` keeps its members in this order and loses its resourceVersion.

    ``node``: the schema of that version and kind; what Go writes as null is null, as upstream stores and answers it.
    """
    metadata = obj["metadata"]
    metadata.pop("resourceVersion", None)
    if node is not None:
        node.write_nulls(obj)
    head = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
    return dumps({**head, **obj, **head})


def decode(data: bytes, revision: int, node: Any = None) -> Object:
    """A fresh dict of the stored object with its resourceVersion; with a ``node`` without the nulls of ``encode``."""
    if data[:4] == PROTOBUF_PREFIX:
        from kcore.api.protobuf import decode as decode_protobuf

        obj: Object = decode_protobuf(data)
        obj.setdefault("metadata", {})
    else:
        obj = loads(data)
        if node is not None and NULL in data:
            node.drop_nulls(obj)
    obj["metadata"]["resourceVersion"] = str(revision)
    return obj


def copied(value: Any) -> Any:
    """A copy that shares nothing; by way of bytes, which is ten times faster than copy.deepcopy."""
    return loads(dumps(value))


def same(new: Object, old: Object) -> bool:
    """True where both are the same document, whatever the order of their members."""
    if new != old:
        return False
    # 1 == True == 1.0 in Python, and a free-form member may hold either
    return dumps(new, option=orjson.OPT_SORT_KEYS) == dumps(old, option=orjson.OPT_SORT_KEYS)
