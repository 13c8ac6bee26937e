"""Bytes that are no HTTP, or nearly: no connection raises what the listener does not expect, none keeps what it must not."""

from __future__ import annotations

import asyncio
from typing import Any

import zttp
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.http.frames import CANCELLED_MAX, PREFACE, STREAMS_MAX
from kcore.http.http1 import Http1Connection
from kcore.http.http2 import Http2Connection
from kcore.http.message import Peer, Request, Response

PEER = Peer("127.0.0.1:1")
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
LINES = [
    b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\n", b"Host: a\r\n", b"Content-Length: 3\r\n", b"Content-Length: 4\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity, chunked\r\n", b"Connection: upgrade\r\n",
    b"Upgrade: x\r\n", b"Expect: 100-continue\r\n", b" folded: 1\r\n", b"A:\x00b\r\n", b"\r\n", b"\n", b"abc", b"3\r\nabc\r\n",
    b"0\r\n\r\n", b"ffffffffffffffff1\r\n", b"-1\r\n", b"PRI * HTTP/2.0\r\n\r\n", b"\x16\x03\x01\x02\x00",
]  # fmt: skip


class Transport:
    """What was written is counted."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0


class Port:
    """A listener's clock that stands still."""

    now_s = 0.0
    date = b"now"
    bytes_sent = 0

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def fed(make: Any, pieces: list[bytes]) -> tuple[Any, Transport, list[Request]]:
    """The connection after the pieces, each in its turn of the loop; protocol errors are the listener's to end it."""
    seen: list[Request] = []

    async def handler(request: Request) -> Response:
        seen.append(request)
        return Response(200, [], b"ok")

    async def run() -> tuple[Any, Transport]:
        transport = Transport()
        connection = make(handler, PEER, transport, Port(asyncio.get_running_loop()))
        for piece in pieces:
            try:
                connection.receive(piece)
            except zttp.ProtocolError:
                connection.flush()
                transport.close()
            await asyncio.sleep(0)
            if transport.closed:
                break
        connection.is_overdue(0.0)
        connection.disconnected()
        return connection, transport

    return *asyncio.run(run()), seen


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(LINES) | st.binary(max_size=30), max_size=12))
def test_http1_takes_any_bytes(pieces: list[bytes]) -> None:
    _, transport, seen = fed(Http1Connection, pieces)
    assert transport.written.count(b"HTTP/1.1 2") <= len(seen) + transport.written.count(b"HTTP/1.1 100")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(
        st.builds(
            frame,
            st.integers(0, 12),
            st.integers(0, 255),
            st.sampled_from([0, 1, 2, 3, 5, 2**31 - 1, 2**31]),
            st.binary(max_size=24) | st.sampled_from([b"\x82\x86\x84\x41\x01a", b"\x00" * 4, b"\x7f\xff\xff\xff"]),
        )
        | st.binary(max_size=20),
        max_size=12,
    )
)  # fmt: skip
def test_http2_takes_any_frames(frames: list[bytes]) -> None:
    connection, _, _ = fed(Http2Connection, [PREFACE + SETTINGS, *frames])
    assert not connection.exchanges


def test_two_lengths_or_a_length_and_chunks_are_no_request() -> None:
    for fields in (
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: +3\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
    ):
        smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        _, transport, seen = fed(
            Http1Connection, [b"POST / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n" + smuggled]
        )
        assert transport.written.startswith(b"HTTP/1.1 400"), fields
        assert seen == [], fields


def test_heads_without_end_are_refused() -> None:
    many = b"".join(b"x-%d: a\r\n" % number for number in range(3000))
    for head in (
        b"GET / HTTP/1.1\r\nHost: a\r\n" + many,
        b"GET /" + b"a" * 100_000,
        b"GET / HTTP/1.1\r\nA: " + b"b" * 100_000,
    ):
        _, transport, seen = fed(Http1Connection, [head, b"\r\n\r\n"])
        assert seen == []
        assert transport.written.startswith(b"HTTP/1.1 4")


def test_streams_that_are_reset_at_once_end_the_connection() -> None:
    """CVE-2023-44487: answers that wait are cancelled, and a client that goes on is sent away."""
    waiting = asyncio.Event

    async def run() -> tuple[int, bytes]:
        running = 0

        async def handler(request: Request) -> Response:
            nonlocal running
            running += 1
            try:
                await waiting().wait()
            finally:
                running -= 1
            return Response(200, [])

        transport = Transport()
        connection = Http2Connection(handler, PEER, transport, Port(asyncio.get_running_loop()))  # type: ignore[arg-type]
        connection.receive(PREFACE + SETTINGS)
        for number in range(CANCELLED_MAX + 200):
            stream = 2 * number + 1
            try:
                connection.receive(
                    frame(1, 5, stream, b"\x82\x86\x84\x41\x01a") + frame(3, 0, stream, b"\0\0\0\x08")
                )
            except zttp.ProtocolError:  # the engine's own limit; the listener then closes
                connection.flush()
                connection.disconnected()
                break
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        connection.flush()
        assert not connection.exchanges
        return running, bytes(transport.written)

    running, written = asyncio.run(run())
    assert running == 0
    assert b"\x07\x00\x00\x00\x00\x00" in written  # GOAWAY


def test_floods_of_pings_and_settings_do_not_pile_up() -> None:
    """What is owed for them is written as they come, and is no more than they were."""
    flood = frame(6, 0, 0, b"12345678") * 2000 + SETTINGS * 2000
    _, transport, _ = fed(Http2Connection, [PREFACE + SETTINGS, flood, b""])
    assert len(transport.written) <= len(flood) + 1000


def test_a_connection_of_thousands_of_requests_is_left_before_the_engine_ends_it() -> None:
    """No request is lost that comes before the client can have read that it should open another connection."""
    settled = frame(8, 0, 0, b"\x00\x10\x00\x00")  # the client takes a mebibyte more

    def posts(first: int, last: int) -> bytes:
        """Requests with a body, by their numbers."""
        return b"".join(
            frame(1, 4, 2 * number + 1, b"\x83\x86\x84\x41\x01a") + frame(0, 1, 2 * number + 1, b"body")
            for number in range(first, last)
        )

    goaway = frame(7, 0, 0, b"\x7f\xff\xff\xff\x00\x00\x00\x00")
    turns = [posts(number, number + 64) for number in range(0, STREAMS_MAX + 2 * 128, 64)]
    _, before, seen = fed(Http2Connection, [PREFACE + SETTINGS + settled, *turns[:59]])
    assert (len(seen), goaway in before.written) == (59 * 64, False)
    _, after, seen = fed(Http2Connection, [PREFACE + SETTINGS + settled, *turns])
    assert (len(seen), after.written.count(goaway)) == (len(turns) * 64, 1)
