"""JSON as Go's encoding/json writes it: characters that mean something in HTML are escaped.

A server keeps some values (a ControllerRevision's data) as the bytes that came, and compares those.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

ESCAPES: Final = (
    (b"&", b"\\u0026"), (b"<", b"\\u003c"), (b">", b"\\u003e"), ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)  # fmt: skip


def dumps(value: Any, *, is_sorted: bool = False) -> bytes:
    """The value's text; members in the order in which they stand, or by name as in Go's maps."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS if is_sorted else None)
    for plain, escaped in ESCAPES:
        if plain in text:
            text = text.replace(plain, escaped)
    return text
