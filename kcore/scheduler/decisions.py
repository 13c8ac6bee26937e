"""What was decided for a queue of pods, and the pods that follow each other in it and are decided alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from kcore.scheduler.eviction import Candidate
from kcore.scheduler.host import Reservation
from kcore.scheduler.profile import Profile
from kcore.scheduler.vocab import is_contiguous, window


@dataclass(slots=True)
class Decisions:
    """What was decided, by position in ``rows`` (the pods in the order in which they were tried)."""

    rows: np.ndarray  # int32[position]
    node: np.ndarray  # int32[position] slot, -1 not placed
    score: np.ndarray  # int64[position]
    reason: dict[int, str] = field(default_factory=dict)
    rejectors: dict[int, frozenset[str]] = field(default_factory=dict)
    """The plugins that rejected the pods that have a reason; who says that there are no nodes is called NoNodes."""
    untried: set[int] = field(default_factory=set)
    """Positions of pods that never entered the queue (gated, not supported, no profile)."""
    denied: set[int] = field(default_factory=set)
    """Positions of pods whose nomination was taken back because preemption cannot help."""
    preemptions: dict[int, Candidate] = field(default_factory=dict)
    """What preemption chose for pods that fitted nowhere."""
    failed: set[int] = field(default_factory=set)
    """Positions of pods whose cycle failed, which is no verdict on them; ``reason`` says how."""
    reservations: dict[int, tuple[Reservation, ...]] = field(default_factory=dict)
    """What plugins on objects have set aside for pods that were placed."""


class Stretch(NamedTuple):
    """Pods of one profile that follow each other in the queue, and what they get, by place in the stretch."""

    queue: np.ndarray  # int32[place] rows of the pods
    draws: np.ndarray  # float64[place]
    positions: np.ndarray  # int64[place] in the whole queue, ascending
    placed: np.ndarray  # int32[place] slot, -1
    score: np.ndarray  # int64[place]

    @classmethod
    def of(cls, rows: np.ndarray, draws: np.ndarray, positions: np.ndarray, result: Decisions) -> Stretch:
        """The pods at ascending positions; where these follow each other, results are written where they belong."""
        if is_contiguous(positions):
            placed, score = window(result.node, positions), window(result.score, positions)
        else:
            placed = np.full(len(positions), -1, dtype=np.int32)
            score = np.zeros(len(positions), dtype=np.int64)
        return cls(window(rows, positions), window(draws, positions), positions, placed, score)

    def hand_over(self, result: Decisions) -> None:
        """Put what was placed into the decisions; the others keep what they have there."""
        if not is_contiguous(self.positions):
            ours = self.placed >= 0
            result.node[self.positions[ours]] = self.placed[ours]
            result.score[self.positions[ours]] = self.score[ours]


def stretches(
    runnable: np.ndarray, profiles: list[tuple[Profile, np.ndarray]], hosted: np.ndarray
) -> Iterator[tuple[Profile, np.ndarray]]:
    """Runs of consecutive positions that share a profile, and that kernels decide, or plugins on objects."""
    if len(profiles) == 1 and not hosted.any():
        yield profiles[0][0], runnable
        return
    owner = np.zeros(int(runnable.max(initial=-1)) + 1, dtype=np.int64)
    for number, (_, positions) in enumerate(profiles):
        owner[positions] = 2 * number
    owner = owner[runnable] + hosted
    bounds = np.flatnonzero(np.diff(owner)) + 1
    for part in np.split(runnable, bounds) if len(runnable) else ():
        yield profiles[int(owner[np.searchsorted(runnable, part[0])]) // 2][0], part
