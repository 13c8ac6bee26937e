"""One test for each rule of the Raft paper (Ongaro, Ousterhout 2014), sections 5.1 to 5.4.

After the spirit of etcd-io/raft's raft_paper_test.go: one real node, its peers played by the test.
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
    MSG_VOTE,
    MSG_VOTE_RESP,
    Entry,
    HardState,
    Message,
)
from tests.raft.group import ELECTION_TICK, Group, Member, log_of, node, normal, storage_with

ROLES = (FOLLOWER, CANDIDATE, LEADER)


def candidate(member: Member) -> list[Message]:
    member.raw.campaign()
    return member.work()


def leader(member: Member) -> list[Message]:
    """The member leads with everybody's vote; what it sent then."""
    candidate(member)
    sent = []
    for node_id in (2, 3, 4, 5):
        if member.raw.role != LEADER and node_id in member.raw.configuration.voters:
            sent += member.step(Message(MSG_VOTE_RESP, to=1, from_=node_id, term=member.raw.term))
    assert member.raw.role == LEADER
    return sent


def in_role(role: int, **options: object) -> Member:
    member = node(1, **options)  # type: ignore[arg-type]
    if role == FOLLOWER:
        member.step(Message(MSG_HEARTBEAT, to=1, from_=2, term=1))
    elif role == CANDIDATE:
        candidate(member)
    else:
        leader(member)
    assert member.raw.role == role
    return member


def acknowledge(member: Member, *node_ids: int) -> list[Message]:
    """These peers have the whole log."""
    sent = []
    for node_id in node_ids:
        sent += member.step(
            Message(
                MSG_APP_RESP, to=1, from_=node_id, term=member.raw.term, index=member.storage.last_index()
            )
        )
    return sent


def of_type(messages: list[Message], kind: int) -> list[Message]:
    return [message for message in messages if message.type == kind]


# 5.1: terms


@pytest.mark.parametrize("role", ROLES)
def test_whoever_sees_a_later_term_follows_in_it(role: int) -> None:
    member = in_role(role)
    member.step(Message(MSG_APP, to=1, from_=2, term=member.raw.term + 1))
    assert (member.raw.role, member.raw.leader) == (FOLLOWER, 2)
    assert member.storage.initial_state()[0].term == member.raw.term


@pytest.mark.parametrize("role", ROLES)
def test_a_request_of_an_earlier_term_changes_nothing(role: int) -> None:
    member = in_role(role)
    member.step(Message(MSG_HEARTBEAT, to=1, from_=3, term=9))
    before = member.raw.role, member.raw.term, member.raw.leader, member.log()
    assert member.step(Message(MSG_APP, to=1, from_=2, term=8, entries=[Entry(8, 1)])) == []
    assert (member.raw.role, member.raw.term, member.raw.leader, member.log()) == before


# 5.2: elections


def test_a_node_starts_as_a_follower() -> None:
    assert node().raw.role == FOLLOWER


def test_a_leader_sends_heartbeats_to_all() -> None:
    member = in_role(LEADER, heartbeat_tick=2)
    assert of_type(member.ticks(1), MSG_HEARTBEAT) == []
    beats = of_type(member.ticks(1), MSG_HEARTBEAT)
    assert [(beat.to, beat.term, beat.commit) for beat in beats] == [(2, 1, 0), (3, 1, 0)]


@pytest.mark.parametrize("role", [FOLLOWER, CANDIDATE])
def test_who_hears_of_no_leader_starts_an_election_in_the_next_term(role: int) -> None:
    member = in_role(role)
    term = member.raw.term
    sent = member.ticks(2 * ELECTION_TICK - 1)
    assert (member.raw.role, member.raw.term) == (CANDIDATE, term + 1)
    assert [(message.type, message.to, message.term) for message in sent] == [
        (MSG_VOTE, 2, term + 1),
        (MSG_VOTE, 3, term + 1),
    ]
    assert member.storage.initial_state()[0].vote == 1  # it votes for itself


