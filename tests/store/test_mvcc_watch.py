"""Watches of the compiled store: callbacks, limits, fragments, progress, compaction, snapshots."""

from __future__ import annotations

from kcore.store.kv import DeleteOp, PutOp, TxnOp, WatchBatch
from kcore_native.mvcc import command, watch
from kcore_native.mvcc.store import Store
from kcore_native.mvcc.watch import Watcher


def values_of(batch: WatchBatch | None) -> list[bytes]:
    assert batch is not None
    return [event.kv.value for event in batch.events]


def test_a_waiting_watcher_is_called_once_for_a_payload_that_matches() -> None:
    store = Store()
    called: list[Watcher] = []
    watchers = [
        store.watch(b"a", on_ready=called.append),
        store.watch(b"a", b"b", on_ready=called.append),
        store.watch(b"b", b"\0", on_ready=called.append),
        store.watch(b"a", no_put=True, on_ready=called.append),
        store.watch(b"a", b"\0", 5, on_ready=called.append),
    ]
    assert called == [] and store.watcher_count == 5
    store.apply(command.put(1, b"a", b"1") + command.put(2, b"a", b"2"), None, None)
    assert called == watchers[:2]
    assert [values_of(watcher.pending()) for watcher in called] == [[b"1", b"2"]] * 2
    store.apply(command.put(1, b"a", b"3"), None, None)
    assert called == watchers[:2], "who has not asked again is not called"
    watchers[0].on_ready = called.append
    assert called[2:] == [watchers[0]], "there was something already"
    store.apply(command.delete_range(1, b"a") + command.put(2, b"c", b"4"), None, None)
    assert sorted(called[3:], key=watchers.index) == watchers[2:]
    assert [watcher.pending().revision for watcher in watchers] == [6] * 5
    assert [watcher.pending() for watcher in watchers] == [None] * 5


def test_all_watchers_are_given_the_same_event_objects() -> None:
    store = Store()
    store.put(b"k", b"1")
    store.put(b"k", b"2")
    first, second, third, fourth = (store.watch(b"k", b"\0", 1, prev) for prev in (False, False, True, True))
    plain, with_previous = first.pending(), third.pending()
    assert all(a is b for a, b in zip(plain.events, second.pending().events, strict=True))
    assert all(a is b for a, b in zip(with_previous.events, fourth.pending().events, strict=True))
    assert [event.previous for event in plain.events] == [None, None]
    assert with_previous.events[1].previous == plain.events[0].kv


