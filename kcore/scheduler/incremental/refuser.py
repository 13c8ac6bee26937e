"""The arrays behind ``refuse``, and the words of its tallies."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from kcore.scheduler import codes, reasons
from kcore.scheduler.eviction import Candidate
from kcore.scheduler.incremental import refusing
from kcore.scheduler.incremental.refusing import Refusals, Trials
from kcore.scheduler.state import State, World

LOG_MAX = 8_192
RECORDS_MAX = 256
VICTIMS_MAX = 65_536
KEPT_BYTES_MAX = 1 << 28
"""Memory for what is known of nodes for shapes that were refused; it is used only where there are such."""
NODE_BYTES = 64
"""Of that, for a node and a shape."""


class Refusal(NamedTuple):
    """A pod that fits nowhere: its place in the queue, why, what preemption says, what it chose, and who rejected it."""

    place: int
    text: str
    message: str
    chosen: Candidate | None
    rejectors: frozenset[str]


class Means(NamedTuple):
    """What preemption may do for the pods of a profile."""

    preempts: bool
    evicts: bool
    percentage: int
    absolute: int


class Refuser:
    """Holds what ``refuse`` needs and fills, and reads what it has written down."""

    def __init__(self, state: State, world: World, shapes: int) -> None:
        self._state = state
        self._world = world
        capacity = world.nodes.alive.shape[0]
        rows = min(shapes, KEPT_BYTES_MAX // (NODE_BYTES * capacity))
        self.trials = _trials(shapes, max(rows, 1) + 1, capacity)
        self.refusals = self._make()
        self._texts: dict[bytes, tuple[str, str, frozenset[str]]] = {}

    def _make(self) -> Refusals:
        nodes = self._world.nodes
        slots = int(nodes.slots[0])
        alive = np.flatnonzero(nodes.alive[:slots])
        # a profile without NodeResourcesFit may put any number of pods on a node
        crowd = self._state.pods.count + 1
        allowed = np.array([budget.allowed for budget in self._state.budgets], dtype=np.int64)
        helps = np.zeros(256, dtype=np.uint8)
        helps[reasons.helpful({})] = 1
        never = [one.exemplar.spec.preemption_policy == "Never" for one in self._state.classes]
        return Refusals(
            by_rank=alive[np.argsort(nodes.rank[alive], kind="stable")].astype(np.int32),
            helps=helps,
            never=np.array(never, dtype=np.uint8),
            option=np.zeros(refusing.OPTIONS, dtype=np.int64),
            used=np.zeros(3, dtype=np.int64),
            record=np.zeros((RECORDS_MAX, 2, refusing.TALLY), dtype=np.int64),
            log=np.zeros((LOG_MAX, refusing.LOG_FIELDS), dtype=np.int64),
            victims=np.zeros(VICTIMS_MAX + crowd, dtype=np.int32),
            trial_victims=np.zeros(crowd, dtype=np.int32),
            violating=np.zeros(crowd, dtype=np.uint8),
            budget_allowed=allowed,
            budget_left=allowed.copy(),
        )

    def use(self, means: Means) -> None:
        """Refuse by these means from now on."""
        self.refusals.option[:] = (means.percentage, means.absolute, means.preempts, means.evicts)

    def read(self) -> list[Refusal]:
        """What has been written down since the last time."""
        refusals = self.refusals
        logged, recorded, _ = refusals.used.tolist()
        if not logged:
            return []
        words = [self._words(one) for one in refusals.record[:recorded]]
        told = [self._told(entry, words[entry[refusing.RECORD]]) for entry in refusals.log[:logged].tolist()]
        refusals.used[:] = 0
        return told

    def _told(self, entry: list[int], words: tuple[str, str, frozenset[str]]) -> Refusal:
        text, message, rejectors = words
        place, _, node, first, last, violations = entry
        if node < 0:
            return Refusal(place, text, message, None, rejectors)
        victims = tuple(self.refusals.victims[first:last].tolist())
        return Refusal(place, text, "", Candidate(node, victims, violations), rejectors)

    def _words(self, record: np.ndarray) -> tuple[str, str, frozenset[str]]:
        key = record.tobytes() + bytes(self.refusals.option[refusing.PREEMPTS : refusing.PREEMPTS + 1])
        known = self._texts.get(key)
        if known is None:
            alive = self._state.nodes.alive_count
            text, message = reasons.sentence(alive, self._count(record[0])), ""
            if self.refusals.option[refusing.PREEMPTS]:
                counts = self._count(record[1])
                counts[reasons.NO_VICTIMS_FOUND] += int(record[1, refusing.NO_VICTIMS_TALLY])
                counts[reasons.NOT_HELPFUL] += alive - int(record[0, refusing.CANDIDATES_TALLY])
                message = reasons.sentence(alive, counts)
            known = self._texts[key] = (text, message, self._rejectors(record[0]))
        return known

    def _rejectors(self, tally: np.ndarray) -> frozenset[str]:
        places = np.flatnonzero(tally[: refusing.NO_VICTIMS_TALLY])
        fits = places >= refusing.FIT_BITS
        return reasons.rejectors(np.where(fits, codes.REJECT_FIT, places), {})

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


def _trials(shapes: int, rows: int, nodes: int) -> Trials:
    shape = (rows, nodes)
    return Trials(
        row_of=np.full(shapes, -1, dtype=np.int32),
        owner=np.full(rows, -1, dtype=np.int32),
        turn=np.zeros(1, dtype=np.int64),
        cursor=np.full(rows, -1, dtype=np.int64),
        standing=np.zeros(rows, dtype=np.uint8),
        tally=np.zeros((rows, 2, refusing.TALLY), dtype=np.int64),
        verdict=np.zeros(shape, dtype=np.uint8),
        detail=np.zeros(shape, dtype=np.int64),
        seen=np.zeros(shape, dtype=np.int64),
        outcome=np.zeros(shape, dtype=np.int32),
        violations=np.zeros(shape, dtype=np.int32),
        top=np.zeros(shape, dtype=np.int32),
        total=np.zeros(shape, dtype=np.int64),
        earliest=np.zeros(shape, dtype=np.int64),
        still=np.zeros(shape, dtype=np.uint8),
        still_detail=np.zeros(shape, dtype=np.int64),
    )