@pytest.mark.parametrize(
    ("size", "yes", "no", "role"),
    [
        (1, 0, 0, LEADER),
        (3, 2, 0, LEADER),
        (3, 1, 0, LEADER),
        (5, 4, 0, LEADER),
        (5, 3, 0, LEADER),
        (5, 2, 0, LEADER),
        (3, 0, 2, FOLLOWER),
        (5, 0, 4, FOLLOWER),
        (5, 1, 3, FOLLOWER),
        (3, 0, 0, CANDIDATE),
        (5, 1, 0, CANDIDATE),
        (5, 0, 2, CANDIDATE),
        (5, 0, 0, CANDIDATE),
    ],
)
def test_the_majority_of_the_votes_decides(size: int, yes: int, no: int, role: int) -> None:
    member = node(1, range(1, size + 1))
    candidate(member)
    for node_id in range(2, 2 + yes + no):
        reject = node_id >= 2 + yes
        member.step(Message(MSG_VOTE_RESP, to=1, from_=node_id, term=1, reject=reject))
    assert (member.raw.role, member.raw.term) == (role, 1)


@pytest.mark.parametrize(
    ("vote", "asks", "refused"), [(0, 2, False), (0, 3, False), (2, 2, False), (3, 2, True), (2, 3, True)]
)
def test_a_node_votes_for_one_candidate_a_term(vote: int, asks: int, refused: bool) -> None:
    member = node(1, storage=storage_with((1, 2, 3), hard_state=HardState(1, vote, 0)))
    (answer,) = member.step(Message(MSG_VOTE, to=1, from_=asks, term=1))
    assert (answer.type, answer.to, answer.term, answer.reject) == (MSG_VOTE_RESP, asks, 1, refused)
    assert member.storage.initial_state()[0].vote == (vote if refused else asks)


@pytest.mark.parametrize("later", [0, 1])
def test_a_candidate_follows_a_leader_of_its_term_or_later(later: int) -> None:
    member = in_role(CANDIDATE)
    term = member.raw.term + later
    member.step(Message(MSG_APP, to=1, from_=2, term=term))
    assert (member.raw.role, member.raw.term, member.raw.leader) == (FOLLOWER, term, 2)


@pytest.mark.parametrize("role", [FOLLOWER, CANDIDATE])
def test_election_timeouts_are_spread(role: int) -> None:
    timeouts = set()
    member = in_role(role)
    for _ in range(50 * ELECTION_TICK):
        ticks = 0
        term = member.raw.term
        while member.raw.term == term:
            member.ticks(1)
            ticks += 1
        timeouts.add(ticks)
        if role == FOLLOWER:
            member.step(Message(MSG_HEARTBEAT, to=1, from_=2, term=member.raw.term + 1))
    assert timeouts == set(range(ELECTION_TICK, 2 * ELECTION_TICK))


def test_the_same_seed_gives_the_same_timeouts_and_another_node_others() -> None:
    def timeouts(node_id: int, seed: int) -> list[int]:
        member = node(node_id, seed=seed)
        found = []
        for _ in range(20):
            member.raw.campaign()
            member.work()
            found.append(member.raw.randomized_election_timeout)
        return found

    assert timeouts(1, 7) == timeouts(1, 7)
    assert len({tuple(timeouts(node_id, seed)) for node_id in (1, 2, 3) for seed in (0, 1, 2)}) == 9


def test_nodes_seldom_time_out_together() -> None:
    rounds, together = 300, 0
    group = Group.of(5)
    for _ in range(rounds):
        for member in group.members.values():
            member.step(Message(MSG_HEARTBEAT, to=1, from_=9, term=member.raw.term + 1))
        timeouts = sorted(member.raw.randomized_election_timeout for member in group.members.values())
        together += timeouts[0] == timeouts[1]
    assert together / rounds <= 0.5


# 5.3: replication


