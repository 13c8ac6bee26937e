"""A watch as its client sees it: first what there is or was, then what happens, in pieces of bytes ready to be sent.

Whoever sends them either iterates (``async for piece in stream``) or gives a sink that takes each piece at once as long
as it can. What neither has taken waits as references to changes, EVENTS_WAITING_MAX and SECONDS_WAITING_MAX at most:
then the stream ends, and its client begins anew from the last version it saw.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from typing import Final, NamedTuple

import orjson

from kcore.api.rows import Row
from kcore.api.status import ApiError
from kcore_native.cacher.events import Batch, Cache, added_body, added_frame
from kcore_native.cacher.table import Entry, Missing

EVENTS_WAITING_MAX: Final = 4096
SECONDS_WAITING_MAX: Final = 30.0
BOOKMARK_SECONDS: Final = 60.0
BEFORE_TIMEOUT_SECONDS: Final = 2.0  # the last bookmark
PIECE_EVENTS_MAX: Final = 64  # of one piece of what a stream begins with
INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"

Encode = Callable[[str, bytes], bytes]
"""Writes an event: of its type and the JSON of its object."""
Sink = Callable[[bytes], bool]
"""Takes a piece; False: it can take no more until ``resume`` is called."""


def json_frame(kind: str, body: bytes) -> bytes:
    """A watch event as a line of JSON."""
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), body)


def bookmark(row: Row, revision: int, *, initial_end: bool = False) -> bytes:
    """The object of a bookmark: nothing but its kind and version."""
    metadata: dict[str, object] = {"resourceVersion": str(revision)}
    if initial_end:
        metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
    return orjson.dumps({"kind": row.kind, "apiVersion": row.api_version, "metadata": metadata})


class WatchStream:
    """See the module. ``encode(type, JSON of the object)`` writes an event, ``json_frame`` where there is none.

    ``ended`` is why it is over: "" while it is not. ``event_count``: events given, the first ones and bookmarks included.
    """

    __slots__ = (
        "_after", "_allow_bookmarks", "_bookmark_at", "_cache", "_deadline", "_encode", "_first", "_identity", "_loop",
        "_oldest_waiting", "_representation", "_row", "_sink", "_timer", "_waiter", "_waiting", "_waiting_count",
        "ended", "event_count",
    )  # fmt: skip

    def __init__(
        self,
        row: Row,
        cache: Cache | None,
        *,
        first: Iterator[Piece],
        after: int = 0,
        allow_bookmarks: bool = False,
        timeout_seconds: float | None = None,
        encode: Encode | None = None,
        representation: Hashable = None,
        identity: Hashable = None,
    ) -> None:
        self._row = row
        self._cache = cache
        self._loop = asyncio.get_running_loop()
        self._first: Iterator[Piece] | None = first
        self._after = after
        self._encode = encode
        self._representation = representation
        self._identity = identity
        self._allow_bookmarks = allow_bookmarks
        self._waiting: deque[Batch | bytes] = deque()
        self._waiting_count = 0
        self._oldest_waiting = 0.0
        self._sink: Sink | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.ended = ""
        self.event_count = 0
        now = self._loop.time()
        self._deadline = None if timeout_seconds is None else now + timeout_seconds
        self._bookmark_at = self._next_bookmark(now)
        self._timer: asyncio.TimerHandle | None = None
        if cache is not None:
            self._set_timer()

    # -- what is told --------------------------------------------------------------------------------------------

    def offer(self, batch: Batch) -> None:
        """The changes are sent, at once where the sink takes them."""
        if self.ended:
            return
        if self._after >= batch.first_revision:
            later = batch.after(self._after)
            if later is None:
                return
            batch = later
        if self._sink is not None and not self._waiting and self._first is None:
            try:
                taken = self._sink(self._encoded(batch))
            except Missing:
                self._end("missing")
                return
            if not taken:
                self._pause()
            return
        if not self._waiting:
            self._oldest_waiting = self._loop.time()
        self._waiting.append(batch)
        self._waiting_count += len(batch)
        if self._waiting_count > EVENTS_WAITING_MAX:
            self._end("slow")
        else:
            self._wake()

    def _encoded(self, batch: Batch) -> bytes:
        self.event_count += len(batch)
        if self._encode is None:
            return batch.frames()
        return batch.encoded(self._representation, self._encode)

    def _frame(self, kind: str, body: bytes) -> bytes:
        self.event_count += 1
        return json_frame(kind, body) if self._encode is None else self._encode(kind, body)

    def fail(self, error: ApiError) -> None:
        """The client is told of the error as the last event."""
        self._waiting.append(self._frame("ERROR", orjson.dumps(error.status())))
        self._end("error", keep=True)
        self._drain()

    # -- who takes it --------------------------------------------------------------------------------------------

    def connect(self, sink: Sink, on_end: Callable[[], None] | None = None) -> None:
        """From now on the sink takes the pieces; ``on_end`` is called once when there will be no more."""
        self._sink = sink
        if on_end is not None:
            waiter = self._waiter = self._loop.create_future()
            waiter.add_done_callback(lambda _: on_end())
        self.resume()

    def resume(self) -> None:
        """The sink can take more."""
        if self._sink is not None:
            self._drain()

    def _pause(self) -> None:
        self._waiting.append(b"")  # nothing is given to the sink before ``resume``
        self._oldest_waiting = self._loop.time()

    def _drain(self) -> None:
        sink = self._sink
        if sink is None:
            self._wake()
            return
        while (piece := self._take()) is not None:
            if not sink(piece):
                self._pause()
                return
        if self.ended:
            self._wake()

    def _take(self) -> bytes | None:
        """The next piece, None where there is none now."""
        while True:
            try:
                if self._first is not None:
                    piece = next(self._first, None)
                    if piece is not None:
                        self.event_count += piece.events
                        return piece.data
                    self._first = None
                if not self._waiting:
                    return None
                found = self._waiting.popleft()
                if isinstance(found, bytes):
                    if found:
                        return found
                    continue
                self._waiting_count -= len(found)
                self._oldest_waiting = self._loop.time()
                return self._encoded(found)
            except Missing:
                self._first = None
                self._end("missing")

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next piece, when there is one; ends where the stream has."""
        while True:
            piece = self._take()
            if piece is not None:
                return piece
            if self.ended:
                raise StopAsyncIteration
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._sink is None or (self.ended and not self._waiting and self._first is None):
            waiter.set_result(None)

    # -- time ----------------------------------------------------------------------------------------------------

    def _next_bookmark(self, now: float) -> float | None:
        """When the next bookmark is due: in a minute, or right before the end."""
        if not self._allow_bookmarks:
            return None
        at = now + BOOKMARK_SECONDS
        if self._deadline is not None:
            at = min(at, self._deadline - BEFORE_TIMEOUT_SECONDS)
        return at if at > now else None

    def _set_timer(self) -> None:
        due = [self._loop.time() + SECONDS_WAITING_MAX]
        due += [at for at in (self._deadline, self._bookmark_at) if at is not None]
        self._timer = self._loop.call_at(min(due), self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        if self.ended:
            return
        if self._deadline is not None and now >= self._deadline:
            self._end("timeout", keep=True)
            return
        if self._waiting and now - self._oldest_waiting >= SECONDS_WAITING_MAX:
            self._end("slow")
            return
        if self._bookmark_at is not None and now >= self._bookmark_at:
            self._bookmark_at = self._next_bookmark(now)
            self.send_bookmark()
        self._set_timer()

    def send_bookmark(self) -> None:
        """The client learns how far the cache is, unless something waits to be sent anyway."""
        if self._cache is None or self._waiting or self._first is not None:
            return
        self._waiting.append(
            self._frame("BOOKMARK", bookmark(self._row, max(self._cache.revision, self._after)))
        )
        self._oldest_waiting = self._loop.time()
        self._drain()

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """The stream is over; nothing is sent any more."""
        self._end("closed")

    def stop(self) -> None:
        """The stream is over once what waits is sent: its cache begins anew, or the server stops."""
        self._end("stopped", keep=True)

    def _end(self, why: str, *, keep: bool = False) -> None:
        if self.ended:
            return
        self.ended = why
        if self._cache is not None:
            self._cache.leave(self._identity, self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not keep:
            self._first = None
            self._waiting.clear()
        self._wake()


class Piece(NamedTuple):
    """Some events in the form of the stream."""

    data: bytes
    events: int


def of_entries(cache: Cache, entries: list[Entry], encode: Encode | None) -> Iterator[Piece]:
    """The objects as additions; raises Missing where one is no longer in the store."""
    for start in range(0, len(entries), PIECE_EVENTS_MAX):
        some = entries[start : start + PIECE_EVENTS_MAX]
        if encode is None:
            frames = [added_frame(cache.store, entry) for entry in some]
        else:
            frames = [encode("ADDED", added_body(cache.store, entry)) for entry in some]
        yield Piece(b"".join(frames), len(some))


def of_batch(batch: Batch | None, encode: Encode | None, representation: Hashable) -> Iterator[Piece]:
    """The changes in pieces; raises Missing."""
    if batch is None:
        return
    for start in range(0, len(batch), PIECE_EVENTS_MAX):
        part = batch.part(start, start + PIECE_EVENTS_MAX)
        data = part.frames() if encode is None else part.encoded(representation, encode)
        yield Piece(data, len(part))
