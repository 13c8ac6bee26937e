"""A test of its own for each bug that the simulation and the real faults found (docs/design/0007)."""

import asyncio
import errno
import logging
from pathlib import Path
from typing import Any

import pytest

from kcore.store import calls, membership, transport
from kcore.store.embedded import Embedded
from kcore.store.errors import StoreError
from kcore.store.member import Member
from kcore.store.membership import Change
from kcore.store.tickets import Ticket
from kcore_native.mvcc import command
from kcore_native.raft import (
    ENTRY_CONF_CHANGE,
    MSG_HEARTBEAT_RESP,
    MSG_SNAP,
    ConfState,
    Message,
    Snapshot,
    SnapshotMetadata,
)
from tests.store.cluster import HandDriven, value
from tests.store.loopback import until

LEASE = 77
TTL_SECONDS = 3


@pytest.fixture
def three() -> HandDriven:
    cluster = HandDriven(3)
    cluster.elect(1)
    return cluster


def grant(cluster: HandDriven, member: Member) -> None:
    """A lease with one key."""
    request_id = member.request_id()
    member.propose(request_id, command.lease_grant(request_id, LEASE, TTL_SECONDS))
    cluster.settle()
    request_id = member.request_id()
    member.propose(request_id, command.put(request_id, b"held", b"v", LEASE))
    cluster.tick()


def renewal(cluster: HandDriven, member: Member) -> Ticket:
    ticket = Ticket()
    member.duties.renew(LEASE, ticket, cluster.now_ms)
    return ticket


# -- leases ------------------------------------------------------------------------------------------------------


def test_a_lease_is_renewed_by_the_time_of_now_not_of_the_last_tick(three: HandDriven) -> None:
    leader = three.members[1]
    grant(three, leader)
    three.now_ms += 99  # the next tick is not yet due
    assert renewal(three, leader).result() == TTL_SECONDS
    assert leader.duties.lessor.remaining_ms(LEASE, three.now_ms) == 1000 * TTL_SECONDS


def test_one_who_has_slept_renews_nothing(three: HandDriven) -> None:
    leader = three.members[1]
    grant(three, leader)
    three.now_ms += 1_000
    with pytest.raises(StoreError, match="leader changed"):
        renewal(three, leader).result()
    leader.tick(three.now_ms)
    with pytest.raises(StoreError, match="leader changed"):
        renewal(three, leader).result()  # nobody has yet said that it still leads
    three.settle()
    assert renewal(three, leader).result() == TTL_SECONDS


def test_a_packet_before_the_first_tick_does_not_hide_a_pause(three: HandDriven) -> None:
    leader = three.members[1]
    grant(three, leader)
    three.isolate(1)
    three.now_ms += 1_000
    leader.receive(Message(MSG_HEARTBEAT_RESP, 1, 2, leader.node.term), three.now_ms)
    leader.tick(three.now_ms)
    three.settle()
    with pytest.raises(StoreError, match="leader changed"):
        renewal(three, leader).result()


# -- full disks --------------------------------------------------------------------------------------------------


def fill(cluster: HandDriven, member: Member) -> bool:
    """Writes a little over a snapshot's worth of log that leaves no keys; whether the member asked for a snapshot."""
    asked = False
    for _ in range(8):
        request_id = member.request_id()
        member.propose(
            request_id, command.put(request_id, b"k", bytes(2_000), LEASE)
        )  # there is no such lease
        while (work := member.work()) is not None:
            cluster.disks[1].write(work.hard_state, work.entries)
            asked |= member.done(work, cluster.now_ms).take_snapshot
    return asked


def test_a_snapshot_that_was_given_up_is_asked_for_again() -> None:
    cluster = HandDriven(1, snapshot_log_bytes=10_000)
    member = cluster.elect(1)
    assert fill(cluster, member)
    _, reader = member.open_snapshot()
    assert not fill(cluster, member)  # one at a time
    reader.close()
    member.snapshot_taken()  # given up
    assert fill(cluster, member)


def test_a_disk_too_full_to_begin_a_snapshot_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        store = await Embedded.open(
            str(tmp_path), snapshot_log_bytes=20_000, heartbeat_ms=20, election_ms=200
        )
        disk = store.replica.disk
        assert disk is not None
        begin_snapshot = disk.begin_snapshot
        refused = 0

        def full(metadata: SnapshotMetadata) -> Any:
            nonlocal refused
            refused += 1
            raise OSError(errno.ENOSPC, "no space left on device")

        async def writes_until(condition: Any) -> None:
            async with asyncio.timeout(60):
                while not condition():
                    await store.put(b"k", bytes(5_000))
                    await asyncio.sleep(0)

        disk.begin_snapshot = full  # type: ignore[method-assign]
        await writes_until(lambda: refused)
        disk.begin_snapshot = begin_snapshot  # type: ignore[method-assign]
        await writes_until(lambda: list((tmp_path / "member" / "snap").glob("*.snap")))
        await store.close()

    with caplog.at_level(logging.ERROR, "kcore.store"):
        asyncio.run(main())
    assert [r.message for r in caplog.records if "no snapshot was written" in r.message]


