"""The fast quorum and its slow twin agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore_native.raft import quorum
from tests.naive import raft_quorum

pytestmark = pytest.mark.differential

IDS = st.integers(1, 30)
CONFIGURATIONS = st.sets(IDS, max_size=20)
INDICES = st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1))
RESULTS = {quorum.VOTE_WON: "won", quorum.VOTE_LOST: "lost", quorum.VOTE_PENDING: "pending"}


@given(CONFIGURATIONS, CONFIGURATIONS, st.dictionaries(IDS, INDICES, max_size=20))
def test_the_committed_index_is_what_sorting_and_counting_gives(
    incoming: set[int], outgoing: set[int], acked: dict[int, int]
) -> None:
    assert quorum.committed_index(incoming, acked) == raft_quorum.committed_index(incoming, acked)
    expected = raft_quorum.joint_committed_index(incoming, outgoing, acked)
    assert quorum.joint_committed_index(incoming, outgoing, acked) == expected


@given(CONFIGURATIONS, CONFIGURATIONS, st.dictionaries(IDS, st.booleans(), max_size=20))
def test_the_vote_is_what_counting_gives(
    incoming: set[int], outgoing: set[int], votes: dict[int, bool]
) -> None:
    assert RESULTS[quorum.vote_result(incoming, votes)] == raft_quorum.vote_result(incoming, votes)
    expected = raft_quorum.joint_vote_result(incoming, outgoing, votes)
    assert RESULTS[quorum.joint_vote_result(incoming, outgoing, votes)] == expected
