"""The compiled store: long histories, many keys, values, commands, garbage."""

from __future__ import annotations

import pickle
import random
from bisect import bisect_left
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.store import kv
from kcore.store.kv import Compare, DeleteOp, Event, KeyValue, PutOp, RangeOp, TxnOp, WatchBatch
from kcore_native.mvcc import command
from kcore_native.mvcc.store import Refused, Store
from tests.store.test_mvcc_twin import Pair

KEYS = [b"k%d" % i for i in range(8)] + [b"k", b"k1\0", b"\xff"]


def random_step(chance: random.Random, revision: int) -> tuple[str, tuple[Any, ...]]:
    """A step that a store at that revision mostly does."""

    def key() -> bytes:
        return chance.choice(KEYS)

    def end() -> bytes | None:
        return chance.choice([None, b"\0", key()])

    def put() -> PutOp:
        lease = chance.choice([0, 0, 1, 2])
        return PutOp(key(), b"v%d" % chance.randrange(9), lease, *(chance.random() < 0.2 for _ in range(3)))

    def some_op(depth: int) -> Any:
        return chance.choice([put, lambda: DeleteOp(key(), end(), True), lambda: RangeOp(key(), end()),
                              lambda: txn(depth + 1)] if depth < 3 else [put])()  # fmt: skip

    def txn(depth: int) -> TxnOp:
        compare = Compare(
            chance.choice([0, 1, 2, 4]), chance.randrange(4), key(), chance.randrange(revision), end()
        )
        return TxnOp([compare], [some_op(depth) for _ in range(3)], [some_op(depth) for _ in range(2)])

    kind = chance.random()
    if kind < 0.45:
        return "put", (put(),)
    if kind < 0.6:
        return "delete_range", (DeleteOp(key(), chance.choice([None, None, end()]), True),)
    if kind < 0.7:
        return "txn", (txn(0),)
    if kind < 0.75:
        return "compact", (revision - chance.randrange(30),)
    if kind < 0.8:
        start = chance.choice([0, revision - chance.randrange(20)])
        return "watch", (key(), end(), start, *(chance.random() < 0.3 for _ in range(5)))
    if kind < 0.84:
        return "lease_grant", (chance.randrange(1, 3), 5)
    if kind < 0.88:
        return "lease_revoke", (chance.randrange(1, 3),)
    if kind < 0.9:
        return "restore", ()
    if kind < 0.93:
        return "read", ()
    if kind < 0.95:
        return "hash_kv", (revision - chance.randrange(20),)
    options = RangeOp(
        key(), end(), chance.randrange(4), max(revision - chance.randrange(20), 0), chance.randrange(3),
        chance.randrange(5), False, chance.random() < 0.1, *(chance.choice([0, revision - 10]) for _ in range(4)),
    )  # fmt: skip
    return "range", (options,)


@pytest.mark.differential
@pytest.mark.parametrize("seed", range(8))
def test_a_long_history_is_the_twins(seed: int) -> None:
    chance = random.Random(seed)
    pair = Pair()
    for _ in range(400):
        pair.step(*random_step(chance, pair.twin.revision))
        if len(pair.watches) > 12:
            pair.watches.pop(0)[0].cancel()
    pair.everything()


def test_many_keys_come_and_go_in_any_order() -> None:
    chance = random.Random(1)
    store = Store()
    present: dict[bytes, bytes] = {}
    for round_ in range(12):
        names = [b"/%05d" % chance.randrange(4000) for _ in range(1500)]
        if round_ % 3 == 0:
            names.sort(reverse=round_ % 2 == 0)
        for name in names:
            if round_ % 4 == 3 or chance.random() < 0.2:
                assert store.delete_range(name).deleted == (name in present)
                present.pop(name, None)
            else:
                present[name] = b"%d" % round_
                store.put(name, present[name])
        if round_ % 2:
            store.compact(store.revision)
            tombstones = store.watch(b"\0", b"\0", store.revision).pending()
            assert store.record_count == len(present) + sum(
                e.type for e in (tombstones.events if tombstones else ())
            )
        if round_ % 5 == 4:
            store.restore(store.snapshot())
        order = sorted(present)
        assert [(k.key, k.value) for k in store.range(b"\0", b"\0").kvs] == [(k, present[k]) for k in order]
        for _ in range(50):
            low, high = sorted(b"/%05d" % chance.randrange(4000) for _ in range(2))
            inside = order[bisect_left(order, low) : bisect_left(order, high)]
            limit = chance.randrange(1, 300)
            got = store.range(low, high, limit)
            assert [k.key for k in got.kvs] == inside[:limit]
            assert (got.count, got.more) == (len(inside), len(inside) > limit)
            assert store.range(low, high, count_only=True).count == len(inside)
            assert (store.get(low) is not None) == (low in present)
    store.delete_range(b"\0", b"\0")
    store.put(b"last", b"")
    store.compact(store.revision)
    assert (store.key_count, store.record_count) == (1, 1)
    assert store.size_bytes < 200


