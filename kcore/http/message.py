"""What passes between a connection and the handler: requests, responses, streams.

A handler is a coroutine from a request to a response. One that need not wait is answered in the same turn of the
loop. A response's body is bytes, or a ``Stream`` that writes through an ``Outlet`` as long as it likes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

Header = tuple[bytes, bytes]

HEADERS_REMEMBERED_MAX: Final = 512  # sets of header fields: clients send the same ones again and again

log = logging.getLogger("kcore.http")


class Peer(NamedTuple):
    """Who is at the other end of a connection.

    ``common_name`` and ``certificate`` (DER) are of a client certificate that the listener's TLS context verified.
    """

    address: str
    common_name: str | None = None
    certificate: bytes | None = None


class Outlet(Protocol):
    """Where a stream writes; ``waiting_bytes`` is what the client has not taken yet."""

    @property
    def waiting_bytes(self) -> int: ...
    @property
    def is_choked(self) -> bool: ...
    def write(self, data: bytes) -> None: ...
    def end(self) -> None: ...
    def abort(self) -> None: ...


class Stream(Protocol):
    """A body that is written over time. ``start`` is called once the head is out, ``stop`` when nobody wants more."""

    def start(self, outlet: Outlet) -> None: ...
    def resume(self) -> None: ...
    def stop(self) -> None: ...


class Tunnel(Stream, Protocol):
    """Raw bytes both ways after an upgrade; ``receive`` takes the client's, empty bytes where it sends no more."""

    def receive(self, data: bytes) -> None: ...


class Request:
    """One request. ``path`` and ``query`` are as they came, not percent-decoded, and so are the names of headers."""

    __slots__ = ("_first", "body", "headers", "method", "path", "peer", "query", "upgrade", "version")

    def __init__(
        self,
        method: bytes,
        path: bytes,
        query: bytes,
        headers: tuple[Header, ...],
        body: bytes,
        peer: Peer,
        *,
        version: bytes = b"1.1",
        upgrade: bytes | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.peer = peer
        self.version = version
        self.upgrade = upgrade  # the protocol that the client would switch to
        self._first: Mapping[bytes, bytes] | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first value of that header, whose name is in lower case."""
        first = self._first
        if first is None:
            first = self._first = first_values(self.headers)
        return first.get(name)

    def values(self, name: bytes) -> list[bytes]:
        """All values of that header, whose name is in lower case."""
        return [value for key, value in self.headers if key.lower() == name]


@lru_cache(maxsize=HEADERS_REMEMBERED_MAX)
def first_values(headers: tuple[Header, ...]) -> Mapping[bytes, bytes]:
    """The first value of each header, by its name in lower case."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found.setdefault(name.lower(), value)
    return found


class Response:
    """One response. Length, date and transfer coding are the connection's to say; all else is in ``headers``."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[Header], body: bytes | Stream = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body


Handler = Callable[[Request], Awaitable[Response]]


class Pieces:
    """A stream of bytes that are made as the client takes them: a long answer is never whole in memory.

    Where one cannot be made the connection is cut, so that nobody takes what was sent for the whole.
    """

    __slots__ = ("_iterator", "_outlet")

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._iterator = pieces
        self._outlet: Outlet | None = None

    def start(self, outlet: Outlet) -> None:
        """Writes until the client is choked."""
        self._outlet = outlet
        self.resume()

    def resume(self) -> None:
        """Writes on."""
        outlet = self._outlet
        while outlet is not None and not outlet.is_choked:
            try:
                piece = next(self._iterator, None)
            except Exception:
                log.exception("an answer cannot be made to its end")
                self._outlet = None
                outlet.abort()
                return
            if piece is None:
                self._outlet = None
                outlet.end()
                return
            outlet.write(piece)

    def stop(self) -> None:
        """Forgets the rest."""
        self._outlet = None
        self._iterator = iter(())


class Spoken(Protocol):
    """A connection once it is known what it speaks; the listener drives it."""

    def receive(self, data: bytes) -> None: ...
    def flush(self) -> None: ...
    def set_choked(self, choked: bool) -> None: ...
    def ping(self) -> bool: ...
    def leave(self) -> None: ...
    def is_busy(self) -> bool: ...
    def is_overdue(self, now_s: float) -> bool: ...
    def disconnected(self) -> None: ...


class Port(Protocol):
    """What a connection needs of its listener, and counts there. ``now_s`` is the loop's clock, a second old at most."""

    loop: asyncio.AbstractEventLoop
    now_s: float
    date: bytes
    bytes_sent: int


Factory = Callable[[Peer, Any, Any], Spoken]  # the peer, the transport, the port
