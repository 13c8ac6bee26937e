"""The Lock and Election services (etcd ``v3lock``, ``v3election``, ``client/v3/concurrency``).

Both are a queue of keys under a prefix, in order of creation: who has the oldest holds the lock, or leads. A key lives
by its owner's lease, so nobody waits for the dead. Errors of the store come back with code UNKNOWN, as etcd's do.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import Any, Final

from kcore.store import errors
from kcore.store.errors import Code, StoreError
from kcore.store.etcd import messages
from kcore.store.etcd.access import Access
from kcore.store.etcd.requests import Headers, key_value
from kcore.store.etcd.rpc import Context, Stream
from kcore.store.face import Store
from kcore.store.kv import (
    Compare,
    DeleteOp,
    EventType,
    KeyValue,
    PutOp,
    RangeOp,
    RangeResult,
    Relation,
    SortOrder,
    SortTarget,
    Target,
    TxnResult,
    prefix_end,
)

SESSION_TTL_SECONDS: Final = 60  # of the lease that is granted to a caller without one


def refusal(text: str) -> StoreError:
    """An error of etcd's concurrency package."""
    return StoreError(Code.UNKNOWN, text)


def plain_errors(
    call: Callable[[Any, Any, Context], Awaitable[Any]],
) -> Callable[[Any, Any, Context], Awaitable[Any]]:
    """The call with the store's errors made UNKNOWN: etcd's services are clients, whose errors carry no code."""

    @wraps(call)
    async def told(self: Any, request: Any, context: Context) -> Any:
        try:
            return await call(self, request, context)
        except StoreError as error:
            raise refusal(error.text) from None

    return told


def waiting_key(prefix: bytes, lease: int) -> bytes:
    """The key of a lease in the queue; negative ids print as Go prints them."""
    return prefix + (f"-{-lease:x}" if lease < 0 else f"{lease:x}").encode()


def is_created_at(key: bytes, revision: int) -> Compare:
    """True while the key is the one created at that revision."""
    return Compare(Target.CREATE, Relation.EQUAL, key, revision)


def oldest(prefix: bytes) -> RangeOp:
    """Reads the head of the queue."""
    return RangeOp(
        prefix, prefix_end(prefix), limit=1, sort_order=SortOrder.ASCEND, sort_target=SortTarget.CREATE
    )


async def read(store: Store, op: RangeOp) -> RangeResult:
    """A linearizable read."""
    return await store.range(
        op.key,
        op.end,
        limit=op.limit,
        sort_order=op.sort_order,
        sort_target=op.sort_target,
        max_create_revision=op.max_create_revision,
    )


async def lease_of(store: Store, lease: int) -> int:
    """The caller's lease, or a new one."""
    return lease or (await store.lease_grant(SESSION_TTL_SECONDS)).id


async def until_deleted(store: Store, key: bytes, revision: int) -> None:
    """Returns when the key is deleted after that revision."""
    watch = store.watch(key, start_revision=revision, no_put=True)
    try:
        async for batch in watch:
            if batch.compact_revision:
                raise errors.of("Compacted")
            if batch.cancel_reason:
                raise refusal(batch.cancel_reason)
            if batch.events:
                return
    finally:
        watch.cancel()
    raise refusal("lost watcher waiting for delete")


async def until_first(store: Store, prefix: bytes, create_revision: int) -> None:
    """Returns when no key under the prefix is older than that creation."""
    last = oldest(prefix)._replace(sort_order=SortOrder.DESCEND, max_create_revision=create_revision - 1)
    while kvs := (before := await read(store, last)).kvs:
        await until_deleted(store, kvs[0].key, before.revision)


class LockService:
    """``v3lockpb.Lock``."""

    def __init__(self, store: Store, access: Access) -> None:
        self.headers = Headers(store)
        self.access = access

    @plain_errors
    async def lock(self, request: Any, context: Context) -> Any:
        """The caller holds the lock until its lease ends or it unlocks the key that it is given."""
        store = await self.access.store(context)
        lease = await lease_of(store, request.lease)
        prefix = request.name + b"/"
        key = waiting_key(prefix, lease)
        holder = oldest(prefix)
        result = await store.txn(
            [is_created_at(key, 0)], [PutOp(key, b"", lease), holder], [RangeOp(key), holder]
        )
        mine = created_at(result)
        kvs = result.results[1].kvs  # type: ignore[union-attr]
        if not kvs or kvs[0].create_revision == mine:
            return messages.LockResponse(header=self.headers.at(result.revision), key=key)
        try:
            await until_first(store, prefix, mine)
            held = await store.range(key)
        except BaseException:
            with suppress(StoreError):
                await store.delete_range(key)
            raise
        if not held.kvs:
            raise refusal("mutex: session is expired")
        return messages.LockResponse(header=self.headers.at(held.revision), key=key)

    @plain_errors
    async def unlock(self, request: Any, context: Context) -> Any:
        """The next in the queue holds the lock."""
        store = await self.access.store(context)
        result = await store.delete_range(request.key)
        return messages.UnlockResponse(header=self.headers.at(result.revision))


