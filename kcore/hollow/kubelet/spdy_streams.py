"""What runs over SPDY: exec and attach by streams with a type, port-forward by pairs of streams with a port.

Source: apimachinery pkg/util/httpstream/spdy, kubelet pkg/cri/streaming/{remotecommand,portforward} of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from kcore.hollow.kubelet.sessions import (
    ERROR,
    NAMES,
    RESIZE,
    STDERR,
    STDIN,
    STDOUT,
    Asked,
    Program,
    status_bytes,
)
from kcore.hollow.kubelet.spdy import Opened, Received, Spdy, SpdyError
from kcore.hollow.kubelet.websocket import Carried
from kcore.http.message import Outlet

COMMAND_PROTOCOLS: Final = ("v4.channel.k8s.io",)
FORWARD_PROTOCOL: Final = "portforward.k8s.io"
TUNNEL_PROTOCOL: Final = "SPDY/3.1+portforward.k8s.io"
READ_BYTES: Final = 32 << 10


class Port(Protocol):
    """The other end of a forwarded connection."""

    def receive(self, data: bytes) -> None: ...
    def end_of_input(self) -> None: ...
    def stop(self) -> None: ...


# a connection to the port: what to call with data, with the end, and with an error's text
Connect = Callable[[int, Callable[[bytes], None], Callable[[], None], Callable[[str], None]], Port]


class SpdyTunnel:
    """A tunnel of the HTTP connection in which SPDY is spoken."""

    def __init__(self) -> None:
        self.spdy = Spdy()
        self._outlet: Outlet | None = None

    def start(self, outlet: Outlet) -> None:
        """The connection is ours."""
        self._outlet = outlet

    def resume(self) -> None:
        """The client takes more."""

    def stop(self) -> None:
        """The client is gone."""
        self._outlet = None
        self.gone()

    def receive(self, data: bytes) -> None:
        """What the client sends; nothing at its end."""
        if not data or self._outlet is None:
            self.stop()
            return
        try:
            for event in self.spdy.receive(data):
                self.heard(event)
        except SpdyError:
            self.finish()
            return
        self.flush()

    def flush(self) -> None:
        """What was said goes out."""
        said = self.spdy.taken()
        if said and self._outlet is not None:
            self._outlet.write(said)

    def finish(self) -> None:
        """The connection ends."""
        self.spdy.goaway()
        self.flush()
        outlet, self._outlet = self._outlet, None
        if outlet is not None:
            outlet.end()
            self.gone()

    def heard(self, event: Any) -> None:
        """For those that carry something."""

    def gone(self) -> None:
        """The same."""


class SpdyCommand(SpdyTunnel):
    """A program at one end, kubectl or an API server at the other."""

    def __init__(self, program: Program, asked: Asked) -> None:
        super().__init__()
        self._program = program
        kinds = {ERROR, *(s for s, on in ((STDIN, asked.stdin), (STDOUT, asked.stdout), (STDERR, asked.stderr)) if on)}
        if asked.tty:
            kinds.discard(STDERR)
            kinds.add(RESIZE)
        self._missing = kinds
        self._stream_of: dict[int, int] = {}
        self._kind_of: dict[int, int] = {}

    def heard(self, event: Any) -> None:
        """The program starts when all its streams are there."""
        if isinstance(event, Opened):
            self.spdy.reply(event.stream)
            kind = NAMES.get(event.headers.get("streamtype", ""))
            if kind is None:
                return
            self._stream_of[kind], self._kind_of[event.stream] = event.stream, kind
            if self._missing:
                self._missing.discard(kind)
                if not self._missing:
                    self._program.start(self)
        elif isinstance(event, Received) and self._kind_of.get(event.stream) == STDIN:
            if event.data:
                self._program.receive(event.data)
            if event.is_over:
                self._program.end_of_input()

    def gone(self) -> None:
        """Nobody listens any more."""
        self._program.stop()

    def write(self, stream: int, data: bytes) -> None:
        """Output of the program."""
        number = self._stream_of.get(stream)
        if number is not None:
            self.spdy.data(number, data)
            self.flush()

    def end(self, status: dict[str, Any]) -> None:
        """The program has ended so."""
        error = self._stream_of.get(ERROR)
        if error is not None:
            self.spdy.data(error, status_bytes(status))
        for number in self._kind_of:
            self.spdy.data(number, b"", True)
        self.flush()


class Forwards:
    """Connections to ports over SPDY: each is a stream for data and one for an error, with the same request id."""

    def __init__(self, spdy: Spdy, connect: Connect, flush: Callable[[], None]) -> None:
        self._spdy = spdy
        self._connect = connect
        self._flush = flush
        self._errors: dict[str, int] = {}
        self._ports: dict[int, Port] = {}

    def heard(self, event: Any) -> None:
        """A stream, or data of one."""
        if isinstance(event, Opened):
            self._spdy.reply(event.stream)
            request, kind = event.headers.get("requestid", ""), event.headers.get("streamtype")
            if kind == "error":
                self._errors[request] = event.stream
            elif kind == "data":
                self._open(event.stream, request, event.headers.get("port", ""))
        elif isinstance(event, Received) and (port := self._ports.get(event.stream)) is not None:
            if event.data:
                port.receive(event.data)
            if event.is_over:
                port.end_of_input()

    def _open(self, stream: int, request: str, port: str) -> None:
        error = self._errors.pop(request, None)

        def data(piece: bytes) -> None:
            self._spdy.data(stream, piece)
            self._flush()

        def end() -> None:
            if self._ports.pop(stream, None) is not None:
                self._spdy.data(stream, b"", True)
                if error is not None:
                    self._spdy.data(error, b"", True)
                self._flush()

        def fail(message: str) -> None:
            if error is not None:
                self._spdy.data(error, message.encode())
            end()

        if port.isdecimal():
            self._ports[stream] = _Unconnected()
            made = self._connect(int(port), data, end, fail)
            if stream in self._ports:
                self._ports[stream] = made

    def stop(self) -> None:
        """The client is gone."""
        ports, self._ports = self._ports, {}
        for port in ports.values():
            port.stop()


class _Unconnected:
    def receive(self, data: bytes) -> None: ...
    def end_of_input(self) -> None: ...
    def stop(self) -> None: ...


class SpdyForward(SpdyTunnel):
    """Port-forward as client-go has done it since long."""

    def __init__(self, connect: Connect) -> None:
        super().__init__()
        self._forwards = Forwards(self.spdy, connect, self.flush)

    def heard(self, event: Any) -> None:
        """A stream, or data of one."""
        self._forwards.heard(event)

    def gone(self) -> None:
        """The connections end."""
        self._forwards.stop()


class TunnelledForward(Carried):
    """The same inside a WebSocket, as kubectl does it since 1.31."""

    def __init__(self, connect: Connect) -> None:
        super().__init__()
        self._spdy = Spdy()
        self._forwards = Forwards(self._spdy, connect, self._flush)

    def _flush(self) -> None:
        if said := self._spdy.taken():
            self.send(said)

    def message(self, data: bytes) -> None:
        """A piece of SPDY."""
        try:
            for event in self._spdy.receive(data):
                self._forwards.heard(event)
        except SpdyError:
            self.close()
            return
        self._flush()

    def gone(self) -> None:
        """The connections end."""
        self._forwards.stop()


class Dialled:
    """A forwarded connection to a real address."""

    def __init__(
        self, host: str, port: int, data: Callable[[bytes], None], end: Callable[[], None], fail: Callable[[str], None]
    ) -> None:
        self._waiting: list[bytes | None] = []
        self._writer: asyncio.StreamWriter | None = None
        self._task = asyncio.ensure_future(self._run(host, port, data, end, fail))

    async def _run(
        self, host: str, port: int, data: Callable[[bytes], None], end: Callable[[], None], fail: Callable[[str], None]
    ) -> None:
        try:
            reader, self._writer = await asyncio.open_connection(host, port)
        except OSError as error:
            fail(f"failed to connect to {host}:{port}: {error}")
            return
        try:
            for piece in self._waiting:
                self._write(piece)
            while piece := await reader.read(READ_BYTES):
                data(piece)
            end()
        except OSError as error:
            fail(str(error))
        finally:
            self._writer.close()

    def _write(self, piece: bytes | None) -> None:
        if self._writer is None:
            self._waiting.append(piece)
        elif piece is not None:
            self._writer.write(piece)
        elif self._writer.can_write_eof():
            self._writer.write_eof()

    def receive(self, data: bytes) -> None:
        """The client's data."""
        self._write(data)

    def end_of_input(self) -> None:
        """The client sends no more."""
        self._write(None)

    def stop(self) -> None:
        """The client is gone."""
        self._task.cancel()


class Page:
    """A forwarded connection to nothing: any HTTP request is answered by a line that says so."""

    def __init__(self, text: str, data: Callable[[bytes], None], end: Callable[[], None]) -> None:
        self._text = text.encode()
        self._data = data
        self._end = end
        self._received = bytearray()

    def receive(self, data: bytes) -> None:
        """Answers once a head is whole."""
        self._received += data
        if b"\r\n\r\n" in self._received or len(self._received) > READ_BYTES:
            self._received.clear()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(self._text)}\r\n"
            self._data(head.encode() + b"Connection: close\r\n\r\n" + self._text)
            self._end()

    def end_of_input(self) -> None:
        """The client says no more."""
        self._end()

    def stop(self) -> None:
        """The client is gone."""
