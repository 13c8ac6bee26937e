"""Leases: the book, and the leader's clock over it (etcd server/lease)."""

from __future__ import annotations

import pytest

from kcore_native.mvcc.lease import LEASE_TTL_MAX, RETRY_MS, Lessor
from kcore_native.mvcc.store import Refused, Store


def store_with(*ttls: int) -> Store:
    store = Store()
    for lease, ttl in enumerate(ttls, start=1):
        store.lease_grant(lease, ttl)
    return store


def test_a_lease_is_granted_within_its_bounds() -> None:
    store = store_with(10)
    assert store.lease_grant(2, -5) == 2, "the least that is granted"
    assert store.lease_grant(3, LEASE_TTL_MAX) == LEASE_TTL_MAX
    for lease, ttl, name in (
        (1, 5, "LeaseExist"),
        (0, 5, "LeaseNotFound"),
        (9, LEASE_TTL_MAX + 1, "LeaseTTLTooLarge"),
    ):
        with pytest.raises(Refused, match=name):
            store.lease_grant(lease, ttl)
    assert store.leases.ids() == [1, 2, 3] and len(store.leases) == 3 and 4 not in store.leases
    assert store.revision == 1, "leases are no change of the keys"


def test_revoking_deletes_the_keys_in_order_at_one_revision() -> None:
    store = store_with(10, 10)
    for name in (b"c", b"a", b"b", b"d"):
        store.put(name, b"", 1)
    store.put(b"d", b"", 2)  # moves to another lease
    store.put(b"b", b"")  # from it
    store.delete_range(b"c")
    assert store.leases.keys(1) == [b"a"] and store.leases.keys(2) == [b"d"]
    store.put(b"c", b"", 1)
    store.put(b"d", b"x", 0, False, False, True)  # ignore_lease keeps it
    watcher = store.watch(b"", b"\0")
    revision = store.revision
    assert store.lease_revoke(1) == revision + 1
    assert [event.kv.key for event in watcher.pending().events] == [b"a", b"c"]
    assert store.lease_revoke(2) == revision + 2
    assert [kv.key for kv in store.range(b"", b"\0").kvs] == [b"b"]
    with pytest.raises(Refused, match="LeaseNotFound"):
        store.lease_revoke(1)
    store.lease_grant(1, 5)
    assert store.leases.keys(1) == [] and store.lease_revoke(1) == store.revision


def test_many_keys_hang_on_a_lease() -> None:
    store = store_with(10)
    names = [b"%04d" % i for i in range(3000)]
    for name in names:
        store.put(name, b"", 1)
    for name in names[::2]:
        store.put(name, b"")
    assert store.leases.keys(1) == names[1::2]
    store.restore(store.snapshot())
    assert store.leases.keys(1) == names[1::2]
    store.lease_revoke(1)
    assert [kv.key for kv in store.range(b"0", b"\0").kvs] == names[::2]


def test_only_a_leaders_leases_run_out() -> None:
    store = store_with(10, 20)
    lessor = Lessor(store.leases)
    assert lessor.expired(10**9, 10) == [] and lessor.renew(1, 0) == -1 and lessor.remaining_ms(1, 0) == -1
    lessor.promote(1000, 500)
    assert lessor.remaining_ms(1, 1000) == 10_500
    assert lessor.expired(11_499, 10) == []
    assert lessor.expired(11_500, 10) == [1]
    assert lessor.renew(1, 11_500) == -1, "it is being revoked"
    assert lessor.expired(11_501, 10) == []
    assert lessor.expired(11_500 + RETRY_MS, 10) == [1], "the revocation may have been lost"
    store.lease_revoke(1)
    assert lessor.expired(21_500, 10) == [2]
    lessor.demote()
    assert not lessor.primary and lessor.expired(10**9, 10) == []


def test_a_renewed_lease_begins_anew_and_a_granted_one_when_first_seen() -> None:
    store = store_with(10)
    lessor = Lessor(store.leases)
    lessor.promote(0)
    assert lessor.renew(1, 9_000) == 10
    assert lessor.expired(18_999, 10) == [] and lessor.remaining_ms(1, 18_999) == 1
    store.lease_grant(2, 5)
    assert lessor.expired(19_000, 10) == [1]
    assert lessor.remaining_ms(2, 19_500) == 4500
    assert lessor.by_expiry(19_500) == [1, 2]
    store.lease_revoke(2)
    store.lease_grant(2, 3)
    assert lessor.expired(20_000, 10) == []
    assert lessor.expired(23_000, 10) == [1, 2]
    assert lessor.renew(7, 0) == -1


def test_leases_are_listed_by_what_is_left_of_them() -> None:
    store = store_with(30, 10, 20)
    lessor = Lessor(store.leases)
    assert lessor.by_expiry(0) == [1, 2, 3], "nobody knows but the leader"
    lessor.promote(0)
    assert lessor.by_expiry(0) == [2, 3, 1]
    lessor.renew(2, 9_999)
    store.lease_grant(9, 15)
    store.lease_grant(8, 15)
    assert lessor.by_expiry(9_999) == [2, 3, 9, 8, 1]
    store.lease_revoke(3)
    assert lessor.by_expiry(9_999) == [2, 9, 8, 1]


def test_no_more_expire_at_once_than_asked_for() -> None:
    store = store_with(*[5] * 20)
    lessor = Lessor(store.leases)
    lessor.promote(0)
    assert lessor.expired(5000, 8) == list(range(1, 9))
    assert lessor.expired(5000, 8) == list(range(9, 17))
    assert lessor.expired(5000, 8) == list(range(17, 21))


def test_long_leases_are_checkpointed_and_a_new_leader_goes_on_from_there() -> None:
    store = store_with(1000, 10)
    lessor = Lessor(store.leases, checkpoint_interval_ms=100_000)
    lessor.promote(0)
    assert lessor.due_checkpoints(99_999) == []
    assert lessor.due_checkpoints(100_000) == [(1, 900)]
    store.leases.checkpoint(1, 900)
    store.leases.checkpoint(77, 1)
    assert lessor.due_checkpoints(150_000) == []
    assert lessor.due_checkpoints(200_500) == [(1, 800)]
    other = Lessor(store.leases)
    other.promote(0)
    assert other.remaining_ms(1, 0) == 900_000
    assert other.renew(1, 1000) == 1000
    assert other.due_checkpoints(1000) == [(1, 0)], "a renewal takes the checkpoint back"
    assert store.leases.rows() == [(1, 1000, 900), (2, 10, 0)]


def test_a_new_leader_spreads_leases_that_would_all_run_out_at_once() -> None:
    store = store_with(*[5] * 100)
    lessor = Lessor(store.leases, revoke_rate_max=20)
    lessor.promote(0)
    ends = sorted(lessor.remaining_ms(lease, 0) for lease in store.leases.ids())
    assert ends[0] == 5000 and ends[-1] > 9000
    # those of the first second may be renewed with the others of theirs, no more than three quarters of the rate
    assert sum(end < 6000 for end in ends) <= 15 + 1
