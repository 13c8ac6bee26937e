"""Bugs that the simulator must find: each is switched on by name (``Member``'s ``planted``), in tests alone.

"no_fsync": a turn's work need never be synced. "no_read_index": any member answers reads at once. "learner_votes": a
learner is asked for its vote, and it counts as a voter's.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from kcore_native.raft import MSG_PRE_VOTE, MSG_PRE_VOTE_RESP, MSG_VOTE, MSG_VOTE_RESP, ConfState, Message

PLANTED: Final = frozenset({"no_fsync", "no_read_index", "learner_votes"})


def votes_asked_of_learners(conf_state: ConfState, messages: Iterable[Message]) -> list[Message]:
    """The votes asked of voters, asked of every learner too."""
    votes = [m for m in messages if m.type in (MSG_VOTE, MSG_PRE_VOTE)]
    asked = []
    for learner in conf_state.learners if votes else ():
        copy = Message.decode(votes[0].encode())
        copy.to = learner
        asked.append(copy)
    return asked


def forge_vote(message: Message, own_id: int, conf_state: ConfState, heard_ms: Mapping[int, int]) -> None:
    """A learner's vote becomes that of the voter who was silent for longest."""
    if message.type in (MSG_VOTE_RESP, MSG_PRE_VOTE_RESP) and message.from_ in conf_state.learners:
        others = [v for v in conf_state.voters if v != own_id]
        if others:
            message.from_ = min(others, key=lambda v: heard_ms.get(v, -1))
