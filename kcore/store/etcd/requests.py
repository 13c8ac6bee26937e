"""Messages to the store's values and back: what is asked of the kv face, checked as etcd's ``v3rpc/key.go`` checks it.

Results become messages here too; ``Headers`` fills what every response begins with.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, Final

from kcore.store import errors
from kcore.store.etcd import messages
from kcore.store.face import Store
from kcore.store.kv import (
    Compare,
    DeleteOp,
    DeleteResult,
    Event,
    KeyValue,
    Op,
    PutOp,
    PutResult,
    RangeOp,
    RangeResult,
    Relation,
    Result,
    SortOrder,
    SortTarget,
    Target,
    TxnOp,
    TxnResult,
)

SORT_ORDERS: Final = frozenset(SortOrder)
SORT_TARGETS: Final = frozenset(SortTarget)
OPERANDS: Final = {
    Target.VERSION: "version",
    Target.CREATE: "create_revision",
    Target.MOD: "mod_revision",
    Target.VALUE: "value",
    Target.LEASE: "lease",
}


class Headers:
    """Response headers of one member (etcd ``v3rpc/header.go``)."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def at(self, revision: int) -> Any:
        """A header with that revision."""
        store = self.store
        return messages.ResponseHeader(
            cluster_id=store.cluster_id,
            member_id=store.member_id,
            revision=revision,
            raft_term=store.raft_term,
        )

    def now(self) -> Any:
        """A header with the revision that this member has applied."""
        return self.at(self.store.revision)


def check_range(request: Any) -> None:
    """Refuses a RangeRequest as etcd does."""
    if not request.key:
        raise errors.of("EmptyKey")
    if request.sort_order not in SORT_ORDERS or request.sort_target not in SORT_TARGETS:
        raise errors.of("InvalidSortOption")


def check_put(request: Any) -> None:
    """Refuses a PutRequest as etcd does."""
    if not request.key:
        raise errors.of("EmptyKey")
    if request.ignore_value and request.value:
        raise errors.of("ValueProvided")
    if request.ignore_lease and request.lease:
        raise errors.of("LeaseProvided")


def check_delete(request: Any) -> None:
    """Refuses a DeleteRangeRequest as etcd does."""
    if not request.key:
        raise errors.of("EmptyKey")


def check_txn(request: Any, ops_max: int) -> None:
    """Refuses a TxnRequest as etcd does: too many operations, empty keys, a key written twice."""
    _check_branches(request, ops_max)
    _writes(request.success)
    _writes(request.failure)


def _check_branches(request: Any, ops_max: int) -> None:
    widest = max(len(request.compare), len(request.success), len(request.failure))
    if widest > ops_max:
        raise errors.of("TooManyOps")
    if not all(compare.key for compare in request.compare):
        raise errors.of("EmptyKey")
    for branch in (request.success, request.failure):
        for op in branch:
            which = op.WhichOneof("request")
            if which == "request_range":
                check_range(op.request_range)
            elif which == "request_put":
                check_put(op.request_put)
            elif which == "request_delete_range":
                check_delete(op.request_delete_range)
            elif which == "request_txn":
                _check_branches(op.request_txn, ops_max - widest)
            else:
                raise errors.of("KeyNotFound")


class Intervals:
    """A set of half-open intervals of keys, kept disjoint and in order; an end of None is beyond all keys."""

    def __init__(self) -> None:
        self.starts: list[bytes] = []
        self.ends: list[bytes | None] = []

    def add(self, start: bytes, end: bytes | None) -> None:
        """Includes [start, end)."""
        first = bisect_left(self.starts, start)
        if first and (self.ends[first - 1] is None or self.ends[first - 1] >= start):  # type: ignore[operator]
            first -= 1
        last = len(self.starts) if end is None else bisect_right(self.starts, end)
        if first < last:
            start = min(start, self.starts[first])
            upper = self.ends[last - 1]
            end = None if end is None or upper is None else max(end, upper)
        self.starts[first:last] = [start]
        self.ends[first:last] = [end]

    def covers(self, key: bytes) -> bool:
        """Whether the key lies in one of them."""
        index = bisect_right(self.starts, key) - 1
        if index < 0:
            return False
        end = self.ends[index]
        return end is None or key < end