def test_a_leader_appends_a_proposal_and_sends_it_to_all() -> None:
    member = in_role(LEADER)
    acknowledge(member, 2, 3)
    member.raw.propose(b"some data")
    appends = of_type(member.work(), MSG_APP)
    entry = normal(b"some data", 1, 2)
    assert [(m.to, m.index, m.log_term, m.commit, m.entries) for m in appends] == [
        (2, 1, 1, 1, [entry]),
        (3, 1, 1, 1, [entry]),
    ]
    assert member.log()[-1] == entry
    assert member.raw.committed == 1


def test_an_entry_on_a_majority_is_committed_and_the_others_are_told() -> None:
    member = in_role(LEADER)
    acknowledge(member, 2, 3)
    member.raw.propose(b"some data")
    member.work()
    told = of_type(acknowledge(member, 2), MSG_APP)
    assert member.raw.committed == 2
    assert member.applied == [b"some data"]
    assert {(message.to, message.commit) for message in told} == {(2, 2), (3, 2)}


@pytest.mark.parametrize(
    ("size", "acknowledging", "committed"),
    [
        (1, (), True),
        (3, (), False),
        (3, (2,), True),
        (3, (2, 3), True),
        (5, (), False),
        (5, (2,), False),
        (5, (2, 3), True),
        (5, (2, 3, 4), True),
    ],
)
def test_a_majority_of_acknowledgements_commits(
    size: int, acknowledging: tuple[int, ...], committed: bool
) -> None:
    member = node(1, range(1, size + 1))
    leader(member)
    acknowledge(member, *range(2, size + 1))
    member.raw.propose(b"some data")
    member.work()
    acknowledge(member, *acknowledging)
    assert (member.applied == [b"some data"]) == committed


@pytest.mark.parametrize("terms", [(), (2,), (1, 2), (1,)])
def test_committing_an_entry_commits_all_before_it(terms: tuple[int, ...]) -> None:
    entries = [Entry(term, index, 0, b"old") for index, term in enumerate(terms, start=1)]
    member = node(1, storage=storage_with((1, 2, 3), entries, HardState(2, 0, 0)))
    leader(member)
    member.raw.propose(b"new")
    member.work()
    acknowledge(member, 2)
    assert member.applied == [b"old"] * len(terms) + [b"new"]
    assert member.raw.committed == len(terms) + 2


@pytest.mark.parametrize("commit", [1, 2, 3, 4])
def test_a_follower_applies_what_it_learns_is_committed_in_order(commit: int) -> None:
    datas = [b"a", b"b", b"c", b"d"]
    member = node()
    entries = [normal(data, 1, index) for index, data in enumerate(datas, start=1)]
    member.step(Message(MSG_APP, to=1, from_=2, term=1, entries=entries, commit=commit))
    assert member.applied == datas[:commit]


@pytest.mark.parametrize(
    ("index", "term", "accepted", "hint_index", "hint_term"),
    [
        (0, 0, True, 0, 0),
        (1, 1, True, 0, 0),
        (2, 2, True, 0, 0),
        (1, 2, False, 1, 1),  # another term there
        (3, 3, False, 2, 2),  # not there at all
    ],
)
def test_a_follower_refuses_an_append_whose_predecessor_it_has_not(
    index: int, term: int, accepted: bool, hint_index: int, hint_term: int
) -> None:
    member = node(1, storage=storage_with((1, 2, 3), log_of(1, 2), HardState(2, 0, 1)))
    member.step(Message(MSG_HEARTBEAT, to=1, from_=2, term=3))
    (answer,) = member.step(Message(MSG_APP, to=1, from_=2, term=3, log_term=term, index=index))
    assert answer.type == MSG_APP_RESP
    assert answer.reject is not accepted
    assert (answer.reject_hint, answer.log_term) == (hint_index, hint_term)
    assert answer.index == (max(index, 1) if accepted else index)  # 1 is committed


