"""One HTTP/1.1 connection: requests are answered one after the other, streams are chunked, upgrades become tunnels.

The flow: ``receive`` feeds zttp and collects a request until it is whole; the handler's answer goes out at once where
it need not wait; then the next request of the pipeline is looked at. What a client may do is bounded: a head by the
engine (HEAD_BYTES_MAX, HEAD_FIELDS_MAX), a body by ``Limits.body_bytes_max``, requests sent ahead by PIPELINED_BYTES_MAX, and the
time for each part of a request by ``Limits``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, Final, NamedTuple, cast

import zttp

from kcore.http.message import Handler, Header, Peer, Pieces, Port, Request, Response, Stream, Tunnel
from kcore.http.turn import resumed
from kcore_native.http.head import response_head

BODY_BYTES_MAX: Final = 3 << 20  # apiserver's MaxRequestBodyBytes
HEADER_SECONDS_MAX: Final = 32.0  # its ReadHeaderTimeout
IDLE_SECONDS_MAX: Final = 90.0  # its IdleTimeout
BODY_SECONDS_MAX: Final = 60.0
PIPELINED_BYTES_MAX: Final = 1 << 20
LINGER_SECONDS: Final = 0.5  # between the last words and the end of a connection
JOINED_BYTES_MAX: Final = 64 << 10  # larger bodies are not copied behind their head
NEVER: Final = float("inf")
HEAD_BYTES_MAX: Final = 16 << 10  # the engine's
HEAD_FIELDS_MAX: Final = 98  # the engine's
TOO_LARGE: Final = "message exceeded configured size limit"  # its words where a head is larger
LATE: Final = (
    b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Timeout: request did not complete '
    b'within the allotted timeout","reason":"Timeout","details":{},"code":504}\n'
)
HEAD_END: Final = b"\r\n\r\n"
NO_BODY: Final = frozenset({204, 304})

_LINES: Final = {
    each.value: b"HTTP/1.1 %d %b\r\n" % (each.value, each.phrase.encode()) for each in HTTPStatus
}

log = logging.getLogger("kcore.http")


class Limits(NamedTuple):
    """What a client may send, and how long it may take."""

    body_bytes_max: int = BODY_BYTES_MAX
    header_seconds_max: float = HEADER_SECONDS_MAX
    body_seconds_max: float = BODY_SECONDS_MAX
    idle_seconds_max: float = IDLE_SECONDS_MAX
    answer_seconds_max: float = NEVER  # streams that have begun may last


DEFAULTS: Final = Limits()


class _Chunk:
    """The last chunk that was framed: one that goes to many watchers is framed once."""

    data: bytes = b""
    framed: bytes = b""


def framed(data: bytes) -> bytes:
    """The data as one chunk of the chunked coding."""
    if data is not _Chunk.data:
        _Chunk.framed = b"%x\r\n%b\r\n" % (len(data), data)
        _Chunk.data = data
    return _Chunk.framed


def late() -> Response:
    """504: the answer took too long."""
    return Response(504, [(b"content-type", b"application/json")], LATE)


def head_of(status: int, headers: list[Header]) -> bytes:
    """A response's head; ValueError for a field that would break out of its line."""
    return response_head(_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, headers)


