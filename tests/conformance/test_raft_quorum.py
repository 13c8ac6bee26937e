"""Majorities and joint majorities decide what etcd-io/raft's did when its cases were recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from kcore_native.raft.quorum import (
    INDEX_MAX,
    VOTE_LOST,
    VOTE_PENDING,
    VOTE_WON,
    committed_index,
    joint_committed_index,
    joint_vote_result,
    vote_result,
)
from tests.conformance.raft.datadriven import HISTORIES, Case, histories, read_cases

FILES = histories("quorum")
RESULTS = {VOTE_PENDING: "VotePending", VOTE_LOST: "VoteLost", VOTE_WON: "VoteWon"}


def by_voter(values: tuple[str, ...], voters: list[int]) -> dict[int, str]:
    """The values given in the order in which the voters first appear; ``_`` is none."""
    order = list(dict.fromkeys(voters))
    return {node_id: value for node_id, value in zip(order, values, strict=True) if value != "_"}


def describe(voters: set[int], acked: dict[int, int]) -> str:
    """A bar for each voter, as long as there are voters with less; etcd-io/raft, quorum/majority.go (Describe)."""
    if not voters:
        return "<empty majority quorum>"
    width = len(voters)
    ordered = sorted(voters, key=lambda node_id: (acked.get(node_id, 0), node_id))
    bars: dict[int, int] = {}
    for i, node_id in enumerate(ordered):
        before = ordered[i - 1] if i else None
        less = before is not None and acked.get(before, 0) < acked.get(node_id, 0)
        bars[node_id] = i if less else (0 if before is None else bars[before])
    lines = [" " * width + "    idx\n"]
    for node_id in sorted(voters):
        bar = "x" * bars[node_id] + ">" + " " * (width - bars[node_id])
        if node_id not in acked:
            bar = "?" + " " * width
        lines.append(f"{bar} {acked.get(node_id, 0):5}    (id={node_id:x})\n")
    return "".join(lines)


def run(case: Case) -> str:
    incoming = [int(word) for word in case.options.get("cfg", ())]
    joint = "cfgj" in case.options
    outgoing = [int(word) for word in case.options.get("cfgj", ()) if word != "zero"]
    given = case.options.get("votes" if case.command == "vote" else "idx", ())
    voters = set(incoming) | set(outgoing)
    if len(voters) != len(given):
        numbers = [{"y": "2", "n": "1", "_": "0"}.get(value, value) for value in given]
        nodes = " ".join(f"{node_id}:{{}}" for node_id in sorted(voters))
        return f"error: mismatched input (explicit or _) for voters map[{nodes}]: [{' '.join(numbers)}]"
    values = by_voter(given, [*incoming, *outgoing])
    if case.command == "vote":
        votes = {node_id: value == "y" for node_id, value in values.items()}
        result = joint_vote_result(incoming, outgoing, votes)
        assert joint_vote_result(outgoing, incoming, votes) == result
        if not joint:
            assert vote_result(incoming, votes) == result
        return RESULTS[result]
    acked = {node_id: int(value) for node_id, value in values.items()}
    index = joint_committed_index(incoming, outgoing, acked)
    assert joint_committed_index(outgoing, incoming, acked) == index
    if not joint:
        assert committed_index(incoming, acked) == index
        assert joint_committed_index(incoming, incoming, acked) == index
        for node_id in incoming:
            if 0 < acked.get(node_id, 0) < index:  # who is behind anyway may be further behind
                for less in (acked[node_id] - 1, 0):
                    assert committed_index(incoming, {**acked, node_id: less}) == index
    return describe(voters, acked) + ("∞" if index == INDEX_MAX else str(index))


@pytest.mark.skipif(not FILES, reason=f"no recorded Raft histories in {HISTORIES} (set KCORE_SHARED)")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_quorum_decides_as_recorded(path: Path) -> None:
    for case in read_cases(path):
        assert run(case) == case.expected, f"{path.name}:{case.line}"