def test_a_hot_key_keeps_its_versions_until_they_are_compacted() -> None:
    store = Store()
    for i in range(200_000):
        store.put(b"hot", b"%d" % i)
    assert store.range(b"hot", revision=100_001).kvs[0].value == b"99999"
    store.compact(150_001)
    assert store.record_count == 50_001
    assert store.range(b"hot", revision=150_001).kvs[0].version == 150_000
    store.compact(store.revision)
    assert store.record_count == 1
    store.put(b"hot", b"more")
    assert store.get(b"hot").version == 200_001
    batch = store.watch(b"h", b"i", 200_001).pending()
    assert [event.kv.value for event in batch.events] == [b"199999", b"more"]


def test_values_behave_as_the_named_tuples_beside_them() -> None:
    one = KeyValue(b"k", b"v", 1, 2, 3)
    assert one == KeyValue(b"k", b"v", 1, 2, 3, 0) == pickle.loads(pickle.dumps(one))
    assert one != KeyValue(b"k", b"v", 1, 2, 4) and one != (b"k", b"v", 1, 2, 3, 0)
    assert len({one, KeyValue(b"k", b"v", 1, 2, 3)}) == 1
    assert (
        repr(one) == "KeyValue(key=b'k', value=b'v', create_revision=1, mod_revision=2, version=3, lease=0)"
    )
    batch = WatchBatch(5, [Event(kv.EventType.PUT, one)])
    assert batch == WatchBatch(revision=5, events=[Event(0, one, None)], fragment=False)
    assert batch.events[0].previous is None
    with pytest.raises(AttributeError):
        one.version = 7  # type: ignore[misc]
    with pytest.raises(TypeError):
        KeyValue("k", b"v", 1, 2, 3)  # type: ignore[arg-type]
    match batch:
        case WatchBatch(revision, [Event(kv=KeyValue(key=key))]):
            assert (revision, key) == (5, b"k")


def test_commands_come_back_as_they_were_given() -> None:
    inner = TxnOp(
        (), [DeleteOp(b"d", b"\0", True)], [RangeOp(b"r", b"s", 5, 6, 1, 2, True, True, 7, 8, 9, 10)]
    )
    compares = [Compare(kv.Target.VALUE, kv.Relation.NOT_EQUAL, b"k", b""), Compare(0, 1, b"k", -9, b"l")]
    payload = b"".join((
        command.put(1, b"k", b"v", -(2**63), True, True, True),
        command.put(2**64 - 1, b"", b"", username="ü", auth_revision=9),
        command.delete_range(3, b"k"),
        command.txn(4, compares, [PutOp(b"k", b"v", 5), inner], []),
        command.compact(5, 77),
        command.lease_grant(6, 2**63 - 1, -1),
        command.lease_revoke(7, 1),
        command.lease_checkpoint(8, [(1, 2), (3, 4)], "bob"),
        command.alarm(9, 1, 2**64 - 1, 2),
        command.other(10, 100, b"body"),
    ))  # fmt: skip
    requests = command.decode(payload)
    assert [request.request_id for request in requests] == command.request_ids(payload)
    assert [tuple(request[1:]) for request in requests] == [
        (command.PUT, (b"k", b"v", -(2**63), True, True, True), None, 0),
        (command.PUT, (b"", b"", 0, False, False, False), "ü", 9),
        (command.DELETE, (b"k", None, False), None, 0),
        (command.TXN, (
            [(3, 3, b"k", b"", None), (0, 1, b"k", -9, b"l")],
            [(b"k", b"v", 5, False, False, False), ([], [(b"d", b"\0", True)], [tuple(inner.failure[0])])],
            [],
        ), None, 0),
        (command.COMPACT, (77,), None, 0),
        (command.LEASE_GRANT, (2**63 - 1, -1), None, 0),
        (command.LEASE_REVOKE, (1,), None, 0),
        (command.LEASE_CHECKPOINT, ([(1, 2), (3, 4)],), "bob", 0),
        (command.ALARM, (1, 2**64 - 1, 2), None, 0),
        (command.OTHER, (100, b"body"), None, 0),
    ]  # fmt: skip


