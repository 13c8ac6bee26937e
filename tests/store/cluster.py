"""A cluster of sans-IO members in one process, driven by hand: a list of packets is the network, lists are the disks."""

from collections.abc import Callable, Iterable
from typing import Any

from kcore.store import membership
from kcore.store.auth import Auth
from kcore.store.calls import Packet, decode, encode
from kcore.store.face import MemberInfo
from kcore.store.machine import Machine
from kcore.store.member import Member, recover
from kcore.store.membership import Change
from kcore.store.tickets import Ticket
from kcore.store.turn import MemberConfig
from kcore_native.mvcc import command
from kcore_native.raft import Entry, HardState, Message, SnapshotMetadata

TURNS_MAX = 10_000


class ListDisk:
    """What a member has written: survives a restart whole."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.entries: list[Entry] = []
        self.snapshot: SnapshotMetadata | None = None
        self.chunks: list[bytes] = []

    def write(self, hard_state: HardState | None, entries: list[Entry]) -> None:
        if entries:
            self.entries = [e for e in self.entries if e.index < entries[0].index] + list(entries)
        if hard_state is not None:
            self.hard_state = hard_state

    def keep(self, metadata: SnapshotMetadata, chunks: Iterable[bytes]) -> None:
        self.snapshot, self.chunks = metadata, list(chunks)
        self.entries = [e for e in self.entries if e.index > metadata.index]


class HandDriven:
    """Members ``1..count`` and the network between them. Nothing happens but by a call of the test."""

    def __init__(self, count: int = 3, **constants: Any) -> None:
        self.constants = {"snapshot_count": 100, "catch_up_entries": 50, "seed": 7, **constants}
        self.infos = [MemberInfo(i, f"m{i}", (f"http://m{i}:2380",), ()) for i in range(1, count + 1)]
        self.disks: dict[int, ListDisk] = {}
        self.members: dict[int, Member] = {}
        self.network: list[Packet] = []
        self.cut: set[tuple[int, int]] = set()  # (from, to)
        self.drop: Callable[[Packet], bool] = lambda packet: False
        self.arrived: dict[int, list[bytes]] = {}  # index -> chunks of a snapshot that was streamed
        self.now_ms = 0
        self.starts = 0
        for info in self.infos:
            self.disks[info.id] = disk = ListDisk()
            disk.write(*membership.bootstrap(self.infos))
            self.start(info.id)

    def start(self, id_: int) -> Member:
        disk = self.disks.setdefault(id_, ListDisk())
        self.starts += 1
        config = MemberConfig(
            id=id_, cluster_id=99, name=f"m{id_}", unix_ms=1_700_000_000_000 + self.starts, **self.constants
        )
        chunks = disk.chunks
        member = self.members[id_] = recover(
            config, Machine(Auth()), disk.hard_state, list(disk.entries), disk.snapshot, lambda: iter(chunks),
            self.now_ms,
        )  # fmt: skip
        return member

    def kill(self, id_: int) -> None:
        del self.members[id_]

    def turn(self, member: Member) -> None:
        """All the work that the member has."""
        for _ in range(TURNS_MAX):
            work = member.work()
            if work is None:
                return
            self.network.extend(work.messages)
            for message in work.snapshots_to_send:
                self.send_snapshot(member, message)
            disk = self.disks[member.config.id]
            if work.snapshot is not None:
                disk.keep(work.snapshot, self.arrived[work.snapshot.index])
            disk.write(work.hard_state, work.entries)
            outcome = member.done(work, self.now_ms)
            self.network.extend(outcome.messages)
            if outcome.take_snapshot:
                metadata, reader = member.open_snapshot()
                disk.keep(metadata, reader)
                member.snapshot_taken()
        raise AssertionError("a member finds no end of work")

    def send_snapshot(self, member: Member, message: Message) -> None:
        message, reader = member.snapshot_for(message)
        chunks = list(reader)
        reader.close()
        to = self.members.get(message.to)
        lost = to is None or (message.from_, message.to) in self.cut
        assert message.snapshot is not None
        if not lost and to is not None and to.accepts_snapshot(message.snapshot.metadata):
            self.arrived[message.snapshot.metadata.index] = chunks
            to.snapshot_received(Message.decode(message.encode()), lambda: iter(chunks), self.now_ms)
        member.snapshot_sent(message.to, failed=lost)

    def settle(self) -> None:
        """Every packet is delivered and every member has no work; no time passes."""
        for _ in range(TURNS_MAX):
            for member in list(self.members.values()):
                self.turn(member)
            if not self.network:
                return
            packets, self.network = self.network, []
            for packet in packets:
                to = self.members.get(packet.to)
                if to is None or (packet.from_, packet.to) in self.cut or self.drop(packet):
                    continue
                to.receive(decode(encode(packet)), self.now_ms)
        raise AssertionError("the network finds no rest")

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.now_ms += 100
            for member in list(self.members.values()):
                member.tick(self.now_ms)
            self.settle()

    def elect(self, id_: int) -> Member:
        """That member leads."""
        member = self.members[id_]
        self.settle()
        for _ in range(100):
            if member.leads_term:
                return member
            leader = self.leader()
            if leader is None:
                member.node.campaign()
            elif leader is not member:
                leader.transfer_leader(id_)
            self.settle()
            if not member.leads_term:
                self.tick()
        raise AssertionError(f"member {id_} does not come to lead")

    def leader(self) -> Member | None:
        leaders = [m for m in self.members.values() if m.is_leader]
        return max(leaders, key=lambda m: m.node.term) if leaders else None

    def isolate(self, id_: int) -> None:
        for other in self.disks:
            self.cut |= {(id_, other), (other, id_)}

    def put(self, member: Member, key: bytes, value: bytes) -> Ticket:
        request_id = member.request_id()
        ticket = member.propose(request_id, command.put(request_id, key, value))
        assert isinstance(ticket, Ticket)
        return ticket

    def change(self, member: Member, *changes: Change) -> Ticket:
        ticket = member.propose_member_change(changes)
        assert isinstance(ticket, Ticket)
        return ticket


def value(member: Member, key: bytes) -> bytes | None:
    """What that member's state has, fresh or not."""
    kvs = member.machine.range(key).kvs
    return kvs[0].value if kvs else None
