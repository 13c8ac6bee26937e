"""gRPC over one HTTP/2 connection: frames in, calls of the method table, frames out. zttp does the HTTP/2.

The flow: ``receive`` feeds the engine and turns its events into calls; a call's answer goes into the engine at once
and onto the wire with everything else of that turn of the loop. What each side may do is bounded: messages by
``message_bytes_max``, a stream's unread messages by REQUESTS_QUEUED_MAX and REQUEST_BYTES_QUEUED_MAX (then the socket is not read), what waits for
a slow client by SEND_PENDING_BYTES_MAX a stream (then ``send`` waits).

The engine allows 128 streams at once, so a connection whose streams are nearly all long-lived is told to go away
gently (GOAWAY, nothing refused): gRPC clients open another one for new calls and keep the old for what runs.
"""

import asyncio
import logging
import zlib
from collections import deque
from collections.abc import Collection
from typing import Any, Final, Protocol

import zttp

from kcore.http.frames import Frames
from kcore.http.message import Peer
from kcore.http.message import Port as Socket
from kcore.http.turn import resumed
from kcore.store.errors import Code, StoreError
from kcore.store.etcd.rpc import Context, Method

REQUESTS_QUEUED_MAX: Final = 256
REQUEST_BYTES_QUEUED_MAX: Final = 4 << 20
SEND_PENDING_BYTES_MAX: Final = 1 << 20
LONG_STREAMS_MAX: Final = 96  # of the engine's 128; then new calls are sent to another connection
TIMEOUT_DIGITS_MAX: Final = 8  # of grpc-timeout

FRAME_PREFIX_BYTES: Final = 5  # gRPC's: compressed or not, length
TIMEOUT_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}

CONTENT_TYPE: Final = b"application/grpc"
RESPONSE: Final = [(b"content-type", CONTENT_TYPE)]
OK: Final = [(b"grpc-status", b"0")]
ONE_MESSAGE: Final = "a unary call has exactly one request message"

UNKNOWN: Final = Method(b"", bytes, None, False)  # type: ignore[arg-type] # stands for what is not in the table

log = logging.getLogger("kcore.store.etcd")


def percent_encoded(text: str) -> bytes:
    """``grpc-message`` as the gRPC protocol wants it: UTF-8, all but printable ASCII and % as %XX."""
    return b"".join(
        bytes((byte,)) if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte
        for byte in text.encode(errors="replace")
    )


def timeout_seconds(value: bytes) -> float:
    """Seconds of a ``grpc-timeout`` header; refused where it is malformed."""
    digits, unit = value[:-1], value[-1:]
    if unit not in TIMEOUT_UNITS or not digits.isdigit() or len(digits) > TIMEOUT_DIGITS_MAX:
        raise StoreError(Code.INTERNAL, f"malformed grpc-timeout: {value.decode(errors='replace')!r}")
    return int(digits) * TIMEOUT_UNITS[unit]


class Ongoing:
    """One call; also the ``Stream`` that streaming methods use."""

    __slots__ = (
        "compressed", "connection", "context", "ended", "id", "long", "method", "over", "partial", "queue",
        "queued_bytes", "reader", "started", "task", "timer", "wanted", "writer",
    )  # fmt: skip

    def __init__(self, connection: "Http2Connection", id: int, method: Method, context: Context) -> None:  # noqa: A002
        self.connection = connection
        self.id = id
        self.method = method
        self.context = context
        self.compressed = False  # gzip was announced
        self.partial = bytearray()  # of a message that is not whole yet
        self.wanted = 0  # so many bytes of it must be there before it is looked at again
        self.queue: deque[bytes] = deque()  # whole messages, not parsed
        self.queued_bytes = 0
        self.ended = False  # the client sends no more
        self.started = False  # response headers are out
        self.over = False  # nothing may be sent any more
        self.long = False  # counted as a streaming call under way
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.reader: asyncio.Future[None] | None = None
        self.writer: asyncio.Future[None] | None = None

    async def receive(self) -> Any:
        """The client's next message, None at its end; refuses what does not parse."""
        while not self.queue:
            if self.ended:
                return None
            self.reader = self.connection.loop.create_future()
            try:
                await self.reader
            finally:
                self.reader = None
        body = self.queue.popleft()
        self.queued_bytes -= len(body)
        few = len(self.queue) <= REQUESTS_QUEUED_MAX // 2
        if few and self.queued_bytes <= REQUEST_BYTES_QUEUED_MAX // 2:
            self.connection.read_on()
        return parsed(self.method, body)

    async def send(self, message: Any) -> None:
        """Sends; waits where the client is slow."""
        if self.over:
            raise asyncio.CancelledError
        connection = self.connection
        connection.send(self, message if isinstance(message, bytes) else message.SerializeToString())
        while connection.is_choked(self):
            self.writer = connection.loop.create_future()
            try:
                await self.writer
            finally:
                self.writer = None


