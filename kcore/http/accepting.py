"""Connections to a TLS port before anybody speaks TLS: what their first byte says is looked at, and left to be read.

A client that speaks plain HTTP is told so, as Go's net/http does; other bytes that are no TLS close the connection. A
client that is silent, or does not come to the end of its handshake, is cut off after ``seconds_max``.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

HANDSHAKE: Final = b"\x16"  # the type of a TLS record that begins a connection
HEADER_BYTES: Final = 5  # of a TLS record
# crypto/tls tells these apart from other bytes that are no TLS (net/http server.go, tlsRecordHeaderLooksLikeHTTP)
HTTP: Final = (b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO")
PLAIN_HTTP: Final = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"  # Go's, byte for byte
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
RETRY_SECONDS: Final = 1.0  # before more is accepted where the system has no more to give
LOOK_SECONDS: Final = 0.05  # before the rest of five bytes is looked for
ACCEPTED_AT_ONCE_MAX: Final = 100

log = logging.getLogger("kcore.http")


class Accepting:
    """Accepts on a listening socket until ``close``; ``count``: connections whose handshake is not over.

    Once it is, ``made`` gives the connection its protocol. ``room``: whether one more may be open.
    """

    def __init__(
        self,
        bound: socket.socket,
        tls: ssl.SSLContext,
        made: Callable[[], asyncio.BaseProtocol],
        room: Callable[[int], bool],
        *,
        seconds_max: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._bound = bound
        self._tls = tls
        self._made = made
        self._room = room
        self._seconds_max = seconds_max
        self._waiting: dict[socket.socket, asyncio.TimerHandle] = {}  # for the first byte
        self._shaking: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        bound.setblocking(False)
        self._loop.add_reader(bound, self._accept)

    @property
    def count(self) -> int:
        """Connections whose handshake is not over."""
        return len(self._waiting) + len(self._shaking)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE_MAX):
            try:
                client, _ = self._bound.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                log.error("no more connections can be accepted now: %s", error)
                self._loop.remove_reader(self._bound)
                self._retry = self._loop.call_later(RETRY_SECONDS, self._again)
                return
            if not self._room(self.count):
                log.warning("closed a connection: as many as allowed are open")
                client.close()
                continue
            client.setblocking(False)
            self._waiting[client] = self._loop.call_later(self._seconds_max, self._drop, client)
            self._loop.add_reader(client, self._look, client)

    def _again(self) -> None:
        self._loop.add_reader(self._bound, self._accept)

    def _look(self, client: socket.socket) -> None:
        """The first bytes are there."""
        try:
            first = client.recv(HEADER_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            first = b""
        if first[:1] == HANDSHAKE:
            seconds = max(self._forget(client).when() - self._loop.time(), 1e-3)
            task = self._loop.create_task(self._shake(client, seconds))
            self._shaking.add(task)
            task.add_done_callback(self._shaking.discard)
            return
        if first and len(first) < HEADER_BYTES and any(each.startswith(first) for each in HTTP):
            self._loop.remove_reader(client)  # which would be called in every turn now
            self._loop.call_later(LOOK_SECONDS, self._look_again, client)
            return
        if first in HTTP:
            with contextlib.suppress(OSError):
                client.recv(64 << 10)  # what is unread when a socket closes would reset the answer
                client.send(PLAIN_HTTP)
        self._drop(client)

    def _look_again(self, client: socket.socket) -> None:
        if client in self._waiting:
            self._loop.add_reader(client, self._look, client)

    async def _shake(self, client: socket.socket, seconds: float) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._made, client, ssl=self._tls, ssl_handshake_timeout=seconds
            )
        except (OSError, EOFError) as error:  # of the client's making, time-outs and TLS's own among them
            log.debug("a TLS handshake failed: %s", error)
            client.close()

    def _forget(self, client: socket.socket) -> asyncio.TimerHandle:
        self._loop.remove_reader(client)
        timer = self._waiting.pop(client)
        timer.cancel()
        return timer

    def _drop(self, client: socket.socket) -> None:
        self._forget(client)
        client.close()

    def close(self) -> None:
        """Accepts nothing more: who has not spoken TLS to the end is cut off. A second time changes nothing."""
        if self._bound.fileno() < 0:
            return
        self._loop.remove_reader(self._bound)
        if self._retry is not None:
            self._retry.cancel()
        self._bound.close()
        for client in list(self._waiting):
            self._drop(client)
        for task in list(self._shaking):
            task.cancel()
