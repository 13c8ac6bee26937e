"""The Watch service (etcd ``v3rpc/watch.go``): many watches on one stream, each with an id.

Every watch of the store has a task that carries its batches to the stream; what the client is told of a watch comes
in order because that task sends all of it after the answer to its creation.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from kcore.store import errors
from kcore.store.errors import StoreError
from kcore.store.etcd import messages
from kcore.store.etcd.access import Access
from kcore.store.etcd.requests import Headers, event
from kcore.store.etcd.rpc import Context, Stream, go_text
from kcore.store.face import Store
from kcore.store.kv import FROM_KEY, Watch, WatchBatch

AUTO_ID: Final = 0
INVALID_ID: Final = -1
PROGRESS_SECONDS: Final = 600.0  # etcd's --watch-progress-notify-interval
PROGRESS_SECONDS_MIN: Final = 0.1
JITTER: Final = 0.1  # of the interval, so that not all clients hear at once

NOPUT: Final = 0
NODELETE: Final = 1

EMPTY_RANGE: Final = "mvcc: watcher range is empty"
DUPLICATE_ID: Final = "mvcc: duplicate watch ID provided on the WatchStream"
# refusals that a watch passes on in Go's words; all others become permission denied
SAID: Final = frozenset(errors.of(name).text for name in ("InvalidAuthToken", "AuthOldRevision", "UserEmpty"))


class WatchService:
    """``etcdserverpb.Watch``; responses with ``fragment`` stay under ``message_bytes_max``."""

    def __init__(
        self,
        store: Store,
        access: Access,
        *,
        message_bytes_max: int,
        progress_seconds: float = PROGRESS_SECONDS,
    ) -> None:
        self.headers = Headers(store)
        self.access = access
        self.message_bytes_max = message_bytes_max
        self.progress_seconds = max(progress_seconds, PROGRESS_SECONDS_MIN)
        self.stream_count = 0
        self.watch_count = 0

    async def watch(self, stream: Stream, context: Context) -> None:
        """Serves one stream until the client ends it."""
        self.stream_count += 1
        served = WatchStream(self, stream, context)
        try:
            await served.serve()
        finally:
            served.close()
            self.stream_count -= 1


class Watched:
    """One watch of a stream. ``tells_progress`` is off while events say as much."""

    __slots__ = ("asks", "fragment", "id", "progress", "task", "tells_progress", "watch")

    def __init__(self, id: int, watch: Watch, request: Any) -> None:  # noqa: A002 - etcd's name
        self.id = id
        self.watch = watch
        self.progress: bool = request.progress_notify
        self.fragment: bool = request.fragment
        self.tells_progress = True
        self.asks = 0  # progress marks that were asked of the store for this watch alone
        self.task: asyncio.Task[None] | None = None


class WatchStream:
    """The watches of one stream."""

    def __init__(self, service: WatchService, stream: Stream, context: Context) -> None:
        self.service = service
        self.stream = stream
        self.context = context
        self.headers = service.headers
        self.watches: dict[int, Watched] = {}
        self.next_id = 0
        self.ticking: asyncio.Task[None] | None = None
        self.rounds: list[
            dict[int, int]
        ] = []  # of progress for all: watches still to be heard, and at which revision
        self.broken: asyncio.Future[None] | None = None

    async def serve(self) -> None:
        """Answers requests until there are no more; raises what broke a watch."""
        self.broken = asyncio.get_running_loop().create_future()
        receiving = asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait((receiving, self.broken), return_when=asyncio.FIRST_COMPLETED)
            if receiving.done():
                receiving.result()
            else:
                self.broken.result()
        finally:
            receiving.cancel()
            if self.broken.done() and not self.broken.cancelled():
                self.broken.exception()

    async def _receive(self) -> None:
        while (request := await self.stream.receive()) is not None:
            which = request.WhichOneof("request_union")
            if which == "create_request":
                await self._create(request.create_request)
            elif which == "cancel_request":
                await self._cancel(request.cancel_request.watch_id)
            elif which == "progress_request":
                self._ask_all()

    # -- requests ---------------------------------------------------------------------------------------------------

    async def _create(self, request: Any) -> None:
        key = request.key or b"\0"
        end = request.range_end or None
        if request.start_revision < 0:
            return await self._refuse(errors.of("Compacted").text)
        try:
            store = await self.service.access.store(self.context)
            if end is not None and end != FROM_KEY and key >= end:
                return await self._refuse(EMPTY_RANGE)
            if request.watch_id != AUTO_ID and request.watch_id in self.watches:
                return await self._refuse(DUPLICATE_ID)
            watch = store.watch(
                key,
                end,
                start_revision=request.start_revision,
                prev_kv=request.prev_kv,
                no_put=NOPUT in request.filters,
                no_delete=NODELETE in request.filters,
                fragment=request.fragment,
            )
        except StoreError as error:
            said = error if error.text in SAID else errors.of("PermissionDenied")
            return await self._refuse(go_text(said))
        watched = Watched(self._new_id(request.watch_id), watch, request)
        self.watches[watched.id] = watched
        self.service.watch_count += 1
        await self.stream.send(
            messages.WatchResponse(header=self.headers.now(), watch_id=watched.id, created=True)
        )
        watched.task = asyncio.ensure_future(self._carry(watched))
        if watched.progress and self.ticking is None:
            self.ticking = asyncio.ensure_future(self._tick())
        return None

    def _new_id(self, wanted: int) -> int:
        if wanted != AUTO_ID:
            return wanted
        while self.next_id in self.watches:
            self.next_id += 1
        self.next_id += 1
        return self.next_id - 1

    async def _refuse(self, reason: str) -> None:
        await self.stream.send(
            messages.WatchResponse(
                header=self.headers.now(),
                watch_id=INVALID_ID,
                created=True,
                canceled=True,
                cancel_reason=reason,
            )
        )

    async def _cancel(self, watch_id: int) -> None:
        watched = self._forget(watch_id)
        if watched is None:
            return
        await self.stream.send(
            messages.WatchResponse(header=self.headers.now(), watch_id=watch_id, canceled=True)
        )

    def _forget(self, watch_id: int) -> Watched | None:
        watched = self.watches.pop(watch_id, None)
        if watched is not None:
            self.service.watch_count -= 1
            watched.watch.cancel()
            if watched.task is not None and watched.task is not asyncio.current_task():
                watched.task.cancel()
            for waiting in self.rounds:
                waiting.pop(watch_id, None)
        return watched

    # -- progress ---------------------------------------------------------------------------------------------------

    def _ask_all(self) -> None:
        """One answer for the whole stream follows once every watch has delivered what is."""
        if self.watches:
            self.rounds.append(dict.fromkeys(self.watches, -1))
            for watched in self.watches.values():
                watched.watch.request_progress()

    async def _tick(self) -> None:
        """Tells progress now and then for those who want it, unless events told as much."""
        while True:
            interval = self.service.progress_seconds
            await asyncio.sleep(interval + random.uniform(0, interval * JITTER))
            for watched in self.watches.values():
                if watched.progress:
                    if watched.tells_progress:
                        watched.asks += 1
                        watched.watch.request_progress()
                    watched.tells_progress = True

    async def _marked(self, watched: Watched, revision: int) -> None:
        """A watch has delivered all up to that revision."""
        for waiting in self.rounds:
            if waiting.get(watched.id) == -1:
                waiting[watched.id] = revision
                break
        else:
            watched.asks = max(watched.asks - 1, 0)
            await self.stream.send(
                messages.WatchResponse(header=self.headers.at(revision), watch_id=watched.id)
            )
            return
        while self.rounds and -1 not in self.rounds[0].values():
            told = self.rounds.pop(0)
            if told:
                header = self.headers.at(min(told.values()))
                await self.stream.send(messages.WatchResponse(header=header, watch_id=INVALID_ID))

    # -- events -----------------------------------------------------------------------------------------------------

    async def _carry(self, watched: Watched) -> None:
        """Sends all that the watch yields."""
        try:
            async for batch in watched.watch:
                if batch.compact_revision or batch.cancel_reason:
                    await self._over(watched, batch)
                elif batch.events:
                    watched.tells_progress = False
                    await self._send_events(watched, batch)
                else:
                    await self._marked(watched, batch.revision)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the stream ends with it
            if self.broken is not None and not self.broken.done():
                self.broken.set_exception(error)

    async def _over(self, watched: Watched, batch: WatchBatch) -> None:
        """The store ended the watch; its id stays taken until the client cancels it, as in etcd."""
        header = self.headers.at(0 if batch.compact_revision else batch.revision)
        await self.stream.send(
            messages.WatchResponse(
                header=header,
                watch_id=watched.id,
                canceled=True,
                compact_revision=batch.compact_revision,
                cancel_reason=batch.cancel_reason,
            )
        )
        for waiting in self.rounds:
            waiting.pop(watched.id, None)

    async def _send_events(self, watched: Watched, batch: WatchBatch) -> None:
        response = messages.WatchResponse(
            header=self.headers.at(batch.revision),
            watch_id=watched.id,
            fragment=batch.fragment,
            events=[event(each) for each in batch.events],
        )
        if not watched.fragment:
            await self.stream.send(response)
            return
        async for part in fragments(response, self.service.message_bytes_max):
            await self.stream.send(part)

    def close(self) -> None:
        """No watch is left."""
        if self.ticking is not None:
            self.ticking.cancel()
        for watch_id in list(self.watches):
            with suppress(StoreError):
                self._forget(watch_id)


async def fragments(response: Any, bytes_max: int) -> AsyncIterator[Any]:
    """The response in parts under ``bytes_max`` each, one event at least; all but the last are marked fragments."""
    if response.ByteSize() < bytes_max or len(response.events) < 2:
        yield response
        return
    last = response.fragment
    part = messages.WatchResponse(header=response.header, watch_id=response.watch_id, fragment=True)
    empty_bytes = size = part.ByteSize()
    for each in response.events:
        grown = each.ByteSize() + 6  # its tag and length
        if part.events and size + grown >= bytes_max:
            yield part
            part = messages.WatchResponse(header=response.header, watch_id=response.watch_id, fragment=True)
            size = empty_bytes
        part.events.append(each)
        size += grown
    part.fragment = last
    yield part