def _writes(ops: Iterable[Any]) -> tuple[set[bytes], Intervals]:
    """The keys put and the intervals deleted by these operations; refuses where one key is written twice.

    The order of the checks is etcd's ``checkIntervals``: a nested transaction is compared with what its elders wrote.
    A range whose end is not above its key (from-key deletes among them) counts as that key alone, as in etcd.
    """
    deleted = Intervals()
    put: set[bytes] = set()
    for op in ops:
        if op.WhichOneof("request") == "request_delete_range":
            _delete(deleted, op.request_delete_range.key, op.request_delete_range.range_end)
    for op in ops:
        if op.WhichOneof("request") != "request_txn":
            continue
        put_then, deleted_then = _writes(op.request_txn.success)
        put_else, deleted_else = _writes(op.request_txn.failure)
        if any(key in put or deleted.covers(key) for key in put_then):
            raise errors.of("DuplicateKey")
        put |= put_then
        if any((key in put and key not in put_then) or deleted.covers(key) for key in put_else):
            raise errors.of("DuplicateKey")
        put |= put_else
        for below in (deleted_then, deleted_else):
            for start, end in zip(below.starts, below.ends, strict=True):
                deleted.add(start, end)
    for op in ops:
        if op.WhichOneof("request") == "request_put":
            key = op.request_put.key
            if key in put or deleted.covers(key):
                raise errors.of("DuplicateKey")
            put.add(key)
    return put, deleted


def _delete(deleted: Intervals, key: bytes, end: bytes) -> None:
    deleted.add(key, end if end > key else key + b"\0")


def range_op(request: Any) -> RangeOp:
    """The store's value of a RangeRequest."""
    return RangeOp(
        request.key,
        request.range_end or None,
        request.limit,
        request.revision,
        request.sort_order,
        request.sort_target,
        request.keys_only,
        request.count_only,
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    )


def put_op(request: Any) -> PutOp:
    """The store's value of a PutRequest."""
    return PutOp(
        request.key,
        request.value,
        request.lease,
        request.prev_kv,
        request.ignore_value,
        request.ignore_lease,
    )


def delete_op(request: Any) -> DeleteOp:
    """The store's value of a DeleteRangeRequest."""
    return DeleteOp(request.key, request.range_end or None, request.prev_kv)


def txn_op(request: Any) -> TxnOp:
    """The store's value of a TxnRequest."""
    return TxnOp(
        [compare for each in request.compare if (compare := compare_of(each)) is not None],
        [op_of(op) for op in request.success],
        [op_of(op) for op in request.failure],
    )


def op_of(op: Any) -> Op:
    """The store's value of a RequestOp."""
    which = op.WhichOneof("request")
    if which == "request_range":
        return range_op(op.request_range)
    if which == "request_put":
        return put_op(op.request_put)
    if which == "request_delete_range":
        return delete_op(op.request_delete_range)
    return txn_op(op.request_txn)


def compare_of(compare: Any) -> Compare | None:
    """The store's value of a Compare; an operand of another target counts as 0 or empty, as in etcd.

    None where the relation or target is none that etcd knows: such a comparison holds.
    """
    try:
        target, relation = Target(compare.target), Relation(compare.result)
    except ValueError:
        return None
    field = OPERANDS[target]
    given = compare.WhichOneof("target_union") == field
    operand = getattr(compare, field) if given else (b"" if target is Target.VALUE else 0)
    return Compare(target, relation, compare.key, operand, compare.range_end or None)


def key_value(kv: KeyValue) -> Any:
    """The message of a stored key."""
    return messages.KeyValue(
        key=kv.key,
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        value=kv.value,
        lease=kv.lease,
    )


def key_values(kvs: Sequence[KeyValue]) -> list[Any]:
    """The messages of stored keys."""
    return [key_value(kv) for kv in kvs]


def event(happened: Event) -> Any:
    """The message of an event."""
    return messages.Event(
        type=happened.type,
        kv=key_value(happened.kv),
        prev_kv=None if happened.previous is None else key_value(happened.previous),
    )


def range_response(result: RangeResult, header: Any) -> Any:
    """The message of a read."""
    return messages.RangeResponse(
        header=header, kvs=key_values(result.kvs), more=result.more, count=result.count
    )


def put_response(result: PutResult, header: Any) -> Any:
    """The message of a write."""
    previous = result.previous
    return messages.PutResponse(header=header, prev_kv=None if previous is None else key_value(previous))


def delete_response(result: DeleteResult, header: Any) -> Any:
    """The message of a deletion."""
    return messages.DeleteRangeResponse(
        header=header, deleted=result.deleted, prev_kvs=key_values(result.previous)
    )


def txn_response(result: TxnResult, header: Any) -> Any:
    """The message of a transaction; results inside have the revision alone in their headers, as in etcd."""
    return messages.TxnResponse(
        header=header, succeeded=result.succeeded, responses=[_response_op(each) for each in result.results]
    )


def _response_op(result: Result) -> Any:
    header = messages.ResponseHeader(revision=result.revision)
    if isinstance(result, RangeResult):
        return messages.ResponseOp(response_range=range_response(result, header))
    if isinstance(result, PutResult):
        return messages.ResponseOp(response_put=put_response(result, header))
    if isinstance(result, DeleteResult):
        return messages.ResponseOp(response_delete_range=delete_response(result, header))
    return messages.ResponseOp(response_txn=txn_response(result, header))
