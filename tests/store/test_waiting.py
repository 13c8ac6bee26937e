"""Requests that wait, rounds of reads, what is kept of the log, automatic compaction: pure parts of a member."""

import asyncio

import pytest

from kcore.store import autocompact, errors
from kcore.store.checks import check_put, check_range, check_txn
from kcore.store.contact import Contact
from kcore.store.errors import StoreError
from kcore.store.kv import Compare, DeleteOp, PutOp, RangeOp, Relation, Target, TxnOp
from kcore.store.reads import Reads
from kcore.store.retention import (
    ALONE_BYTES_KEPT,
    ALONE_BYTES_MAX,
    LOG_BYTES_KEPT,
    LOG_BYTES_MAX,
    Retention,
)
from kcore.store.tickets import ENTRY_BYTES_MAX, Proposals, Ticket, first_request_id
from kcore_native.mvcc import command
from kcore_native.raft import ConfState, Entry, MemoryStorage


def timed_out(asked_ms: int) -> StoreError:
    return errors.of("Timeout")


def test_request_ids_are_of_the_member_and_its_start() -> None:
    first = first_request_id(0xABCD, 1_000)
    assert first >> 48 == 0xABCD
    assert first_request_id(0xABCD, 1_001) - first == 1024
    assert first_request_id(0xABCE, 1_000) - first == 1 << 48


def frame(proposals: Proposals, size: int) -> tuple[int, bytes]:
    request_id = proposals.next_id()
    return request_id, command.put(request_id, b"k", bytes(size))


