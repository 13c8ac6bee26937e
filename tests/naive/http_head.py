"""The head of a response and the text of a UUID as one would write them in Python."""

from __future__ import annotations

import uuid


def response_head(line: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    """The status line, the fields' lines and an empty one; ValueError for a field with a line break."""
    if any(mark in text for field in fields for text in field for mark in (b"\r", b"\n")):
        raise ValueError("a header field with a line break")
    return line + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"


def uuid_text(random: bytes, at: int) -> str:
    """The UUID (version 4) of 16 random bytes from that place on."""
    if at < 0 or at + 16 > len(random):
        raise ValueError("a UUID takes 16 random bytes")
    return str(uuid.UUID(bytes=random[at : at + 16], version=4))