def test_a_disk_too_full_to_begin_an_incoming_snapshot_takes_a_later_one(tmp_path: Path) -> None:
    async def main() -> None:
        store = await Embedded.open(str(tmp_path), heartbeat_ms=20, election_ms=200)
        replica, disk = store.replica, store.replica.disk
        assert disk is not None
        begin_snapshot = disk.begin_snapshot

        def full(metadata: SnapshotMetadata) -> Any:
            raise OSError(errno.ENOSPC, "no space left on device")

        term = replica.member.node.term
        metadata = SnapshotMetadata(ConfState((store.member_id,)), 1_000_000, term)
        message = Message(MSG_SNAP, store.member_id, 2, term, snapshot=Snapshot(b"", metadata))
        disk.begin_snapshot = full  # type: ignore[method-assign]
        refusal = replica.snapshot_begins(message)
        assert isinstance(refusal, str) and "no space left" in refusal
        disk.begin_snapshot = begin_snapshot  # type: ignore[method-assign]
        sink = replica.snapshot_begins(message)
        assert not isinstance(sink, str), sink
        assert replica.snapshot_begins(message) == "another snapshot is on its way"
        sink.abort()
        await store.close()

    asyncio.run(main())


# -- membership --------------------------------------------------------------------------------------------------


def test_of_two_removals_that_leave_no_voter_the_second_is_refused() -> None:
    cluster = HandDriven(2)
    leader = cluster.elect(1)
    first = cluster.change(leader, Change(membership.REMOVE, 2))
    second = cluster.change(leader, Change(membership.REMOVE, 1))  # fine, as of now
    cluster.tick(3)
    assert [info.id for info in first.result()] == [1]
    with pytest.raises(StoreError, match="not enough started members"):
        second.result()
    assert not leader.removed and leader.conf_state.voters == (1,)
    written = cluster.put(leader, b"a", b"1")
    cluster.settle()
    assert written.done()


def change_as_leader(leader: Member, change: Change) -> None:
    """The leader proposes what takes its own vote: it found that in its log when it was elected."""
    leader.node.propose_conf_change(membership.conf_change(leader.request_id(), [change]))


def removed_leader(cluster: HandDriven) -> Member:
    """The leader has applied its own removal, no other has heard of that, and member 4 is a learner in sync."""
    leader = cluster.members[1]
    cluster.change(leader, Change(membership.ADD_LEARNER, 4, ("http://m4:2380",)))
    cluster.settle()
    cluster.start(4)
    cluster.tick(10)
    change_as_leader(leader, Change(membership.REMOVE, 1))
    for _ in range(20):
        cluster.turn(leader)
        if leader.removed:
            break
        packets, cluster.network = cluster.network, []
        for packet in packets:
            cluster.members[packet.to].receive(packet, cluster.now_ms)
        for id_ in (2, 3, 4):
            cluster.turn(cluster.members[id_])
    assert leader.removed and leader.leads_term
    return leader


def test_a_leader_that_is_removed_promotes_nobody(three: HandDriven) -> None:
    leader = removed_leader(three)
    with pytest.raises(StoreError, match="leader changed"):
        leader.promote_member(4)


def test_a_removed_leader_that_slept_has_no_duties(three: HandDriven) -> None:
    leader = removed_leader(three)
    three.now_ms += 1_000
    leader.tick(three.now_ms)
    three.tick(30)
    assert {m.leader for id_, m in three.members.items() if id_ != 1} <= {2, 3}


def test_a_removal_is_applied_only_when_the_disk_has_its_commit_index() -> None:
    cluster = HandDriven(2)
    leader, other = cluster.elect(1), cluster.members[2]
    change_as_leader(leader, Change(membership.REMOVE, 1))
    applied = []
    for _ in range(20):
        cluster.turn(leader)
        packets, cluster.network = cluster.network, []
        for packet in packets:
            cluster.members[packet.to].receive(packet, cluster.now_ms)
        while (work := other.work()) is not None:
            changes = [entry.index for entry in work.to_apply if entry.type == ENTRY_CONF_CHANGE]
            if changes:
                other.apply_early(work)
                assert other.conf_state.voters == (1, 2)
                assert work.must_sync and work.hard_state is not None
                assert work.hard_state.commit >= changes[-1]
                applied += changes
            cluster.network.extend(work.messages)
            cluster.network.extend(other.done(work, cluster.now_ms).messages)
    assert len(applied) == 1 and other.conf_state.voters == (2,)


