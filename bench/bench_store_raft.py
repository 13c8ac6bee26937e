"""The Raft core without disk and network: one round of consensus, and a message over its encoding.

A round is: propose, take the Ready, hand the entries to the log in memory, send the messages, advance, until the entry
is applied everywhere. With three voters each message is encoded and decoded on its way. A batch is several proposals
before the first Ready, which is how a store under load drives it.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kcore_native.raft import (
    LEADER,
    MSG_APP,
    Config,
    ConfState,
    Entry,
    MemoryStorage,
    Message,
    RawNode,
    Snapshot,
    SnapshotMetadata,
)

VALUE = b"v" * 256
ROUNDS = 7
PROPOSALS = 2_000  # of one timed round
LOG_MAX = 10_000  # entries kept in memory
ENTRIES = 64
ENTRY_BYTES = 1024


def nodes(count: int) -> list[Replica]:
    """So many voters, the first of which leads; and their logs."""
    group: list[Replica] = []
    for node_id in range(1, count + 1):
        storage = MemoryStorage()
        storage.apply_snapshot(Snapshot(b"", SnapshotMetadata(ConfState(range(1, count + 1)))))
        group.append(Replica(RawNode(Config(id=node_id, storage=storage)), storage))
    group[0].raw.campaign()
    settle(group)
    assert group[0].raw.role == LEADER
    return group


class Replica:
    """A node and its log; what is applied is only counted."""

    __slots__ = ("applied", "raw", "storage")

    def __init__(self, raw: RawNode, storage: MemoryStorage) -> None:
        self.raw, self.storage, self.applied = raw, storage, 0

    def work(self, out: list[bytes]) -> None:
        """One Ready is done; its messages, encoded, are in out."""
        raw, storage = self.raw, self.storage
        ready = raw.ready()
        if ready.hard_state is not None:
            storage.set_hard_state(ready.hard_state)
        if ready.entries:
            storage.append(ready.entries)
        out.extend(message.encode() for message in ready.messages)
        self.applied += len(ready.committed_entries)
        raw.advance()

    def trim(self) -> None:
        """The log is not longer than LOG_MAX."""
        last = self.storage.last_index()
        if last - self.storage.first_index() > LOG_MAX:
            self.storage.compact(self.raw.applied)


def settle(group: list[Replica]) -> None:
    """Nothing is left to do on any of them."""
    out: list[bytes] = []
    busy = True
    while busy:
        busy = False
        for replica in group:
            while replica.raw.has_ready():
                replica.work(out)
                busy = True
        sent, out = out, []
        for data in sent:
            message = Message.decode(data)
            group[message.to - 1].raw.step(message)


@pytest.mark.parametrize("voters", [1, 3])
@pytest.mark.parametrize("batch", [1, 100])
def test_round(benchmark: BenchmarkFixture, voters: int, batch: int) -> None:
    group = nodes(voters)
    lead = group[0]
    benchmark.group = "raft rounds"
    benchmark.extra_info.update(voters=voters, batch=batch, proposals=PROPOSALS)

    def run() -> None:
        for _ in range(PROPOSALS // batch):
            for _ in range(batch):
                lead.raw.propose(VALUE)
            settle(group)
        for replica in group:
            replica.trim()

    before = lead.applied
    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    assert (lead.applied - before) % PROPOSALS == 0
    assert lead.applied > before
    assert {replica.applied for replica in group} == {lead.applied}
    if benchmark.stats:
        benchmark.extra_info["proposals_per_second"] = round(PROPOSALS / benchmark.stats.stats.min)


def append_message() -> Message:
    """64 entries of 1 KiB on their way to a follower."""
    entries = [Entry(3, index, 0, b"x" * ENTRY_BYTES) for index in range(1, ENTRIES + 1)]
    return Message(MSG_APP, to=2, from_=1, term=3, log_term=3, entries=entries, commit=ENTRIES)


def test_encode(benchmark: BenchmarkFixture) -> None:
    benchmark.group = "raft message of 64 entries of 1 KiB"
    message = append_message()
    data = benchmark(message.encode)
    assert Message.decode(data) == message


def test_decode(benchmark: BenchmarkFixture) -> None:
    benchmark.group = "raft message of 64 entries of 1 KiB"
    message = append_message()
    assert benchmark(Message.decode, message.encode()) == message


def test_read_index(benchmark: BenchmarkFixture) -> None:
    """A single voter answers a read at once; 1,000 requests share a Ready."""
    (replica,) = nodes(1)
    benchmark.group = "raft reads"

    def run() -> int:
        for _ in range(1_000):
            replica.raw.read_index(b"context")
        count = len(replica.raw.ready().read_states)
        replica.raw.advance()
        return count

    assert benchmark(run) == 1_000
