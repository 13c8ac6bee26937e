"""A member by hand: proposals, reads, elections, snapshots, membership; what a driver is told to do, and when."""

import pytest

from kcore.store import errors, membership
from kcore.store.errors import StoreError
from kcore.store.member import Member
from kcore.store.membership import Change
from kcore.store.tickets import Ticket
from kcore_native.mvcc import command
from kcore_native.raft import MSG_APP, MSG_APP_RESP, MSG_READ_INDEX, Message
from tests.store.cluster import HandDriven, value


@pytest.fixture
def three() -> HandDriven:
    cluster = HandDriven(3)
    cluster.elect(1)
    return cluster


def follower(cluster: HandDriven, id_: int = 2) -> Member:
    return cluster.members[id_]


def test_a_write_is_answered_when_it_is_applied_here(three: HandDriven) -> None:
    ticket = three.put(three.members[1], b"a", b"1")
    assert not ticket.done()
    three.settle()
    assert ticket.result().revision == 2
    assert [value(m, b"a") for m in three.members.values()] == [b"1"] * 3


def test_requests_of_one_turn_share_an_entry(three: HandDriven) -> None:
    leader = three.members[1]
    before = leader.node.last_index
    tickets = [three.put(leader, b"k%d" % i, b"v") for i in range(100)]
    three.settle()
    assert leader.node.last_index == before + 1
    assert [t.result().revision for t in tickets] == list(range(2, 102))


def test_an_entry_is_bounded(three: HandDriven) -> None:
    leader = three.members[1]
    before = leader.node.last_index
    tickets = [three.put(leader, b"k%d" % i, bytes(300_000)) for i in range(7)]
    three.settle()
    assert leader.node.last_index == before + 3  # at most 1 MiB each: 3 + 3 + 1
    assert all(t.done() for t in tickets)


def test_a_follower_passes_writes_on(three: HandDriven) -> None:
    ticket = three.put(follower(three), b"a", b"1")
    three.settle()
    assert ticket.result().revision == 2


def test_writes_wait_for_a_leader() -> None:
    cluster = HandDriven(3)
    cluster.settle()
    ticket = cluster.put(cluster.members[2], b"a", b"1")
    cluster.settle()
    assert not ticket.done()
    cluster.elect(1)
    cluster.settle()
    assert ticket.result().revision == 2


def test_a_lost_write_times_out_and_never_succeeds(three: HandDriven) -> None:
    leader = three.members[1]
    three.tick()  # its name is published: else that would be lost, too
    assert leader.duties.published
    three.isolate(1)
    lost = three.put(leader, b"a", b"lost")
    three.settle()
    three.cut |= {(1, 1)}
    three.members[2].node.campaign()
    three.tick(25)
    new = three.leader()
    assert new is not None and new.config.id in (2, 3)
    kept = three.put(new, b"a", b"kept")
    three.settle()
    assert kept.done() and not lost.done()
    three.cut.clear()
    three.tick(80)
    assert value(leader, b"a") == b"kept"
    with pytest.raises(StoreError, match="request timed out"):
        lost.result()
    assert leader.proposals.failed == 1


def test_a_write_that_finds_no_leader_in_time_is_never_proposed() -> None:
    cluster = HandDriven(3)
    cluster.settle()
    for id_ in (1, 2, 3):
        cluster.isolate(id_)
    ticket = cluster.put(cluster.members[1], b"a", b"1")
    cluster.tick(90)
    with pytest.raises(StoreError, match="timed out"):
        ticket.result()
    cluster.cut.clear()
    cluster.tick(60)
    assert cluster.leader() is not None
    assert value(cluster.members[1], b"a") is None


def test_too_many_requests_are_refused() -> None:
    cluster = HandDriven(1)
    cluster.settle()
    member = cluster.members[1]
    big = bytes(64 << 20)
    for _ in range(4):
        cluster.put(member, b"a", big)
    with pytest.raises(StoreError, match="too many requests"):
        cluster.put(member, b"a", b"1")


