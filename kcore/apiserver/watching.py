"""Watches on the wire: what the cache tells, framed for the client, until either side has had enough.

The cache gives pieces of bytes that all watchers of a kind share; the connection's buffer is what holds them back, and
a client that does not read is left behind by the cache, which ends its stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from kcore.api.rows import Row
from kcore.apiserver.negotiation import JSON, PARTIAL, PROTOBUF, TABLE, Accepted
from kcore.apiserver.rendering import partial, table
from kcore.apiserver.watch_stream import json_frame
from kcore.http.message import Outlet

Encode = Callable[[str, bytes], bytes]


class WatchBody:
    """A watch as the body of a response. ``ended`` is called once, when it is over for whatever reason."""

    __slots__ = ("_ended", "_outlet", "_source")

    def __init__(self, source: Any, ended: Callable[[], None]) -> None:
        self._source = source
        self._ended: Callable[[], None] | None = ended
        self._outlet: Outlet | None = None

    @property
    def event_count(self) -> int:
        """How many events the source has given."""
        count: int = self._source.event_count
        return count

    def start(self, outlet: Outlet) -> None:
        """The source writes to the client from now on."""
        self._outlet = outlet
        self._source.connect(self._take, self._over)

    def _take(self, piece: bytes) -> bool:
        outlet = self._outlet
        if outlet is None:
            return False
        outlet.write(piece)
        return not outlet.is_choked

    def _over(self) -> None:
        outlet, self._outlet = self._outlet, None
        if outlet is not None:
            outlet.end()
        self._finish()

    def resume(self) -> None:
        """The client takes more."""
        self._source.resume()

    def stop(self) -> None:
        """The client is gone."""
        self._outlet = None
        self._source.close()
        self._finish()

    def end(self) -> None:
        """The server stops: what waits is sent, then the stream ends."""
        self._source.stop()

    def _finish(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()


def encoder(
    row: Row,
    accepted: Accepted,
    now: Callable[[], float],
    include: str,
    converted: Callable[[bytes], bytes] | None,
) -> tuple[Encode | None, Any]:
    """How an event is written, and what tells writers apart; None where the cache's own JSON lines do."""
    write: Encode | None = None
    shared: Any = (row.api_version, accepted.media_type, accepted.kind, accepted.version)
    if accepted.kind == TABLE:
        write, shared = _tables(row, accepted, now, include), object()
    elif accepted.kind == PARTIAL:
        write = _metadata(accepted)
    elif accepted.media_type == PROTOBUF:
        write = _protobuf
    elif converted is None:
        return None, None
    inner = write or json_frame
    if converted is None:
        return inner, shared
    convert = converted
    return lambda kind, body: inner(kind, body if kind == "ERROR" else convert(body)), shared


def _line(kind: str, obj: Any) -> bytes:
    return orjson.dumps({"type": kind, "object": obj}, option=orjson.OPT_APPEND_NEWLINE)


def _tables(row: Row, accepted: Accepted, now: Callable[[], float], include: str) -> Encode:
    first = True

    def write(kind: str, body: bytes) -> bytes:
        nonlocal first
        obj = orjson.loads(body)
        if obj.get("kind") == "Status":
            return _line(kind, obj)
        made = table(row, [obj], None, accepted, now=now(), include=include, headers=first)
        first = False
        return _line(kind, made)

    return write


def _metadata(accepted: Accepted) -> Encode:
    def write(kind: str, body: bytes) -> bytes:
        obj = orjson.loads(body)
        if obj.get("kind") != "Status":
            obj = partial(obj, accepted.version)
        if accepted.media_type == JSON:
            return _line(kind, obj)
        return _framed(kind, obj)

    return write


def _protobuf(kind: str, body: bytes) -> bytes:
    return _framed(kind, orjson.loads(body))


def _framed(kind: str, obj: Any) -> bytes:
    """The event behind its length in four bytes (apimachinery pkg/util/framer)."""
    from kcore.api import protobuf

    return protobuf.encode_watch_event(kind, protobuf.encode(obj))
