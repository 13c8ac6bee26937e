"""What the options and the extensions of Raft do, one behaviour a test.

Raft dissertation: 3.10 leadership transfer, 4 membership, 6.4 reads, 9.6 pre-vote; etcd-io/raft for the rest.
"""

from __future__ import annotations

import pytest

from kcore_native.raft import (
    CANDIDATE,
    FOLLOWER,
    LEADER,
    MSG_APP,
    MSG_APP_RESP,
    MSG_HEARTBEAT,
    MSG_HEARTBEAT_RESP,
    MSG_PRE_VOTE,
    MSG_SNAP,
    MSG_VOTE,
    PRE_CANDIDATE,
    PROBE,
    REPLICATE,
    SNAPSHOT,
    ConfState,
    HardState,
    MemoryStorage,
    Message,
    ProposalDropped,
    Snapshot,
    SnapshotMetadata,
    SnapshotTemporarilyUnavailable,
)
from tests.raft.group import ELECTION_TICK, Group, Member, node, storage_with


def of_type(messages: list[Message], kind: int) -> list[Message]:
    return [message for message in messages if message.type == kind]


# Elections


def test_a_node_that_was_cut_off_does_not_depose_the_leader_with_pre_vote() -> None:
    group = Group.of(3, pre_vote=True, check_quorum=True)
    lead = group.elect(1)
    group.isolate(3)
    group.tick(5 * ELECTION_TICK)
    assert group.members[3].raw.role == PRE_CANDIDATE
    term = lead.raw.term
    group.heal()
    group.tick(2 * ELECTION_TICK)
    assert (lead.raw.role, lead.raw.term) == (LEADER, term)
    assert [member.raw.leader for member in group.members.values()] == [1, 1, 1]


def test_a_pre_vote_changes_neither_term_nor_vote() -> None:
    member = node(storage=storage_with((1, 2, 3), hard_state=HardState(4, 3, 0)))
    (answer,) = member.step(Message(MSG_PRE_VOTE, to=1, from_=2, term=9))
    assert (answer.term, answer.reject) == (9, False)
    assert member.storage.initial_state()[0] == HardState(4, 3, 0)


def test_a_leader_that_hears_no_quorum_steps_down() -> None:
    group = Group.of(3, check_quorum=True)
    lead = group.elect(1)
    group.tick(3 * ELECTION_TICK)
    assert lead.raw.role == LEADER
    group.isolate(1)
    group.tick(2 * ELECTION_TICK)
    assert lead.raw.role != LEADER


def test_a_follower_with_a_leader_ignores_candidates_until_its_lease_is_over() -> None:
    member = node(check_quorum=True)
    member.step(Message(MSG_HEARTBEAT, to=1, from_=2, term=1))
    ask = Message(MSG_VOTE, to=1, from_=3, term=2, log_term=9, index=9)
    assert member.step(ask) == []
    assert member.raw.term == 1
    forced = Message(MSG_VOTE, to=1, from_=3, term=2, log_term=9, index=9, context=b"CampaignTransfer")
    (answer,) = member.step(forced)
    assert not answer.reject


def test_a_follower_that_forgets_its_leader_may_vote_for_another() -> None:
    member = node(check_quorum=True)
    member.step(Message(MSG_HEARTBEAT, to=1, from_=2, term=1))
    member.raw.forget_leader()
    assert member.raw.leader == 0
    (answer,) = member.step(Message(MSG_VOTE, to=1, from_=3, term=2))
    assert not answer.reject


def test_a_learner_does_not_campaign() -> None:
    member = node(3, storage=storage_with((1, 2), learners=(3,)))
    assert member.raw.is_learner
    assert member.ticks(5 * ELECTION_TICK) == []
    member.raw.campaign()
    assert (member.raw.role, member.raw.term) == (FOLLOWER, 0)


def test_a_learner_s_acknowledgement_commits_nothing() -> None:
    group = Group(
        {node_id: node(node_id, storage=storage_with((1, 2, 3), learners=(4,))) for node_id in range(1, 5)}
    )
    lead = group.elect(1)
    group.isolate(2, 3)
    lead.raw.propose(b"x")
    group.settle()
    assert group.members[4].raw.last_index == lead.raw.last_index
    assert lead.raw.committed == lead.raw.last_index - 1


# Transfer


def test_leadership_is_handed_to_a_follower_that_has_all() -> None:
    group = Group.of(3, pre_vote=True, check_quorum=True)
    lead = group.elect(1)
    lead.raw.transfer_leader(2)
    group.settle()
    assert [member.raw.leader for member in group.members.values()] == [2, 2, 2]


