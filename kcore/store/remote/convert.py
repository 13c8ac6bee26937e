"""The kv face's values as etcd's messages, and back."""

from collections.abc import Iterable, Sequence
from typing import Any

from kcore.store.etcd import messages
from kcore.store.kv import (
    FROM_KEY,
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
    Result,
    Target,
    TxnOp,
    TxnResult,
)

# Where a comparison's operand goes: the field of etcd's Compare.target_union for each target.
OPERAND_FIELD = {
    Target.VERSION: "version",
    Target.CREATE: "create_revision",
    Target.MOD: "mod_revision",
    Target.VALUE: "value",
    Target.LEASE: "lease",
}


def range_request(op: RangeOp, serializable: bool = False) -> Any:
    """The ``RangeRequest`` that asks for the same."""
    return messages.RangeRequest(
        key=op.key,
        range_end=op.end or b"",
        limit=op.limit,
        revision=op.revision,
        sort_order=op.sort_order,
        sort_target=op.sort_target,
        serializable=serializable,
        keys_only=op.keys_only,
        count_only=op.count_only,
        min_mod_revision=op.min_mod_revision,
        max_mod_revision=op.max_mod_revision,
        min_create_revision=op.min_create_revision,
        max_create_revision=op.max_create_revision,
    )


def put_request(op: PutOp) -> Any:
    """The ``PutRequest`` that asks for the same."""
    return messages.PutRequest(
        key=op.key,
        value=op.value,
        lease=op.lease,
        prev_kv=op.prev_kv,
        ignore_value=op.ignore_value,
        ignore_lease=op.ignore_lease,
    )


def delete_request(op: DeleteOp) -> Any:
    """The ``DeleteRangeRequest`` that asks for the same."""
    return messages.DeleteRangeRequest(key=op.key, range_end=op.end or b"", prev_kv=op.prev_kv)


def txn_request(compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op]) -> Any:
    """The ``TxnRequest`` that asks for the same."""
    return messages.TxnRequest(
        compare=[_compare(one) for one in compares],
        success=[_request_op(one) for one in success],
        failure=[_request_op(one) for one in failure],
    )


def _compare(one: Compare) -> Any:
    operand = {OPERAND_FIELD[Target(one.target)]: one.operand}
    return messages.Compare(
        result=one.relation, target=one.target, key=one.key, range_end=one.end or b"", **operand
    )


def _request_op(op: Op) -> Any:
    if isinstance(op, RangeOp):
        return messages.RequestOp(request_range=range_request(op))
    if isinstance(op, PutOp):
        return messages.RequestOp(request_put=put_request(op))
    if isinstance(op, DeleteOp):
        return messages.RequestOp(request_delete_range=delete_request(op))
    nested = op if isinstance(op, TxnOp) else TxnOp(*op)
    return messages.RequestOp(request_txn=txn_request(nested.compares, nested.success, nested.failure))


def key_value(message: Any) -> KeyValue:
    """The ``mvccpb.KeyValue`` as a value."""
    return KeyValue(
        message.key,
        message.value,
        message.create_revision,
        message.mod_revision,
        message.version,
        message.lease,
    )


def events(found: Iterable[Any]) -> list[Event]:
    """The ``mvccpb.Event``s as values; without a previous version ``previous`` is None."""
    return [
        Event(one.type, key_value(one.kv), key_value(one.prev_kv) if one.HasField("prev_kv") else None)
        for one in found
    ]


def range_result(response: Any) -> RangeResult:
    """The ``RangeResponse`` as a value."""
    kvs = [key_value(one) for one in response.kvs]
    return RangeResult(response.header.revision, kvs, response.count, response.more)


def put_result(response: Any) -> PutResult:
    """The ``PutResponse`` as a value."""
    previous = key_value(response.prev_kv) if response.HasField("prev_kv") else None
    return PutResult(response.header.revision, previous)


def delete_result(response: Any) -> DeleteResult:
    """The ``DeleteRangeResponse`` as a value."""
    previous = [key_value(one) for one in response.prev_kvs]
    return DeleteResult(response.header.revision, response.deleted, previous)


def txn_result(response: Any) -> TxnResult:
    """The ``TxnResponse`` as a value."""
    return TxnResult(
        response.header.revision, response.succeeded, [_result(one) for one in response.responses]
    )


def _result(response: Any) -> Result:
    kind = response.WhichOneof("response")
    if kind == "response_range":
        return range_result(response.response_range)
    if kind == "response_put":
        return put_result(response.response_put)
    if kind == "response_delete_range":
        return delete_result(response.response_delete_range)
    return txn_result(response.response_txn)


def watch_request(
    key: bytes,
    end: bytes | None,
    *,
    start_revision: int,
    prev_kv: bool,
    progress_notify: bool,
    no_put: bool,
    no_delete: bool,
    fragment: bool,
) -> Any:
    """The ``WatchRequest`` that creates the watch."""
    filters = [number for number, wanted in enumerate((no_put, no_delete)) if wanted]
    create = messages.WatchCreateRequest(
        key=key,
        range_end=end or b"",
        start_revision=start_revision,
        progress_notify=progress_notify,
        filters=filters,
        prev_kv=prev_kv,
        fragment=fragment,
    )
    return messages.WatchRequest(create_request=create)


def first_key(key: bytes) -> bytes:
    """A key that a range may ask for: the least one in place of the empty key, as etcd's watches take it."""
    return key or FROM_KEY