def created_at(result: TxnResult) -> int:
    """When the caller's key was created: by this transaction, or before it."""
    if result.succeeded:
        return result.revision
    first = result.results[0]
    assert isinstance(first, RangeResult)
    return first.kvs[0].create_revision


class ElectionService:
    """``v3electionpb.Election``."""

    def __init__(self, store: Store, access: Access) -> None:
        self.headers = Headers(store)
        self.access = access

    @plain_errors
    async def campaign(self, request: Any, context: Context) -> Any:
        """The caller leads until its lease ends or it resigns."""
        store = await self.access.store(context)
        lease = await lease_of(store, request.lease)
        prefix = request.name + b"/"
        key = waiting_key(prefix, lease)
        result = await store.txn([is_created_at(key, 0)], [PutOp(key, request.value, lease)], [RangeOp(key)])
        mine = created_at(result)
        try:
            if not result.succeeded and result.results[0].kvs[0].value != request.value:  # type: ignore[union-attr]
                await self._proclaim(store, key, mine, lease, request.value)
            await until_first(store, prefix, mine)
        except BaseException:
            with suppress(StoreError):
                await store.txn([is_created_at(key, mine)], [DeleteOp(key)])
            raise
        leader = messages.LeaderKey(name=request.name, key=key, rev=mine, lease=lease)
        return messages.CampaignResponse(header=self.headers.at(result.revision), leader=leader)

    @plain_errors
    async def proclaim(self, request: Any, context: Context) -> Any:
        """The leader's value is another."""
        leader = self._leader(request)
        store = await self.access.store(context)
        lease = await lease_of(store, leader.lease)
        revision = await self._proclaim(store, leader.key, leader.rev, lease, request.value)
        return messages.ProclaimResponse(header=self.headers.at(revision))

    @staticmethod
    async def _proclaim(store: Store, key: bytes, created: int, lease: int, value: bytes) -> int:
        result = await store.txn([is_created_at(key, created)], [PutOp(key, value, lease)])
        if not result.succeeded:
            raise refusal("election: not leader")
        return result.revision

    @staticmethod
    def _leader(request: Any) -> Any:
        if not request.HasField("leader"):
            raise refusal('"leader" field must be provided')
        return request.leader

    @plain_errors
    async def leader(self, request: Any, context: Context) -> Any:
        """Who leads."""
        store = await self.access.store(context)
        result = await read(store, oldest(request.name + b"/"))
        if not result.kvs:
            raise refusal("election: no leader")
        return messages.LeaderResponse(header=self.headers.at(result.revision), kv=key_value(result.kvs[0]))

    @plain_errors
    async def resign(self, request: Any, context: Context) -> Any:
        """The next in the queue leads."""
        leader = self._leader(request)
        store = await self.access.store(context)
        result = await store.txn([is_created_at(leader.key, leader.rev)], [DeleteOp(leader.key)])
        return messages.ResignResponse(header=self.headers.at(result.revision))

    async def observe(self, stream: Stream, context: Context) -> None:
        """Tells every leader, and every value it proclaims, from now on."""
        request = await stream.receive()
        if request is None:
            return
        store = await self.access.store(context)
        async for revision, kv in leaders(store, request.name + b"/"):
            answer = messages.LeaderResponse(header=self.headers.at(revision), kv=key_value(kv))
            await stream.send(answer)


async def leaders(store: Store, prefix: bytes) -> AsyncIterator[tuple[int, KeyValue]]:
    """(revision, key) of each leader in turn; ends where a watch ends."""
    while True:
        result = await read(store, oldest(prefix))
        revision = result.revision
        if result.kvs:
            kv = result.kvs[0]
        else:
            first = await _first_put(store, prefix, revision)
            if first is None:
                return
            kv, revision = first, first.mod_revision
        yield revision, kv
        watch = store.watch(kv.key, start_revision=revision + 1)
        try:
            async for batch in watch:
                if batch.compact_revision or batch.cancel_reason:
                    return
                puts = [each.kv for each in batch.events if each.type == EventType.PUT]
                for put in puts:
                    yield batch.revision, put
                if len(puts) < len(batch.events):
                    break
            else:
                return
        finally:
            watch.cancel()


async def _first_put(store: Store, prefix: bytes, revision: int) -> KeyValue | None:
    watch = store.watch(prefix, prefix_end(prefix), start_revision=revision, no_delete=True)
    try:
        async for batch in watch:
            if batch.compact_revision or batch.cancel_reason:
                return None
            for each in batch.events:
                return each.kv
    finally:
        watch.cancel()
    return None
