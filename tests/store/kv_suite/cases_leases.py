"""Leases: grant, keep alive, revoke, what is attached, expiry."""

from __future__ import annotations

import asyncio

from kcore.store.kv import FROM_KEY
from tests.store.kv_suite.recorder import Case, Recorder

EXPIRY_PATIENCE_S = 12.0


async def granted_with_an_id(t: Recorder) -> None:
    await t.lease_grant(60, 1001)
    await t.lease_grant(60, 1001)
    await t.leases()
    await t.lease_time_to_live(1001)


async def granted_without_an_id(t: Recorder) -> None:
    made = await t.store.lease_grant(60)
    t.note(f"{made.id > 0} {made.ttl} {made.revision - t.base}")
    other = await t.store.lease_grant(60)
    t.note(f"{other.id != made.id} {sorted(await t.store.leases()) == sorted([made.id, other.id])}")


async def times_that_are_odd(t: Recorder) -> None:
    await t.lease_grant(1, 1101)
    await t.lease_grant(0, 1102)
    await t.lease_grant(-5, 1103)
    await t.lease_grant(9_000_000_000, 1104)
    await t.lease_grant(9_000_000_001, 1105)
    await t.lease_grant(60, -7)
    await t.lease_time_to_live(1104)
    await t.lease_time_to_live(1105)


async def not_there(t: Recorder) -> None:
    await t.lease_revoke(404)
    await t.lease_keep_alive(404)
    await t.lease_time_to_live(404)
    await t.lease_time_to_live(404, keys=True)
    await t.lease_revoke(0)
    await t.lease_keep_alive(0)


async def kept_alive(t: Recorder) -> None:
    await t.lease_grant(60, 1201)
    await t.lease_keep_alive(1201)
    await t.lease_time_to_live(1201)
    results = await asyncio.gather(*(t.store.lease_keep_alive(1201) for _ in range(10)))
    t.note(f"{[(result.id, result.ttl) for result in results]}")


async def revoking_deletes_the_keys_in_one_revision(t: Recorder) -> None:
    await t.lease_grant(60, 1301)
    for key in (b"c", b"a", b"b"):
        await t.put(key, key, lease=1301)
    await t.put(b"other", b"")
    watch = t.watch(FROM_KEY, FROM_KEY, start_revision=t.at(1), prev_kv=True)
    await t.lease_time_to_live(1301, keys=True)
    await t.lease_revoke(1301)
    await t.range(FROM_KEY, FROM_KEY)
    await watch.events(7)
    await t.lease_revoke(1301)
    await t.put(b"a", b"again")


async def revoking_without_keys_has_no_revision(t: Recorder) -> None:
    await t.lease_grant(60, 1401)
    await t.lease_revoke(1401)
    await t.put(b"a", b"")


async def a_put_moves_a_key_to_its_new_lease(t: Recorder) -> None:
    await t.lease_grant(60, 1501)
    await t.lease_grant(60, 1502)
    await t.put(b"a", b"", lease=1501)
    await t.put(b"a", b"", lease=1502)
    await t.lease_time_to_live(1501, keys=True)
    await t.lease_time_to_live(1502, keys=True)
    await t.lease_revoke(1501)
    await t.get(b"a")
    await t.lease_revoke(1502)
    await t.get(b"a")


async def a_put_without_a_lease_detaches(t: Recorder) -> None:
    await t.lease_grant(60, 1601)
    await t.put(b"a", b"", lease=1601)
    await t.put(b"a", b"")
    await t.lease_time_to_live(1601, keys=True)
    await t.lease_revoke(1601)
    await t.get(b"a")


async def deleting_a_key_detaches_it(t: Recorder) -> None:
    await t.lease_grant(60, 1701)
    await t.put(b"a", b"", lease=1701)
    await t.put(b"b", b"", lease=1701)
    await t.delete_range(b"a")
    await t.lease_time_to_live(1701, keys=True)
    await t.put(b"a", b"free")
    await t.lease_revoke(1701)
    await t.range(FROM_KEY, FROM_KEY)


async def an_expired_lease_deletes_its_keys(t: Recorder) -> None:
    await t.lease_grant(2, 1801)
    await t.lease_grant(60, 1802)
    await t.put(b"short", b"", lease=1801)
    await t.put(b"long", b"", lease=1802)
    watch = t.watch(b"short", start_revision=t.at(3))
    async with asyncio.timeout(EXPIRY_PATIENCE_S):
        while await t.store.get(b"short") is not None:
            await asyncio.sleep(0.1)
    await watch.events(1)
    await t.range(FROM_KEY, FROM_KEY)
    await t.lease_time_to_live(1801)
    await t.lease_keep_alive(1801)
    await t.leases()
    await t.put(b"short", b"", lease=1801)


async def a_kept_lease_does_not_expire(t: Recorder) -> None:
    await t.lease_grant(2, 1901)
    await t.put(b"kept", b"", lease=1901)
    for _ in range(8):
        await asyncio.sleep(0.5)
        await t.store.lease_keep_alive(1901)
    await t.get(b"kept")


async def many_keys_on_one_lease(t: Recorder) -> None:
    await t.lease_grant(60, 2001)
    for number in range(100):
        await t.store.put(b"many/%02d" % number, b"", lease=2001)
    found = await t.store.lease_time_to_live(2001, keys=True)
    t.note(f"{len(found.keys)} {sorted(found.keys)[0]!r} {sorted(found.keys)[-1]!r}")
    await t.lease_revoke(2001)
    await t.range(FROM_KEY, FROM_KEY, count_only=True)


CASES: dict[str, Case] = {
    f"lease_{case.__name__}": case
    for case in (
        granted_with_an_id, granted_without_an_id, times_that_are_odd, not_there, kept_alive,
        revoking_deletes_the_keys_in_one_revision, revoking_without_keys_has_no_revision,
        a_put_moves_a_key_to_its_new_lease, a_put_without_a_lease_detaches, deleting_a_key_detaches_it,
        an_expired_lease_deletes_its_keys, a_kept_lease_does_not_expire, many_keys_on_one_lease,
    )
}  # fmt: skip
