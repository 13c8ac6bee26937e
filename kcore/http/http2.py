"""One HTTP/2 connection: each stream is a request, answered as soon as its answer is there.

Bodies of requests are bounded by ``Limits.body_bytes_max``; what waits for a slow client's flow control by
SEND_PENDING_BYTES_MAX a stream, then the stream is choked. A client that resets a stream cancels what it asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, cast

import zttp

from kcore.http.frames import Frames
from kcore.http.http1 import DEFAULTS, NEVER, NO_BODY, Limits, late
from kcore.http.message import Handler, Header, Peer, Pieces, Port, Request, Response, Stream
from kcore.http.turn import resumed

SEND_PENDING_BYTES_MAX: Final = 256 << 10
LONG_STREAMS_MAX: Final = 96  # of the engine's 128; then new requests are sent to another connection
# RFC 9113 8.2.2: these are of HTTP/1.1 alone
HOP_BY_HOP: Final = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"})

log = logging.getLogger("kcore.http")


class Exchange:
    """One stream: a request that is being received, answered or streamed. It is the ``Outlet`` of its stream."""

    __slots__ = (
        "answer_due_s",
        "body",
        "body_bytes",
        "connection",
        "due_s",
        "engine_stream",
        "head",
        "id",
        "request",
        "stream",
        "task",
    )

    def __init__(self, connection: Http2Connection, head: Any, due_s: float) -> None:
        self.connection = connection
        self.id: int = head.stream_id
        self.engine_stream = connection.frames.engine.stream(self.id)
        self.head = head
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.request: Request | None = None
        self.stream: Stream | None = None
        self.task: asyncio.Task[None] | None = None
        self.due_s = due_s
        self.answer_due_s = NEVER

    @property
    def waiting_bytes(self) -> int:
        """What the client has not taken yet."""
        connection = self.connection
        pending = self.engine_stream.pending_bytes or 0
        size: int = connection.transport.get_write_buffer_size()
        return size + pending

    @property
    def is_choked(self) -> bool:
        """Whether so much waits that the stream should wait, too; it is told when it need not any more."""
        connection = self.connection
        if connection.choked or (self.engine_stream.pending_bytes or 0) > SEND_PENDING_BYTES_MAX:
            connection.waiting.add(self)
            return True
        return False

    def write(self, data: bytes) -> None:
        """Sends a part of the stream."""
        if data and self.stream is not None:
            self.engine_stream.send_data(data)
            self.connection.frames.flush_soon()

    def end(self) -> None:
        """The stream is whole."""
        if self.stream is not None:
            self.connection.finish(self)

    def abort(self) -> None:
        """The stream cannot go on."""
        self.connection.reset(self, zttp.H2ErrorCode.INTERNAL_ERROR)


class Http2Connection:
    """See the module."""

    __slots__ = (
        "choked",
        "exchanges",
        "frames",
        "handler",
        "limits",
        "long_count",
        "peer",
        "port",
        "silent_since_s",
        "transport",
        "waiting",
    )

    def __init__(
        self, handler: Handler, peer: Peer, transport: Any, port: Port, *, limits: Limits = DEFAULTS
    ) -> None:
        self.handler = handler
        self.peer = peer
        self.transport = transport
        self.port = port
        self.limits = limits
        self.exchanges: dict[int, Exchange] = {}
        self.waiting: set[Exchange] = set()  # streams that were told that they are choked
        self.long_count = 0
        self.choked = False
        self.silent_since_s = port.now_s
        self.frames = Frames(self, transport, port)

    # -- in ---------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Takes bytes of the client; zttp.RemoteProtocolError where they are not HTTP/2 (send what ``flush`` sends)."""
        self.silent_since_s = self.port.now_s
        self.frames.receive(data)

    def requested(self, event: Any) -> None:
        """A stream begins."""
        exchange = Exchange(self, event, self.port.now_s + self.limits.body_seconds_max)
        self.exchanges[exchange.id] = exchange
        if event.end_stream:
            self._whole(exchange)

    def received(self, stream_id: int, data: bytes) -> None:
        """More of a stream's body."""
        exchange = self.exchanges.get(stream_id)
        if exchange is None or exchange.request is not None:
            return
        exchange.body.append(data)
        exchange.body_bytes += len(data)
        if exchange.body_bytes > self.limits.body_bytes_max:
            self._too_large(exchange)

    def _too_large(self, exchange: Exchange) -> None:
        text = b"Request entity too large: limit is %d" % self.limits.body_bytes_max
        status = (
            b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"%b",'
            b'"reason":"RequestEntityTooLarge","code":413}\n' % text
        )
        exchange.request = Request(b"", b"", b"", (), b"", self.peer)
        self._answer(exchange, Response(413, [(b"content-type", b"application/json")], status))
        exchange.engine_stream.reset(zttp.H2ErrorCode.NO_ERROR)  # RFC 9113 8.1

    def ended(self, stream_id: int) -> None:
        """A stream's request is whole."""
        exchange = self.exchanges.get(stream_id)
        if exchange is not None and exchange.request is None:
            self._whole(exchange)

    def cancelled(self, stream_id: int) -> None:
        """The client is no longer interested in a stream."""
        exchange = self.exchanges.pop(stream_id, None)
        if exchange is not None:
            self._abandon(exchange)

    def credited(self) -> None:
        """The client takes more: streams that wait for it may go on, and only those are looked at."""
        waiting, self.waiting = self.waiting, set()
        for exchange in waiting:
            if exchange.stream is not None and not exchange.is_choked:
                exchange.stream.resume()

    def _whole(self, exchange: Exchange) -> None:
        head = exchange.head
        exchange.due_s = NEVER
        body = b"".join(exchange.body)
        exchange.body.clear()
        request = Request(
            head.method, head.path, head.query, tuple(head.headers), body, self.peer, version=b"2"
        )
        exchange.request = request
        work = cast("Coroutine[Any, Any, Response]", self.handler(request))
        try:
            waits_for = work.send(None)  # a request that need not wait is answered in this very turn
        except StopIteration as end:
            self._answer(exchange, end.value)
        except Exception:
            log.exception("a request failed", extra={"peer": self.peer.address})
            self._failed(exchange)
        else:
            exchange.answer_due_s = self.port.now_s + self.limits.answer_seconds_max
            exchange.task = self.port.loop.create_task(self._answer_later(exchange, work, waits_for))

    async def _answer_later(
        self, exchange: Exchange, work: Coroutine[Any, Any, Response], waits_for: Any
    ) -> None:
        try:
            response = await resumed(work, waits_for)
        except asyncio.CancelledError:
            if exchange.answer_due_s != 0:
                raise
            response = late()
        except Exception:
            log.exception("a request failed", extra={"peer": self.peer.address})
            self._failed(exchange)
            return
        exchange.task = None
        self._answer(exchange, response)

    def _failed(self, exchange: Exchange) -> None:
        self.reset(exchange, zttp.H2ErrorCode.INTERNAL_ERROR)

    # -- out --------------------------------------------------------------------------------------------------------

    def _answer(self, exchange: Exchange, response: Response) -> None:
        body = response.body
        if exchange.id not in self.exchanges or self.transport.is_closing():
            if not isinstance(body, bytes):
                body.stop()
            return
        headers: list[Header] = [each for each in response.headers if each[0] not in HOP_BY_HOP]
        headers.append((b"date", self.port.date))
        stream = exchange.engine_stream
        assert exchange.request is not None
        if isinstance(body, bytes):
            if response.status not in NO_BODY:
                headers.append((b"content-length", b"%d" % len(body)))
            if not body or exchange.request.method == b"HEAD":
                stream.send_response(response.status, headers, True)
            else:
                stream.send_response(response.status, headers)
                stream.send_data(body)
                stream.end_message()
            del self.exchanges[exchange.id]
        elif exchange.request.method == b"HEAD":
            body.stop()
            stream.send_response(response.status, headers, True)
            del self.exchanges[exchange.id]
        else:
            stream.send_response(response.status, headers)
            exchange.stream = body
            if isinstance(body, Pieces):  # an answer that is to end, however slowly its client takes it
                exchange.answer_due_s = self.port.now_s + self.limits.answer_seconds_max
            else:
                exchange.answer_due_s = NEVER
            self.long_count += 1
            if self.long_count > LONG_STREAMS_MAX:
                self.frames.leave()
            body.start(exchange)
        self.frames.flush_soon()

    def finish(self, exchange: Exchange) -> None:
        """A stream is whole."""
        if self._forget(exchange):
            exchange.engine_stream.end_message()
            self.frames.flush_soon()

    def reset(self, exchange: Exchange, code: int) -> None:
        """A stream is broken off."""
        if self._forget(exchange):
            exchange.engine_stream.reset(code)
            self.frames.flush_soon()

    def _forget(self, exchange: Exchange) -> bool:
        """True where the stream was there."""
        if exchange.stream is not None:
            exchange.stream = None
            self.long_count -= 1
            self.waiting.discard(exchange)
        return self.exchanges.pop(exchange.id, None) is not None

    def _abandon(self, exchange: Exchange) -> None:
        stream = exchange.stream
        self._forget(exchange)
        if exchange.task is not None:
            # in the next turn: cancelled before its first step, a task would not tell the handler
            self.port.loop.call_soon(exchange.task.cancel)
        if stream is not None:
            stream.stop()

    # -- life -------------------------------------------------------------------------------------------------------

    def set_choked(self, choked: bool) -> None:
        """The socket's buffer became full, or empty enough."""
        self.choked = choked
        if not choked:
            self.credited()

    def flush(self) -> None:
        """Writes what the engine has."""
        self.frames.flush()

    def ping(self) -> bool:
        """False where a connection that holds streams was silent and did not answer the last ping."""
        return self.frames.ping() if self.exchanges else True

    def is_busy(self) -> bool:
        """Whether an answer is owed; streams that need not end are not."""
        return any(
            exchange.stream is None or isinstance(exchange.stream, Pieces)
            for exchange in self.exchanges.values()
        )

    def is_overdue(self, now_s: float) -> bool:
        """Whether nothing was asked for long; a request that takes too long to come is reset."""
        if not self.exchanges:
            return now_s > self.silent_since_s + self.limits.idle_seconds_max
        for exchange in list(self.exchanges.values()):
            if exchange.task is not None and now_s > exchange.answer_due_s:
                exchange.answer_due_s = 0
                exchange.task.cancel()
            elif exchange.stream is not None and now_s > exchange.answer_due_s:
                stream = exchange.stream
                self.reset(exchange, zttp.H2ErrorCode.INTERNAL_ERROR)
                stream.stop()
            if now_s > exchange.due_s:
                self.reset(exchange, zttp.H2ErrorCode.CANCEL)
        return False

    def leave(self) -> None:
        """Takes no more requests; those under way are answered."""
        self.frames.leave(refuse_more=True)

    def disconnected(self) -> None:
        """Cancels all that was asked on this connection."""
        for exchange in list(self.exchanges.values()):
            self._abandon(exchange)
