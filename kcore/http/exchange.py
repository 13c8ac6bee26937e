"""A request that this process makes: what is known of its answer so far, and who waits for it.

A connection (``client_http1``, ``client_http2``) tells a ``Call`` of the head, the body's pieces and the end; ``answer``
waits for all of it, ``read`` for the next piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from kcore.http.message import Header

STREAM_WAITING_BYTES_MAX: Final = 64 << 20  # of one stream that its reader has not taken; then it is cut off


class LostError(ConnectionError):
    """The connection ended before the answer was whole: the server may have done what was asked."""


class RefusedError(LostError):
    """The server has not looked at the request: it may be made again, whatever it asks."""


class TooLongError(LostError):
    """The answer is longer than the caller takes."""


class Answer(NamedTuple):
    """A whole answer. Names of headers are in lower case where the connection is HTTP/2."""

    status: int
    headers: Sequence[Header]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The first value of that header, whose name is in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def values(self, name: bytes) -> list[bytes]:
        """All its values."""
        return [value for key, value in self.headers if key.lower() == name]


class Carrier(Protocol):
    """The connection that a call is on."""

    def abandon(self, call: Call) -> None: ...
    def taken(self, call: Call) -> None: ...


class Call:
    """See the module. ``is_whole``: nobody reads before the end, so nobody is woken before it."""

    __slots__ = (
        "_waiter",
        "bytes_max",
        "carrier",
        "failure",
        "head",
        "headers",
        "id",
        "is_over",
        "is_whole",
        "pieces",
        "size",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, *, is_whole: bool) -> None:
        self.head: asyncio.Future[None] = (
            loop.create_future()
        )  # done with the head, of a whole answer with its end
        self.is_whole = is_whole
        self.status = 0
        self.headers: Sequence[Header] = ()
        self.pieces: list[bytes] = []
        self.size = 0  # of the pieces
        self.bytes_max = 0  # of a whole answer; 0: no bound
        self.is_over = False
        self.failure: Exception | None = None
        self.carrier: Carrier | None = None
        self.id = 0
        self._waiter: asyncio.Future[None] | None = None

    # -- the connection's side --------------------------------------------------------------------------------------

    def responded(self, status: int, headers: Sequence[Header]) -> None:
        """The head is there."""
        self.status = status
        self.headers = headers
        if not self.is_whole and not self.head.done():
            self.head.set_result(None)

    def received(self, data: bytes) -> None:
        """A piece of the body is there."""
        self.pieces.append(data)
        self.size += len(data)
        if self.bytes_max and self.size > self.bytes_max:
            self.pieces.clear()
            if self.carrier is not None:
                self.carrier.abandon(self)
            self.failed(TooLongError(f"the answer is longer than {self.bytes_max} bytes"))
        self._wake()

    def ended(self) -> None:
        """The answer is whole."""
        self.is_over = True
        if not self.head.done():
            self.head.set_result(None)
        self._wake()

    def failed(self, error: Exception) -> None:
        """There will be no more of it."""
        if self.is_over:
            return
        self.is_over = True
        self.failure = error
        if not self.head.done():
            self.head.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
            self._waiter = None

    # -- the caller's side ------------------------------------------------------------------------------------------

    async def answer(self) -> Answer:
        """All of it; the call is abandoned where the caller is cancelled."""
        try:
            await self.head
            while not self.is_over:
                await self._more()
        except asyncio.CancelledError:
            self.close()
            raise
        if self.failure is not None:
            raise self.failure
        pieces = self.pieces
        return Answer(self.status, self.headers, pieces[0] if len(pieces) == 1 else b"".join(pieces))

    async def opened(self) -> None:
        """The head is there."""
        try:
            await self.head
        except asyncio.CancelledError:
            self.close()
            raise

    async def read(self) -> bytes:
        """What has come since the last time, at least a byte; empty behind the end."""
        while not self.pieces:
            if self.is_over:
                if self.failure is not None:
                    raise self.failure
                return b""
            await self._more()
        pieces, self.pieces = self.pieces, []
        self.size = 0
        if self.carrier is not None:
            self.carrier.taken(self)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _more(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def close(self) -> None:
        """Nobody wants more of it."""
        if not self.is_over:
            self.is_over = True
            if self.carrier is not None:
                self.carrier.abandon(self)