def test_transactions_nest_only_so_deep() -> None:
    op: Any = PutOp(b"k", b"v")
    for _ in range(command.NESTING_MAX - 1):
        op = TxnOp((), [op], ())
    store = Store()
    result = store.txn((), [op])
    assert store.get(b"k") is not None and result.revision == 2
    with pytest.raises(ValueError, match="nested deeper"):
        command.txn(1, (), [TxnOp((), [op], ())])
    with pytest.raises(ValueError, match="not an operation"):
        command.txn(1, (), [(1, 2)])


GOOD = (
    command.put(1, b"key", b"value", 0, username="me")
    + command.txn(2, [Compare(0, 0, b"k", 1)], [PutOp(b"a", b"b"), TxnOp((), [DeleteOp(b"d")], ())], [RangeOp(b"r")])
    + command.lease_checkpoint(3, [(1, 2)])
    + command.other(4, 1, b"x")
)  # fmt: skip


@given(st.binary(max_size=200) | st.builds(lambda cut, raw: GOOD[:cut] + raw, st.integers(0, len(GOOD)), st.binary(max_size=40)))  # fmt: skip
@settings(max_examples=500)
def test_a_garbage_payload_changes_nothing(payload: bytes) -> None:
    store = Store()
    before = store.hash_kv()
    try:
        requests = command.decode(payload)
    except ValueError:
        with pytest.raises(ValueError, match="log entry"):
            store.apply(payload, None, lambda request: None)
        assert store.hash_kv() == before
    else:
        assert len(store.apply(payload, None, lambda request: None)) == len(requests)


@given(st.data())
@settings(max_examples=500)
def test_a_changed_byte_of_a_payload_is_refused_or_another_request(data: st.DataObject) -> None:
    changed = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ValueError):
        Store().apply(bytes(changed), None, lambda request: None)


def some_store() -> Store:
    store = Store()
    store.lease_grant(5, 10)
    for i in range(30):
        store.put(b"k%d" % (i % 7), b"v" * i, 5 * (i % 2))
    store.delete_range(b"k3")
    store.compact(20)
    return store


SNAPSHOT = b"".join(some_store().snapshot(b"head"))


@given(st.data())
@settings(max_examples=500)
def test_a_damaged_snapshot_changes_nothing(data: st.DataObject) -> None:
    damaged = bytearray(SNAPSHOT)
    if data.draw(st.booleans()):
        damaged[data.draw(st.integers(0, len(SNAPSHOT) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del damaged[data.draw(st.integers(0, len(SNAPSHOT) - 1)) :]
    store = Store()
    store.put(b"here", b"")
    watcher = store.watch(b"here", None, 1)
    size = data.draw(st.integers(1, len(SNAPSHOT)))
    with pytest.raises(ValueError, match="snapshot"):
        store.restore(bytes(damaged[i : i + size]) for i in range(0, len(damaged), size))
    assert store.get(b"here") is not None and store.revision == 2
    assert len(watcher.pending().events) == 1


@given(st.binary(max_size=100))
def test_garbage_is_no_snapshot(raw: bytes) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        Store().restore([raw])
    with pytest.raises(ValueError, match="snapshot"):
        Store().restore([SNAPSHOT, raw + b"\0"])


def test_a_snapshot_pins_what_it_reads() -> None:
    store = Store()
    for i in range(2000):
        store.put(b"k%d" % (i % 50), b"x" * 1000)
    expected = [store.range(b"k", b"l", revision=r).kvs for r in (1500, store.revision)]
    reader = store.snapshot()
    first = [next(reader), next(reader)]
    store.delete_range(b"k", b"l")
    store.compact(store.revision)
    with pytest.raises(Refused):
        store.range(b"k", revision=1500)
    assert store.record_count == 2050
    other = Store()
    other.restore([*first, *reader])
    reader.close()
    assert store.record_count == 50
    assert [other.range(b"k", b"l", revision=r).kvs for r in (1500, reader.revision)] == expected
    with pytest.raises(StopIteration):
        next(reader)


def test_hashes_are_those_of_etcd() -> None:
    # what etcd 3.6 answered to HashKV after the same requests on an empty cluster
    store = Store()
    store.put(b"foo", b"bar")
    store.lease_grant(7, 300)
    store.put(b"foo", b"baz", 7)
    store.put(b"a", b"")
    store.delete_range(b"foo")
    store.put(b"z", b"1")
    assert store.hash_kv(3) == (4046594491, -1, 3)
    assert store.hash_kv(6) == (3840780772, -1, 6)
    store.compact(4)
    assert store.hash_kv(6) == (4265502775, 4, 6)
