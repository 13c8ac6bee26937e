"""What the store counts, as etcd's metrics do (server/storage/mvcc/metrics_txn.go), and histograms."""

import pytest

from kcore.store.histogram import Histogram
from kcore.store.kv import Compare, DeleteOp, Op, PutOp, RangeOp, Relation, Target, TxnOp
from kcore_native.mvcc import command
from kcore_native.mvcc.store import Store

HOLDS = Compare(Target.VERSION, Relation.GREATER, b"a", 0)
FAILS = Compare(Target.VERSION, Relation.EQUAL, b"a", 0)
PUT, READ, DELETE = PutOp(b"a", b"1"), RangeOp(b"a"), DeleteOp(b"a")


def counts(store: Store) -> tuple[int, int, int, int]:
    return store.range_count, store.put_count, store.delete_count, store.txn_count


def applied(store: Store, frame: bytes) -> tuple[int, ...]:
    """What the frame adds to the counts."""
    before = counts(store)
    store.apply(frame, None, lambda request: store.lease_revoke(*request.op))
    return tuple(now - then for now, then in zip(counts(store), before, strict=True))


def store_with_a_key() -> Store:
    store = Store()
    store.lease_grant(7, 10)
    store.put(b"a", b"0", 7)
    store.put(b"b", b"0", 7)
    return store


# ranges, puts, deletions, transactions of more than one of them
CASES: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "a put": (command.put(1, b"a", b"1"), (0, 1, 0, 0)),
    "a put that wants the previous value": (command.put(1, b"a", b"1", prev_kv=True), (1, 1, 0, 1)),
    "a put that keeps the lease": (command.put(1, b"a", b"1", ignore_lease=True), (1, 1, 0, 1)),
    "a deletion of several keys": (command.delete_range(1, b"a", b"z"), (0, 0, 1, 0)),
    "a deletion that wants previous values": (command.delete_range(1, b"a", None, True), (1, 0, 1, 1)),
    "a lease's two keys": (command.lease_revoke(1, 7), (0, 0, 2, 1)),
}


@pytest.mark.parametrize(("frame", "added"), CASES.values(), ids=CASES)
def test_requests_are_counted_as_etcd_does(frame: bytes, added: tuple[int, ...]) -> None:
    assert applied(store_with_a_key(), frame) == added


TXNS: dict[str, tuple[list[Compare], list[Op], list[Op], tuple[int, ...]]] = {
    "a comparison and a put": ([HOLDS], [PUT], [], (1, 1, 0, 0)),  # read and written apart
    "two comparisons and a put": ([HOLDS, HOLDS], [PUT], [], (2, 1, 0, 1)),
    "comparisons end where one fails": ([FAILS, HOLDS], [PUT], [READ], (2, 0, 0, 0)),
    "two puts": ([], [PUT, PutOp(b"b", b"1")], [], (0, 2, 0, 1)),
    "a put and a deletion": ([], [PUT, DeleteOp(b"b")], [], (0, 1, 1, 1)),
    "a put that looks": ([], [PutOp(b"a", b"1", prev_kv=True)], [], (2, 1, 0, 1)),  # checked, then done
    "reading only": ([HOLDS], [READ], [], (2, 0, 0, 1)),  # in one transaction
    "one inside": ([], [TxnOp([HOLDS], [DELETE, READ], [])], [], (2, 0, 1, 1)),
    "nothing": ([], [], [], (0, 0, 0, 0)),
}


@pytest.mark.parametrize(("compares", "success", "failure", "added"), TXNS.values(), ids=TXNS)
def test_transactions_are_counted_as_etcd_does(
    compares: list[Compare], success: list[Op], failure: list[Op], added: tuple[int, ...]
) -> None:
    store = store_with_a_key()
    assert applied(store, command.txn(1, compares, success, failure)) == added


def test_reads_and_bytes_are_counted() -> None:
    store = store_with_a_key()
    store.range(b"a", b"z")
    store.get(b"a")
    store.get(b"none")
    assert store.range_count == 3 and store.put_bytes == 4


def test_a_histogram_counts_what_is_at_most_each_bound() -> None:
    histogram = Histogram((0.5, 1.0))
    for value in (0.1, 0.5, 0.7, 1.0, 3.0):
        histogram.observe(value)
    assert list(histogram.buckets()) == [("0.5", 2), ("1", 4), ("+Inf", 5)]
    assert histogram.count == 5 and round(histogram.total, 6) == 5.3
    bounds = " ".join(bound for bound, _ in Histogram().buckets())
    assert (
        bounds == "0.001 0.002 0.004 0.008 0.016 0.032 0.064 0.128 0.256 0.512 1.024 2.048 4.096 8.192 +Inf"
    )
