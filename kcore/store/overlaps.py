"""Whether a transaction changes a key twice (etcd ``checkIntervals`` in ``server/etcdserver/api/v3rpc/key.go``). Pure.

The rules are etcd's, with what it lets pass: a put may not be of a key that is put elsewhere or deleted, but two deleted
ranges may overlap, the two branches of one transaction may put the same key, and what a transaction inside deletes is
only held against puts after it. A range whose end is not above its key holds nothing; the zero byte that means "all
from here on" is taken as such an end.

n changes cost about n log n at each level of nesting; the levels are at most as many as operations are allowed.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from kcore.store import errors
from kcore.store.kv import DeleteOp, Op, PutOp, TxnOp


class Ranges:
    """A union of ranges [begin, end) of keys.

    Invariant: ``begins`` and ``ends`` are in order, and no two ranges touch.
    """

    __slots__ = ("begins", "ends")

    def __init__(self) -> None:
        self.begins: list[bytes] = []
        self.ends: list[bytes] = []

    def add(self, begin: bytes, end: bytes) -> None:
        """The range is part of the union; one without keys changes nothing."""
        if begin >= end:
            return
        first = bisect_left(self.ends, begin)  # the first that ends at or after the begin
        last = bisect_right(self.begins, end)  # the first that begins after the end
        if first < last:
            begin = min(begin, self.begins[first])
            end = max(end, self.ends[last - 1])
        self.begins[first:last] = [begin]
        self.ends[first:last] = [end]

    def add_all(self, other: "Ranges") -> "Ranges":
        """The union of both, made of the larger one."""
        small, large = (other, self) if len(self.begins) >= len(other.begins) else (self, other)
        for begin, end in zip(small.begins, small.ends, strict=True):
            large.add(begin, end)
        return large

    def hold_any(self, keys: Iterable[bytes]) -> bool:
        """True where one of the keys is in the union."""
        begins, ends = self.begins, self.ends
        if begins:
            for key in keys:
                at = bisect_right(begins, key)
                if at and key < ends[at - 1]:
                    return True
        return False


def check_overlaps(ops: Sequence[Op]) -> None:
    """Raises DuplicateKey where the branch changes a key twice."""
    _changes(ops)


def _changes(ops: Sequence[Op]) -> tuple[set[bytes], Ranges]:
    """The keys put and the ranges deleted by a branch and by what is inside it."""
    keys = [op.key for op in ops if isinstance(op, PutOp)]
    own = set(keys)
    if len(own) != len(keys):
        raise errors.of("DuplicateKey")
    deleted = Ranges()
    if len(keys) == len(ops):
        return own, deleted  # the usual branch
    for op in ops:
        if isinstance(op, DeleteOp):
            deleted.add(op.key, op.end or op.key + b"\0")
    put: set[bytes] = set()
    for op in ops:
        if isinstance(op, TxnOp):
            put_then, deleted_then = _changes(op.success)
            put_else, deleted_else = _changes(op.failure)
            for inside in (put_then, put_else):
                if not put.isdisjoint(inside) or deleted.hold_any(inside):
                    raise errors.of("DuplicateKey")
            put = _union(put, _union(put_then, put_else))
            deleted = deleted.add_all(deleted_then).add_all(deleted_else)
    if not put.isdisjoint(own) or deleted.hold_any(own):
        raise errors.of("DuplicateKey")
    return _union(put, own), deleted


def _union(one: set[bytes], other: set[bytes]) -> set[bytes]:
    """The union, made of the larger one."""
    small, large = (one, other) if len(one) < len(other) else (other, one)
    large |= small
    return large
