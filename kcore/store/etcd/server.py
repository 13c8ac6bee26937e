"""Sockets of the client port: listens, speaks TLS, and gives each connection to HTTP/2 or HTTP/1.1 by its first bytes.

Both protocols share every port, as etcd's do. A client that says nothing within SILENT_SECONDS_MAX is cut off; one
that holds streams and answers no ping is, too. A certificate that the client showed was verified by the TLS context
that the listener was given; its common name is in ``Peer``.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Collection, Coroutine
from typing import Any, Final

import zttp

from kcore.store.errors import Code
from kcore.store.etcd.http1 import Http1Connection, Pages
from kcore.store.etcd.http2 import Http2Connection
from kcore.store.etcd.rpc import Method, Peer

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SILENT_SECONDS_MAX: Final = 15.0
PING_SECONDS: Final = (
    60.0  # a connection that was silent so long is asked whether it lives; cut off after as much again
)
CLOSE_SECONDS_MAX: Final = 1.0  # for connections that are closed to be lost, when the server stops
STOP_POLL_SECONDS: Final = 0.02
BACKLOG: Final = 1024
WRITE_BUFFER_BYTES_MAX: Final = 1 << 20

BOTH, GRPC, PAGES = "both", "grpc", "pages"  # what a listener speaks

log = logging.getLogger("kcore.store.etcd")


class ClientProtocol(asyncio.Protocol):
    """One accepted connection until its first bytes say what it speaks; then that protocol's connection gets all."""

    def __init__(self, server: "Server", speaks: str) -> None:
        self.server = server
        self.speaks = speaks
        self.spoken: Http2Connection | Http1Connection | None = None
        self.first = b""
        self.transport: Any = None
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Notes the connection and gives it some time to say something."""
        self.transport = transport
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES_MAX)
        if plain := transport.get_extra_info("socket"):
            if plain.family in (socket.AF_INET, socket.AF_INET6):
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.connections.add(self)
        self.timer = self.server.loop.call_later(SILENT_SECONDS_MAX, self.close)

    def data_received(self, data: bytes) -> None:
        """Hands the bytes on; a connection that breaks its protocol is closed with one line in the log."""
        self.server.bytes_received += len(data)
        if self.spoken is None:
            data = self._choose(self.first + data)
            if self.spoken is None:
                return
        try:
            self.spoken.receive(data)
        except zttp.ProtocolError as error:
            log.warning(
                "closed a connection that broke its protocol",
                extra={"peer": self._address(), "error": str(error)},
            )
            if isinstance(self.spoken, Http2Connection):
                self.spoken.flush()
            self.close()

    def _choose(self, data: bytes) -> bytes:
        if len(data) < len(PREFACE) and PREFACE.startswith(data):
            self.first = data
            return b""
        assert self.timer is not None
        self.timer.cancel()
        server = self.server
        certificate = self.transport.get_extra_info("peercert")
        if not bears_one_of(certificate, server.hostnames):
            log.warning(
                "closed a connection whose certificate has none of the names demanded",
                extra={"peer": self._address()},
            )
            self.close()
            return b""
        peer = Peer(self._address(), common_name(certificate))
        if data.startswith(PREFACE) and self.speaks != PAGES:
            self.spoken = Http2Connection(server, peer, self.transport)
        elif self.speaks != GRPC:
            self.spoken = Http1Connection(server.pages, peer, self.transport, loop=server.loop)
        else:
            self.close()
        return data

    def close(self) -> None:
        """The connection ends when what was written is out; a second time changes nothing.

        asyncio's TLS transport must not be closed twice: it then forgets its connection, which nothing can end any more.
        """
        if not self.transport.is_closing():
            self.transport.close()

    def _address(self) -> str:
        name = self.transport.get_extra_info("peername")
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name or "local")

    def eof_received(self) -> bool:
        """Closes: a client that closed its side gets nothing more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels what the client asked."""
        if self.timer is not None:
            self.timer.cancel()
        self.server.connections.discard(self)
        if self.spoken is not None:
            self.spoken.disconnected()

    def pause_writing(self) -> None:
        """The client is slow."""
        if isinstance(self.spoken, Http2Connection):
            self.spoken.set_choked(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        if isinstance(self.spoken, Http2Connection):
            self.spoken.set_choked(False)


def common_name(certificate: dict[str, Any] | None) -> str | None:
    """The subject's common name of a certificate as ssl's ``getpeercert`` gives it, empty where it has none.

    None without a certificate.
    """
    if not certificate:
        return None
    for part in certificate.get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return str(value)
    return ""


def bears_one_of(certificate: dict[str, Any] | None, hostnames: Collection[str]) -> bool:
    """Whether the certificate has one of the names among its alternative names, or none are demanded."""
    if not hostnames or certificate is None:
        return True
    return any(value in hostnames for _, value in certificate.get("subjectAltName", ()))


class Server:
    """All listeners of the client port and their connections."""

    def __init__(
        self,
        methods: dict[bytes, Method],
        pages: Pages,
        *,
        message_bytes_max: int,
        ping_seconds: float = PING_SECONDS,
        hostnames: Collection[str] = (),
    ) -> None:
        self.methods = methods
        self.pages = pages
        self.message_bytes_max = message_bytes_max
        self.hostnames = hostnames
        self.loop = asyncio.get_running_loop()
        self.started_s = time.time()
        self.connections: set[ClientProtocol] = set()
        self.bytes_received = 0
        self.bytes_sent = 0
        self.handled: dict[tuple[bytes, Code], int] = {}  # (path, code) -> calls that ended so
        self._listeners: list[asyncio.AbstractServer] = []
        self._tasks: list[asyncio.Future[None]] = []
        if ping_seconds:
            self.keep(self._ping(ping_seconds))

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs the coroutine until the server stops."""
        self._tasks.append(asyncio.ensure_future(work))

    async def listen(self, bound: socket.socket, tls: ssl.SSLContext | None, *, speaks: str = BOTH) -> None:
        """Accepts on the bound socket from now on: BOTH protocols, GRPC alone, or PAGES alone."""

        def accept() -> ClientProtocol:
            return ClientProtocol(self, speaks)

        if bound.family == socket.AF_UNIX:
            listener = await self.loop.create_unix_server(accept, sock=bound, ssl=tls, backlog=BACKLOG)
        else:
            listener = await self.loop.create_server(accept, sock=bound, ssl=tls, backlog=BACKLOG)
        self._listeners.append(listener)

    async def _ping(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            for connection in list(self.connections):
                if connection.spoken is not None and not connection.spoken.ping():
                    connection.transport.abort()

    async def stop(self, grace_seconds: float) -> None:
        """Accepts nothing more, lets calls that run finish within the grace, then closes all connections."""
        for task in self._tasks:
            task.cancel()
        for listener in self._listeners:
            listener.close()
        for connection in list(self.connections):
            if isinstance(connection.spoken, Http2Connection):
                connection.spoken.leave(refuse_more=True)
            else:
                connection.close()
        until = self.loop.time() + grace_seconds
        while self._busy() and self.loop.time() < until:
            await asyncio.sleep(STOP_POLL_SECONDS)
        for connection in list(self.connections):
            connection.close()
        if (
            not await self._all_lost()
        ):  # TLS waits for the other side's goodbye, a full buffer for its reading
            for connection in list(self.connections):
                connection.transport.abort()
            await self._all_lost()

    async def _all_lost(self) -> bool:
        """True once no connection is left; False where one is after the time to close."""
        until = self.loop.time() + CLOSE_SECONDS_MAX
        await asyncio.sleep(0)
        while self.connections and self.loop.time() < until:
            await asyncio.sleep(STOP_POLL_SECONDS)
        return not self.connections

    def _busy(self) -> bool:
        """Whether an answer is owed; streams are not waited for, they may never end."""
        return any(
            any(not call.method.streaming for call in connection.spoken.calls.values())
            for connection in self.connections
            if isinstance(connection.spoken, Http2Connection)
        )
