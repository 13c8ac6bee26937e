"""Requests to one server over few connections: HTTP/2 where it speaks that, else HTTP/1.1 with a connection for each.

With HTTP/2 a further connection is opened only when the others hold as many streams as the server allows. Connections
are opened when they are needed and shared by all; everything belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from kcore.http.client_http1 import Http1ClientConnection
from kcore.http.client_http2 import Http2ClientConnection
from kcore.http.dial import Endpoint, dial
from kcore.http.exchange import Answer, Call, LostError, RefusedError
from kcore.http.message import Header

HTTP1_CONNECTIONS_MAX: Final = 100  # at a time, beside those of streams
IDLE_SECONDS_MAX: Final = 80.0  # of an HTTP/1.1 connection that is used again; servers close at 90
CLOSE_TURNS_MAX: Final = 10  # of the loop, for connections to be lost
REFUSED_MAX: Final = 3  # how often a request is made again that no server has looked at

Connection = Http1ClientConnection | Http2ClientConnection


class HttpClient:
    """See the module. ``endpoint`` may be exchanged: connections made from then on are to the new one."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http2: list[Http2ClientConnection] = []
        self._idle: list[Http1ClientConnection] = []
        self._http1: set[Http1ClientConnection] = set()
        self._streams = 0  # of the HTTP/1.1 connections
        self._pending = 0  # connections that are being opened
        self._is_http1 = endpoint.tls is None
        self._dialling: asyncio.Task[None] | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.is_closed = False
        self._is_leaving = False

    @property
    def connection_count(self) -> int:
        """Connections that are open."""
        return len(self._http2) + len(self._http1)

    async def request(
        self,
        method: bytes,
        target: bytes,
        headers: Sequence[Header],
        body: bytes | None = None,
        *,
        seconds_max: float | None = None,
        bytes_max: int = 0,
    ) -> Answer:
        """The whole answer. DialError or RefusedError: nothing was done; LostError: perhaps; TimeoutError: perhaps.

        A body of more than ``bytes_max`` bytes (0: no bound) is not read on: TooLongError.
        """
        for left in range(REFUSED_MAX, -1, -1):
            try:
                if seconds_max is None:
                    return await self._answer(method, target, headers, body, bytes_max)
                async with asyncio.timeout(seconds_max):
                    return await self._answer(method, target, headers, body, bytes_max)
            except RefusedError:
                if not left:
                    raise
        raise RefusedError("the server takes no requests")

    async def _answer(
        self, method: bytes, target: bytes, headers: Sequence[Header], body: bytes | None, bytes_max: int
    ) -> Answer:
        connection = self._free(for_stream=False) or await self._found(for_stream=False)
        call = Call(asyncio.get_running_loop(), is_whole=True)
        call.bytes_max = bytes_max
        connection.start(call, method, target, headers, body)
        return await call.answer()

    async def stream(self, method: bytes, target: bytes, headers: Sequence[Header]) -> Call:
        """An answer whose head is there, and whose body is read as it comes; the caller closes it."""
        for left in range(REFUSED_MAX, -1, -1):
            connection = self._free(for_stream=True) or await self._found(for_stream=True)
            call = Call(asyncio.get_running_loop(), is_whole=False)
            connection.start(call, method, target, headers, None)
            try:
                await call.opened()
            except RefusedError:
                if not left:
                    raise
            else:
                return call
        raise RefusedError("the server takes no requests")

    # -- connections ------------------------------------------------------------------------------------------------

    def _free(self, *, for_stream: bool) -> Connection | None:
        """A connection that can be used at once."""
        for connection in self._http2:
            if connection.has_room:
                return connection
        while self._idle:
            spare = self._idle.pop()
            if not spare.is_open:
                continue
            assert self._loop is not None
            if self._loop.time() - spare.idle_since_s > IDLE_SECONDS_MAX:
                spare.close()
                continue
            spare.is_stream = for_stream
            self._streams += for_stream
            return spare
        return None

    async def _found(self, *, for_stream: bool) -> Connection:
        """A connection, once there is one; DialError."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and self.connection_count:
                raise RuntimeError("a client is of one event loop")
            self._loop = loop
        while True:
            if self.is_closed:
                raise LostError("the client was closed")
            connection = self._free(for_stream=for_stream)
            if connection is not None:
                return connection
            if self._is_http1:
                busy = len(self._http1) + self._pending - self._streams
                if for_stream or busy < HTTP1_CONNECTIONS_MAX:
                    await self._dial()
                else:
                    turn = loop.create_future()
                    self._waiting.append(turn)
                    await turn
                continue
            if self._dialling is None or self._dialling.done():
                self._dialling = loop.create_task(self._dial())
                self._dialling.add_done_callback(_seen)
            await asyncio.shield(self._dialling)

    async def _dial(self) -> None:
        """One more connection."""
        self._pending += 1
        try:
            await dial(self.endpoint, self._made)
        finally:
            self._pending -= 1
        if self.is_closed:
            self._close_all()

    def _made(self, protocol: str | None) -> Connection:
        if protocol == "h2":
            self._is_http1 = False
            second = Http2ClientConnection(self._has_room, self._gone2)
            self._http2.append(second)
            return second
        self._is_http1 = True
        first = Http1ClientConnection(self._is_idle, self._gone1)
        self._http1.add(first)
        assert self._loop is not None
        first.idle_since_s = self._loop.time()
        self._idle.append(first)
        return first

    def _is_idle(self, connection: Http1ClientConnection) -> None:
        assert self._loop is not None
        connection.idle_since_s = self._loop.time()
        self._left_stream(connection)
        if self._is_leaving:
            connection.close()
            return
        self._idle.append(connection)
        self._next()

    def _left_stream(self, connection: Http1ClientConnection) -> None:
        if connection.is_stream:
            connection.is_stream = False
            self._streams -= 1

    def _has_room(self, connection: Http2ClientConnection) -> None:
        self._next()

    def _gone1(self, connection: Http1ClientConnection) -> None:
        self._left_stream(connection)
        self._http1.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._next()

    def _gone2(self, connection: Http2ClientConnection) -> None:
        if connection in self._http2:
            self._http2.remove(connection)
        self._next()

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def leave(self) -> None:
        """What runs goes on to its end; for new requests there is another client."""
        self._is_leaving = True
        for first in self._idle:
            first.close()
        for second in [*self._http2]:
            second.leave()

    async def close(self) -> None:
        """Every connection is closed; what runs on them fails."""
        self.is_closed = True
        self._close_all()
        while self._waiting:
            self._next()
        if self._dialling is not None and not self._dialling.done():
            self._dialling.cancel()
        for _ in range(CLOSE_TURNS_MAX):
            await asyncio.sleep(0)
            if not self.connection_count:
                break

    def _close_all(self) -> None:
        connections: list[Connection] = [*self._http2, *self._http1]
        for connection in connections:
            connection.close()


def _seen(task: asyncio.Task[None]) -> None:
    """A failure that nobody waited for is not complained of."""
    if not task.cancelled():
        task.exception()
