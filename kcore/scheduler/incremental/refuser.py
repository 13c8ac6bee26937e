"""What refused pods get: the arrays behind ``refuse_range``, and the words of its tallies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kcore.kernel import Kernel, compile_for
from kcore.scheduler import codes, reasons
from kcore.scheduler.columns import Scratch, Settings
from kcore.scheduler.eviction import Candidate
from kcore.scheduler.incremental import refusing
from kcore.scheduler.incremental.columns import Counters, Touched
from kcore.scheduler.incremental.refusing import Refusals, Trials, refuse_range
from kcore.scheduler.preemption import STILL_REJECTED
from kcore.scheduler.state import State, World

LOG_MAX = 8_192
RECORDS_MAX = 256
VICTIMS_MIN = 4_096


class Refusal(NamedTuple):
    """A pod that fits nowhere: its place in the stretch, why, what preemption says, and what it chose."""

    place: int
    text: str
    message: str
    chosen: Candidate | None


class Means(NamedTuple):
    """What preemption may do for the pods of a shape."""

    preempts: bool
    evicts: bool
    percentage: int
    absolute: int
    cacheable: bool


class Refuser:
    """Refuses pods of one queue; trials of each shape are kept until their nodes are touched."""

    def __init__(
        self, state: State, world: World, scratch: Scratch, run: Callable[[Kernel], Callable[..., Any]]
    ) -> None:
        self._state = state
        self._world = world
        self._scratch = scratch
        self._run = run
        self._row: dict[int, int] = {}
        self._trials = _trials(0, world.nodes.alive.shape[0])
        self._refusals = self._make()
        self._texts: dict[bytes, tuple[str, str]] = {}

    def _make(self) -> Refusals:
        nodes = self._world.nodes
        slots = int(nodes.slots[0])
        alive = np.flatnonzero(nodes.alive[:slots])
        # a profile without NodeResourcesFit may put any number of pods on a node
        crowd = self._state.pods.count + 1
        allowed = np.array([budget.allowed for budget in self._state.budgets], dtype=np.int64)
        helps = np.zeros(256, dtype=np.uint8)
        helps[reasons.helpful({})] = 1
        return Refusals(
            by_rank=alive[np.argsort(nodes.rank[alive], kind="stable")].astype(np.int32),
            helps=helps,
            option=np.zeros(refusing.OPTIONS, dtype=np.int64),
            tally=np.zeros((2, refusing.TALLY), dtype=np.int64),
            record=np.zeros((RECORDS_MAX, 2, refusing.TALLY), dtype=np.int64),
            log=np.zeros((LOG_MAX, refusing.LOG_FIELDS), dtype=np.int64),
            victims=np.zeros(max(VICTIMS_MIN, crowd), dtype=np.int32),
            trial_victims=np.zeros(crowd, dtype=np.int32),
            violating=np.zeros(crowd, dtype=np.uint8),
            budget_allowed=allowed,
            budget_left=allowed.copy(),
        )

    def warm(self, settings: Settings, counters: Counters, touched: Touched) -> None:
        """Compile, or load from the cache, what refusing needs."""
        world, none = self._world, np.zeros(0, dtype=np.int32)
        compile_for(
            refuse_range, *world, settings, counters, touched, none, np.zeros(0), none, none, self._scratch,
            self._trials, 0, self._refusals, none,
        )  # fmt: skip

    def refuse(
        self, settings: Settings, counters: Counters, touched: Touched, queue: np.ndarray, draws: np.ndarray,
        number: np.ndarray, placed: np.ndarray, means: Means,
    ) -> list[Refusal]:  # fmt: skip
        """Refuse the first pod of ``queue``, whose verdicts are in scratch, and those after it that share its fate.

        Pods that take the place of their victims are marked in ``placed``. At least one pod is refused.
        """
        refusals = self._refusals
        refusals.option[:] = (
            means.percentage, means.absolute, means.preempts, means.evicts, means.cacheable,
        )  # fmt: skip
        nominated = np.array(self._state.nominated, dtype=np.int32)
        row = self._trial_row(int(number[0]))
        count = self._run(refuse_range)(
            *self._world, settings, counters, touched, queue, draws, number, nominated,
            self._scratch, self._trials, row, refusals, placed,
        )  # fmt: skip
        log = refusals.log[:count].tolist()
        words = [self._words(one) for one in refusals.record[: log[-1][refusing.RECORD] + 1]]
        return [self._told(entry, words[entry[refusing.RECORD]], means.preempts) for entry in log]

    def _trial_row(self, number: int) -> int:
        if number not in self._row:
            self._row[number] = row = len(self._row)
            if row >= self._trials.seen.shape[0]:
                more = _trials(max(2 * row, 1), self._world.nodes.alive.shape[0])
                for name in Trials._fields:
                    getattr(more, name)[:row] = getattr(self._trials, name)
                self._trials = more
        return self._row[number]

    def _told(self, entry: list[int], words: tuple[str, str], preempts: bool) -> Refusal:
        text, message = words
        place, _, node, first, last, violations = entry
        if node < 0:
            return Refusal(place, text, message if preempts else "", None)
        victims = tuple(self._refusals.victims[first:last].tolist())
        return Refusal(place, text, "", Candidate(node, victims, violations))

    def _words(self, record: np.ndarray) -> tuple[str, str]:
        key = record.tobytes()
        known = self._texts.get(key)
        if known is None:
            alive = self._state.nodes.alive_count
            text = reasons.sentence(alive, self._count(record[0]))
            counts = self._count(record[1])
            counts[reasons.NO_VICTIMS_FOUND] += int(record[1, refusing.NO_VICTIMS_TALLY])
            counts[reasons.NOT_HELPFUL] += alive - int(record[0, refusing.CANDIDATES_TALLY])
            known = self._texts[key] = (text, reasons.sentence(alive, counts))
        return known

    def _count(self, tally: np.ndarray) -> Counter[str]:
        counts: Counter[str] = Counter()
        names = self._state.nodes.resources.values
        for place in np.flatnonzero(tally[: refusing.NO_VICTIMS_TALLY]).tolist():
            if place in (codes.PASS, codes.DEAD):
                continue
            verdict, bits = (place, 0)
            if place >= refusing.FIT_BITS:
                verdict, bits = codes.REJECT_FIT, 1 << (place - refusing.FIT_BITS)
            for reason in reasons.rejection(verdict, bits, names, {}).reasons:
                counts[reason] += int(tally[place])
        return counts


def _trials(rows: int, nodes: int) -> Trials:
    shape = (rows, nodes)
    return Trials(
        seen=np.full(shape, -1, dtype=np.int64),
        outcome=np.full(shape, STILL_REJECTED, dtype=np.int32),
        violations=np.zeros(shape, dtype=np.int32),
        top=np.zeros(shape, dtype=np.int32),
        total=np.zeros(shape, dtype=np.int64),
        earliest=np.zeros(shape, dtype=np.int64),
        verdict=np.zeros(shape, dtype=np.uint8),
        detail=np.zeros(shape, dtype=np.int64),
    )
