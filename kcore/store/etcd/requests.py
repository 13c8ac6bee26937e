"""Messages to the store's values and back. What a request may be is the store's to judge (``kcore.store.checks``).

``Headers`` fills what every response begins with.
"""

from collections.abc import Sequence
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
    Target,
    TxnOp,
    TxnResult,
)

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
    """The store's value of a RequestOp; refuses one that says nothing as etcd does."""
    which = op.WhichOneof("request")
    if which == "request_range":
        return range_op(op.request_range)
    if which == "request_put":
        return put_op(op.request_put)
    if which == "request_delete_range":
        return delete_op(op.request_delete_range)
    if which == "request_txn":
        return txn_op(op.request_txn)
    raise errors.of("KeyNotFound")


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