def parsed(method: Method, body: bytes) -> Any:
    """The message; INTERNAL, as grpc-go says it, where the bytes are none."""
    try:
        return method.parse(body)
    except Exception as error:  # noqa: BLE001 - protobuf's DecodeError, and UTF-8 errors of some versions
        raise StoreError(Code.INTERNAL, f"grpc: error unmarshalling request: {error}") from None


class Port(Protocol):
    """What a connection needs of its server, and counts there."""

    methods: dict[bytes, Method]
    message_bytes_max: int
    handled: dict[tuple[bytes, Code], int]


class Http2Connection:
    """The gRPC side of one connection, over the frames that its listener hands on."""

    def __init__(self, server: Port, peer: Peer, transport: asyncio.Transport, socket: Socket) -> None:
        self.frames = Frames(self, transport, socket)
        self.engine = self.frames.engine
        self.receive = self.frames.receive
        self.flush_soon = self.frames.flush_soon
        self.flush = self.frames.flush
        self.ping = self.frames.ping
        self.server = server
        self.methods = server.methods
        self.peer = peer
        self.transport = transport
        self.loop = socket.loop
        self.message_bytes_max = server.message_bytes_max
        self.calls: dict[int, Ongoing] = {}
        self.long_count = 0  # streaming calls under way
        self.choked = False  # the socket takes no more
        self.reading = True

    # -- in ---------------------------------------------------------------------------------------------------------

    def requested(self, event: Any) -> None:
        """A call begins."""
        stream_id = event.stream_id
        headers = dict(event.headers[::-1])  # of names that come again, the first
        if event.method != b"POST" or not is_grpc(headers.get(b"content-type", b"")):
            self.engine.stream(stream_id).send_response(415, [(b"content-length", b"0")], True)
            return
        method = self.methods.get(event.path, UNKNOWN)
        call = Ongoing(self, stream_id, method, Context(event.path, headers, self.peer))
        call.ended = event.end_stream
        self.calls[stream_id] = call
        try:
            self._accept(call, headers)
        except StoreError as error:
            self._refuse(call, error)

    def _accept(self, call: Ongoing, headers: dict[bytes, bytes]) -> None:
        if call.method is UNKNOWN:
            raise unknown_method(call.context.path, self.methods)
        encoding = headers.get(b"grpc-encoding", b"identity")
        if encoding != b"identity":
            if encoding != b"gzip":
                said = encoding.decode(errors="replace")
                text = f'grpc: Decompressor is not installed for grpc-encoding "{said}"'
                raise StoreError(Code.UNIMPLEMENTED, text)
            call.compressed = True
        timeout = headers.get(b"grpc-timeout")
        if timeout is not None:
            call.timer = self.loop.call_later(timeout_seconds(timeout), self._timed_out, call)
        if call.method.streaming:
            self.long_count += 1
            call.long = True
            if self.long_count > LONG_STREAMS_MAX:
                self.frames.leave()
            call.task = self.loop.create_task(self._serve_stream(call))
        elif call.ended:
            self._end(call)

    def received(self, stream_id: int, data: bytes) -> None:
        """More of a call's messages."""
        if call := self.calls.get(stream_id):
            self._data(call, data)

    def ended(self, stream_id: int) -> None:
        """The client sends no more in that call."""
        if call := self.calls.get(stream_id):
            self._end(call)

    def cancelled(self, stream_id: int) -> None:
        """The client is no longer interested in that call."""
        if call := self.calls.get(stream_id):
            self._abandon(call)

    def _data(self, call: Ongoing, data: bytes) -> None:
        if call.partial:
            call.partial += data
            if len(call.partial) < call.wanted:
                return None
            data = bytes(call.partial)
            call.partial.clear()
        try:
            self._cut(call, data)
        except StoreError as error:
            return self._refuse(call, error)
        if call.reader is not None and call.queue and not call.reader.done():
            call.reader.set_result(None)
        if self.reading and (
            len(call.queue) > REQUESTS_QUEUED_MAX or call.queued_bytes > REQUEST_BYTES_QUEUED_MAX
        ):
            self.reading = False
            self.transport.pause_reading()
        return None

    def _cut(self, call: Ongoing, data: bytes) -> None:
        """Queues the whole messages at the head of the bytes and keeps the rest; refuses what is too long."""
        at, size = 0, len(data)
        while at < size:
            start = at + FRAME_PREFIX_BYTES
            if start > size:
                call.wanted = FRAME_PREFIX_BYTES
                break
            length = int.from_bytes(data[at + 1 : start], "big")
            if length > self.message_bytes_max:
                raise too_long(length, self.message_bytes_max)
            if start + length > size:
                call.wanted = FRAME_PREFIX_BYTES + length
                break
            body = data[start : start + length]
            if data[at]:
                if data[at] != 1 or not call.compressed:
                    text = "grpc: compressed flag set with identity or empty encoding"
                    raise StoreError(Code.INTERNAL, text)
                body = inflated(body, self.message_bytes_max)
            if call.queue and not call.method.streaming:
                raise StoreError(Code.INTERNAL, ONE_MESSAGE)
            call.queue.append(body)
            call.queued_bytes += len(body)
            at = start + length
        if at < size:
            call.partial = bytearray(data[at:])

    def _end(self, call: Ongoing) -> None:
        call.ended = True
        if call.method.streaming:
            if call.reader is not None and not call.reader.done():
                call.reader.set_result(None)
            return None
        if len(call.queue) != 1 or call.partial:
            return self._refuse(call, StoreError(Code.INTERNAL, ONE_MESSAGE))
        work = self._serve_unary(call, call.queue.popleft())
        try:
            waits_for = work.send(None)  # a call that need not wait is answered in this very turn
        except StopIteration:
            return None
        call.task = self.loop.create_task(resumed(work, waits_for))
        return None

    def _abandon(self, call: Ongoing) -> None:
        """The client is no longer interested."""
        self._forget(call)
        if call.task is not None:
            call.task.cancel()

    def _timed_out(self, call: Ongoing) -> None:
        call.timer = None
        self._refuse(call, StoreError(Code.DEADLINE_EXCEEDED, "context deadline exceeded"))
        self.flush_soon()

    def read_on(self) -> None:
        """Reads the socket again after a client's queue was full."""
        if not self.reading:
            self.reading = True
            self.transport.resume_reading()

    def disconnected(self) -> None:
        """Cancels all that was asked on this connection."""
        for call in list(self.calls.values()):
            self._abandon(call)

    # -- calls ------------------------------------------------------------------------------------------------------

    async def _serve_unary(self, call: Ongoing, body: bytes) -> None:
        method = call.method
        try:
            answer = await method.call(parsed(method, body), call.context)
            if call.over:
                return
            payload = answer if isinstance(answer, bytes) else answer.SerializeToString()
            self._forget(call)
            self._count(method, Code.OK)
            stream = self.engine.stream(call.id)
            stream.send_response(200, RESPONSE)
            stream.send_data(b"\0" + len(payload).to_bytes(4, "big") + payload)
            stream.end_message(OK)
            self.flush_soon()
        except StoreError as error:
            self._refuse(call, error)
        except asyncio.CancelledError:
            if not call.over:
                self._refuse(call, StoreError(Code.CANCELLED, "context canceled"))
        except Exception as error:
            log.exception("call failed", extra={"method": method.path.decode()})
            self._refuse(call, StoreError(Code.INTERNAL, f"{type(error).__name__}: {error}"))

    async def _serve_stream(self, call: Ongoing) -> None:
        try:
            await call.method.call(call, call.context)
            if not call.over:
                self._finish(call, Code.OK, OK)
        except StoreError as error:
            self._refuse(call, error)
        except asyncio.CancelledError:
            if not call.over:
                self._refuse(call, StoreError(Code.CANCELLED, "context canceled"))
        except Exception as error:
            log.exception("call failed", extra={"method": call.method.path.decode()})
            self._refuse(call, StoreError(Code.INTERNAL, f"{type(error).__name__}: {error}"))

    # -- out --------------------------------------------------------------------------------------------------------

    def send(self, call: Ongoing, payload: bytes) -> None:
        """Frames one message into the stream."""
        stream = self.engine.stream(call.id)
        if not call.started:
            call.started = True
            stream.send_response(200, RESPONSE)
        stream.send_data(b"\0" + len(payload).to_bytes(4, "big") + payload)
        self.flush_soon()

    def _count(self, method: Method, code: Code) -> None:
        if method is not UNKNOWN:
            handled = self.server.handled
            handled[method.path, code] = handled.get((method.path, code), 0) + 1

    def _finish(self, call: Ongoing, code: Code, trailers: list[tuple[bytes, bytes]]) -> None:
        self._forget(call)
        self._count(call.method, code)
        stream = self.engine.stream(call.id)
        if call.started:
            stream.end_message(trailers)
        else:
            stream.send_response(200, [*RESPONSE, *trailers], True)
        if not call.ended:
            stream.reset(zttp.H2ErrorCode.NO_ERROR)  # as RFC 9113 8.1: the rest of the request is not wanted
        self.flush_soon()

    def _refuse(self, call: Ongoing, error: StoreError) -> None:
        """Ends the call with the error, unless it is over."""
        if call.over:
            return
        status = [(b"grpc-status", b"%d" % error.code), (b"grpc-message", percent_encoded(error.text))]
        try:
            self._finish(call, error.code, status)
        finally:
            if call.task is not None:
                call.task.cancel()

    def _forget(self, call: Ongoing) -> None:
        call.over = True
        if call.timer is not None:
            call.timer.cancel()
        self.calls.pop(call.id, None)
        if call.long:
            call.long = False
            self.long_count -= 1
            self.read_on()

    def is_choked(self, call: Ongoing) -> bool:
        """Whether so much waits for this client that ``send`` should wait."""
        if call.over:
            return False
        return self.choked or (self.engine.stream(call.id).pending_bytes or 0) > SEND_PENDING_BYTES_MAX

    def credited(self) -> None:
        """The client takes more: calls that waited for that go on."""
        for call in self.calls.values():
            if call.writer is not None and not call.writer.done() and not self.is_choked(call):
                call.writer.set_result(None)

    def set_choked(self, choked: bool) -> None:
        """The socket's buffer became full, or empty enough."""
        self.choked = choked
        if not choked:
            self.credited()

    # -- life -------------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Takes no more calls; those under way go on."""
        self.frames.leave(refuse_more=True)

    def is_busy(self) -> bool:
        """Whether an answer is owed; streams are not waited for, they may never end."""
        return any(not call.method.streaming for call in self.calls.values())

    def is_overdue(self, now_s: float) -> bool:
        """Never: calls have deadlines of their own, and connections may be idle."""
        return False