@pytest.mark.parametrize(
    ("index", "term", "terms", "log"),
    [
        (2, 2, (3,), [1, 2, 3]),
        (1, 1, (3, 4), [1, 3, 4]),
        (0, 0, (1,), [1, 2]),
        (0, 0, (3,), [3]),
    ],
)
def test_a_follower_deletes_what_conflicts_and_appends_what_is_new(
    index: int, term: int, terms: tuple[int, ...], log: list[int]
) -> None:
    member = node(1, storage=storage_with((1, 2, 3), log_of(1, 2)))
    entries = [Entry(term, at) for at, term in enumerate(terms, start=index + 1)]
    member.step(Message(MSG_APP, to=1, from_=2, term=4, log_term=term, index=index, entries=entries))
    assert member.terms() == log


@pytest.mark.parametrize(
    "follower",
    [
        (1, 1, 1, 4, 4, 5, 5, 6, 6),  # entries missing
        (1, 1, 1, 4),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),  # entries too many
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        (1, 1, 1, 4, 4, 4, 4),  # both
        (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    ],
)
def test_a_leader_brings_every_log_of_the_paper_s_figure_7_in_line(follower: tuple[int, ...]) -> None:
    terms = (1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
    lead = node(1, storage=storage_with((1, 2, 3), log_of(*terms), HardState(8, 0, 10)))
    lags = node(2, storage=storage_with((1, 2, 3), log_of(*follower), HardState(7, 0, 0)))
    quiet = node(3, storage=storage_with((1, 2, 3)))
    group = Group({1: lead, 2: lags, 3: quiet})
    group.elect(1)
    lead.raw.propose(b"")
    group.settle()
    assert lags.log() == lead.log() == quiet.log()
    assert lead.terms() == [*terms, 9, 9]


# 5.4: safety


@pytest.mark.parametrize("terms", [(1,), (1, 2)])
def test_a_request_for_votes_says_where_the_log_ends(terms: tuple[int, ...]) -> None:
    member = node(1, storage=storage_with((1, 2, 3), log_of(*terms), HardState(2, 0, 0)))
    sent = candidate(member)
    assert [(m.type, m.to, m.index, m.log_term) for m in sent] == [
        (MSG_VOTE, node_id, len(terms), terms[-1]) for node_id in (2, 3)
    ]


@pytest.mark.parametrize(
    ("terms", "log_term", "index", "refused"),
    [
        ((1,), 1, 1, False),  # the same log
        ((1,), 1, 2, False),  # a longer one
        ((1, 1), 1, 1, True),  # a shorter one
        ((1,), 2, 1, False),  # of a later term
        ((1,), 2, 2, False),
        ((1, 1), 2, 1, False),  # of a later term though shorter
        ((2,), 1, 1, True),  # of an earlier term
        ((2,), 1, 2, True),  # of an earlier term though longer
        ((2, 1), 1, 1, True),
    ],
)
def test_a_vote_goes_only_to_a_log_that_lacks_nothing(
    terms: tuple[int, ...], log_term: int, index: int, refused: bool
) -> None:
    member = node(1, (1, 2), storage=storage_with((1, 2), log_of(*terms)))
    (answer,) = member.step(Message(MSG_VOTE, to=1, from_=2, term=3, log_term=log_term, index=index))
    assert (answer.type, answer.reject) == (MSG_VOTE_RESP, refused)


@pytest.mark.parametrize(("index", "committed"), [(1, 0), (2, 0), (3, 3)])
def test_a_leader_counts_replicas_only_of_its_own_term(index: int, committed: int) -> None:
    member = node(1, (1, 2), storage=storage_with((1, 2), log_of(1, 2), HardState(2, 0, 0)))
    leader(member)
    member.raw.propose(b"")
    member.work()
    member.step(Message(MSG_APP_RESP, to=1, from_=2, term=member.raw.term, index=index))
    assert member.raw.committed == committed


def test_a_vote_and_a_term_are_on_the_disk_before_they_are_told() -> None:
    member = node()
    member.raw.step(Message(MSG_VOTE, to=1, from_=2, term=5))
    ready = member.raw.ready()
    assert ready.hard_state == HardState(5, 2, 0)
    assert ready.must_sync
    assert [message.type for message in ready.messages] == [MSG_VOTE_RESP]
