"""Quorums by sorting and counting, one voter after another."""

from __future__ import annotations

from collections.abc import Collection, Mapping

INDEX_MAX = 2**64 - 1


def committed_index(voters: Collection[int], acked: Mapping[int, int]) -> int:
    """The largest index that more than half of the voters have reached."""
    if not voters:
        return INDEX_MAX
    reached = 0
    for index in sorted(acked.values()):
        have = sum(1 for voter in voters if acked.get(voter, 0) >= index)
        if have > len(voters) / 2:
            reached = index
    return reached


def joint_committed_index(
    incoming: Collection[int], outgoing: Collection[int], acked: Mapping[int, int]
) -> int:
    """The largest index that both halves have committed."""
    return min(committed_index(incoming, acked), committed_index(outgoing, acked))


def vote_result(voters: Collection[int], votes: Mapping[int, bool]) -> str:
    """``won`` if however the rest votes it is won, ``lost`` if however the rest votes it is not, else ``pending``."""
    undecided = [voter for voter in voters if voter not in votes]
    yes = sum(1 for voter in voters if votes.get(voter, False))
    at_worst, at_best = yes, yes + len(undecided)
    needed = len(voters) / 2
    if not voters or at_worst > needed:
        return "won"
    return "pending" if at_best > needed else "lost"


def joint_vote_result(incoming: Collection[int], outgoing: Collection[int], votes: Mapping[int, bool]) -> str:
    """The outcome where both halves must win."""
    results = {vote_result(incoming, votes), vote_result(outgoing, votes)}
    if "lost" in results:
        return "lost"
    return "pending" if "pending" in results else "won"
