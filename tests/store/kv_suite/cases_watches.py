"""Watches: what arrives, from when on, in which order, and how they end."""

from __future__ import annotations

import asyncio

from kcore.store.kv import FROM_KEY, DeleteOp, PutOp, prefix_end
from tests.store.kv_suite.recorder import Case, Recorder


async def one_key(t: Recorder) -> None:
    watch = t.watch(b"a")
    await t.put(b"a", b"1")
    await t.put(b"b", b"1")
    await t.put(b"a", b"2")
    await t.delete_range(b"a")
    await watch.events(3)
    await watch.quiet()


async def a_prefix(t: Recorder) -> None:
    watch = t.watch(b"p/", prefix_end(b"p/"))
    for key in (b"p", b"p/", b"p/1", b"p0", b"p/\xff"):
        await t.put(key, b"")
    await t.delete_range(b"p", b"q")
    await watch.events(6)
    await watch.quiet()


async def an_interval(t: Recorder) -> None:
    watch = t.watch(b"b", b"d")
    for key in (b"a", b"b", b"c", b"d"):
        await t.put(key, b"")
    await watch.events(2)
    await watch.quiet()


async def from_a_key_on(t: Recorder) -> None:
    watch = t.watch(b"m", FROM_KEY)
    for key in (b"a", b"m", b"\xff\xff"):
        await t.put(key, b"")
    await watch.events(2)
    await watch.quiet()


async def everything(t: Recorder) -> None:
    watch = t.watch(FROM_KEY, FROM_KEY)
    for key in (b"\0", b"a", b"\xff"):
        await t.put(key, b"")
    await watch.events(3)


async def the_empty_key_is_the_least(t: Recorder) -> None:
    watch = t.watch(b"", FROM_KEY)
    await t.put(b"a", b"")
    await t.put(b"\0", b"")
    await watch.events(2)


async def an_inverted_interval(t: Recorder) -> None:
    watch = t.watch(b"d", b"a")
    await t.put(b"b", b"")
    await t.put(b"d", b"")
    await watch.end()


async def a_transaction_arrives_whole_and_in_order(t: Recorder) -> None:
    watch = t.watch(FROM_KEY, FROM_KEY)
    await t.put(b"c", b"0")
    await t.txn([], [PutOp(b"b", b"1"), PutOp(b"a", b"1"), DeleteOp(b"c"), PutOp(b"d", b"1")])
    await watch.events(5)


async def a_key_deleted_and_put_in_turn(t: Recorder) -> None:
    watch = t.watch(b"k", prev_kv=True)
    for _ in range(3):
        await t.put(b"k", b"1")
        await t.put(b"k", b"2")
        await t.delete_range(b"k")
        await t.delete_range(b"k")
    await watch.events(9)
    await watch.quiet()


async def with_previous_values(t: Recorder) -> None:
    await t.put(b"a", b"0")
    watch = t.watch(b"a", prev_kv=True)
    await t.put(b"a", b"1")
    await t.delete_range(b"a")
    await t.put(b"a", b"2")
    await watch.events(3)


async def with_previous_values_from_history(t: Recorder) -> None:
    for value in (b"0", b"1", b"2"):
        await t.put(b"a", value)
    await t.delete_range(b"a")
    watch = t.watch(b"a", start_revision=t.at(2), prev_kv=True)
    await watch.events(3)


async def previous_values_that_are_compacted(t: Recorder) -> None:
    for value in (b"0", b"1", b"2"):
        await t.put(b"a", value)
    await t.compact(t.at(2), physical=True)
    watch = t.watch(b"a", start_revision=t.at(2), prev_kv=True)
    await watch.events(2)
    await watch.quiet()


async def without_puts(t: Recorder) -> None:
    watch = t.watch(b"a", no_put=True)
    await t.put(b"a", b"1")
    await t.delete_range(b"a")
    await t.put(b"a", b"2")
    await watch.events(1)
    await watch.quiet()


async def without_deletes(t: Recorder) -> None:
    watch = t.watch(b"a", no_delete=True)
    await t.put(b"a", b"1")
    await t.delete_range(b"a")
    await t.put(b"a", b"2")
    await watch.events(2)
    await watch.quiet()


