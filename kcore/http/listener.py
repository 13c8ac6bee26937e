"""Sockets that requests come on: listens, speaks TLS, and gives each connection to HTTP/2 or HTTP/1.1 by its first bytes.

Both protocols share every port. A client that says nothing within SILENT_SECONDS_MAX is cut off; so is one that is
overdue with the rest of a request, that is silent while it holds streams and answers no ping, or that comes when
``connections_max`` are open. A certificate that the client showed was verified by the TLS context that the listener
was given; it is in ``Peer``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Collection, Coroutine
from email.utils import formatdate
from typing import Any, Final

import zttp

from kcore.http.accepting import Accepting
from kcore.http.frames import PREFACE
from kcore.http.message import Factory, Peer, Spoken

SILENT_SECONDS_MAX: Final = 15.0
PING_SECONDS: Final = (
    60.0  # a connection silent so long is asked whether it lives; cut off after as much again
)
SWEEP_SECONDS: Final = 1.0  # between looks for connections that are overdue
CLOSE_SECONDS_MAX: Final = 1.0  # for connections that are closed to be lost
STOP_POLL_SECONDS: Final = 0.02
BACKLOG: Final = 1024
READ_BYTES_MAX: Final = 256 << 10  # taken of one connection at a time
WRITE_BUFFER_BYTES_MAX: Final = 1 << 20
CONNECTIONS_MAX: Final = 20_000
# a half-open connection is noticed by TCP after about 90 s of silence, whatever it carries
KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


class ClientProtocol(asyncio.BufferedProtocol):
    """One accepted connection until its first bytes say what it speaks; then that protocol's connection gets all.

    What is received goes through one buffer of the listener's: as a plain ``Protocol`` each read over TLS would begin with
    256 KiB of new memory, which costs three system calls, 30 us a request.
    """

    __slots__ = ("first", "http1", "http2", "server", "spoken", "timer", "transport")

    def __init__(self, server: Listener, http1: Factory | None, http2: Factory | None) -> None:
        self.server = server
        self.http1 = http1
        self.http2 = http2
        self.spoken: Spoken | None = None
        self.first = b""
        self.transport: Any = None
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Notes the connection and gives it some time to say something."""
        self.transport = transport
        server = self.server
        if len(server.connections) >= server.connections_max:
            server.log.warning(
                "closed a connection: as many as allowed are open", extra={"peer": self.address()}
            )
            self.transport.abort()
            return
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES_MAX)
        if plain := transport.get_extra_info("socket"):
            if plain.family in (socket.AF_INET, socket.AF_INET6):
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for name, value in KEEPALIVE:
                    with contextlib.suppress(AttributeError, OSError):  # not on every system
                        plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        server.connections.add(self)
        self.timer = server.loop.call_later(server.silent_seconds_max, self.close)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes are put; ``buffer_updated`` follows in the same turn, before any other connection's."""
        return self.server.received

    def buffer_updated(self, nbytes: int) -> None:
        """Hands the bytes on; a connection that breaks its protocol is closed with one line in the log."""
        self.server.bytes_received += nbytes
        data = bytes(self.server.received[:nbytes])
        if self.spoken is None:
            data = self._choose(self.first + data)
            if self.spoken is None:
                return
        try:
            self.spoken.receive(data)
        except zttp.ProtocolError as error:
            said = {"peer": self.address(), "error": str(error)}
            self.server.log.warning("closed a connection that broke its protocol", extra=said)
            self.spoken.flush()
            self.close()

    def _choose(self, data: bytes) -> bytes:
        if len(data) < len(PREFACE) and PREFACE.startswith(data):
            self.first = data
            return b""
        if self.timer is not None:
            self.timer.cancel()
        certificate = self.transport.get_extra_info("peercert")
        if not bears_one_of(certificate, self.server.hostnames):
            text = "closed a connection whose certificate has none of the names demanded"
            self.server.log.warning(text, extra={"peer": self.address()})
            self.close()
            return b""
        der = self.transport.get_extra_info("ssl_object").getpeercert(True) if certificate else None
        peer = Peer(self.address(), common_name(certificate), der)
        if data.startswith(PREFACE) and self.http2 is not None:
            self.spoken = self.http2(peer, self.transport, self.server)
        elif self.http1 is not None:
            self.spoken = self.http1(peer, self.transport, self.server)
        else:
            self.close()
        return data

    def close(self) -> None:
        """The connection ends when what was written is out; a second time changes nothing.

        asyncio's TLS transport must not be closed twice: it then forgets its connection, which nothing can end any more.
        """
        if not self.transport.is_closing():
            self.transport.close()

    def address(self) -> str:
        """The other end's."""
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
        if self.spoken is not None:
            self.spoken.set_choked(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self.spoken is not None:
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


class Listener:
    """All sockets of one server and their connections."""

    def __init__(
        self,
        *,
        ping_seconds: float = PING_SECONDS,
        sweep_seconds: float = SWEEP_SECONDS,
        hostnames: Collection[str] = (),
        connections_max: int = CONNECTIONS_MAX,
        silent_seconds_max: float = SILENT_SECONDS_MAX,
        log: logging.Logger | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.hostnames = hostnames
        self.connections_max = connections_max
        self.silent_seconds_max = silent_seconds_max
        self.log = log or logging.getLogger("kcore.http")
        self.connections: set[ClientProtocol] = set()
        self.now_s = self.loop.time()
        self.date = formatdate(usegmt=True).encode()
        self.received = memoryview(bytearray(READ_BYTES_MAX))
        self.bytes_received = 0
        self.bytes_sent = 0
        self._listeners: list[asyncio.AbstractServer | Accepting] = []
        self._tasks: list[asyncio.Future[None]] = []
        self.keep(self._sweep(sweep_seconds))
        if ping_seconds:
            self.keep(self._ping(ping_seconds))

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs the coroutine until the server stops."""
        self._tasks.append(asyncio.ensure_future(work))

    async def listen(
        self,
        bound: socket.socket,
        tls: ssl.SSLContext | None,
        *,
        http1: Factory | None = None,
        http2: Factory | None = None,
    ) -> None:
        """Accepts on the bound socket from now on, in the protocols that a factory is given for."""

        def accept() -> ClientProtocol:
            return ClientProtocol(self, http1, http2)

        listener: asyncio.AbstractServer | Accepting
        if bound.family == socket.AF_UNIX:
            listener = await self.loop.create_unix_server(accept, sock=bound, ssl=tls, backlog=BACKLOG)
        elif tls is None:
            listener = await self.loop.create_server(accept, sock=bound, backlog=BACKLOG)
        else:
            bound.listen(BACKLOG)
            listener = Accepting(bound, tls, accept, self._has_room, seconds_max=self.silent_seconds_max)
        self._listeners.append(listener)

    def _has_room(self, beginning: int) -> bool:
        """Whether one more connection may be open beside those and the ones whose handshake is not over."""
        return len(self.connections) + beginning < self.connections_max

    async def _ping(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            for connection in list(self.connections):
                if connection.spoken is not None and not connection.spoken.ping():
                    connection.transport.abort()

    async def _sweep(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            self.now_s = self.loop.time()
            self.date = formatdate(usegmt=True).encode()
            for connection in list(self.connections):
                if connection.spoken is not None and connection.spoken.is_overdue(self.now_s):
                    connection.close()
                    # closing waits for the client to take what is left, which this one may never do
                    self.loop.call_later(CLOSE_SECONDS_MAX, connection.transport.abort)

    def stop_accepting(self) -> None:
        """No connection is taken any more; those that are there go on."""
        for listener in self._listeners:
            listener.close()

    async def stop(self, grace_seconds: float) -> None:
        """Accepts nothing more, lets answers that are owed go out within the grace, then closes all connections."""
        self.stop_accepting()
        for connection in list(self.connections):
            if connection.spoken is not None:
                connection.spoken.leave()
            else:
                connection.close()
        until = self.loop.time() + grace_seconds
        while self._busy() and self.loop.time() < until:
            await asyncio.sleep(STOP_POLL_SECONDS)
        for task in self._tasks:
            task.cancel()
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
            connection.spoken is not None and connection.spoken.is_busy() for connection in self.connections
        )
