"""Slow twin of ``tests/simulation/linearizable.py`` with its model: tries every order of a handful of operations.

The store is a dictionary and a revision. A write takes the revision that its answer says; without an answer, each
revision that it could have taken. Revisions may be skipped: others, not in the history, write too.
"""

from __future__ import annotations

from collections.abc import Sequence

from kcore.store.kv import (
    DeleteOp,
    DeleteResult,
    KeyValue,
    PutOp,
    PutResult,
    RangeOp,
    RangeResult,
    TxnOp,
    TxnResult,
)
from tests.simulation.history import Operation

Store = dict[bytes, KeyValue]


def linearizable(operations: Sequence[Operation]) -> bool:
    """Whether some order of all that returned, and some of the others, gives each answer."""
    revisions = [operation.result.revision for operation in operations if operation.result is not None]
    highest = max(revisions, default=1) + len(operations)
    return placed(list(operations), {}, 1, highest)


def placed(left: list[Operation], store: Store, revision: int, highest: int) -> bool:
    if all(operation.returned is None for operation in left):
        return True
    first_return = min(operation.returned for operation in left if operation.returned is not None)
    for operation in left:
        if operation.call > first_return:
            continue
        others = [other for other in left if other is not operation]
        if operation.result is not None:
            takes = [operation.result.revision]
        else:
            takes = list(range(revision, highest + 1))
        for take in takes:
            after = dict(store)
            result, wrote = done(operation.request, after, take)
            if take < revision + wrote or (operation.result is None and not wrote and take > revision):
                continue
            if operation.result is not None and result != operation.result:
                continue
            if placed(others, after, take, highest):
                return True
    return False


def done(request, store: Store, revision: int):
    """The answer if the request takes that revision, and whether it changes anything."""
    if isinstance(request, RangeOp):
        kvs = [store[request.key]] if request.key in store else []
        return RangeResult(revision, kvs, len(kvs)), False
    if isinstance(request, PutOp):
        before = store.get(request.key)
        create = before.create_revision if before else revision
        version = before.version + 1 if before else 1
        store[request.key] = KeyValue(request.key, request.value, create, revision, version, request.lease)
        return PutResult(revision, before if request.prev_kv else None), True
    if isinstance(request, DeleteOp):
        before = store.pop(request.key, None)
        return DeleteResult(revision, int(before is not None), []), before is not None
    assert isinstance(request, TxnOp)
    (compare,) = request.compares
    kv = store.get(compare.key)
    succeeded = (kv.mod_revision if kv else 0) == compare.operand
    results, wrote = [], False
    for op in request.success if succeeded else request.failure:
        result, changed = done(op, store, revision)
        results.append(result)
        wrote = wrote or changed
    return TxnResult(revision, succeeded, results), wrote