def test_appends_leave_before_the_sync_and_promises_after(three: HandDriven) -> None:
    leader, other = three.members[1], three.members[2]
    three.put(leader, b"a", b"1")
    work = leader.work()
    assert work is not None and work.must_sync and work.entries
    assert {p.type for p in work.messages if isinstance(p, Message)} == {MSG_APP}
    outcome = leader.done(work, 0)
    assert outcome.messages == []
    append = next(p for p in work.messages if p.to == 2)
    other.receive(append, 0)
    work = other.work()
    assert work is not None and work.must_sync
    assert not [p for p in work.messages if isinstance(p, Message) and p.type == MSG_APP_RESP]
    outcome = other.done(work, 0)
    assert [p.type for p in outcome.messages if isinstance(p, Message)] == [MSG_APP_RESP]


def test_what_comes_while_the_disk_writes_shares_the_next_write() -> None:
    cluster = HandDriven(1)
    member = cluster.elect(1)
    first = cluster.put(member, b"a", b"1")
    work = member.work()
    assert work is not None
    later = [cluster.put(member, b"b", b"%d" % i) for i in range(5)]
    member.done(work, 0)
    assert not first.done()
    work = member.work()
    assert work is not None and len(work.entries) == 1
    member.apply_early(work)  # while the disk writes the second entry, the first is answered
    assert first.done() and not later[0].done()
    member.done(work, 0)
    cluster.settle()
    assert later[-1].result().revision == 7


def test_a_single_member_reads_at_once() -> None:
    cluster = HandDriven(1)
    member = cluster.members[1]
    assert not member.fresh
    cluster.elect(1)
    assert member.fresh
    assert member.read().done()


def test_reads_that_wait_share_a_round(three: HandDriven) -> None:
    other = follower(three)
    three.put(three.members[1], b"a", b"1")
    three.settle()
    rounds = other.reads.rounds
    tickets = [other.read() for _ in range(100)]
    assert not any(t.done() for t in tickets)
    three.settle()
    assert all(t.done() for t in tickets)
    assert other.reads.rounds == rounds + 1


def test_a_read_waits_for_what_was_acknowledged(three: HandDriven) -> None:
    leader, other = three.members[1], follower(three)
    three.drop = lambda p: isinstance(p, Message) and p.type == MSG_APP and p.to == 2
    ticket = three.put(leader, b"a", b"1")
    three.settle()
    assert ticket.done() and value(other, b"a") is None
    read = other.read()
    three.settle()
    assert not read.done()
    three.drop = lambda p: False
    three.tick(5)
    assert read.done() and value(other, b"a") == b"1"


def test_a_read_of_one_cut_off_fails(three: HandDriven) -> None:
    three.isolate(1)
    read = three.members[1].read()
    three.tick(80)
    assert isinstance(read, Ticket)
    with pytest.raises(StoreError, match=r"timed out|leader changed"):
        read.result()


def test_a_lost_read_index_is_asked_again(three: HandDriven) -> None:
    lost: list[Message] = []

    def drop(packet: object) -> bool:
        if isinstance(packet, Message) and packet.type == MSG_READ_INDEX and not lost:
            lost.append(packet)
            return True
        return False

    three.drop = drop
    read = follower(three).read()
    three.settle()
    assert lost and not read.done()
    three.tick(6)
    assert read.done()


def test_a_restart_knows_all_that_was_written(three: HandDriven) -> None:
    for i in range(20):
        three.put(three.members[1], b"k%d" % i, b"v")
    three.settle()
    for id_ in (1, 2, 3):
        three.kill(id_)
    for id_ in (1, 2, 3):
        three.start(id_)
    three.elect(2)
    assert [m.machine.revision for m in three.members.values()] == [21] * 3
    assert three.members[1].machine.members[3].name == "m3"


def test_one_far_behind_gets_a_snapshot(three: HandDriven) -> None:
    three.isolate(3)
    for i in range(300):
        three.put(three.members[1], b"k%03d" % i, b"v")
        three.settle()
    behind = three.members[3]
    assert behind.machine.revision == 1
    three.cut.clear()
    three.tick(30)
    assert behind.machine.revision == 301
    assert three.disks[3].snapshot is not None
    three.kill(3)
    assert three.start(3).machine.revision > 1
    three.tick(5)
    assert three.members[3].machine.revision == 301


