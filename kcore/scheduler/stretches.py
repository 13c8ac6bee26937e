"""The queue in stretches: pods that follow each other and are decided alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from kcore.scheduler.profile import Profile
from kcore.scheduler.vocab import is_contiguous, window


class Placements(Protocol):
    """Where results belong, by position in the whole queue."""

    node: np.ndarray
    score: np.ndarray


class Stretch(NamedTuple):
    """Pods of one profile that follow each other in the queue, and what they get, by place in the stretch."""

    queue: np.ndarray  # int32[place] rows of the pods
    draws: np.ndarray  # float64[place]
    positions: np.ndarray  # int64[place] in the whole queue, ascending
    placed: np.ndarray  # int32[place] slot, -1
    score: np.ndarray  # int64[place]

    @classmethod
    def of(cls, rows: np.ndarray, draws: np.ndarray, positions: np.ndarray, result: Placements) -> Stretch:
        """The pods at ascending positions; where these follow each other, results are written where they belong."""
        if is_contiguous(positions):
            placed, score = window(result.node, positions), window(result.score, positions)
        else:
            placed = np.full(len(positions), -1, dtype=np.int32)
            score = np.zeros(len(positions), dtype=np.int64)
        return cls(window(rows, positions), window(draws, positions), positions, placed, score)

    def hand_over(self, result: Placements) -> None:
        """Put what was placed into the decisions; the others keep what they have there."""
        if not is_contiguous(self.positions):
            ours = self.placed >= 0
            result.node[self.positions[ours]] = self.placed[ours]
            result.score[self.positions[ours]] = self.score[ours]


def stretches(
    runnable: np.ndarray,
    profiles: list[tuple[Profile, np.ndarray]],
    hosted: np.ndarray,
    cuts: Sequence[int] = (),
) -> Iterator[tuple[Profile, np.ndarray]]:
    """Runs of consecutive positions that share a profile, and that kernels decide, or plugins on objects.

    No run goes on past a position of ``cuts``, at which something else happens. No run is empty.
    """
    if not len(runnable):
        return
    if len(profiles) == 1 and not hosted.any() and not cuts:
        yield profiles[0][0], runnable
        return
    owner = np.zeros(int(runnable.max(initial=-1)) + 1, dtype=np.int64)
    for number, (_, positions) in enumerate(profiles):
        owner[positions] = 2 * number
    owner = owner[runnable] + hosted
    bounds = np.union1d(np.flatnonzero(np.diff(owner)) + 1, np.searchsorted(runnable, cuts))
    for part in np.split(runnable, bounds[(bounds > 0) & (bounds < len(runnable))].astype(np.int64)):
        yield profiles[int(owner[np.searchsorted(runnable, part[0])]) // 2][0], part
