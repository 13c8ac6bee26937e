"""Whether a transaction changes a key twice, by comparing each put with everything before it: as etcd says it."""

from collections.abc import Sequence

from kcore.store.kv import DeleteOp, Op, PutOp, TxnOp

Deleted = list[tuple[bytes, bytes]]


class Twice(Exception):
    """A key is changed twice."""


def changes_a_key_twice(ops: Sequence[Op]) -> bool:
    """True where etcd refuses the branch."""
    try:
        changes(ops)
    except Twice:
        return True
    return False


def changes(ops: Sequence[Op]) -> tuple[list[bytes], Deleted]:
    """Keys put and ranges deleted, those of this level first."""
    deleted: Deleted = [(op.key, op.end or op.key + b"\0") for op in ops if isinstance(op, DeleteOp)]
    put: list[bytes] = []
    for op in ops:
        if isinstance(op, TxnOp):
            put_then, deleted_then = changes(op.success)
            put_else, deleted_else = changes(op.failure)
            for key in put_then:
                put_one(put, key, deleted)
            for key in put_else:
                if key not in put_then:
                    put_one(put, key, deleted)
                elif is_deleted(key, deleted):
                    raise Twice
            deleted = deleted + deleted_then + deleted_else
    for op in ops:
        if isinstance(op, PutOp):
            put_one(put, op.key, deleted)
    return put, deleted


def put_one(put: list[bytes], key: bytes, deleted: Deleted) -> None:
    """The key is put, too."""
    if key in put or is_deleted(key, deleted):
        raise Twice
    put.append(key)


def is_deleted(key: bytes, deleted: Deleted) -> bool:
    """Whether one of the ranges holds the key."""
    return any(begin <= key < end for begin, end in deleted)