def test_the_log_in_memory_is_cut(three: HandDriven) -> None:
    for _ in range(400):
        three.put(three.members[1], b"k", b"v")
        three.settle()
    storage = three.members[1].storage
    assert storage.first_index() > 200
    assert storage.last_index() - storage.first_index() >= 50


def test_a_snapshot_on_disk_is_due_when_the_log_has_grown() -> None:
    cluster = HandDriven(1, snapshot_log_bytes=100_000)
    member = cluster.elect(1)
    for i in range(300):
        cluster.put(member, b"k%d" % i, bytes(1000))
        cluster.settle()
    disk = cluster.disks[1]
    assert disk.snapshot is not None and len(disk.entries) < 300
    cluster.kill(1)
    assert cluster.elect(cluster.start(1).config.id).machine.revision == 301


def test_a_member_is_added_and_removed(three: HandDriven) -> None:
    leader = three.members[1]
    added = three.change(leader, Change(membership.ADD, 4, ("http://m4:2380",)))
    three.settle()
    assert [m.id for m in added.result()] == [1, 2, 3, 4]
    three.start(4)
    three.tick(10)
    assert three.members[4].machine.members.keys() == {1, 2, 3, 4}
    assert leader.machine.members[4].name == "m4"  # it has published its name
    removed = three.change(leader, Change(membership.REMOVE, 2))
    three.tick(3)
    assert [m.id for m in removed.result()] == [1, 3, 4]
    ticket = three.put(leader, b"a", b"1")
    three.tick(3)
    assert ticket.done()


def test_a_removed_member_is_told_to_stop(three: HandDriven) -> None:
    leader, other = three.members[1], follower(three)
    three.change(leader, Change(membership.REMOVE, 2))
    three.tick(3)
    assert other.removed
    with pytest.raises(StoreError, match="server stopped"):
        three.put(other, b"a", b"1")


def test_a_learner_is_promoted_when_it_is_in_sync(three: HandDriven) -> None:
    leader, other = three.members[1], follower(three)
    for i in range(30):
        three.put(leader, b"k%d" % i, b"v")
    three.settle()
    three.change(leader, Change(membership.ADD_LEARNER, 4, ("http://m4:2380",)))
    three.settle()
    early = Ticket()
    with pytest.raises(StoreError, match="in sync with leader"):
        leader.promote_member(4, early)
    three.start(4)
    three.tick(10)
    late = Ticket()
    other.promote_member(4, late)  # asked of a follower, decided by the leader
    three.settle()
    assert late.error is None and late.done()
    assert sorted(leader.conf_state.voters) == [1, 2, 3, 4]
    assert not leader.machine.members[4].is_learner


def test_refused_changes_say_why(three: HandDriven) -> None:
    leader = three.members[1]
    cases = [
        (Change(membership.ADD, 5, ("http://m1:2380",)), "PeerURLExist"),
        (Change(membership.ADD, 1, ("http://x:2380",)), "MemberExist"),
        (Change(membership.ADD, 5, ("ftp://x:2380",)), "MemberBadURLs"),
        (Change(membership.REMOVE, 5), "MemberNotFound"),
        (Change(membership.PROMOTE, 2), "MemberNotLearner"),
    ]
    for change, name in cases:
        with pytest.raises(StoreError) as caught:
            leader.propose_member_change([change])
        assert caught.value.text == errors.of(name).text


def test_a_change_that_endangers_the_quorum_is_refused(three: HandDriven) -> None:
    leader = three.members[1]
    three.isolate(3)
    three.tick(25)
    with pytest.raises(StoreError, match="unhealthy cluster"):
        leader.propose_member_change([Change(membership.REMOVE, 2)])
    three.change(leader, Change(membership.REMOVE, 3))  # the one that is down may go
    three.tick(2)
    assert leader.machine.members.keys() == {1, 2}


def test_a_member_is_replaced_in_one_joint_change(three: HandDriven) -> None:
    leader = three.members[1]
    ticket = three.change(
        leader, Change(membership.ADD, 4, ("http://m4:2380",)), Change(membership.REMOVE, 3)
    )
    three.start(4)
    three.tick(10)
    assert [m.id for m in ticket.result()] == [1, 2, 4]
    assert sorted(leader.conf_state.voters) == [1, 2, 4]
    assert not leader.conf_state.voters_outgoing