def test_a_follower_that_lags_is_brought_up_before_it_leads() -> None:
    group = Group.of(3)
    lead = group.elect(1)
    group.isolate(3)
    for _ in range(3):
        lead.raw.propose(b"x")
    group.settle()
    group.heal()
    group.tick()
    lead.raw.transfer_leader(3)
    with pytest.raises(ProposalDropped):
        lead.raw.propose(b"y")
    group.settle()
    assert group.members[3].raw.role == LEADER
    assert group.members[3].applied == [b"x"] * 3


def test_a_transfer_that_takes_an_election_timeout_is_given_up() -> None:
    group = Group.of(3)
    lead = group.elect(1)
    group.isolate(3)
    lead.raw.propose(b"x")
    group.settle()
    lead.raw.transfer_leader(3)
    assert lead.raw.lead_transferee == 3
    group.tick(ELECTION_TICK)
    assert lead.raw.lead_transferee == 0
    lead.raw.propose(b"y")


@pytest.mark.parametrize("to", [1, 4, 9])
def test_a_transfer_to_itself_a_learner_or_a_stranger_is_ignored(to: int) -> None:
    group = Group(
        {node_id: node(node_id, storage=storage_with((1, 2, 3), learners=(4,))) for node_id in range(1, 5)}
    )
    lead = group.elect(1)
    lead.raw.transfer_leader(to)
    assert lead.raw.lead_transferee == 0


def test_a_follower_passes_the_wish_for_a_transfer_on() -> None:
    group = Group.of(3)
    group.elect(1)
    group.members[2].raw.transfer_leader(3)
    group.settle()
    assert group.members[3].raw.role == LEADER


# Reads


@pytest.mark.parametrize("asked", [1, 2])
def test_a_read_index_needs_a_quorum_s_word(asked: int) -> None:
    group = Group.of(3)
    lead = group.elect(1)
    lead.raw.propose(b"x")
    group.settle()
    group.members[asked].raw.read_index(b"ctx")
    group.settle()
    assert group.members[asked].reads == [(lead.raw.committed, b"ctx")]
    group.isolate(1)
    lead.raw.read_index(b"alone")
    group.settle()
    assert (2, b"alone") not in lead.reads


def test_a_read_waits_until_the_leader_has_committed_in_its_term() -> None:
    group = Group.of(3)
    group.keeps = lambda message: message.type != MSG_APP
    lead = group.elect(1)
    lead.raw.read_index(b"early")
    group.settle()
    group.tick()
    assert lead.reads == []
    group.heal()
    group.tick(3)
    assert lead.reads == [(lead.raw.committed, b"early")]


def test_reads_are_confirmed_in_order_and_together() -> None:
    group = Group.of(3)
    lead = group.elect(1)
    for i in range(5):
        lead.raw.read_index(b"%d" % i)
    group.settle()
    assert [context for _, context in lead.reads] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_single_voter_reads_at_once() -> None:
    group = Group.of(1)
    lead = group.elect(1)
    lead.raw.read_index(b"ctx")
    assert lead.raw.ready().read_states == [(1, b"ctx")]


def test_a_lease_answers_reads_without_asking() -> None:
    group = Group.of(3, check_quorum=True, lease_based_reads=True)
    lead = group.elect(1)
    group.isolate(1)
    lead.raw.read_index(b"ctx")
    group.settle()
    assert lead.reads == [(lead.raw.committed, b"ctx")]


def test_a_heartbeat_context_that_nobody_sent_confirms_nothing() -> None:
    group = Group.of(3)
    lead = group.elect(1)
    group.isolate(2, 3)
    lead.raw.read_index(b"ctx")
    for context in (b"short", b"much too long a context", bytes(8)):
        lead.step(Message(MSG_HEARTBEAT_RESP, to=1, from_=2, term=lead.raw.term, context=context))
    assert lead.reads == []
    # a number beyond all requests confirms those that there are, and no more
    lead.step(Message(MSG_HEARTBEAT_RESP, to=1, from_=2, term=lead.raw.term, context=b"\xff" * 8))
    assert [context for _, context in lead.reads] == [b"ctx"]


# Proposals


def test_a_follower_forwards_a_proposal_unless_told_not_to() -> None:
    for disabled in (False, True):
        group = Group.of(3, disable_proposal_forwarding=disabled)
        lead = group.elect(1)
        if disabled:
            with pytest.raises(ProposalDropped):
                group.members[2].raw.propose(b"x")
        else:
            group.members[2].raw.propose(b"x")
            group.settle()
            assert lead.applied == [b"x"]


def test_a_proposal_without_a_leader_is_dropped() -> None:
    member = node()
    with pytest.raises(ProposalDropped):
        member.raw.propose(b"x")
    member.raw.campaign()
    assert member.raw.role == CANDIDATE
    with pytest.raises(ProposalDropped):
        member.raw.propose(b"x")


