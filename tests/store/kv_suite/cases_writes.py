"""Puts and deletions: what they answer, what they refuse, what a key looks like afterwards."""

from __future__ import annotations

import asyncio

from kcore.store.errors import StoreError
from kcore.store.kv import FROM_KEY, prefix_end
from tests.store.kv_suite.recorder import Case, Recorder

REQUEST_BYTES_MAX = 1_572_864  # etcd's --max-request-bytes


async def put_counts_versions(t: Recorder) -> None:
    for value in (b"1", b"2", b"2", b""):
        await t.put(b"k", value)
    await t.get(b"k")


async def put_answers_the_previous(t: Recorder) -> None:
    await t.put(b"k", b"1", prev_kv=True)
    await t.put(b"k", b"2", prev_kv=True)
    await t.put(b"k", b"3")
    await t.delete_range(b"k")
    await t.put(b"k", b"4", prev_kv=True)


async def put_keeps_the_value(t: Recorder) -> None:
    await t.put(b"k", b"", ignore_value=True)
    await t.put(b"k", b"1")
    await t.put(b"k", b"", ignore_value=True)
    await t.put(b"k", b"", ignore_value=True, prev_kv=True)
    await t.get(b"k")
    await t.put(b"k", b"given", ignore_value=True)
    await t.delete_range(b"k")
    await t.put(b"k", b"", ignore_value=True)


async def put_keeps_the_lease(t: Recorder) -> None:
    await t.put(b"k", b"1", ignore_lease=True)
    await t.lease_grant(60, 11)
    await t.put(b"k", b"1", lease=11)
    await t.put(b"k", b"2", ignore_lease=True)
    await t.get(b"k")
    await t.put(b"k", b"3", lease=11, ignore_lease=True)
    await t.put(b"k", b"3")
    await t.get(b"k")
    await t.put(b"k", b"", ignore_lease=True, ignore_value=True)
    await t.get(b"k")


async def put_without_a_key(t: Recorder) -> None:
    await t.put(b"", b"1")
    await t.put(b"", b"", ignore_value=True)
    await t.range(FROM_KEY, FROM_KEY)


async def put_with_a_lease_that_is_not_there(t: Recorder) -> None:
    await t.put(b"k", b"1", lease=12345)
    await t.range(FROM_KEY, FROM_KEY)


async def put_binary(t: Recorder) -> None:
    every = bytes(range(256))
    await t.put(every, every[::-1])
    await t.get(every)
    await t.put(b"\0", b"\0")
    await t.put(b"\0\0", b"\0\xff\0")
    await t.range(FROM_KEY, FROM_KEY)


async def put_unicode(t: Recorder) -> None:
    for text in ("ключ", "鍵", "🗝", "é", "e\u0301"):
        await t.put(text.encode(), text.encode("utf-16"))
    await t.range(FROM_KEY, FROM_KEY)


async def put_large_values(t: Recorder) -> None:
    for size in (0, 1, 4095, 4096, 65_536, 1_000_000, 1_500_000):
        await t.put(b"size/%07d" % size, b"x" * size)
    await t.range(b"size/", b"size0")
    await t.range(b"size/", b"size0", keys_only=True)


async def put_a_large_key(t: Recorder) -> None:
    await t.put(b"k" * 100_000, b"v")
    await t.get(b"k" * 100_000)
    await t.range(b"k", prefix_end(b"k"), keys_only=True)


async def put_too_large(t: Recorder) -> None:
    await t.put(b"k", b"x" * (REQUEST_BYTES_MAX + 100))
    await t.put(b"k" * REQUEST_BYTES_MAX, b"x" * 100)
    await t.range(FROM_KEY, FROM_KEY)


async def delete_one(t: Recorder) -> None:
    await t.put(b"a", b"1")
    await t.delete_range(b"a")
    await t.delete_range(b"a")
    await t.get(b"a")
    await t.put(b"a", b"2")


async def delete_an_interval(t: Recorder) -> None:
    for key in (b"a", b"b", b"b/1", b"c"):
        await t.put(key, key)
    await t.delete_range(b"a", b"c")
    await t.range(FROM_KEY, FROM_KEY)


async def delete_answers_the_previous(t: Recorder) -> None:
    for key in (b"c", b"a", b"b"):
        await t.put(key, key)
    await t.delete_range(b"a", b"d", prev_kv=True)
    await t.delete_range(b"a", b"d", prev_kv=True)
    await t.delete_range(b"x", prev_kv=True)


