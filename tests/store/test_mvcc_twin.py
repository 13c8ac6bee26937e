"""The compiled store against the list of all versions, over random histories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.store.errors import TABLE
from kcore.store.kv import Compare, DeleteOp, Event, PutOp, RangeOp, TxnOp
from kcore_native.mvcc import command
from kcore_native.mvcc.store import Refused, Store
from kcore_native.mvcc.watch import Watcher
from tests.naive import mvcc as naive

pytestmark = pytest.mark.differential


class Back(int):
    """So many revisions before the one that the store is at when its step comes."""


keys = st.sampled_from([b"", b"a", b"a\0", b"aa", b"ab", b"b", b"b\xff", b"c", b"\xff", b"\xff\xff"])
ends = st.one_of(st.none(), st.just(b"\0"), st.just(b""), keys)
values = st.sampled_from([b"", b"1", b"2", b"\xff", b"long" * 100, b"long" * 90 + b"er" + b"long" * 20])
revisions = st.integers(-2, 16)
back = st.integers(-1, 6).map(Back)  # as many revisions ago
leases = st.integers(0, 3)
flags = st.booleans()

puts = st.builds(PutOp, keys, values, leases, flags, flags, flags) | st.builds(
    PutOp, keys, values, st.just(0)
)
deletions = st.builds(DeleteOp, keys, ends, flags)
ranges = st.builds(
    RangeOp, keys, ends, st.sampled_from([0, 0, 1, 2, 5, -1]), st.sampled_from([0, 0, -1]) | revisions,
    st.integers(0, 2), st.integers(0, 4), flags, flags, *[st.sampled_from([0, 0, 0]) | revisions] * 4,
)  # fmt: skip
compares = st.builds(
    Compare, st.sampled_from([0, 1, 2, 4]), st.integers(0, 3), keys, st.integers(-1, 20), ends
) | st.builds(Compare, st.just(3), st.integers(0, 3), keys, values, ends)
ops = puts | deletions | ranges
small = {"max_size": 3}
txns = st.recursive(
    st.builds(TxnOp, st.lists(compares, **small), st.lists(ops, **small), st.lists(ops, **small)),
    lambda inner: st.builds(
        TxnOp,
        st.lists(compares, **small),
        st.lists(ops | inner, **small),
        st.lists(ops | inner, **small),
    ),
    max_leaves=4,
)
watches = st.tuples(
    st.just("watch"),
    keys,
    ends,
    st.sampled_from([0, 0, 1]) | back,
    *[flags] * 5,
)
steps = st.one_of(
    st.tuples(st.just("put"), puts),
    st.tuples(st.just("put"), puts),
    st.tuples(st.just("delete_range"), deletions),
    st.tuples(st.just("txn"), txns),
    st.tuples(st.just("range"), ranges),
    st.tuples(st.just("range at"), back, ranges),
    st.tuples(st.just("compact"), back | revisions),
    st.tuples(st.just("hash_kv"), back | revisions),
    st.tuples(st.just("lease_grant"), leases, st.sampled_from([-1, 1, 5, 9_000_000_001])),
    st.tuples(st.just("lease_revoke"), leases),
    st.tuples(st.just("restore")),
    st.tuples(st.just("read")),
    watches,
)


def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
    """What it answers, or the name of the refusal."""
    try:
        return call(*arguments)
    except (Refused, naive.Refused) as refusal:
        return refusal.args[0]


def packing(behind: int) -> Store:
    """A store that packs versions when so many records came behind the next one of their key."""
    store = Store()
    store.packed_behind = behind
    return store


class Pair:
    """The store and its twin, and the watches open on them with what they should have been told."""

    def __init__(self) -> None:
        self.store = packing(1)
        self.twin = naive.Store()
        self.watches: list[tuple[Watcher, tuple[Any, ...], list[Event], list[Event]]] = []

    def step(self, name: str, arguments: tuple[Any, ...]) -> None:
        before = self.twin.revision
        arguments = tuple(before - a if isinstance(a, Back) else a for a in arguments)
        if name == "watch":
            self.watch(*arguments)
        elif name == "restore":
            reader = self.store.snapshot(b"head")
            chunks = [*reader]
            reader.close()
            assert self.store.restore(chunks) == b"head"
        elif name == "range at":
            revision, op = arguments
            op = op._replace(revision=revision)
            assert outcome(self.store.range, *op) == outcome(self.twin.range, *op), op
        elif name == "read":
            self.read()
        else:
            if isinstance(arguments[0], tuple):
                arguments = tuple(arguments[0])
            ours = outcome(getattr(self.store, name), *arguments)
            theirs = outcome(getattr(self.twin, name), *arguments)
            assert ours == theirs, (name, arguments)
            self.store.publish()
        self.hear(before)
        assert self.store.revision == self.twin.revision
        assert self.store.key_count == len(self.twin.present(b"", b"\0", self.twin.revision))
        assert self.store.record_count == len(self.twin.versions)

    def watch(
        self, key: bytes, end: bytes | None, start: int, prev_kv: bool, no_put: bool, no_delete: bool,
        fragment: bool, waits: bool,
    ) -> None:  # fmt: skip
        watcher = self.store.watch(key, end, start, prev_kv, no_put, no_delete, fragment)
        what = (key, end, prev_kv, no_put, no_delete, start)
        if end and end != b"\0" and key >= end:
            assert watcher.pending().cancel_reason == "mvcc: watcher range is empty"
            assert watcher.done
        elif start < 0:
            assert watcher.pending().cancel_reason == TABLE["Compacted"][1]
            assert watcher.done
        elif start and start < self.twin.compact_revision:
            assert watcher.pending().compact_revision == self.twin.compact_revision
            assert watcher.done
        else:
            due = list(self.due(what, start, self.twin.revision)) if start else []
            heard: list[Event] = []
            self.watches.append((watcher, what, due, heard))
            if waits:
                watcher.on_ready = lambda ready: drain(ready, heard)

    def due(self, what: tuple[Any, ...], first: int, last: int) -> Any:
        key, end, prev_kv, no_put, no_delete, _ = what
        return self.twin.events(key, end, first, last, prev_kv=prev_kv, no_put=no_put, no_delete=no_delete)

    def hear(self, before: int) -> None:
        """What happened since is added to what the watches should be told."""
        if self.twin.revision > before:
            for _, what, due, _ in self.watches:
                due.extend(self.due(what, max(before + 1, what[-1]), self.twin.revision))

    def read(self) -> None:
        for watcher, _, due, heard in self.watches:
            drain(watcher, heard)
            assert heard == due
            watcher.request_progress()
            mark = watcher.pending()
            if watcher.next_revision <= self.twin.revision + 1 and mark is not None:
                assert (mark.revision, mark.events) == (self.twin.revision, [])

    def everything(self) -> None:
        """All that can be seen is equal."""
        self.read()
        for revision in range(max(self.twin.compact_revision, 1), self.twin.revision + 1):
            assert self.store.range(b"", b"\0", 0, revision) == self.twin.range(b"", b"\0", 0, revision)
            assert self.store.hash_kv(revision) == self.twin.hash_kv(revision)
        assert self.store.leases.ids() == sorted(self.twin.leases)
        for lease in self.twin.leases:
            assert self.store.leases.keys(lease) == self.twin.lease_keys(lease)
            assert self.store.leases.ttl(lease) == self.twin.leases[lease]


def drain(watcher: Watcher, heard: list[Event]) -> None:
    """All that is there to read is read; revisions grow from batch to batch."""
    while (batch := watcher.pending()) is not None:
        assert not batch.compact_revision and not batch.cancel_reason
        if batch.events and heard and not batch.fragment:
            assert batch.events[0].kv.mod_revision >= heard[-1].kv.mod_revision
        heard.extend(batch.events)


@given(st.lists(steps, max_size=40))
@settings(max_examples=400)
def test_every_answer_is_the_twins(history: list[tuple[Any, ...]]) -> None:
    pair = Pair()
    for name, *arguments in history:
        pair.step(name, tuple(arguments))
    pair.everything()


@given(st.lists(steps, max_size=25), st.lists(steps, max_size=15))
@settings(max_examples=150)
def test_a_store_from_a_snapshot_goes_on_as_the_first(first: list[Any], second: list[Any]) -> None:
    pair = Pair()
    for name, *arguments in first:
        pair.step(name, tuple(arguments))
    pair.watches.clear()
    reader = pair.store.snapshot()
    # what happens now is not in the snapshot, and what is compacted now still is
    original, revision = pair.store, pair.store.revision
    original.put(b"a", b"later")
    original.delete_range(b"b", b"\0")
    original.compact(original.revision)
    chunks = b"".join(reader)
    reader.close()
    assert reader.revision == revision
    pair.store = Store()
    pair.store.restore(chunks[i : i + 7] for i in range(0, len(chunks), 7))
    for name, *arguments in second:
        pair.step(name, tuple(arguments))
    pair.everything()
    copy = Store()
    copy.restore(original.snapshot())  # closing the first reader let go of all that was compacted
    assert copy.record_count == original.record_count
    assert copy.hash_kv() == original.hash_kv()


frames = st.one_of(
    st.builds(lambda op: ("put", op), puts),
    st.builds(lambda op: ("delete_range", op), deletions),
    st.builds(lambda op: ("txn", op), txns),
)


@given(st.lists(st.lists(frames, max_size=6), max_size=6), st.booleans())
@settings(max_examples=150)
def test_frames_of_a_payload_do_what_calls_do(entries: list[list[Any]], guarded: bool) -> None:
    store, twin = Store(), naive.Store()
    store.guarded = guarded
    asked: list[Any] = []
    for entry in entries:
        payload = b"".join(getattr(command, name)(number, *op) for number, (name, op) in enumerate(entry))
        answers = [(number, outcome(getattr(twin, name), *op)) for number, (name, op) in enumerate(entry)]
        got = [
            (number, result.args[0] if isinstance(result, Refused) else result)
            for number, result in store.apply(payload, asked.append, None)
        ]
        assert got == answers
        assert command.request_ids(payload) == list(range(len(entry)))
    assert len(asked) == (sum(map(len, entries)) if guarded else 0)
    assert store.hash_kv() == twin.hash_kv()
