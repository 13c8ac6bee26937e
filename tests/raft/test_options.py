"""What the options and the extensions of Raft do, one behaviour a test.

Raft dissertation: 3.10 leadership transfer, 4 membership, 6.4 reads, 9.6 pre-vote; etcd-io/raft for the rest.
"""

from __future__ import annotations

import pytest

from kcore_native.raft import (
    CANDIDATE,
    CONF_CHANGE_ADD_LEARNER_NODE,
    CONF_CHANGE_ADD_NODE,
    CONF_CHANGE_REMOVE_NODE,
    FOLLOWER,
    LEADER,
    LOCAL_APPEND_THREAD,
    MSG_APP,
    MSG_APP_RESP,
    MSG_BEAT,
    MSG_HEARTBEAT,
    MSG_HEARTBEAT_RESP,
    MSG_PRE_VOTE,
    MSG_PROP,
    MSG_READ_INDEX,
    MSG_SNAP,
    MSG_TIMEOUT_NOW,
    MSG_VOTE,
    PRE_CANDIDATE,
    PROBE,
    REPLICATE,
    SNAPSHOT,
    ConfChange,
    ConfChangeError,
    ConfChangeSingle,
    ConfChangeV2,
    Config,
    ConfState,
    Entry,
    HardState,
    InvariantViolated,
    MemoryStorage,
    Message,
    ProposalDropped,
    RawNode,
    Snapshot,
    SnapshotMetadata,
    SnapshotTemporarilyUnavailable,
    StepLocalMessage,
    StepPeerNotFound,
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


# Membership


def test_one_change_at_a_time_is_under_way() -> None:
    group = Group.of(3)
    lead = group.elect(1)
    lead.raw.propose_conf_change(ConfChange(CONF_CHANGE_ADD_NODE, 4))
    lead.raw.propose_conf_change(ConfChange(CONF_CHANGE_ADD_NODE, 5))  # becomes an empty entry
    group.settle()
    assert lead.raw.conf_state.voters == (1, 2, 3, 4)


def test_a_joint_configuration_is_left_by_itself() -> None:
    group = Group.of(3)
    group.members[4] = node(4, (1, 2, 3))
    lead = group.elect(1)
    lead.raw.propose_conf_change(
        ConfChangeV2(
            changes=[ConfChangeSingle(CONF_CHANGE_ADD_NODE, 4), ConfChangeSingle(CONF_CHANGE_REMOVE_NODE, 3)]
        )
    )
    group.settle()
    group.tick(2)
    assert lead.raw.conf_state == ConfState((1, 2, 4))
    assert group.members[4].raw.conf_state == ConfState((1, 2, 4))


def test_a_group_begins_with_its_members_and_others_join_by_the_log() -> None:
    group = Group({node_id: node(node_id, storage=MemoryStorage()) for node_id in (1, 2, 3, 4)})
    for node_id in (1, 2, 3):
        group.members[node_id].raw.bootstrap([(peer, b"url of %d" % peer) for peer in (1, 2, 3)])
    group.settle()  # nobody campaigns before the changes are applied
    lead = group.elect(1)
    assert [ConfChange.decode(entry.data).context for entry in lead.log()[:3]] == [
        b"url of 1",
        b"url of 2",
        b"url of 3",
    ]
    lead.raw.propose_conf_change(ConfChange(CONF_CHANGE_ADD_NODE, 4))
    group.settle()
    group.tick(2)
    assert [member.raw.conf_state.voters for member in group.members.values()] == [(1, 2, 3, 4)] * 4
    with pytest.raises(ValueError, match="nonempty"):
        lead.raw.bootstrap([(1, b"")])
    with pytest.raises(ValueError, match="at least one"):
        node(storage=MemoryStorage()).raw.bootstrap([])


def test_a_learner_is_promoted() -> None:
    group = Group.of(3)
    group.members[4] = node(4, (1, 2, 3))
    lead = group.elect(1)
    lead.raw.propose_conf_change(ConfChange(CONF_CHANGE_ADD_LEARNER_NODE, 4))
    group.settle()
    assert lead.raw.conf_state == ConfState((1, 2, 3), (4,))
    lead.raw.propose_conf_change(ConfChange(CONF_CHANGE_ADD_NODE, 4))
    group.settle()
    assert lead.raw.conf_state == ConfState((1, 2, 3, 4))


@pytest.mark.parametrize("step_down", [False, True])
def test_a_leader_that_is_removed_steps_down_if_told_to(step_down: bool) -> None:
    group = Group.of(3, step_down_on_removal=step_down)
    lead = group.elect(1)
    lead.raw.propose_conf_change(ConfChange(CONF_CHANGE_REMOVE_NODE, 1))
    group.settle()
    assert lead.raw.role == (FOLLOWER if step_down else LEADER)
    with pytest.raises(ProposalDropped):
        lead.raw.propose(b"x")


def test_a_change_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    group = Group.of(1)
    lead = group.elect(1)
    with pytest.raises(ConfChangeError, match="removed all voters"):
        lead.raw.apply_conf_change(ConfChange(CONF_CHANGE_REMOVE_NODE, 1))
    assert lead.raw.conf_state == ConfState((1,))


def test_nobody_campaigns_while_a_committed_change_is_not_applied() -> None:
    member = node()
    change = Entry(1, 1, 1, ConfChange(CONF_CHANGE_ADD_NODE, 4).encode())
    member.raw.step(Message(MSG_APP, to=1, from_=2, term=1, entries=[change], commit=1))
    member.raw.campaign()
    assert member.raw.role == FOLLOWER
    member.work()
    member.raw.campaign()
    assert member.raw.role == CANDIDATE


# Storage threads


def test_nothing_is_promised_before_it_is_written_by_the_append_thread() -> None:
    member = node(async_storage_writes=True)
    member.raw.step(Message(MSG_APP, to=1, from_=2, term=1, entries=[Entry(1, 1)], commit=1))
    ready = member.raw.ready()
    (append,) = ready.messages
    assert append.to == LOCAL_APPEND_THREAD
    assert next(response.type for response in append.responses) == MSG_APP_RESP
    assert ready.committed_entries == []  # it is committed, but not on this disk
    member.write(ready)
    for response in append.responses:
        if response.to == 1:
            member.raw.step(response)
    assert [message.type for message in member.raw.ready().messages] == [21]  # now it may be applied


def test_an_acknowledgement_of_an_earlier_term_makes_nothing_stable() -> None:
    member = node(async_storage_writes=True)
    member.raw.step(Message(MSG_APP, to=1, from_=2, term=1, entries=[Entry(1, 1, 0, b"old")]))
    (old,) = member.raw.ready().messages
    member.raw.step(Message(MSG_APP, to=1, from_=3, term=2, entries=[Entry(2, 1, 0, b"new")]))
    (new,) = member.raw.ready().messages
    member.storage.append(old.entries)
    for response in old.responses:
        if response.to == 1:
            member.raw.step(response)
    member.raw.step(Message(MSG_HEARTBEAT, to=1, from_=3, term=2))
    assert member.raw.ready().messages  # the node works on
    assert member.raw.last_index == 1
    member.storage.append(new.entries)
    assert [entry.data for entry in member.log()] == [b"new"]


def test_two_readys_without_an_advance_are_refused() -> None:
    member = node()
    member.raw.campaign()
    member.raw.ready()
    with pytest.raises(InvariantViolated):
        member.raw.ready()


# Bad input


@pytest.mark.parametrize("kind", [0, 1, 10, 11, 12, 19, 20, 21, 22])
def test_local_messages_are_refused_from_outside(kind: int) -> None:
    with pytest.raises(StepLocalMessage):
        node().raw.step(Message(kind, to=1, from_=2, term=1))
    assert MSG_BEAT == 1


def test_an_answer_from_a_stranger_is_refused() -> None:
    with pytest.raises(StepPeerNotFound):
        node().raw.step(Message(MSG_APP_RESP, to=1, from_=9, term=1))


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (Message(MSG_PROP, to=1, from_=2), "has no entry"),
        (Message(MSG_READ_INDEX, to=1, from_=2), "has no entry"),
        (Message(MSG_READ_INDEX, to=1, from_=2, entries=[Entry(), Entry()]), "more than one entry"),
        (Message(MSG_APP, to=1, from_=2), "has no term"),
        (Message(MSG_VOTE, to=1, from_=2), "has no term"),
        (Message(MSG_TIMEOUT_NOW, to=1, from_=2), "has no term"),
        (Message(MSG_SNAP, to=1, from_=2, term=1), "has no snapshot"),
        (Message(MSG_APP, to=1, from_=2, term=1, entries=[Entry(1, 2)]), "stands where 1 belongs"),
        (Message(MSG_APP, to=1, from_=2, term=3, entries=[Entry(2, 1), Entry(1, 2)]), "of an older term"),
        (Message(MSG_APP, to=1, from_=2, term=1, entries=[Entry(2, 1)]), "has a newer term"),
    ],
)
def test_a_message_without_the_form_of_its_type_is_refused(message: Message, says: str) -> None:
    member = node()
    with pytest.raises(ValueError, match=says):
        member.raw.step(message)
    assert not member.raw.has_ready()


