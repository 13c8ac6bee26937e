"""A connection to a server that speaks HTTP/2: many requests at once.

What is sent in one turn of the loop is written at once. A connection that is silent while it holds calls is asked
whether it lives, and given up where it does not answer, as client-go does (30 s and 15 s).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import zttp

from kcore.http.exchange import STREAM_WAITING_BYTES_MAX, Call, LostError, RefusedError
from kcore.http.frames import LAST_STREAM, PING
from kcore.http.message import Header

STREAMS_MAX: Final = 100  # until the server says what it allows
PING_SECONDS: Final = 30.0
PONG_SECONDS_MAX: Final = 15.0


class Http2ClientConnection(asyncio.Protocol):
    """``room`` is called when it can take one more request, ``gone`` when it is lost."""

    def __init__(
        self,
        room: Callable[[Http2ClientConnection], None],
        gone: Callable[[Http2ClientConnection], None],
    ) -> None:
        self._engine = zttp.Connection(zttp.CLIENT, zttp.HTTP2)
        self._transport: Any = None
        self._loop = asyncio.get_running_loop()
        self._room = room
        self._gone = gone
        self._calls: dict[int, Call] = {}
        self._streams_max = STREAMS_MAX
        self._is_leaving = False  # the server takes no new requests
        self._is_flushing = False
        self._was_heard = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether it takes requests at all."""
        return self._transport is not None and not self._is_leaving and not self._transport.is_closing()

    @property
    def has_room(self) -> bool:
        """Whether it can take one more request now."""
        return self.is_open and len(self._calls) < self._streams_max

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can take requests."""
        self._transport = transport
        self._engine.initiate_connection()
        self._flush_soon()

    def start(
        self, call: Call, method: bytes, target: bytes, headers: Sequence[Header], body: bytes | None
    ) -> None:
        """The request is sent at the end of this turn of the loop."""
        if body is None:
            stream = self._engine.send_request(method, target, b"2", [*headers])
            stream.end_message()
        else:
            fields = [*headers, (b"content-length", b"%d" % len(body))]
            stream = self._engine.send_request(method, target, b"2", fields)
            stream.send_data(body)
            stream.end_message()
        call.carrier = self
        call.id = stream.stream_id
        self._calls[call.id] = call
        self._flush_soon()
        if self._timer is None:
            self._was_heard = False
            self._timer = self._loop.call_later(PING_SECONDS, self._ask)

    def data_received(self, data: bytes) -> None:
        """Passes on what is in it."""
        self._was_heard = True
        try:
            self._engine.receive_data(data)
            self._advance()
        except zttp.ProtocolError as error:
            self._flush()
            self._end(LostError(f"http2: {error}"))
            return
        self._flush_soon()

    def _advance(self) -> None:
        engine, calls = self._engine, self._calls
        while True:
            event = engine.next_event()
            kind = type(event)
            if kind is zttp.Data:
                call = calls.get(event.stream_id)
                if call is not None:
                    call.received(event.data)
                    if not call.is_whole and call.size > STREAM_WAITING_BYTES_MAX:
                        self.abandon(call)
                        call.failed(LostError("the reader of a stream is too slow"))
            elif kind is zttp.Response:
                call = calls.get(event.stream_id)
                if call is not None and event.status_code >= 200:
                    call.responded(event.status_code, event.headers)
            elif kind is zttp.EndOfMessage:
                call = self._forget(event.stream_id)
                if call is not None:
                    call.ended()
            elif kind is zttp.NeedData or kind is zttp.ConnectionClosed:
                return
            elif kind is zttp.RstStream:
                call = self._forget(event.stream_id)
                if call is not None:
                    refused = event.error_code == zttp.H2ErrorCode.REFUSED_STREAM
                    error = RefusedError if refused else LostError
                    call.failed(error(f"http2: stream error: {event.error_code}"))
            elif kind is zttp.GoAway:
                self._leave(event.last_stream_id)
            elif kind is zttp.Settings:
                allowed = dict(event.params).get(zttp.H2Settings.MAX_CONCURRENT_STREAMS)
                if allowed is not None:
                    self._streams_max = allowed

    def _forget(self, stream_id: int) -> Call | None:
        call = self._calls.pop(stream_id, None)
        if call is None:
            return None
        if self._is_leaving:
            if not self._calls:
                self._transport.close()
        else:
            self._room(self)
        return call

    def _leave(self, last_stream: int) -> None:
        """The server takes no more; what it has not looked at may be asked elsewhere."""
        self._is_leaving = True
        for stream_id in [each for each in self._calls if each > last_stream]:
            self._calls.pop(stream_id).failed(RefusedError("http2: the server is going away"))
        if not self._calls:
            self._transport.close()

    # -- out --------------------------------------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        data = self._engine.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def _ask(self) -> None:
        """Asks a connection that was silent whether it lives."""
        self._timer = None
        if not self._calls or self._transport.is_closing():
            return
        if self._was_heard:
            self._was_heard = False
            self._timer = self._loop.call_later(PING_SECONDS, self._ask)
            return
        self._flush()
        self._transport.write(PING)
        self._timer = self._loop.call_later(PONG_SECONDS_MAX, self._judge)

    def _judge(self) -> None:
        """Gives up a connection that does not answer."""
        self._timer = None
        if self._was_heard:
            self._ask()
        elif self._calls and not self._transport.is_closing():
            self._end(LostError("http2: client connection lost"))

    def leave(self) -> None:
        """Takes no more requests; it is closed once what runs has ended."""
        self._leave(LAST_STREAM)

    # -- life -------------------------------------------------------------------------------------------------------

    def abandon(self, call: Call) -> None:
        """The stream is cancelled."""
        if self._calls.get(call.id) is call:
            self._engine.stream(call.id).reset(zttp.H2ErrorCode.CANCEL)
            self._forget(call.id)
            if not self._transport.is_closing():
                self._flush_soon()

    def taken(self, call: Call) -> None:
        """The engine gives credit by itself."""

    def close(self) -> None:
        """Ends it, with what runs on it."""
        self._end(LostError("the client was closed"))

    def _end(self, error: Exception) -> None:
        self._is_leaving = True
        self._transport.abort()
        self._fail_all(error)

    def _fail_all(self, error: Exception) -> None:
        calls = [*self._calls.values()]
        self._calls.clear()
        for call in calls:
            call.failed(error)

    def connection_lost(self, error: Exception | None) -> None:
        """What ran on it has failed."""
        self._is_leaving = True
        if self._timer is not None:
            self._timer.cancel()
        self._gone(self)
        self._fail_all(LostError(str(error) if error else "http2: client connection lost"))