async def without_anything(t: Recorder) -> None:
    watch = t.watch(b"a", no_put=True, no_delete=True)
    await t.put(b"a", b"1")
    await t.delete_range(b"a")
    await watch.quiet()


async def filtered_from_history(t: Recorder) -> None:
    for _ in range(3):
        await t.put(b"a", b"1")
        await t.delete_range(b"a")
    watch = t.watch(b"a", start_revision=t.at(1), no_put=True, prev_kv=True)
    await watch.events(3)
    await watch.quiet()


async def from_a_past_revision(t: Recorder) -> None:
    for number in range(6):
        await t.put(b"a", b"%d" % number)
    for offset in (1, 4, 6):
        watch = t.watch(b"a", start_revision=t.at(offset))
        await watch.events(7 - offset)
        watch.cancel()


async def from_the_next_revision(t: Recorder) -> None:
    await t.put(b"a", b"0")
    watch = t.watch(b"a", start_revision=t.at(2))
    await watch.quiet()
    await t.put(b"a", b"1")
    await watch.events(1)


async def from_a_future_revision(t: Recorder) -> None:
    watch = t.watch(b"a", start_revision=t.at(4))
    for number in range(6):
        await t.put(b"a", b"%d" % number)
    await watch.events(3)
    await watch.quiet()


async def history_then_present(t: Recorder) -> None:
    for number in range(50):
        await t.store.put(b"h/%d" % (number % 7), b"%d" % number)
    watch = t.watch(b"h/", b"h0", start_revision=t.at(1))
    for number in range(50, 100):
        await t.store.put(b"h/%d" % (number % 7), b"%d" % number)
    found = await watch.events(100)
    t.note(f"{[int(event.kv.value) for event in found] == list(range(100))}")


async def from_a_compacted_revision(t: Recorder) -> None:
    for number in range(6):
        await t.put(b"a", b"%d" % number)
    await t.compact(t.at(4))
    for offset in (1, 3):
        watch = t.watch(b"a", start_revision=t.at(offset))
        await watch.end()
    watch = t.watch(b"a", start_revision=t.at(4))
    await watch.events(3)
    watch = t.watch(b"other", start_revision=t.at(2))
    await watch.end()


async def an_open_watch_survives_compaction(t: Recorder) -> None:
    watch = t.watch(b"a")
    await t.put(b"a", b"1")
    await t.put(b"a", b"2")
    await watch.events(2)
    await t.compact(t.at(2), physical=True)
    await t.put(b"a", b"3")
    await watch.events(1)


async def from_a_negative_revision(t: Recorder) -> None:
    await t.put(b"a", b"1")
    watch = t.watch(b"a", start_revision=-3)
    await watch.end()


async def progress_on_request(t: Recorder) -> None:
    watch = t.watch(b"a")
    await t.put(b"a", b"1")
    await watch.events(1)
    await t.put(b"b", b"1")
    await watch.progress()
    await t.put(b"b", b"2")
    await watch.progress()
    await t.put(b"a", b"2")
    await watch.events(1)


async def progress_comes_after_the_events_before_it(t: Recorder) -> None:
    for number in range(20):
        await t.store.put(b"a", b"%d" % number)
    watch = t.watch(b"a", start_revision=t.at(1))
    await watch.events(20)
    await watch.progress()


async def cancelled(t: Recorder) -> None:
    watch = t.watch(b"a")
    await t.put(b"a", b"1")
    await watch.events(1)
    watch.cancel()
    await t.put(b"a", b"2")
    await watch.end()


async def cancelled_twice(t: Recorder) -> None:
    watch = t.watch(b"a")
    watch.cancel()
    watch.cancel()
    await watch.end()


async def many_watches_of_one_key(t: Recorder) -> None:
    watches = [t.watch(b"a") for _ in range(20)]
    await t.put(b"a", b"1")
    await t.delete_range(b"a")
    for watch in watches:
        await watch.events(2)