async def delete_a_prefix(t: Recorder) -> None:
    for key in (b"p/1", b"p/2", b"p0", b"p"):
        await t.put(key, b"")
    await t.delete_range(b"p/", prefix_end(b"p/"))
    await t.range(FROM_KEY, FROM_KEY)


async def delete_from_a_key_on(t: Recorder) -> None:
    for key in (b"a", b"b", b"\xff"):
        await t.put(key, b"")
    await t.delete_range(b"b", FROM_KEY, prev_kv=True)
    await t.range(FROM_KEY, FROM_KEY)


async def delete_everything(t: Recorder) -> None:
    for number in range(10):
        await t.store.put(b"%d" % number, b"")
    await t.delete_range(FROM_KEY, FROM_KEY)
    await t.delete_range(FROM_KEY, FROM_KEY)
    await t.range(FROM_KEY, FROM_KEY, count_only=True)


async def delete_an_inverted_interval(t: Recorder) -> None:
    await t.put(b"b", b"")
    await t.delete_range(b"c", b"a")
    await t.delete_range(b"b", b"b")
    await t.get(b"b")


async def delete_without_a_key(t: Recorder) -> None:
    await t.delete_range(b"")
    await t.delete_range(b"", b"z")


async def delete_starts_a_new_life(t: Recorder) -> None:
    for _ in range(3):
        await t.put(b"k", b"1")
        await t.put(b"k", b"2")
        await t.delete_range(b"k")
    await t.put(b"k", b"3")
    await t.get(b"k")
    for offset in range(1, 11):
        await t.get(b"k", revision=t.at(offset))


async def writes_at_once_each_have_a_revision(t: Recorder) -> None:
    results = await asyncio.gather(*(t.store.put(b"at-once/%d" % n, b"") for n in range(50)))
    t.note(f"{sorted(result.revision - t.base for result in results)}")
    await t.range(b"at-once/", b"at-once0", count_only=True)


async def a_write_is_seen_by_the_next_read(t: Recorder) -> None:
    async def one(number: int) -> bool:
        key = b"own/%d" % number
        for value in (b"1", b"2", b"3"):
            written = await t.store.put(key, value)
            found = await t.store.get(key)
            if found.value != value or found.mod_revision != written.revision:
                return False
        return True

    t.note(f"{all(await asyncio.gather(*(one(number) for number in range(20))))}")


async def identities_are_known_after_an_answer(t: Recorder) -> None:
    await t.put(b"k", b"")
    t.note(f"{t.store.cluster_id > 0} {t.store.member_id > 0} {t.store.raft_term > 0}")


async def the_status_names_the_leader(t: Recorder) -> None:
    await t.put(b"k", b"")
    found = await t.store.status()
    t.note(
        f"{found.version.startswith('3.')} {found.leader == t.store.member_id} {found.errors} {found.is_learner}"
    )
    t.note(f"{found.raft_index >= found.raft_applied_index > 0} {found.raft_term == t.store.raft_term}")
    t.note(f"{found.db_size >= found.db_size_in_use > 0}")


async def a_snapshot_is_bytes(t: Recorder) -> None:
    await t.store.put(b"k", b"in the snapshot" * 1000)
    chunks = [chunk async for chunk in t.store.snapshot()]
    t.note(f"{sum(map(len, chunks)) > 15_000} {all(chunks)}")


async def a_refusal_is_an_error_of_the_store(t: Recorder) -> None:
    try:
        await t.store.range(b"")
    except StoreError as refused:
        t.note(f"{refused.code.name} {refused.text} {refused}")


CASES: dict[str, Case] = {
    f"write_{case.__name__}": case
    for case in (
        put_counts_versions, put_answers_the_previous, put_keeps_the_value, put_keeps_the_lease, put_without_a_key,
        put_with_a_lease_that_is_not_there, put_binary, put_unicode, put_large_values, put_a_large_key, put_too_large,
        delete_one, delete_an_interval, delete_answers_the_previous, delete_a_prefix, delete_from_a_key_on,
        delete_everything, delete_an_inverted_interval, delete_without_a_key, delete_starts_a_new_life,
        writes_at_once_each_have_a_revision, a_write_is_seen_by_the_next_read, identities_are_known_after_an_answer,
        the_status_names_the_leader, a_snapshot_is_bytes, a_refusal_is_an_error_of_the_store,
    )
}  # fmt: skip
