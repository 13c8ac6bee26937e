"""Which transactions change a key twice: etcd's cases, and the twin that compares everything with everything."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore.store import errors
from kcore.store.checks import TXN_OPS_MAX, check_txn
from kcore.store.errors import StoreError
from kcore.store.kv import DeleteOp, Op, PutOp, RangeOp, TxnOp
from kcore.store.overlaps import Ranges, check_overlaps
from tests.naive.overlaps import changes_a_key_twice


def put(key: bytes) -> PutOp:
    return PutOp(key, b"v")


def then(*ops: Op) -> TxnOp:
    return TxnOp((), ops)


def either(success: Sequence[Op], failure: Sequence[Op]) -> TxnOp:
    return TxnOp((), success, failure)


def is_refused(ops: Sequence[Op]) -> bool:
    try:
        check_overlaps(ops)
    except StoreError as error:
        return error.text == errors.of("DuplicateKey").text
    return False


# those of etcd tests/integration/v3_grpc_test.go TestV3TxnDuplicateKeys, and the edges of its code
CASES: dict[str, tuple[list[Op], bool]] = {
    "a key put twice": ([put(b"a"), put(b"a")], True),
    "different keys": ([put(b"a"), put(b"b")], False),
    "put and deleted": ([put(b"a"), DeleteOp(b"a")], True),
    "put below a deleted range's key": ([put(b"a"), DeleteOp(b"b", b"d")], False),
    "put at a deleted range's key": ([put(b"b"), DeleteOp(b"b", b"d")], True),
    "put in a deleted range": ([DeleteOp(b"b", b"d"), put(b"c")], True),
    "put at a deleted range's end": ([DeleteOp(b"b", b"d"), put(b"d")], False),
    "put just behind a deleted key": ([DeleteOp(b"b"), put(b"b\0")], False),
    "ranges deleted twice": ([DeleteOp(b"a", b"c"), DeleteOp(b"b", b"d"), DeleteOp(b"b")], False),
    "put in one of many ranges": ([DeleteOp(b"a", b"c"), DeleteOp(b"e", b"g"), DeleteOp(b"b", b"f"), put(b"d")], True),
    "a range that ends before its key": ([DeleteOp(b"d", b"b"), put(b"c")], False),
    "a range that ends before its key, with the key": ([DeleteOp(b"d", b"b"), put(b"d")], False),
    "a range that ends at its key": ([DeleteOp(b"b", b"b"), put(b"b")], False),
    "all from a key on": ([DeleteOp(b"b", b"\0"), put(b"c")], False),  # etcd takes the zero byte as an end
    "all keys": ([DeleteOp(b"\0", b"\0"), put(b"\0"), put(b"c")], False),
    "an empty end": ([DeleteOp(b"b", b""), put(b"b")], True),
    "reads beside": ([RangeOp(b"a"), put(b"a"), RangeOp(b"a", b"z")], False),
    "put inside and outside": ([then(put(b"a")), put(b"a")], True),
    "put in both branches": ([either([put(b"a")], [put(b"a")])], False),
    "put in both branches, and outside": ([either([put(b"a")], [put(b"a")]), put(b"a")], True),
    "put in two transactions inside": ([then(put(b"a")), then(put(b"a"))], True),
    "put in one branch here and the other there": ([either([put(b"a")], []), either([], [put(b"a")])], True),
    "deleted outside, put inside": ([DeleteOp(b"a", b"c"), then(put(b"b"))], True),
    "deleted outside, put in the other branch": ([DeleteOp(b"a"), either([], [put(b"a")])], True),
    "deleted inside, put outside": ([then(DeleteOp(b"a", b"c")), put(b"b")], True),
    "deleted inside, put in a later one": ([then(DeleteOp(b"a")), then(put(b"a"))], True),
    "put inside, deleted in a later one": ([then(put(b"a")), then(DeleteOp(b"a"))], False),  # etcd lets it pass
    "deleted in one branch, put in the other": ([either([DeleteOp(b"a")], [put(b"a")])], False),
    "deleted in both branches": ([either([DeleteOp(b"a")], [DeleteOp(b"a")])], False),
    "put two levels down": ([put(b"a"), then(then(put(b"a")))], True),
    "deleted two levels down": ([put(b"b"), then(put(b"x"), either([], [DeleteOp(b"a", b"c")]))], True),
    "all from a key on, inside": ([then(DeleteOp(b"a", b"\0")), put(b"b")], False),
    "nothing": ([], False),
}  # fmt: skip


@pytest.mark.parametrize(("ops", "refused"), CASES.values(), ids=CASES)
def test_a_transaction_that_changes_a_key_twice_is_refused(ops: list[Op], refused: bool) -> None:
    assert is_refused(ops) == refused
    assert changes_a_key_twice(ops) == refused


def test_both_branches_are_looked_at() -> None:
    twice = [put(b"a"), put(b"a")]
    for success, failure in ((twice, []), ([], twice)):
        with pytest.raises(StoreError, match="duplicate key"):
            check_txn((), success, failure)


def test_a_transaction_as_large_as_may_be_is_judged() -> None:
    # 64 transactions of 64 operations: each of 2048 puts is held against 2048 ranges and 2048 keys
    ops: list[Op] = []
    for i in range(TXN_OPS_MAX // 2):
        inside: list[Op] = []
        for j in range(TXN_OPS_MAX // 4):
            inside += [DeleteOp(b"%02d%02da" % (i, j), b"%02d%02dz" % (i, j)), put(b"%02d%02d" % (i, j))]
        ops.append(then(*inside))
    assert not check_txn((), ops, ())
    assert is_refused([*ops, put(b"3131k")]) and not is_refused([*ops, put(b"3131z")])


def test_ranges_are_joined_where_they_touch() -> None:
    ranges = Ranges()
    for begin, end in ((b"c", b"d"), (b"a", b"b"), (b"g", b"h"), (b"h", b"i"), (b"z", b"a"), (b"b", b"c")):
        ranges.add(begin, end)
    assert (ranges.begins, ranges.ends) == ([b"a", b"g"], [b"d", b"i"])
    assert ranges.hold_any([b"x", b"h"]) and not ranges.hold_any([b"0", b"d", b"i"])


names = st.sampled_from([b"\0", b"a", b"a\0", b"b", b"b\0", b"c", b"d", b"\xff"])
changes = st.builds(put, names) | st.builds(DeleteOp, names, st.one_of(st.none(), st.just(b""), names))
branches = st.lists(changes, max_size=4)
nested = st.recursive(
    st.builds(either, branches, branches),
    lambda inner: st.builds(
        either, st.lists(changes | inner, max_size=3), st.lists(changes | inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.mark.differential
@given(st.lists(changes | nested, max_size=4))
def test_the_twin_says_the_same(ops: list[Op]) -> None:
    assert is_refused(ops) == changes_a_key_twice(ops)
