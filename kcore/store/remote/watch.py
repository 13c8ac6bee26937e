"""A watch that outlives its connection: it goes on at the revision after the last one delivered.

One gRPC stream a watch, so that a progress mark is of this watch alone. A task reads ahead of the consumer by at most
``BATCHES_AHEAD_MAX`` batches; beyond that the member's flow control holds the rest back.

Where the consumer says no start revision, the watch first asks for the present one and starts behind it: what is
written after that is seen, whatever happens to the connection (etcd's answer to a create request may name a revision
whose events were not sent yet).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import grpc
import grpc.aio

from kcore.store import errors
from kcore.store.errors import Code, StoreError
from kcore.store.etcd import messages
from kcore.store.kv import RangeOp, WatchBatch
from kcore.store.remote import convert
from kcore.store.remote.channel import Balancer, store_error, token_refused

PATH: Final = "/etcdserverpb.Watch/Watch"
BATCHES_AHEAD_MAX: Final = 64
BACKOFF_S: Final = 0.025
BACKOFF_S_MAX: Final = 1.0
# Codes after which the same watch cannot succeed elsewhere (all others: the connection, or the member, was at fault).
HOPELESS: Final = frozenset((Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED, Code.UNIMPLEMENTED, Code.NOT_FOUND))  # fmt: skip


class Wanted(NamedTuple):
    """What is watched, as ``KV.watch`` takes it."""

    key: bytes
    end: bytes | None
    prev_kv: bool
    progress_notify: bool
    no_put: bool
    no_delete: bool
    fragment: bool


class Position:
    """How far the watch was delivered: where to resume, and what of that revision to leave out.

    Invariant: a resumed stream brings the events after the last delivered one, each once, in order.
    """

    def __init__(self, start_revision: int) -> None:
        self.next_revision = start_revision
        self._seen_revision = 0  # a revision of which only fragments were delivered
        self._seen_count = 0
        self._skip = 0

    def resumed(self) -> None:
        """A new stream begins at ``next_revision``: what was seen of it will come again."""
        self._skip = self._seen_count if self._seen_revision == self.next_revision else 0

    def advance(self, batch: WatchBatch) -> WatchBatch | None:
        """The batch without what was delivered before; None where nothing is left."""
        if not batch.events:
            self.next_revision = max(self.next_revision, batch.revision + 1)
            return batch
        found = list(batch.events)
        if self._skip:
            again = sum(1 for one in found[: self._skip] if one.kv.mod_revision == self._seen_revision)
            self._skip -= again
            found = found[again:]
        if found:
            last = found[-1].kv.mod_revision
            count = sum(1 for one in found if one.kv.mod_revision == last)
            self._seen_count = count + (self._seen_count if last == self._seen_revision else 0)
            self._seen_revision = last
        self.next_revision = self._seen_revision + (0 if batch.fragment else 1)
        return WatchBatch(batch.revision, found, batch.fragment) if found or not batch.fragment else None


class RemoteWatch:
    """An open watch (``kv.Watch``)."""

    def __init__(self, balancer: Balancer, wanted: Wanted, start_revision: int) -> None:
        self._balancer = balancer
        self._wanted = wanted
        self._position = Position(start_revision)
        self._batches: deque[WatchBatch] = deque()
        self._readable = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._over = False
        self._progress_wanted = False
        self._call: Any = None
        self._on_over: Callable[[RemoteWatch], None] = lambda _: None
        self.placed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.ensure_future(self._run())

    def __aiter__(self) -> AsyncIterator[WatchBatch]:
        return self

    async def __anext__(self) -> WatchBatch:
        while not self._batches:
            if self._over:
                raise StopAsyncIteration
            self._readable.clear()
            await self._readable.wait()
        batch = self._batches.popleft()
        self._room.set()
        return batch

    def request_progress(self) -> None:
        """A batch without events will follow once all up to its revision is delivered."""
        self._progress_wanted = True
        if self._call is not None:
            asyncio.ensure_future(self._send_progress(self._call))  # noqa: RUF006 - it ends by itself

    def cancel(self) -> None:
        """The watch is over; what was read ahead is dropped."""
        self._batches.clear()
        self._finish()
        self._task.cancel()

    def on_over(self, callback: "Callable[[RemoteWatch], None]") -> None:
        """Calls back when the watch is over."""
        self._on_over = callback

    def _finish(self) -> None:
        self._over = True
        self._on_over(self)
        self._readable.set()
        if not self.placed.done():
            self.placed.set_result(None)

    async def _deliver(self, batch: WatchBatch) -> None:
        self._batches.append(batch)
        self._readable.set()
        if len(self._batches) >= BATCHES_AHEAD_MAX:
            self._room.clear()
            await self._room.wait()

    async def _run(self) -> None:
        backoff_s = BACKOFF_S
        try:
            await self._place()
            while not self._over:
                connection = self._balancer.connection
                before = self._position.next_revision
                try:
                    await self._follow(connection)
                except StoreError as refused:
                    if token_refused(refused) and self._balancer.has_password:
                        await self._renew()
                    elif refused.code in HOPELESS:
                        await self._end(refused.text)
                    else:
                        self._balancer.fail_over(connection)
                    if self._position.next_revision != before:
                        backoff_s = BACKOFF_S
                    await asyncio.sleep(backoff_s)
                    backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
        except StoreError as refused:
            await self._end(refused.text)
        except grpc.aio.UsageError:  # the channel was closed
            await self._end(errors.TABLE["WatchCanceled"][1])
        finally:
            self._finish()

    async def _place(self) -> None:
        """The position is known."""
        if self._position.next_revision == 0:
            probe = RangeOp(convert.first_key(self._wanted.key), keys_only=True)
            try:
                answer = await self._balancer.call(
                    "/etcdserverpb.KV/Range", convert.range_request(probe), repeatable=True
                )
            except StoreError as refused:
                if refused.code != Code.PERMISSION_DENIED:
                    raise
            else:
                self._position.next_revision = answer.header.revision + 1
        if not self.placed.done():
            self.placed.set_result(None)

    async def _renew(self) -> None:
        try:
            await self._balancer.authenticate()
        except StoreError as refused:
            if refused.code != Code.UNAVAILABLE:
                raise

    async def _follow(self, connection: Any) -> None:
        """Delivers one stream's batches until it breaks (``StoreError``) or the watch is over."""
        call = connection.method(PATH)(metadata=self._balancer.metadata(has_leader=True))
        try:
            await call.write(self._create_request())
            self._position.resumed()
            while not self._over:
                answer = await call.read()
                if answer is grpc.aio.EOF:
                    raise StoreError(Code(max((await call.code()).value[0], 1)), await call.details() or "")
                if answer.created:
                    self._call = call
                    if self._progress_wanted:
                        await self._send_progress(call)
                if answer.canceled:
                    await self._canceled(answer)
                elif not answer.created:
                    await self._received(answer)
        except grpc.aio.AioRpcError as failed:
            raise store_error(failed) from None
        except asyncio.InvalidStateError:  # the stream broke while we wrote
            raise StoreError(Code(max((await call.code()).value[0], 1)), await call.details() or "") from None
        finally:
            self._call = None
            call.cancel()

    async def _received(self, answer: Any) -> None:
        batch = WatchBatch(answer.header.revision, convert.events(answer.events), answer.fragment)
        if not batch.events:
            self._progress_wanted = False
        left = self._position.advance(batch)
        if left is not None:
            await self._deliver(left)

    async def _canceled(self, answer: Any) -> None:
        """The member ended the watch: for good, or because of a token that can be renewed."""
        for name in ("InvalidAuthToken", "AuthOldRevision", "UserEmpty"):
            if errors.TABLE[name][1] in answer.cancel_reason and self._balancer.has_password:
                raise errors.of(name)
        if errors.TABLE["NoLeader"][1] in answer.cancel_reason:
            raise errors.of("NoLeader")
        await self._end(answer.cancel_reason, answer.header.revision, answer.compact_revision)

    async def _end(self, reason: str, revision: int = 0, compact_revision: int = 0) -> None:
        self._batches.append(
            WatchBatch(revision, [], compact_revision=compact_revision, cancel_reason=reason_text(reason))
        )
        self._finish()

    def _create_request(self) -> Any:
        wanted = self._wanted
        return convert.watch_request(
            wanted.key,
            wanted.end,
            start_revision=self._position.next_revision,
            prev_kv=wanted.prev_kv,
            progress_notify=wanted.progress_notify,
            no_put=wanted.no_put,
            no_delete=wanted.no_delete,
            fragment=wanted.fragment,
        )

    async def _send_progress(self, call: Any) -> None:
        request = messages.WatchRequest(progress_request=messages.WatchProgressRequest())
        # where the stream breaks the next one asks again, as ``_progress_wanted`` still stands
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(request)


def reason_text(reason: str) -> str:
    """The reason without the words that grpc puts before it (``rpc error: code = X desc = ...``)."""
    head, separator, text = reason.partition(" desc = ")
    return text if separator and head.startswith("rpc error: code = ") else reason
