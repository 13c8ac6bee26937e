"""Versions of the past are told by their successors: whatever is read of them is what was written."""

from __future__ import annotations

import random

from kcore_native.mvcc.keyspace import PLAIN_EVERY
from kcore_native.mvcc.store import Store
from tests.store.test_mvcc_twin import packing

NEVER = 1 << 31
LETTERS = b"abcdef"


def changed(value: bytes, chance: random.Random) -> bytes:
    """Up to three places of the value are others, or all of it is."""
    if not value or chance.random() < 0.05:
        return bytes(chance.choices(LETTERS, k=chance.choice([0, 5, 100, 127, 128, 1_000, 20_000])))
    for _ in range(chance.randrange(4)):
        at, count = chance.randrange(len(value)), chance.randrange(30)
        value = value[:at] + bytes(chance.choices(b"xyz", k=count)) + value[at + chance.choice([0, count]) :]
    return value


def test_a_store_that_packs_answers_as_one_that_does_not() -> None:
    chance = random.Random(7)
    packed, plain = packing(3), packing(NEVER)
    assert packed.lease_grant(7, 60) == plain.lease_grant(7, 60)
    values: dict[bytes, bytes] = {}
    for number in range(1, 1_501):
        key = b"k%d" % chance.randrange(12)
        if chance.random() < 0.05:
            values.pop(key, None)
            assert packed.delete_range(key) == plain.delete_range(key)
        else:
            values[key] = changed(values.get(key, b""), chance)
            lease = chance.choice([0, 0, 7])
            assert packed.put(key, values[key], lease) == plain.put(key, values[key], lease)
        if number % 300 == 0:
            if number % 600 == 0:
                packed.compact(packed.revision - 200)
                plain.compact(plain.revision - 200)
            assert list(packed.snapshot()) == list(plain.snapshot())
            assert packed.hash_kv() == plain.hash_kv()
            assert packed.record_count == plain.record_count
            for revision in range(max(plain.compact_revision, 1), plain.revision, 5):
                for target in (0, 4):
                    ours = packed.range(b"k", b"l", revision=revision, sort_order=2, sort_target=target)
                    assert ours == plain.range(
                        b"k", b"l", revision=revision, sort_order=2, sort_target=target
                    )
            told = [
                store.watch(b"k", b"l", plain.compact_revision + 1, True).pending()
                for store in (packed, plain)
            ]
            assert told[0] == told[1]
    copy = Store()
    copy.restore(packed.snapshot())
    assert copy.hash_kv() == plain.hash_kv()
    assert packed.size_bytes < plain.size_bytes / 2


def test_history_that_says_little_new_takes_little() -> None:
    store = packing(0)
    value = bytes(random.Random(1).choices(LETTERS, k=4_000))
    for number in range(10 * PLAIN_EVERY):
        store.put(b"a", value[:2_000] + b"%06d" % number + value[2_000:])
    assert store.record_count == 10 * PLAIN_EVERY
    assert (
        store.size_bytes < 11 * 4_100 + store.record_count * 100
    )  # one in PLAIN_EVERY, and the newest, are whole
    assert store.range(b"a", revision=PLAIN_EVERY // 2).kvs[0].value[2_000:2_006] == b"%06d" % (
        PLAIN_EVERY // 2 - 2
    )


def test_values_without_anything_in_common_stay_as_they_are() -> None:
    store, chance = packing(0), random.Random(2)
    values = [chance.randbytes(1_000) for _ in range(5)]
    for value in values:
        store.put(b"a", value)
    assert store.size_bytes > 5_000
    assert [store.range(b"a", revision=2 + at).kvs[0].value for at in range(5)] == values