def test_a_leader_hands_over_before_it_is_removed(three: HandDriven) -> None:
    leader = three.members[1]
    removal = three.change(leader, Change(membership.REMOVE, 1))
    while not leader.removed:
        three.tick()
        assert not (leader.removed and leader.is_leader)
    assert [info.id for info in removal.result()] == [2, 3]


def test_a_leader_hands_over_before_another_removes_it() -> None:
    cluster = HandDriven(2)
    leader, other = cluster.elect(1), cluster.members[2]
    removal = cluster.change(other, Change(membership.REMOVE, 1))
    cluster.tick(30)
    assert [info.id for info in removal.result()] == [2]
    assert leader.removed and other.is_leader and other.conf_state.voters == (2,)


# -- snapshots ---------------------------------------------------------------------------------------------------


def test_a_second_snapshot_that_comes_while_the_first_is_written_is_kept(three: HandDriven) -> None:
    leader, behind = three.members[1], three.members[3]
    three.isolate(3)

    def snapshot_of_now() -> tuple[Message, list[bytes]]:
        three.put(leader, b"a", b"%d" % leader.machine.revision)
        three.settle()
        message, reader = leader.snapshot_for(Message(MSG_SNAP, 3, 1, leader.node.term))
        chunks = list(reader)
        reader.close()
        return message, chunks

    first, first_chunks = snapshot_of_now()
    second, second_chunks = snapshot_of_now()
    behind.snapshot_received(first, lambda: iter(first_chunks), three.now_ms)
    work = behind.work()
    assert work is not None and work.snapshot is not None
    behind.snapshot_received(second, lambda: iter(second_chunks), three.now_ms)
    behind.done(work, three.now_ms)
    assert value(behind, b"a") == b"1"
    work = behind.work()
    assert work is not None and work.snapshot is not None
    behind.done(work, three.now_ms)
    assert value(behind, b"a") == b"2"


# -- connections -------------------------------------------------------------------------------------------------


class ClosedWriter:
    """A connection that was lost, as uvloop has it: a write to it is an error of the caller."""

    def is_closing(self) -> bool:
        return True

    def write(self, data: bytes) -> None:
        raise RuntimeError("unable to perform operation on closed transport")

    def close(self) -> None:
        pass


def test_a_ping_on_a_lost_connection_connects_anew() -> None:
    class Lost:
        """What a peer needs of its transport; every connection is lost as soon as it is made."""

        def __init__(self) -> None:
            self.owner = self
            self.connections = 0

        async def connect(self, url: str, purpose: int, to: int) -> tuple[asyncio.StreamReader, ClosedWriter]:
            self.connections += 1
            return asyncio.StreamReader(), ClosedWriter()

        def peer_unreachable(self, member_id: int) -> None:
            pass

    async def main() -> None:
        lost = Lost()
        peer = transport.Peer(lost, 2, ("http://m2:2380",))  # type: ignore[arg-type]
        await until(lambda: lost.connections >= 3 or peer._task.done())
        assert not peer._task.done()
        await peer.close()

    asyncio.run(main())


def test_a_ping_that_comes_as_the_connection_is_lost_is_not_answered() -> None:
    class Owner:
        def packets_end(self) -> None: ...

    async def main() -> None:
        receiver = transport.PacketReceiver(Owner(), 2, ClosedWriter())  # type: ignore[arg-type]
        receiver.data_received(transport.frame(transport.PING))
        assert receiver.received_bytes == len(transport.PING)

    asyncio.run(main())


@pytest.mark.parametrize("cut", [1, 3, 7, 8, 9, 40, 200])
def test_frames_are_received_whole_however_the_network_cuts_them(cut: int) -> None:
    received: list[Message] = []

    class Owner:
        def packet_received(self, packet: Message) -> None:
            received.append(packet)

        def packets_end(self) -> None: ...

    async def main() -> None:
        receiver = transport.PacketReceiver(Owner(), 2, ClosedWriter())  # type: ignore[arg-type]
        sent = [
            Message(MSG_HEARTBEAT_RESP, to=1, from_=2, term=term, context=b"c" * term) for term in range(30)
        ]
        raw = b"".join(transport.frame(calls.encode(message)) for message in sent)
        for at in range(0, len(raw), cut):
            receiver.data_received(raw[at : at + cut])
        assert [message.term for message in received] == list(range(30))
        receiver.data_received(b"\0\0\0\1\0\0\0\0x")
        with pytest.raises(ValueError, match="checksum"):
            await receiver.ended

    asyncio.run(main())
