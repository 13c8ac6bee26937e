"""A connection to a server that speaks HTTP/1.1: one request at a time, then the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import zttp

from kcore.http.exchange import Call, LostError
from kcore.http.message import Header

READ_AHEAD_BYTES_MAX: Final = 1 << 20  # of a stream whose reader is slow; then the server waits
JOINED_BYTES_MAX: Final = 64 << 10  # larger bodies are not copied behind their head


class Http1ClientConnection(asyncio.Protocol):
    """``idle`` is called when it is free again, ``gone`` when it is lost."""

    def __init__(
        self,
        idle: Callable[[Http1ClientConnection], None],
        gone: Callable[[Http1ClientConnection], None],
    ) -> None:
        self._engine = zttp.Connection(zttp.CLIENT, zttp.HTTP1)
        self._transport: Any = None
        self._idle = idle
        self._gone = gone
        self._call: Call | None = None
        self._is_paused = False
        self.idle_since_s = 0.0
        self.is_stream = False  # what runs on it may last

    @property
    def is_open(self) -> bool:
        """Whether it can take a request."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can take requests."""
        self._transport = transport

    def start(
        self, call: Call, method: bytes, target: bytes, headers: Sequence[Header], body: bytes | None
    ) -> None:
        """The request is sent."""
        self._call = call
        call.carrier = self
        engine = self._engine
        if body is None:
            engine.send_request(method, target, b"1.1", [*headers])
            engine.end_message()
            self._transport.write(engine.data_to_send())
            return
        engine.send_request(method, target, b"1.1", [*headers, (b"content-length", b"%d" % len(body))])
        if len(body) <= JOINED_BYTES_MAX:
            engine.send_data(body)
            engine.end_message()
            self._transport.write(engine.data_to_send())
        else:
            self._transport.write(engine.data_to_send())
            engine.send_data(body)
            engine.end_message()
            self._transport.write(engine.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Passes on what is in it."""
        try:
            self._engine.receive_data(data)
            self._advance()
        except zttp.ProtocolError as error:
            self._fail(LostError(f"malformed HTTP response: {error}"))

    def eof_received(self) -> bool:
        """The server sends no more: the end of an answer that says no length."""
        try:
            self._engine.receive_data(b"")
            self._advance()
        except zttp.ProtocolError:
            self._fail(LostError("unexpected EOF"))
        return False

    def _advance(self) -> None:
        engine = self._engine
        while self._call is not None:
            event = engine.next_event()
            kind = type(event)
            if kind is zttp.Data:
                call = self._call
                call.received(event.data)
                if not call.is_whole and call.size > READ_AHEAD_BYTES_MAX and not self._is_paused:
                    self._is_paused = True
                    self._transport.pause_reading()
            elif kind is zttp.Response:
                if event.status_code >= 200:
                    self._call.responded(event.status_code, event.headers)
            elif kind is zttp.EndOfMessage:
                self._done()
                return
            elif kind is zttp.ConnectionClosed:
                self._fail(LostError("unexpected EOF"))
            else:
                return
        if not self._transport.is_closing():
            self._transport.close()  # it speaks without being asked

    def _done(self) -> None:
        call, self._call = self._call, None
        assert call is not None
        if self._engine.should_close() or self._transport.is_closing():
            self._transport.close()
        else:
            self._engine.start_next_cycle()
            self._idle(self)
        call.ended()

    def _fail(self, error: Exception) -> None:
        call, self._call = self._call, None
        if not self._transport.is_closing():
            self._transport.close()
        if call is not None:
            call.failed(error)

    def abandon(self, call: Call) -> None:
        """The rest of the answer is not wanted; HTTP/1.1 can only close the connection."""
        if self._call is call:
            self._call = None
            self._transport.abort()

    def taken(self, call: Call) -> None:
        """The reader has caught up."""
        if self._is_paused and self._call is call:
            self._is_paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        """Ends it, with what runs on it."""
        self._transport.abort()
        self._fail(LostError("the client was closed"))

    def connection_lost(self, error: Exception | None) -> None:
        """What ran on it has failed."""
        call, self._call = self._call, None
        self._gone(self)
        if call is not None:
            call.failed(LostError(str(error) if error else "EOF"))