def inflated(body: bytes, bytes_max: int) -> bytes:
    """The message that was gzipped; refused where it is not gzip, or larger than allowed."""
    engine = zlib.decompressobj(wbits=31)
    try:
        plain = engine.decompress(body, bytes_max + 1)
    except zlib.error as error:
        raise StoreError(Code.INTERNAL, f"grpc: failed to decompress the received message: {error}") from None
    if len(plain) > bytes_max:
        raise too_long(len(plain), bytes_max, "after decompression ")
    if not engine.eof:
        raise StoreError(Code.INTERNAL, "grpc: failed to decompress the received message: unexpected EOF")
    return plain


def too_long(length: int, bytes_max: int, when: str = "") -> StoreError:
    """As grpc-go says it."""
    return StoreError(
        Code.RESOURCE_EXHAUSTED, f"grpc: received message {when}larger than max ({length} vs. {bytes_max})"
    )


def unknown_method(path: bytes, methods: Collection[bytes]) -> StoreError:
    """As grpc-go says it."""
    service, _, method = path.decode(errors="replace").removeprefix("/").rpartition("/")
    if not service:
        return StoreError(Code.UNIMPLEMENTED, f'malformed method name: "{path.decode(errors="replace")}"')
    if any(known.startswith(f"/{service}/".encode()) for known in methods):
        return StoreError(Code.UNIMPLEMENTED, f"unknown method {method} for service {service}")
    return StoreError(Code.UNIMPLEMENTED, f"unknown service {service}")


def is_grpc(kind: bytes) -> bool:
    """Whether a content type is one of gRPC's with protobuf messages."""
    return kind == CONTENT_TYPE or kind.startswith((b"application/grpc+proto", b"application/grpc;"))
