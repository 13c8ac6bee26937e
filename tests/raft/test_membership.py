"""Membership changes, the storage threads, and what is refused.

Raft dissertation, chapter 4; etcd-io/raft for the rest.
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
    MSG_PROP,
    MSG_READ_INDEX,
    MSG_SNAP,
    MSG_TIMEOUT_NOW,
    MSG_VOTE,
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
    StepLocalMessage,
    StepPeerNotFound,
)
from tests.raft.group import Group, node, storage_with

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