def test_a_garbled_change_in_a_forwarded_proposal_is_refused() -> None:
    group = Group.of(1)
    lead = group.elect(1)
    with pytest.raises(ValueError, match="cut short"):
        lead.raw.step(Message(MSG_PROP, to=1, from_=2, entries=[Entry(type=2, data=b"\1")]))
    lead.raw.propose_conf_change(ConfChange(CONF_CHANGE_ADD_LEARNER_NODE, 2))
    group.settle()
    assert lead.raw.conf_state.learners == (2,)


def test_a_leader_that_knows_more_than_our_disk_shows_that_the_log_was_lost() -> None:
    member = node()
    with pytest.raises(InvariantViolated, match="corrupted, truncated, or lost"):
        member.raw.step(Message(MSG_HEARTBEAT, to=1, from_=2, term=1, commit=5))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"id": 0}, "cannot use none as id"),
        ({"id": LOCAL_APPEND_THREAD}, "cannot use local target as id"),
        ({"heartbeat_tick": 0}, "heartbeat tick must be greater"),
        ({"election_tick": 1}, "election tick must be greater"),
        ({"storage": None}, "storage cannot be nil"),
        ({"max_inflight_messages": 0}, "max inflight messages"),
        ({"max_inflight_bytes": 1}, "max inflight bytes"),
        ({"lease_based_reads": True}, "CheckQuorum must be enabled"),
    ],
)
def test_a_wrong_set_up_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RawNode(Config(**{"id": 1, "storage": storage_with((1,)), **options}))  # type: ignore[arg-type]


def test_a_hard_state_beyond_the_log_is_refused() -> None:
    with pytest.raises(InvariantViolated, match="out of range"):
        node(storage=storage_with((1,), [Entry(1, 1)], HardState(1, 0, 2)))
