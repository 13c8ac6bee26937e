"""SPDY/3.1, the server's side and sans-I/O: bytes in become events, what is said becomes bytes.

As much of it as moby/spdystream speaks: streams that the client opens, headers, data, ping, reset, goaway; no flow
control, which that library ignores. Source: the SPDY Protocol, draft 3.1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Final, NamedTuple

SYN_STREAM: Final = 1
SYN_REPLY: Final = 2
RST_STREAM: Final = 3
PING: Final = 6
GOAWAY: Final = 7
VERSION: Final = 3
FIN: Final = 1
FRAME_BYTES_MAX: Final = 1 << 20
HEADERS_BYTES_MAX: Final = 64 << 10
STREAMS_MAX: Final = 4096
_LIST: Final = ["options", "head", "post", "put", "delete", "trace", "accept", "accept-charset", "accept-encoding", "accept-language", "accept-ranges", "age", "allow", "authorization", "cache-control", "connection", "content-base", "content-encoding", "content-language", "content-length", "content-location", "content-md5", "content-range", "content-type", "date", "etag", "expect", "expires", "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "last-modified", "location", "max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "range", "referer", "retry-after", "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "via", "warning", "www-authenticate", "method", "get", "status"]
_WORDS: Final = (
    *_LIST, "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin",
)  # fmt: skip
_TAIL: Final = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
# what the compression of headers begins with (2.6.10.1)
DICTIONARY: Final = b"".join(struct.pack(">I", len(word)) + word.encode() for word in _WORDS) + _TAIL.encode()


class SpdyError(Exception):
    """The client does not speak SPDY/3.1."""


class Opened(NamedTuple):
    """The client has opened a stream."""

    stream: int
    headers: dict[str, str]
    is_over: bool


class Received(NamedTuple):
    """Data of a stream; ``is_over``: it was the last."""

    stream: int
    data: bytes
    is_over: bool


class Reset(NamedTuple):
    """The client wants no more of a stream."""

    stream: int


Heard = Opened | Received | Reset


class Spdy:
    """One connection. ``receive`` gives events, ``taken`` the bytes that are to be sent."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._out: list[bytes] = []
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._streams: set[int] = set()

    def receive(self, data: bytes) -> list[Heard]:
        """What has come; SpdyError where it is no SPDY."""
        self._received += data
        heard: list[Heard] = []
        while len(self._received) >= 8:
            first, second = struct.unpack_from(">II", self._received)
            flags, size = second >> 24, second & 0xFFFFFF
            if size > FRAME_BYTES_MAX:
                raise SpdyError(f"a frame of {size} bytes")
            if len(self._received) < 8 + size:
                break
            payload = bytes(self._received[8 : 8 + size])
            del self._received[: 8 + size]
            if first >> 31:
                self._control(first, flags, payload, heard)
            else:
                heard.append(Received(first, payload, bool(flags & FIN)))
        return heard

    def _control(self, first: int, flags: int, payload: bytes, heard: list[Heard]) -> None:
        version, kind = first >> 16 & 0x7FFF, first & 0xFFFF
        if version != VERSION:
            raise SpdyError(f"version {version}")
        if kind == SYN_STREAM:
            if len(payload) < 10:
                raise SpdyError("a short SYN_STREAM")
            stream = struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF
            if len(self._streams) >= STREAMS_MAX:
                raise SpdyError(f"more than {STREAMS_MAX} streams")
            self._streams.add(stream)
            heard.append(Opened(stream, self._headers(payload[10:]), bool(flags & FIN)))
        elif kind == RST_STREAM and len(payload) >= 8:
            stream = struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF
            self._streams.discard(stream)
            heard.append(Reset(stream))
        elif kind == PING and len(payload) >= 4 and payload[3] & 1:
            self._out.append(self._frame(PING, 0, payload[:4]))
        # settings, window updates, further headers and goaway change nothing here

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, HEADERS_BYTES_MAX)
            count, at, found = struct.unpack_from(">I", plain)[0], 4, {}
            for _ in range(count):
                pair = []
                for _ in range(2):
                    size = struct.unpack_from(">I", plain, at)[0]
                    pair.append(plain[at + 4 : at + 4 + size].decode("latin-1"))
                    at += 4 + size
                found[pair[0].lower()] = pair[1]
            return found
        except (zlib.error, struct.error) as error:
            raise SpdyError(f"headers: {error}") from None

    @staticmethod
    def _frame(kind: int, flags: int, payload: bytes) -> bytes:
        return struct.pack(">HHI", 0x8000 | VERSION, kind, flags << 24 | len(payload)) + payload

    def reply(self, stream: int, headers: Mapping[str, str] = {}) -> None:
        """The stream is accepted."""
        plain = struct.pack(">I", len(headers))
        for pair in headers.items():
            for text in pair:
                plain += struct.pack(">I", len(text)) + text.encode()
        block = self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        self._out.append(self._frame(SYN_REPLY, 0, struct.pack(">I", stream) + block))

    def data(self, stream: int, data: bytes, is_over: bool = False) -> None:
        """Data of a stream."""
        for at in range(0, len(data) or 1, FRAME_BYTES_MAX):
            piece = data[at : at + FRAME_BYTES_MAX]
            last = is_over and at + FRAME_BYTES_MAX >= len(data)
            self._out.append(struct.pack(">II", stream, (FIN if last else 0) << 24 | len(piece)) + piece)
        if is_over:
            self._streams.discard(stream)

    def goaway(self) -> None:
        """No stream is taken any more."""
        self._out.append(self._frame(GOAWAY, 0, struct.pack(">II", max(self._streams, default=0), 0)))

    def taken(self) -> bytes:
        """The bytes to send."""
        out, self._out = self._out, []
        return b"".join(out)
