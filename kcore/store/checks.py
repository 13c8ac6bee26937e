"""Requests that are refused before they are proposed (etcd ``server/etcdserver/api/v3rpc/key.go``). Pure."""

from collections.abc import Sequence
from typing import Final

from kcore.store import errors
from kcore.store.kv import Compare, DeleteOp, Op, PutOp, RangeOp, TxnOp
from kcore.store.overlaps import check_overlaps

TXN_OPS_MAX: Final = 128  # operations of a transaction, etcd's --max-txn-ops
REQUEST_BYTES_MAX: Final = 3 << 19  # of one request, etcd's --max-request-bytes (1.5 MiB)
SORT_ORDER_MAX: Final = 2
SORT_TARGET_MAX: Final = 4


def check_range(key: bytes, sort_order: int, sort_target: int) -> None:
    """Raises EmptyKey, InvalidSortOption."""
    if not key:
        raise errors.of("EmptyKey")
    if not (0 <= sort_order <= SORT_ORDER_MAX and 0 <= sort_target <= SORT_TARGET_MAX):
        raise errors.of("InvalidSortOption")


def check_put(key: bytes, value: bytes, lease: int, ignore_value: bool, ignore_lease: bool) -> None:
    """Raises EmptyKey, ValueProvided, LeaseProvided."""
    if not key:
        raise errors.of("EmptyKey")
    if ignore_value and value:
        raise errors.of("ValueProvided")
    if ignore_lease and lease:
        raise errors.of("LeaseProvided")


def check_txn(
    compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op], ops_max: int = TXN_OPS_MAX
) -> bool:
    """True where the transaction only reads; raises TooManyOps, EmptyKey, DuplicateKey and the errors of its parts."""
    if not failure and 0 < len(success) <= ops_max and len(compares) <= ops_max and _are_plain_puts(success):
        for compare in compares:
            if not compare.key:
                break
        else:
            return False
    reads = _check_parts(compares, success, failure, ops_max)
    if not reads:
        for branch in (success, failure):
            check_overlaps(branch)
    return reads


def _are_plain_puts(ops: Sequence[Op]) -> bool:
    """True for puts of different keys, checked in one pass: the usual batch, and the creation of an object."""
    keys = []
    for op in ops:
        if type(op) is not PutOp:
            return False
        key, _, _, _, ignore_value, ignore_lease = op
        if not key or ignore_value or ignore_lease:
            return False
        keys.append(key)
    return len(keys) == 1 or len(set(keys)) == len(keys)


def _check_parts(
    compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op], ops_max: int
) -> bool:
    count = max(len(compares), len(success), len(failure))
    if count > ops_max:
        raise errors.of("TooManyOps")
    for compare in compares:
        if not compare.key:
            raise errors.of("EmptyKey")
    reads = True
    for op in (*success, *failure):
        if isinstance(op, PutOp):
            key, value, lease, _, ignore_value, ignore_lease = op
            reads = False
            if not key or ignore_value or ignore_lease:
                check_put(key, value, lease, ignore_value, ignore_lease)
        elif isinstance(op, RangeOp):
            check_range(op.key, op.sort_order, op.sort_target)
        elif isinstance(op, DeleteOp):
            reads = False
            if not op.key:
                raise errors.of("EmptyKey")
        elif isinstance(op, TxnOp):
            reads &= _check_parts(op.compares, op.success, op.failure, ops_max - count)
        else:
            raise errors.of("KeyNotFound")  # etcd's answer to an operation that is none
    return reads