def test_a_batch_has_whole_revisions_up_to_its_limits() -> None:
    store = Store()
    count = watch.BATCH_REVISIONS_MAX
    for i in range(count + 5):
        store.put(b"k", b"%d" % i)
    watcher = store.watch(b"k", b"l", 1)
    first, second = watcher.pending(), watcher.pending()
    assert (len(first.events), first.revision) == (count, count + 1)
    assert (len(second.events), second.revision) == (5, store.revision)
    large = b"x" * (watch.BATCH_BYTES_MAX // 4)
    store.txn((), [PutOp(b"p%d" % i, large) for i in range(10)])
    store.put(b"p", b"")
    batch = store.watch(b"p", b"q", store.revision - 1).pending()
    assert (len(batch.events), batch.fragment) == (10, False)
    fragments = store.watch(b"p", b"q", store.revision - 1, fragment=True)
    parts = [fragments.pending() for _ in range(3)]
    assert [(len(part.events), part.fragment) for part in parts] == [
        (4, True),
        (4, True),
        (3, False),
    ]
    assert [part.revision for part in parts] == [store.revision - 1] * 2 + [store.revision]
    assert [e for part in parts for e in part.events][:10] == batch.events


def test_a_fragmented_watch_goes_on_inside_its_revision_after_a_restore() -> None:
    store = Store()
    large = b"x" * (watch.BATCH_BYTES_MAX // 2)
    store.txn((), [PutOp(b"p%d" % i, large) for i in range(5)])
    watcher = store.watch(b"p", b"q", 1, fragment=True)
    assert [e.kv.key for e in watcher.pending().events] == [b"p0", b"p1"]
    store.restore(store.snapshot())
    assert [e.kv.key for e in watcher.pending().events] == [b"p2", b"p3"]
    assert [e.kv.key for e in watcher.pending().events] == [b"p4"]
    assert watcher.pending() is None


def test_progress_is_told_when_everything_was_delivered() -> None:
    store = Store()
    called: list[Watcher] = []
    watcher = store.watch(b"k", on_ready=called.append)
    store.put(b"other", b"")
    watcher.request_progress()
    assert called == [watcher]
    assert watcher.pending() == WatchBatch(2, [])
    assert watcher.pending() is None
    store.put(b"k", b"")
    watcher.request_progress()
    assert len(watcher.pending().events) == 1
    assert watcher.pending() == WatchBatch(3, [])
    future = store.watch(b"k", start_revision=10)
    future.request_progress()
    assert future.pending() is None
    for _ in range(9):
        store.put(b"other", b"")
    assert future.pending() == WatchBatch(12, [])


def test_a_slow_watcher_keeps_what_is_compacted_up_to_a_limit() -> None:
    store = Store()
    near, far, small = store.watch(b"k"), store.watch(b"", b"\0"), store.watch(b"none", b"none2")
    called: list[Watcher] = []
    far.on_ready = called.append
    for i in range(watch.BACKLOG_EVENTS_MAX + 2 * watch.BATCH_REVISIONS_MAX):
        store.put(b"other", b"%d" % i)
    for i in range(10):
        store.put(b"k", b"%d" % i)
    store.compact(store.revision)
    store.publish()
    assert called == [far]
    assert values_of(near.pending()) == [b"%d" % i for i in range(10)]
    assert near.pending() is None and not near.done
    heard = 0
    while (batch := far.pending()).events:
        heard += len(batch.events)
    assert watch.BACKLOG_EVENTS_MAX <= heard < store.revision - 1
    assert batch.compact_revision == store.compact_revision
    assert far.done and far.pending() is None
    assert small.pending() is None and not small.done
    assert store.watcher_count == 2


def test_what_can_not_be_watched_is_over_at_once() -> None:
    store = Store()
    for _ in range(5):
        store.put(b"k", b"")
    store.compact(4)
    compacted = store.watch(b"k", start_revision=3)
    assert compacted.pending() == WatchBatch(6, [], False, 4) and compacted.done
    assert [e.kv.mod_revision for e in store.watch(b"k", start_revision=4).pending().events] == [4, 5, 6]
    empty = store.watch(b"b", b"a")
    assert empty.pending() == WatchBatch(6, [], cancel_reason=watch.EMPTY_RANGE) and empty.done


def test_cancel_ends_a_watch_and_wakes_who_waits() -> None:
    store = Store()
    called: list[Watcher] = []
    watcher = store.watch(b"k", on_ready=called.append)
    store.put(b"k", b"")
    watcher.cancel("the reason")
    assert called == [watcher] and not watcher.done
    assert watcher.pending() == WatchBatch(2, [], cancel_reason="the reason")
    assert watcher.done and watcher.pending() is None and store.watcher_count == 0
    watcher.on_ready = called.append
    assert called == [watcher, watcher]
    silent = store.watch(b"k")
    silent.cancel()
    assert silent.done


def test_watches_go_on_over_a_restored_snapshot() -> None:
    leader, follower = Store(), Store()
    for i in range(20):
        leader.put(b"k%d" % (i % 2), b"%d" % i)
        if i < 10:
            follower.put(b"k%d" % (i % 2), b"%d" % i)
    called: list[Watcher] = []
    read, unread = follower.watch(b"k0", start_revision=1), follower.watch(b"k0", b"k1", 5)
    assert len(read.pending().events) == 5
    waiting = follower.watch(b"k", b"l", on_ready=called.append)
    behind = follower.watch(b"k", b"l", 2)
    leader.compact(8)
    follower.restore(leader.snapshot())
    assert called == [waiting]
    assert values_of(waiting.pending()) == [b"%d" % i for i in range(10, 20)]
    assert values_of(read.pending()) == [b"%d" % i for i in range(10, 20, 2)]
    assert behind.pending().compact_revision == 8
    assert unread.pending().compact_revision == 8
    follower.put(b"k0", b"new")
    assert values_of(read.pending()) == [b"new"]


def test_events_of_one_transaction_stay_in_its_order() -> None:
    store = Store()
    watcher = store.watch(b"", b"\0", prev_kv=True)
    store.put(b"b", b"0")
    store.txn((), [PutOp(b"b", b"1"), TxnOp((), [DeleteOp(b"b")], ()), PutOp(b"a", b"2")])
    events = watcher.pending().events
    assert [(e.type, e.kv.key, e.kv.value, e.kv.mod_revision) for e in events] == [
        (0, b"b", b"0", 2),
        (0, b"b", b"1", 3),
        (1, b"b", b"", 3),
        (0, b"a", b"2", 3),
    ]
    assert [e.previous and e.previous.value for e in events] == [None, b"0", b"0", None]