async def many_watches_of_many_keys(t: Recorder) -> None:
    watches = [t.watch(b"w/%02d" % number) for number in range(30)]
    for number in range(30):
        await t.store.put(b"w/%02d" % number, b"%d" % number)
    for watch in watches:
        await watch.events(1)
    await watches[0].quiet()


async def a_burst(t: Recorder) -> None:
    watch = t.watch(b"b/", b"b0")
    await asyncio.gather(*(t.store.put(b"b/%d" % number, b"%d" % number) for number in range(500)))
    seen: set[bytes] = set()
    revisions: list[int] = []
    recorded = len(t.lines)
    for event in await watch.events(500):
        seen.add(event.kv.key)
        revisions.append(event.kv.mod_revision - t.base)
    del t.lines[recorded:]  # in which order writes at once came is chance
    t.note(f"{len(seen)} {revisions == list(range(1, 501))}")
    await watch.quiet()


async def a_slow_reader_misses_nothing(t: Recorder) -> None:
    watch = t.watch(b"s/", b"s0")
    for number in range(300):
        await t.store.put(b"s/%d" % (number % 3), b"x" * 1000 + b"%d" % number)
        if number % 100 == 0:
            await asyncio.sleep(0.02)
    recorded = len(t.lines)
    found = await watch.events(300)
    del t.lines[recorded:]
    t.note(f"{[int(event.kv.value[1000:]) for event in found] == list(range(300))}")


async def large_events_in_fragments(t: Recorder) -> None:
    await t.txn([], [PutOp(b"f/%02d" % number, b"x" * 100_000) for number in range(15)])
    for number in range(15, 40):
        await t.store.put(b"f/%02d" % number, b"x" * 100_000)
    watch = t.watch(b"f/", b"f0", start_revision=t.at(1), fragment=True)
    found = await watch.events(40)
    t.note(f"{[event.kv.key for event in found] == [b'f/%02d' % number for number in range(40)]}")


async def large_events_whole(t: Recorder) -> None:
    for number in range(30):
        await t.store.put(b"f/%02d" % number, b"x" * 200_000)
    watch = t.watch(b"f/", b"f0", start_revision=t.at(1))
    found = await watch.events(30)
    t.note(f"{[event.kv.key for event in found] == [b'f/%02d' % number for number in range(30)]}")


async def leases_are_seen(t: Recorder) -> None:
    await t.lease_grant(60, 3001)
    watch = t.watch(FROM_KEY, FROM_KEY, prev_kv=True)
    await t.put(b"b", b"1", lease=3001)
    await t.put(b"a", b"1", lease=3001)
    await t.lease_revoke(3001)
    await watch.events(4)


async def nothing_arrives_for_what_changes_nothing(t: Recorder) -> None:
    watch = t.watch(FROM_KEY, FROM_KEY)
    await t.delete_range(b"nothing")
    await t.txn([], [DeleteOp(b"nothing")])
    await t.put(b"a", b"", lease=5)
    await watch.quiet()


async def the_same_value_again_is_an_event(t: Recorder) -> None:
    watch = t.watch(b"a")
    await t.put(b"a", b"1")
    await t.put(b"a", b"1")
    await t.put(b"a", b"", ignore_value=True)
    await watch.events(3)


CASES: dict[str, Case] = {
    f"watch_{case.__name__}": case
    for case in (
        one_key, a_prefix, an_interval, from_a_key_on, everything, the_empty_key_is_the_least, an_inverted_interval,
        a_transaction_arrives_whole_and_in_order, a_key_deleted_and_put_in_turn, with_previous_values,
        with_previous_values_from_history, previous_values_that_are_compacted, without_puts, without_deletes,
        without_anything, filtered_from_history, from_a_past_revision, from_the_next_revision, from_a_future_revision,
        history_then_present, from_a_compacted_revision, an_open_watch_survives_compaction, from_a_negative_revision,
        progress_on_request, progress_comes_after_the_events_before_it, cancelled, cancelled_twice,
        many_watches_of_one_key, many_watches_of_many_keys, a_burst, a_slow_reader_misses_nothing,
        large_events_in_fragments, large_events_whole, leases_are_seen, nothing_arrives_for_what_changes_nothing,
        the_same_value_again_is_an_event,
    )
}  # fmt: skip