class Http1Connection:
    """See the module. It is also the ``Outlet`` of the stream that it is sending."""

    __slots__ = (
        "answer_due_s", "before", "body", "body_bytes", "chunked", "closing", "deaf", "due_s", "engine", "handler", "head", "heard",
        "idle", "is_choked", "limits", "peer", "pipelined", "port", "request", "stream", "task", "transport", "tunnel",
    )  # fmt: skip

    def __init__(
        self, handler: Handler, peer: Peer, transport: Any, port: Port, *, limits: Limits = DEFAULTS
    ) -> None:
        self.engine = zttp.Connection(zttp.SERVER, zttp.HTTP1)
        self.handler = handler
        self.peer = peer
        self.transport = transport
        self.port = port
        self.limits = limits
        self.head: Any = None
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.request: Request | None = None  # the one that is being answered
        self.task: asyncio.Task[None] | None = None
        self.stream: Stream | None = None
        self.tunnel: Tunnel | None = None
        self.answer_due_s = NEVER
        self.chunked = False
        self.pipelined = 0
        self.before = b""  # the last bytes received: the end of a head may be in them
        self.deaf = False  # the last words are said
        self.closing = False  # after the answer under way
        self.is_choked = False  # the socket takes no more
        self.heard = True  # since the last ``ping``
        self.idle = False  # an answer is out, and nothing of the next request is there
        self.due_s = port.now_s + limits.header_seconds_max

    # -- in ---------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Takes bytes of the client; closes the connection where they are not HTTP."""
        self.heard = True
        if self.tunnel is not None:
            self.tunnel.receive(data)
            return
        if self.deaf:
            return
        if self.request is not None:
            self.pipelined += len(data)
            if self.pipelined > PIPELINED_BYTES_MAX:
                self._last_words(b"400 Bad Request", b"too much was sent ahead\n")
                return
        elif self.idle:
            self.idle = False  # more bytes of this head do not give it more time
            self.due_s = self.port.now_s + self.limits.header_seconds_max
        try:
            self.engine.receive_data(data)
            self._advance(data)
        except zttp.RemoteProtocolError as error:
            self._refuse(error)

    def _refuse(self, error: zttp.RemoteProtocolError) -> None:
        """Go's answers to a head that is too large and to what is no HTTP."""
        if TOO_LARGE in str(error):
            self._last_words(b"431 Request Header Fields Too Large", b"431 Request Header Fields Too Large")
        else:
            self._last_words(b"400 Bad Request", f"400 Bad Request: {error}".encode())

    def _advance(self, data: bytes) -> None:
        """Reads on until a request is whole; the next one waits until it is answered."""
        engine = self.engine
        while self.request is None and not self.deaf:
            event = engine.next_event()
            kind = type(event)
            if kind is zttp.Request:
                if event.end_stream:
                    self._whole(event, data)
                    continue
                self.head = event
                self.due_s = self.port.now_s + self.limits.body_seconds_max
                if event.expect_continue:
                    engine.send_informational(100)
                    self._write(engine.data_to_send())
            elif kind is zttp.Data:
                self.body.append(event.data)
                self.body_bytes += len(event.data)
                if self.body_bytes > self.limits.body_bytes_max:
                    self._too_large()
                    return
            elif kind is zttp.EndOfMessage:
                self._whole(self.head, data)
            else:
                break
        if self.request is None or self.request.upgrade is None:
            self.before = data[-3:]

    def _too_large(self) -> None:
        text = b"Request entity too large: limit is %d" % self.limits.body_bytes_max
        status = (
            b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"%b",'
            b'"reason":"RequestEntityTooLarge","code":413}\n' % text
        )
        self._last_words(b"413 Request Entity Too Large", status, b"application/json")

    def _whole(self, head: Any, data: bytes) -> None:
        upgrade = self.engine.upgrade() if head.headers.get(b"upgrade") is not None else None
        body = b"".join(self.body)
        self.body.clear()
        self.body_bytes = 0
        self.head = None
        self.due_s = NEVER
        request = Request(
            head.method, head.path, head.query, tuple(head.headers), body, self.peer,
            version=head.http_version, upgrade=upgrade,
        )  # fmt: skip
        self.request = request
        if upgrade is not None:
            self.before = after_head(self.before + data)
        work = cast("Coroutine[Any, Any, Response]", self.handler(request))
        try:
            waits_for = work.send(None)  # a request that need not wait is answered in this very turn
        except StopIteration as end:
            self._answer(request, end.value)
        except Exception:
            log.exception("a request failed", extra={"peer": self.peer.address})
            self._failed()
        else:
            self.answer_due_s = self.port.now_s + self.limits.answer_seconds_max
            self.task = self.port.loop.create_task(self._answer_later(request, work, waits_for))

    async def _answer_later(
        self, request: Request, work: Coroutine[Any, Any, Response], waits_for: Any
    ) -> None:
        try:
            response = await resumed(work, waits_for)
        except asyncio.CancelledError:
            if self.answer_due_s != 0:
                raise
            response = late()
        except Exception:
            log.exception("a request failed", extra={"peer": self.peer.address})
            self._failed()
            return
        self.task = None
        self._answer(request, response)
        if self.request is None:
            self._resume()

    def _failed(self) -> None:
        self.task = None
        self._last_words(b"500 Internal Server Error", b"Internal Server Error\n")

    # -- out --------------------------------------------------------------------------------------------------------

    def _answer(self, request: Request, response: Response) -> None:
        if self.transport.is_closing() or self.deaf:
            if not isinstance(response.body, bytes):
                response.body.stop()
            return
        body = response.body
        if not isinstance(body, bytes):
            self._begin(request, response, body)
            return
        headers = [*response.headers, (b"date", self.port.date)]
        if response.status not in NO_BODY:
            headers.append((b"content-length", b"%d" % len(body)))
        if self.closing:
            headers.append((b"connection", b"close"))
        head = head_of(response.status, headers)
        if not body or request.method == b"HEAD":
            self._write(head)
        elif len(body) <= JOINED_BYTES_MAX:
            self._write(head + body)
        else:
            self._write(head)
            self._write(body)
        self._done()

    def _begin(self, request: Request, response: Response, stream: Stream) -> None:
        """The head of a stream is out, and the stream told to begin."""
        self.answer_due_s = NEVER
        headers: list[Header] = [*response.headers, (b"date", self.port.date)]
        if response.status == 101:
            self._write(head_of(101, response.headers))
            self.stream = self.tunnel = cast("Tunnel", stream)
            stream.start(self)
            if self.before and self.tunnel is not None:
                self.tunnel.receive(self.before)
            return
        sized = any(name == b"content-length" for name, _ in headers)
        self.chunked = not sized and request.version != b"1.0"
        if self.chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        elif not sized:
            self.closing = True
        if self.closing:
            headers.append((b"connection", b"close"))
        self._write(head_of(response.status, headers))
        if request.method == b"HEAD":
            stream.stop()
            self._done()
            return
        self.stream = stream
        if isinstance(stream, Pieces):  # an answer that is to end, however slowly its client takes it
            self.answer_due_s = self.port.now_s + self.limits.answer_seconds_max
        stream.start(self)

    @property
    def waiting_bytes(self) -> int:
        """What the client has not taken yet."""
        size: int = self.transport.get_write_buffer_size()
        return size

    def write(self, data: bytes) -> None:
        """Sends a part of the stream."""
        if data and self.stream is not None:
            self._write(framed(data) if self.chunked else data)

    def end(self) -> None:
        """The stream is whole."""
        if self.stream is None:
            return
        tunnel, self.stream, self.tunnel = self.tunnel, None, None
        if tunnel is not None:
            self.deaf = True
            self._close()
            return
        if self.chunked:
            self._write(b"0\r\n\r\n")
        self._done()
        if self.request is None and not self.deaf:
            self.port.loop.call_soon(self._resume)

    def abort(self) -> None:
        """The stream cannot go on: the connection is cut, so that the client does not take it for whole."""
        self.transport.abort()

    def _write(self, data: bytes) -> None:
        self.port.bytes_sent += len(data)
        self.transport.write(data)

    def _done(self) -> None:
        """The answer is out."""
        self.request = None
        self.pipelined = 0
        self.answer_due_s = NEVER
        self.due_s = self.port.now_s + self.limits.idle_seconds_max  # also to take what is not sent yet
        if self.closing or self.engine.should_close():
            self.deaf = True
            self._close()
            return
        self.idle = True
        self.engine.start_next_cycle()

    def _resume(self) -> None:
        if self.request is not None or self.deaf or self.transport.is_closing():
            return
        try:
            self._advance(b"")
        except zttp.RemoteProtocolError as error:
            self._refuse(error)

    def _last_words(self, status: bytes, body: bytes, kind: bytes = b"text/plain; charset=utf-8") -> None:
        self.deaf = True
        self.due_s = self.port.now_s + self.limits.idle_seconds_max
        self._write(
            b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (status, kind, len(body), body)
        )
        # closed at once, what the client still sends would reset the connection before it has read the answer
        self.port.loop.call_later(LINGER_SECONDS, self._close)

    # -- life -------------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def set_choked(self, choked: bool) -> None:
        """The socket's buffer became full, or empty enough."""
        self.is_choked = choked
        if not choked and self.stream is not None:
            self.stream.resume()

    def flush(self) -> None:
        """Everything is written as it comes."""

    def ping(self) -> bool:
        """True: silence is ``is_overdue``'s to judge, a dead peer is TCP's."""
        return True

    def is_busy(self) -> bool:
        """Whether an answer is owed; streams that need not end are not."""
        return self.request is not None and (self.stream is None or isinstance(self.stream, Pieces))

    def is_overdue(self, now_s: float) -> bool:
        """Whether the client has taken too long with its request, or with the next one; an answer that does is given up."""
        if self.task is not None and now_s > self.answer_due_s:
            self.answer_due_s = 0
            self.task.cancel()
        elif self.stream is not None and self.task is None and now_s > self.answer_due_s:
            self.abort()
        return now_s > self.due_s

    def leave(self) -> None:
        """Ends the connection after the answer under way."""
        self.closing = True
        if self.request is None:
            self.deaf = True
            self._close()

    def disconnected(self) -> None:
        """Cancels what is being made or sent."""
        self.deaf = True
        stream, self.stream, self.tunnel = self.stream, None, None
        if self.task is not None:
            # in the next turn: cancelled before its first step, a task would not tell the handler
            self.port.loop.call_soon(self.task.cancel)
        if stream is not None:
            stream.stop()


def after_head(data: bytes) -> bytes:
    """What came behind the head of an upgrade: the tunnel's first bytes."""
    _, found, rest = data.partition(HEAD_END)
    return rest if found else b""
