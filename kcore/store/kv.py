"""The kv face: what every user of the store programs against, whichever store is behind it.

Two implementations: ``kcore.store.embedded`` (this process holds a member) and ``kcore.store.remote`` (a client of an
external etcd cluster). Keys and values are bytes; an ``end`` of None means the one key, ``b"\\0"`` all keys from
``key`` on, anything else the half-open range [key, end). Revisions are etcd's. All errors are ``StoreError``.
"""

from collections.abc import AsyncIterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

# Made in C, as the store makes millions of them a second; they behave as the named tuples beside them.
from kcore_native.mvcc.values import (
    DeleteResult,
    Event,
    KeyValue,
    PutResult,
    RangeResult,
    TxnResult,
    WatchBatch,
)

__all__ = [
    "FROM_KEY",
    "KV",
    "Compare",
    "DeleteOp",
    "DeleteResult",
    "Event",
    "EventType",
    "KeyValue",
    "LeaseResult",
    "Op",
    "PutOp",
    "PutResult",
    "RangeOp",
    "RangeResult",
    "Relation",
    "Result",
    "SortOrder",
    "SortTarget",
    "Status",
    "Target",
    "TxnOp",
    "TxnResult",
    "Watch",
    "WatchBatch",
    "prefix_end",
]

FROM_KEY: Final = b"\0"


class EventType(IntEnum):
    """What happened to a key (etcd ``mvccpb.Event.EventType``)."""

    PUT = 0
    DELETE = 1


class Target(IntEnum):
    """What a comparison or a sort looks at (etcd ``Compare.CompareTarget`` / ``RangeRequest.SortTarget``)."""

    VERSION = 0
    CREATE = 1
    MOD = 2
    VALUE = 3
    LEASE = 4


class Relation(IntEnum):
    """How a comparison relates (etcd ``Compare.CompareResult``)."""

    EQUAL = 0
    GREATER = 1
    LESS = 2
    NOT_EQUAL = 3


class SortOrder(IntEnum):
    """etcd ``RangeRequest.SortOrder``."""

    NONE = 0
    ASCEND = 1
    DESCEND = 2


class SortTarget(IntEnum):
    """etcd ``RangeRequest.SortTarget``."""

    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


class Compare(NamedTuple):
    """True where every key of [key, end) stands in the relation; a key that is not there has version, create, mod 0."""

    target: Target
    relation: Relation
    key: bytes
    operand: int | bytes
    end: bytes | None = None


class RangeOp(NamedTuple):
    """A read inside a transaction, or one by itself (etcd ``RangeRequest``)."""

    key: bytes
    end: bytes | None = None
    limit: int = 0
    revision: int = 0
    sort_order: int = 0
    sort_target: int = 0
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


class PutOp(NamedTuple):
    """etcd ``PutRequest``."""

    key: bytes
    value: bytes
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


class DeleteOp(NamedTuple):
    """etcd ``DeleteRangeRequest``."""

    key: bytes
    end: bytes | None = None
    prev_kv: bool = False


class TxnOp(NamedTuple):
    """etcd ``TxnRequest``: where all comparisons hold ``success`` is done, else ``failure``; may nest."""

    compares: Sequence[Compare] = ()
    success: Sequence["Op"] = ()
    failure: Sequence["Op"] = ()


Op = RangeOp | PutOp | DeleteOp | TxnOp


Result = RangeResult | PutResult | DeleteResult | TxnResult


class LeaseResult(NamedTuple):
    """``ttl`` is what is left in seconds, -1 where the lease is gone; ``keys`` are given where asked for."""

    revision: int
    id: int
    ttl: int
    granted_ttl: int = 0
    keys: list[bytes] = []  # noqa: RUF012 - never written to; a NamedTuple has no factories


class Watch(Protocol):
    """An open watch: ``async for batch in watch``. It ends after ``cancel`` or a batch that says why."""

    def __aiter__(self) -> AsyncIterator[WatchBatch]: ...
    async def __anext__(self) -> WatchBatch: ...
    def request_progress(self) -> None: ...
    def cancel(self) -> None: ...


class Status(NamedTuple):
    """etcd ``StatusResponse``; sizes in bytes."""

    version: str
    db_size: int
    db_size_in_use: int
    leader: int
    raft_index: int
    raft_applied_index: int
    raft_term: int
    errors: list[str]
    is_learner: bool
    db_size_quota: int = 0
    storage_version: str = ""


class KV(Protocol):
    """A store. Reads are linearizable unless ``serializable``; a write that returned is durable on a majority."""

    @property
    def cluster_id(self) -> int: ...
    @property
    def member_id(self) -> int: ...
    @property
    def raft_term(self) -> int: ...

    async def range(
        self,
        key: bytes,
        end: bytes | None = None,
        *,
        limit: int = 0,
        revision: int = 0,
        sort_order: int = 0,
        sort_target: int = 0,
        keys_only: bool = False,
        count_only: bool = False,
        min_mod_revision: int = 0,
        max_mod_revision: int = 0,
        min_create_revision: int = 0,
        max_create_revision: int = 0,
        serializable: bool = False,
    ) -> RangeResult: ...

    async def get(self, key: bytes, *, revision: int = 0, serializable: bool = False) -> KeyValue | None: ...

    async def put(
        self,
        key: bytes,
        value: bytes,
        *,
        lease: int = 0,
        prev_kv: bool = False,
        ignore_value: bool = False,
        ignore_lease: bool = False,
    ) -> PutResult: ...

    async def delete_range(
        self, key: bytes, end: bytes | None = None, *, prev_kv: bool = False
    ) -> DeleteResult: ...

    async def txn(
        self, compares: Sequence[Compare] = (), success: Sequence[Op] = (), failure: Sequence[Op] = ()
    ) -> TxnResult: ...

    async def compact(self, revision: int, *, physical: bool = False) -> int: ...

    def watch(
        self,
        key: bytes,
        end: bytes | None = None,
        *,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
        no_put: bool = False,
        no_delete: bool = False,
        fragment: bool = False,
    ) -> Watch: ...

    async def lease_grant(self, ttl: int, id: int = 0) -> LeaseResult: ...  # noqa: A002 - etcd's name
    async def lease_revoke(self, id: int) -> int: ...  # noqa: A002
    async def lease_keep_alive(self, id: int) -> LeaseResult: ...  # noqa: A002
    async def lease_time_to_live(self, id: int, *, keys: bool = False) -> LeaseResult: ...  # noqa: A002
    async def leases(self) -> list[int]: ...

    async def status(self) -> Status: ...
    def snapshot(self) -> AsyncIterator[bytes]: ...
    async def close(self) -> None: ...


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with ``prefix``; FROM_KEY where there is no greater one."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else FROM_KEY