def test_the_uncommitted_tail_is_bounded_but_always_takes_one() -> None:
    group = Group.of(3, max_uncommitted_size=10)
    lead = group.elect(1)
    group.isolate(1)
    lead.raw.propose(b"x" * 100)
    with pytest.raises(ProposalDropped):
        lead.raw.propose(b"y")
    lead.raw.propose(b"")  # costs nothing
    group.heal()
    group.tick(2)
    lead.raw.propose(b"y")
    group.settle()
    assert lead.applied == [b"x" * 100, b"y"]


def test_messages_and_readys_are_bounded_in_size() -> None:
    group = Group.of(3, max_size_per_message=60, max_committed_size_per_ready=60)
    lead = group.elect(1)
    group.isolate(2)
    for _ in range(10):
        lead.raw.propose(b"x" * 20)
    group.settle()
    group.heal()
    sizes = []
    group.keeps = lambda message: sizes.append(len(message.entries)) or True  # type: ignore[func-returns-value]
    group.tick(3)
    assert max(sizes) == 2
    assert group.members[2].applied == lead.applied == [b"x" * 20] * 10


def test_the_window_bounds_what_is_on_its_way() -> None:
    member = node(max_inflight_messages=3, max_size_per_message=0)
    group = Group({1: member, 2: node(2), 3: node(3)})
    group.elect(1)
    group.isolate(2, 3)
    sent = []
    for _ in range(6):
        member.raw.propose(b"x")
        sent += of_type(member.work(), MSG_APP)
    assert [message.index for message in sent if message.to == 2] == [1, 2, 3]
    progress = member.raw.status().progress[2]
    assert (progress.state, progress.inflight, progress.inflight_full) == (REPLICATE, 3, True)


# Snapshots


def lagging() -> tuple[Group, Member]:
    """A group whose third member needs a snapshot; and its leader."""
    group = Group.of(3)
    lead = group.elect(1)
    group.isolate(3)
    for _ in range(5):
        lead.raw.propose(b"x")
    group.settle()
    lead.storage.create_snapshot(lead.raw.applied, lead.raw.conf_state, b"state")
    lead.storage.compact(lead.raw.applied)
    return group, lead


def test_who_lags_behind_the_log_gets_a_snapshot_and_then_the_rest() -> None:
    group, lead = lagging()
    group.heal()
    group.tick(2)
    lead.raw.propose(b"y")
    group.settle()
    third = group.members[3]
    assert third.storage.snapshot().data == b"state"
    assert third.raw.last_index == lead.raw.last_index
    assert third.applied == [b"y"]
    assert lead.raw.status().progress[3].state == REPLICATE


def test_a_snapshot_that_failed_is_sent_again() -> None:
    group, lead = lagging()
    group.keeps = lambda message: message.type != MSG_SNAP
    group.tick(2)
    assert lead.raw.status().progress[3].state == SNAPSHOT
    lead.raw.report_snapshot(3, True)
    assert lead.raw.status().progress[3].state == PROBE
    group.heal()
    group.tick(3)
    assert group.members[3].raw.committed == lead.raw.committed


def test_a_snapshot_that_is_not_there_yet_is_asked_for_again() -> None:
    group, lead = lagging()

    class Late(MemoryStorage):
        late = True

        def snapshot(self) -> Snapshot:
            if self.late:
                raise SnapshotTemporarilyUnavailable
            return super().snapshot()

    storage = Late()
    storage.apply_snapshot(lead.storage.snapshot())
    storage.set_hard_state(lead.storage.initial_state()[0])
    third = group.members[3]
    group = Group(
        {1: node(1, storage=storage, applied=storage.first_index() - 1), 2: group.members[2], 3: third}
    )
    lead = group.elect(1)
    group.tick(2)
    assert third.raw.committed < lead.raw.committed
    storage.late = False
    group.tick(2)
    assert third.raw.committed == lead.raw.committed


def test_an_old_snapshot_is_ignored_and_one_for_others_too() -> None:
    group = Group.of(3)
    lead = group.elect(1)
    follower = group.members[2]
    for state, index in ((ConfState((1, 2, 3)), 1), (ConfState((1, 3)), 50)):
        snapshot = Snapshot(b"", SnapshotMetadata(state, index, 1))
        (answer,) = follower.step(Message(MSG_SNAP, to=2, from_=1, term=lead.raw.term, snapshot=snapshot))
        assert (answer.type, answer.index) == (MSG_APP_RESP, follower.raw.committed)
        assert follower.storage.snapshot().metadata.index == 0
