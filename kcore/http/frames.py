"""One HTTP/2 connection's frames: bytes in, events to whoever holds the streams, frames out. zttp does the HTTP/2.

What goes out in one turn of the loop is written at once. The engine allows 128 streams at a time and answers settings
and pings by itself.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import zttp

from kcore.http.message import Port

LAST_STREAM: Final = 2**31 - 1
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# The engine gives a connection up at its 256th cancelled stream, with all that runs on it, however long it has lived.
# Before that the client is asked to open another; the 128 streams that may run then can all still be cancelled.
CANCELLED_MAX: Final = 100
# It does the same at its 4,097th stream, at the latest where requests have bodies or are answered in the turn they come
# in. 128 streams may run, and as many more may come before the client has read that it should open another connection.
STREAMS_MAX: Final = 4096 - 2 * 128
PING: Final = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00kcorealv"  # a whole frame: the engine has no call for it


class Streams(Protocol):
    """Who holds a connection's streams."""

    def requested(self, event: Any) -> None: ...
    def received(self, stream_id: int, data: bytes) -> None: ...
    def ended(self, stream_id: int) -> None: ...
    def cancelled(self, stream_id: int) -> None: ...
    def credited(self) -> None: ...


class Frames:
    """The frames of one connection, over bytes that ``receive`` is given and ``transport.write`` takes."""

    def __init__(self, streams: Streams, transport: Any, port: Port) -> None:
        self.engine = zttp.Connection(zttp.SERVER, zttp.HTTP2)
        self.streams = streams
        self.transport = transport
        self.port = port
        self.choked = False  # the socket takes no more
        self.flushing = False  # a flush is due in this turn of the loop
        self.answered = False  # something was said since bytes came
        self.heard = True  # since the last ping
        self.leaving = False  # GOAWAY is out
        self.accepted_max = LAST_STREAM  # streams above it are refused
        self.last_stream = 0
        self.stream_count = 0
        self.cancelled = 0
        self.engine.initiate_connection()

    def receive(self, data: bytes) -> None:
        """Takes bytes of the client; zttp.RemoteProtocolError where they are not HTTP/2 (send what ``flush`` sends)."""
        engine, streams = self.engine, self.streams
        self.heard = True
        self.flushing = True  # below, with all that is answered at once
        self.answered = False
        engine.receive_data(data)
        credit = False
        while True:
            event = engine.next_event()
            kind = type(event)
            if kind is zttp.NeedData:
                break
            if kind is zttp.Data:
                streams.received(event.stream_id, event.data)
            elif kind is zttp.EndOfMessage:
                streams.ended(event.stream_id)
            elif kind is zttp.Request:
                stream_id = event.stream_id
                self.last_stream = max(self.last_stream, stream_id)
                self.stream_count += 1
                if self.stream_count == STREAMS_MAX:
                    self.leave()
                if stream_id > self.accepted_max:
                    engine.stream(stream_id).reset(zttp.H2ErrorCode.REFUSED_STREAM)
                else:
                    streams.requested(event)
            elif kind is zttp.WindowUpdate or kind is zttp.Settings:
                credit = True
            elif kind is zttp.RstStream:
                streams.cancelled(event.stream_id)
                self.cancelled += 1
                if self.cancelled == CANCELLED_MAX:
                    self.leave()
            elif kind is zttp.ConnectionClosed:
                break
        if credit:
            streams.credited()
        if self.answered:
            self.flush()
        else:
            self.port.loop.call_soon(self._flush_next)

    def _flush_next(self) -> None:
        """Acknowledgements alone wait one turn of the loop more: the answer is often ready then, and costs no more."""
        self.port.loop.call_soon(self.flush)

    def flush_soon(self) -> None:
        """Writes at the end of this turn of the loop."""
        self.answered = True
        if not self.flushing:
            self.flushing = True
            self.port.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Writes what the engine has."""
        self.flushing = False
        data = self.engine.data_to_send()
        if data and not self.transport.is_closing():
            self.port.bytes_sent += len(data)
            self.transport.write(data)

    def leave(self, *, refuse_more: bool = False) -> None:
        """Tells the client to open another connection for new requests; what runs goes on."""
        if not self.leaving:
            self.leaving = True
            self.engine.close(zttp.H2ErrorCode.NO_ERROR, LAST_STREAM)
        if refuse_more and self.accepted_max == LAST_STREAM:
            self.accepted_max = self.last_stream
            self.engine.close(zttp.H2ErrorCode.NO_ERROR, self.last_stream)
        self.flush_soon()

    def ping(self) -> bool:
        """False where nothing was heard since the last ping; else asks again."""
        if not self.heard:
            return False
        self.heard = False
        self.flush()
        if not self.transport.is_closing():
            self.transport.write(PING)
        return True
