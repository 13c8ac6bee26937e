"""Past revisions and compaction."""

from __future__ import annotations

from kcore.store.kv import FROM_KEY, Compare, PutOp, RangeOp, Relation, Target
from tests.store.kv_suite.recorder import Case, Recorder


async def versions(t: Recorder, count: int = 6) -> None:
    """``count`` versions of a key, at @1 and on."""
    for number in range(1, count + 1):
        await t.store.put(b"k", b"%d" % number)


async def every_version_can_be_read(t: Recorder) -> None:
    await versions(t)
    for offset in range(1, 8):
        await t.get(b"k", revision=t.at(offset))


async def compacted_revisions_are_refused(t: Recorder) -> None:
    await versions(t)
    await t.compact(t.at(4))
    for offset in range(1, 8):
        await t.range(b"k", revision=t.at(offset))
    await t.range(b"other", revision=t.at(1))
    await t.range(b"k", revision=t.at(3), serializable=True)


async def compacting_twice(t: Recorder) -> None:
    await versions(t)
    await t.compact(t.at(3))
    await t.compact(t.at(3))
    await t.compact(t.at(2))
    await t.compact(t.at(5), physical=True)
    await t.compact(t.at(4), physical=True)


async def compacting_the_future(t: Recorder) -> None:
    await versions(t)
    await t.compact(t.at(7))
    await t.compact(t.at(100))
    await t.get(b"k", revision=t.at(1))


async def compacting_the_present(t: Recorder) -> None:
    await versions(t)
    await t.compact(t.at(6), physical=True)
    await t.get(b"k")
    await t.get(b"k", revision=t.at(6))
    await t.get(b"k", revision=t.at(5))
    await t.put(b"k", b"7")
    await t.get(b"k", revision=t.at(6))


async def compacting_nothing(t: Recorder) -> None:
    await versions(t)
    await t.compact(t.at(2))
    await t.compact(0)
    await t.compact(-5)
    await t.compact(1)
    await t.get(b"k")


async def a_deleted_key_is_gone_after_compaction(t: Recorder) -> None:
    await t.put(b"a", b"1")
    await t.put(b"b", b"1")
    await t.delete_range(b"a")
    await t.put(b"b", b"2")
    await t.compact(t.at(3), physical=True)
    await t.get(b"a", revision=t.at(3))
    await t.get(b"b", revision=t.at(3))
    await t.range(FROM_KEY, FROM_KEY, revision=t.at(4))
    await t.put(b"a", b"2")


async def a_tombstone_at_the_compacted_revision(t: Recorder) -> None:
    await t.put(b"a", b"1")
    await t.delete_range(b"a")
    await t.compact(t.at(2), physical=True)
    await t.get(b"a", revision=t.at(2))
    await t.put(b"a", b"2")
    await t.get(b"a")
    await t.get(b"a", revision=t.at(2))


async def versions_go_on_counting_after_compaction(t: Recorder) -> None:
    await versions(t)
    await t.compact(t.at(6), physical=True)
    await t.put(b"k", b"7", prev_kv=True)
    await t.get(b"k")


async def a_key_of_many_lives_compacted_between_them(t: Recorder) -> None:
    for _ in range(3):
        await t.store.put(b"k", b"1")
        await t.store.put(b"k", b"2")
        await t.store.delete_range(b"k")
    await t.compact(t.at(5), physical=True)
    for offset in range(4, 10):
        await t.range(b"k", revision=t.at(offset))


async def a_transaction_reads_a_compacted_revision(t: Recorder) -> None:
    await versions(t)
    await t.compact(t.at(4))
    await t.txn([], [RangeOp(b"k", revision=t.at(3)), PutOp(b"x", b"")])
    await t.txn([], [RangeOp(b"k", revision=t.at(4)), PutOp(b"x", b"")])
    await t.txn([Compare(Target.VERSION, Relation.EQUAL, b"k", 6)], [], [RangeOp(b"k", revision=t.at(3))])
    await t.get(b"x")


async def a_prefix_compacted(t: Recorder) -> None:
    for number in range(20):
        await t.store.put(b"p/%d" % (number % 5), b"%d" % number)
    await t.store.delete_range(b"p/0", b"p/2")
    await t.compact(t.at(15), physical=True)
    for offset in (14, 15, 18, 20, 21):
        await t.range(b"p/", b"p0", revision=t.at(offset))


async def counts_at_past_revisions(t: Recorder) -> None:
    for number in range(8):
        await t.store.put(b"c/%d" % number, b"")
    await t.store.delete_range(b"c/2", b"c/5")
    for offset in (1, 4, 8, 9):
        await t.range(b"c/", b"c0", revision=t.at(offset), count_only=True)
        await t.range(b"c/", b"c0", revision=t.at(offset), limit=2, keys_only=True)


CASES: dict[str, Case] = {
    f"history_{case.__name__}": case
    for case in (
        every_version_can_be_read, compacted_revisions_are_refused, compacting_twice, compacting_the_future,
        compacting_the_present, compacting_nothing, a_deleted_key_is_gone_after_compaction,
        a_tombstone_at_the_compacted_revision, versions_go_on_counting_after_compaction,
        a_key_of_many_lives_compacted_between_them, a_transaction_reads_a_compacted_revision, a_prefix_compacted,
        counts_at_past_revisions,
    )
}  # fmt: skip