def test_entries_are_filled_up_to_their_limit() -> None:
    proposals = Proposals(0, 1000)
    for size in (ENTRY_BYTES_MAX // 2, ENTRY_BYTES_MAX // 4, ENTRY_BYTES_MAX * 2, 10, 10):
        request_id, raw = frame(proposals, size)
        proposals.add(request_id, raw, Ticket())
    counts = []
    while proposals.frames:
        payload, count = proposals.payload()
        assert len(command.request_ids(payload)) == count
        proposals.taken(count, len(payload))
        counts.append(count)
    assert counts == [2, 1, 2]
    assert proposals.queued_bytes == 0


def test_answers_go_to_their_tickets_and_others_are_passed_over() -> None:
    proposals = Proposals(0, 1000)
    tickets = [Ticket() for _ in range(3)]
    ids = []
    for ticket in tickets:
        request_id, raw = frame(proposals, 1)
        ids.append(request_id)
        proposals.add(request_id, raw, ticket)
    proposals.answer([(ids[1], "done"), (999, "another's"), (ids[0], errors.of("NoSpace"))])
    assert tickets[1].result() == "done"
    with pytest.raises(StoreError, match="space exceeded"):
        tickets[0].result()
    assert not tickets[2].done()


def test_what_waits_too_long_fails_and_leaves_the_queue() -> None:
    proposals = Proposals(0, 1000)
    old, young = Ticket(), Ticket()
    request_id, raw = frame(proposals, 1)
    proposals.add(request_id, raw, old)
    proposals.expire(100, timed_out)
    request_id, raw = frame(proposals, 1)
    proposals.add(request_id, raw, young)
    proposals.expire(200, timed_out)
    proposals.expire(1099, timed_out)
    assert not old.done()
    proposals.expire(1100, timed_out)
    assert old.done() and not young.done()
    assert proposals.frames == [raw] and list(proposals.pending) == [request_id]
    proposals.expire(1200, timed_out)
    assert young.done() and not proposals.frames


def test_a_future_that_was_cancelled_is_passed_over() -> None:
    async def main() -> None:
        proposals = Proposals(0, 1000)
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        request_id, raw = frame(proposals, 1)
        proposals.add(request_id, raw, future)
        future.cancel()
        proposals.answer([(request_id, "late")])
        assert future.cancelled() and not proposals.pending

    asyncio.run(main())


def test_a_round_answers_only_those_who_asked_before_it() -> None:
    reads = Reads(1000, 0)
    first, second = Ticket(), Ticket()
    reads.waiting.append(first)
    context = reads.begin(0)
    assert context is not None
    reads.waiting.append(second)
    assert reads.begin(0) is None  # one at a time
    reads.confirm(b"of another round", 5)
    reads.confirm(context, 5)
    reads.applied(4)
    assert not first.done()
    reads.applied(5)
    assert first.done() and not second.done()
    assert reads.begin(0) not in (None, context)


def test_rounds_are_asked_again_and_end() -> None:
    reads = Reads(1000, 0)
    ticket = Ticket()
    reads.waiting.append(ticket)
    context = reads.begin(0)
    assert reads.again(499) is None
    assert reads.again(500) == context
    assert reads.again(501) is None and reads.again(501, at_once=True) == context
    reads.expire(1000, timed_out)
    assert isinstance(ticket.error, StoreError) and reads.asked is None
    late = Ticket()
    reads.waiting.append(late)
    context = reads.begin(2000)
    assert context is not None
    reads.confirm(context, 9)
    reads.expire(3000, timed_out)
    with pytest.raises(StoreError, match="applied index took too long"):
        late.result()


def test_the_log_in_memory_is_cut_by_bytes_but_not_beyond_what_is_applied() -> None:
    storage = MemoryStorage()
    retention = Retention(storage, 10_000, 5_000)
    size = 1 << 20
    for index in range(1, 121):
        entries = [Entry(1, index, 0, bytes(size))]
        storage.append(entries)
        retention.appended(entries)
    retention.cut(30, ConfState([1, 2]))
    assert storage.first_index() == 31
    retention.cut(120, ConfState([1, 2]))
    assert storage.first_index() == 31  # 90 MiB are left, fewer than LOG_BYTES_MAX
    assert LOG_BYTES_KEPT < 90 * size < LOG_BYTES_MAX
    retention.cut(40, ConfState([1], learners=[2]))
    assert storage.first_index() == 31
    retention.cut(119, ConfState([1]))  # nobody follows
    assert storage.first_index() == 120
    assert ALONE_BYTES_KEPT <= size < ALONE_BYTES_MAX
    assert retention.disk_bytes > 120 * size


def test_periodic_compaction_keeps_a_period() -> None:
    periodic = autocompact.Periodic(10_000, 0)
    found = []
    for now_ms in range(0, 60_000, 500):
        if revision := periodic.due(now_ms, 1 + now_ms // 100):
            found.append((now_ms, revision))
            periodic.done(revision, now_ms)
    assert [now_ms for now_ms, _ in found] == [10_000, 20_000, 30_000, 40_000, 50_000]
    assert all(revision <= 1 + (now_ms - 10_000) // 100 for now_ms, revision in found)
    assert all(revision >= 1 + (now_ms - 12_000) // 100 for now_ms, revision in found[1:])


def test_compaction_by_number_looks_every_five_minutes() -> None:
    by_number = autocompact.ByRevision(100, 0)
    assert by_number.due(299_999, 1000) == 0
    assert by_number.due(300_000, 1000) == 900
    by_number.done(900, 300_000)
    assert by_number.due(600_000, 1000) == 0  # done already
    assert by_number.due(900_000, 50) == 0
    assert autocompact.from_flags("periodic", 0, 0) is None
    with pytest.raises(ValueError, match="neither periodic nor revision"):
        autocompact.from_flags("daily", 1, 0)


def test_timeouts_say_what_is_known() -> None:
    contact = Contact(1, 1000, 0)
    assert contact.timeout(0, 7000, [1, 2, 3]).text == errors.of("Timeout").text
    contact.leads(2, 5000, is_leader=False)
    assert contact.timeout(4000, 11_000, [1, 2, 3]).text == errors.of("TimeoutDueToLeaderFail").text
    contact.heard(2, 5000)
    assert contact.timeout(6000, 6500, [1, 2, 3]).text == errors.of("Timeout").text
    assert contact.timeout(6000, 13_000, [1, 2, 3]).text == errors.of("TimeoutDueToConnectionLost").text
    contact.leads(1, 20_000, is_leader=True)
    assert contact.timeout(21_000, 28_000, [1, 2, 3]).text == errors.of("TimeoutDueToConnectionLost").text
    contact.heard(3, 28_000)
    assert contact.timeout(21_000, 28_000, [1, 2, 3]).text == errors.of("Timeout").text


def refused(name: str) -> "pytest.RaisesExc[StoreError]":
    return pytest.raises(StoreError, match=errors.of(name).text)


def test_requests_are_checked_as_etcd_does() -> None:
    with refused("EmptyKey"):
        check_range(b"", 0, 0)
    with refused("InvalidSortOption"):
        check_range(b"a", 3, 0)
    with refused("ValueProvided"):
        check_put(b"a", b"1", 0, True, False)
    with refused("LeaseProvided"):
        check_put(b"a", b"", 1, False, True)
    assert check_txn((), [RangeOp(b"a"), TxnOp((), [RangeOp(b"b")])], ())
    assert not check_txn((), [RangeOp(b"a"), TxnOp((), [DeleteOp(b"b")])], ())
    with refused("EmptyKey"):
        check_txn([Compare(Target.VALUE, Relation.EQUAL, b"", b"")], (), ())
    with refused("TooManyOps"):
        check_txn((), [RangeOp(b"a")] * 129, ())


@pytest.mark.parametrize(
    ("ops", "good"),
    [
        ([PutOp(b"a", b""), PutOp(b"b", b"")], True),
        ([PutOp(b"a", b""), PutOp(b"a", b"")], False),
        ([PutOp(b"b", b""), DeleteOp(b"a", b"c")], False),
        ([PutOp(b"c", b""), DeleteOp(b"a", b"c")], True),
        ([DeleteOp(b"a", b"c"), DeleteOp(b"b")], True),
        ([TxnOp((), [PutOp(b"a", b"")], [PutOp(b"a", b"")])], True),  # only one of both happens
        ([TxnOp((), [PutOp(b"a", b"")]), PutOp(b"a", b"")], False),
        ([TxnOp((), [DeleteOp(b"a")]), PutOp(b"a", b"")], False),
        ([TxnOp((), [PutOp(b"a", b"")]), TxnOp((), [PutOp(b"a", b"")])], False),
    ],
)
def test_a_key_is_changed_once(ops: list[object], good: bool) -> None:
    if good:
        check_txn((), ops, ())  # type: ignore[arg-type]
    else:
        with refused("DuplicateKey"):
            check_txn((), ops, ())  # type: ignore[arg-type]