def test_leadership_moves(three: HandDriven) -> None:
    leader = three.members[1]
    with pytest.raises(StoreError, match="bad leader transferee"):
        leader.transfer_leader(9)
    with pytest.raises(StoreError, match="not leader"):
        follower(three).transfer_leader(3)
    ticket = leader.transfer_leader(2)
    three.settle()
    assert ticket.done() and three.members[2].is_leader


def lease_of(cluster: HandDriven, member: Member, ttl: int, id_: int = 77) -> None:
    request_id = member.request_id()
    member.propose(request_id, command.lease_grant(request_id, id_, ttl))
    cluster.settle()
    request_id = member.request_id()
    member.propose(request_id, command.put(request_id, b"held", b"v", id_))
    cluster.settle()


def test_the_leader_revokes_what_has_run_out(three: HandDriven) -> None:
    lease_of(three, follower(three), 3)
    three.tick(25)
    assert value(follower(three), b"held") == b"v"
    three.tick(10)
    assert value(follower(three), b"held") is None
    assert three.members[1].duties.expired_leases == 1


def test_a_renewal_asked_of_a_follower_counts(three: HandDriven) -> None:
    other = follower(three)
    lease_of(three, other, 3)
    for _ in range(5):
        three.tick(20)
        ticket = Ticket()
        other.duties.renew(77, ticket, other.now_ms)
        three.settle()
        assert ticket.result() == 3
    assert value(other, b"held") == b"v"
    gone = Ticket()
    other.duties.renew(78, gone, other.now_ms)
    three.settle()
    with pytest.raises(StoreError, match="requested lease not found"):
        gone.result()
    left = Ticket()
    other.duties.time_to_live(77, left, other.now_ms, keys=True)
    three.settle()
    assert left.result() == [2, 3, [b"held"]]


def test_what_is_left_of_a_lease_is_in_whole_seconds_rounded_down(three: HandDriven) -> None:
    leader = three.members[1]
    lease_of(three, leader, 3)
    for passed_ms, seconds in ((0, 2), (999, 2), (1, 1), (1_000, 0), (999, 0)):
        three.now_ms += passed_ms
        left = Ticket()
        leader.duties.time_to_live(77, left, three.now_ms, keys=False)
        assert left.result() == [seconds, 3, []], passed_ms


def test_a_new_leader_gives_leases_their_time_again(three: HandDriven) -> None:
    lease_of(three, three.members[1], 3)
    three.tick(20)
    three.elect(2)
    three.tick(20)
    assert value(three.members[2], b"held") == b"v"
    three.tick(30)
    assert value(three.members[2], b"held") is None


def test_old_revisions_are_compacted_by_number() -> None:
    cluster = HandDriven(1, auto_compaction_mode="revision", auto_compaction_retention=10)
    member = cluster.elect(1)
    for _ in range(100):
        cluster.put(member, b"k", b"v")
    cluster.settle()
    cluster.now_ms += 300_000
    cluster.tick(2)
    assert member.machine.compact_revision == 91


def test_old_revisions_are_compacted_by_age() -> None:
    cluster = HandDriven(1, auto_compaction_mode="periodic", auto_compaction_retention=10_000)
    member = cluster.elect(1)
    for _ in range(30):
        cluster.put(member, b"k", b"v")
        cluster.tick(10)
    assert 10 <= member.machine.compact_revision <= 22


def test_differing_members_raise_the_alarm(three: HandDriven) -> None:
    three = HandDriven(3, corrupt_check_ms=1_000)
    leader = three.elect(1)
    three.put(leader, b"a", b"1")
    three.tick(30)
    assert not leader.machine.alarms
    # something that is not in the log
    three.members[3].machine.store.put(b"a", b"2")
    three.put(leader, b"b", b"1")
    three.tick(30)
    assert [(a.member_id, a.type) for a in leader.machine.alarms] == [(3, 2)]


def test_stopping_answers_everyone(three: HandDriven) -> None:
    leader = three.members[1]
    three.isolate(1)
    tickets = [three.put(leader, b"a", b"1"), leader.read()]
    leader.stop()
    for ticket in tickets:
        assert isinstance(ticket, Ticket)
        with pytest.raises(StoreError, match="server stopped"):
            ticket.result()
