"""Nodes in one process whose disks, state machines and network are lists."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from kcore_native.raft import (
    ENTRY_CONF_CHANGE,
    ENTRY_CONF_CHANGE_V2,
    ENTRY_NORMAL,
    LEADER,
    MSG_SNAP,
    ConfChange,
    ConfChangeV2,
    Config,
    ConfState,
    Entry,
    HardState,
    MemoryStorage,
    Message,
    RawNode,
    Ready,
    Snapshot,
    SnapshotMetadata,
    StepPeerNotFound,
)

ELECTION_TICK = 10


def storage_with(
    voters: Iterable[int],
    entries: Iterable[Entry] = (),
    hard_state: HardState | None = None,
    learners: Iterable[int] = (),
) -> MemoryStorage:
    """A disk with the configuration, the entries from index 1 on, and the hard state."""
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(b"", SnapshotMetadata(ConfState(voters, learners))))
    storage.append(list(entries))
    storage.set_hard_state(hard_state or HardState())
    return storage


def node(
    node_id: int = 1,
    voters: Iterable[int] = (1, 2, 3),
    *,
    storage: MemoryStorage | None = None,
    **options: Any,
) -> Member:
    """One member of a group whose others are played by the test."""
    storage = storage or storage_with(voters)
    options.setdefault("election_tick", ELECTION_TICK)
    return Member(RawNode(Config(id=node_id, storage=storage, **options)), storage)


def log_of(*terms: int) -> list[Entry]:
    """Entries of these terms from index 1 on."""
    return [Entry(term, index) for index, term in enumerate(terms, start=1)]


@dataclass
class Member:
    """A node, its disk and what it applied; its Readys are worked on as the owner of a node must."""

    raw: RawNode
    storage: MemoryStorage
    applied: list[bytes] = field(default_factory=list)
    reads: list[tuple[int, bytes]] = field(default_factory=list)

    def work(self) -> list[Message]:
        """All Readys are done; the messages they sent."""
        sent: list[Message] = []
        while self.raw.has_ready():
            ready = self.raw.ready()
            self.write(ready)
            sent.extend(ready.messages)
            self.reads.extend(ready.read_states)
            self.apply(ready.committed_entries)
            self.raw.advance()
        return sent

    def write(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.storage.apply_snapshot(ready.snapshot)
        if ready.hard_state is not None:
            self.storage.set_hard_state(ready.hard_state)
        self.storage.append(ready.entries)

    def apply(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.type == ENTRY_CONF_CHANGE:
                self.raw.apply_conf_change(ConfChange.decode(entry.data))
            elif entry.type == ENTRY_CONF_CHANGE_V2:
                self.raw.apply_conf_change(ConfChangeV2.decode(entry.data))
            elif entry.data:
                self.applied.append(entry.data)

    def step(self, message: Message) -> list[Message]:
        """The message is taken in; what is sent because of it."""
        self.raw.step(message)
        return self.work()

    def ticks(self, count: int) -> list[Message]:
        """So many ticks have passed; what was sent meanwhile."""
        sent = []
        for _ in range(count):
            self.raw.tick()
            sent.extend(self.work())
        return sent

    def log(self) -> list[Entry]:
        """The entries on the disk."""
        first, last = self.storage.first_index(), self.storage.last_index()
        return self.storage.entries(first, last + 1, 2**64 - 1) if last >= first else []

    def terms(self) -> list[int]:
        """Their terms."""
        return [entry.term for entry in self.log()]


@dataclass
class Group:
    """Members joined by a network that loses what ``keeps`` refuses."""

    members: dict[int, Member]
    keeps: Callable[[Message], bool] = lambda message: True
    waiting: list[Message] = field(default_factory=list)

    @staticmethod
    def of(count: int, **options: Any) -> Group:
        """So many voters with empty logs."""
        voters = range(1, count + 1)
        return Group({node_id: node(node_id, voters, **options) for node_id in voters})

    def settle(self) -> None:
        """Messages are delivered until none is left."""
        while True:
            for member in self.members.values():
                self.waiting.extend(filter(self.keeps, member.work()))
            if not self.waiting:
                return
            delivered, self.waiting = self.waiting, []
            for message in delivered:
                if message.to in self.members:
                    with contextlib.suppress(StepPeerNotFound):  # an answer of a member that was removed
                        self.members[message.to].raw.step(Message.decode(message.encode()))
                    if message.type == MSG_SNAP and message.from_ in self.members:
                        self.members[message.from_].raw.report_snapshot(message.to, False)

    def tick(self, count: int = 1) -> None:
        """So many ticks have passed on every member."""
        for _ in range(count):
            for member in self.members.values():
                member.raw.tick()
            self.settle()

    def elect(self, node_id: int) -> Member:
        """The member leads."""
        self.members[node_id].raw.campaign()
        self.settle()
        member = self.members[node_id]
        assert member.raw.role == LEADER
        return member

    def isolate(self, *node_ids: int) -> None:
        """These members reach nobody, and nobody them."""
        self.keeps = lambda message: message.to not in node_ids and message.from_ not in node_ids

    def heal(self) -> None:
        """Everybody reaches everybody."""
        self.keeps = lambda message: True


def normal(data: bytes, term: int, index: int) -> Entry:
    """An entry of the application's."""
    return Entry(term, index, ENTRY_NORMAL, data)
