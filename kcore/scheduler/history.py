"""Going back to the moment of a decision: the log of a run, played backwards and forwards over the accounts.

Nothing is stored per node and pod while scheduling; an explanation of an old decision is made by taking off again
what was placed since, asking the kernels, and putting it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from kcore.api.errors import KcoreError
from kcore.scheduler.accounts import account_many
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import Engine, Options
from kcore.scheduler.explain import Explanation, explain
from kcore.scheduler.settings import shares_gpus


class History:
    """One run that can be gone back to; make it right before the run and give it the decisions afterwards.

    ``requested[resource, node]`` and ``pod_count[node]`` are copies of what there was before.
    """

    def __init__(self, engine: Engine, options: Options) -> None:
        self._engine = engine
        self._options = options
        self._world = engine.state.world()
        self.requested: np.ndarray = self._world.nodes.requested.copy()
        self.pod_count: np.ndarray = self._world.nodes.pod_count.copy()
        self._nominations = {
            row: int(engine.state.pods.nominated[row]) for row in engine.state.nominated.tolist()
        }
        self._version = engine.state.version
        self._decisions: Decisions | None = None
        self.shares_gpus = any(shares_gpus(profile) for profile in engine.configuration.profiles)

    def finish(self, decisions: Decisions) -> None:
        """Take the log of the run."""
        self._decisions = decisions
        self._world = self._engine.state.world()
        self._version = self._engine.state.version

    @property
    def decisions(self) -> Decisions:
        """The log of the run."""
        assert self._decisions is not None
        return self._decisions

    def explain(self, positions: Iterable[int]) -> Iterator[tuple[int, Explanation | None]]:
        """Explain decisions by position, in ascending order; None for pods that were never tried.

        Raises:
            KcoreError: the cluster has changed since the run.
        """
        state, decisions = self._engine.state, self.decisions
        if state.world() is not self._world or state.version != self._version:
            raise KcoreError(
                "the cluster has changed since; ask for explanations while scheduling (explain=)"
            )
        end = len(decisions.rows)
        present = {row: int(state.pods.nominated[row]) for row in state.nominated.tolist()}
        nominations = dict(self._nominations)
        here, noted = end, 0
        try:
            for position in sorted(positions):
                self._move(here, position)
                here = position
                self._note(nominations, noted, position)
                noted = position
                self._nominate(nominations)
                if position in decisions.untried:
                    yield position, None
                    continue
                row = int(decisions.rows[position])
                profile = self._engine.profile_of(row)
                assert profile is not None
                yield position, explain(self._engine, row, profile)
        finally:
            self._move(here, end)
            self._nominate(present)

    def _nominate(self, nominations: dict[int, int]) -> None:
        state = self._engine.state
        for row in state.nominated.tolist():
            state.pods.nominated[row] = -1
        state.nominated = np.array(list(nominations), dtype=np.int32)
        for row, slot in nominations.items():
            state.pods.nominated[row] = slot

    def _note(self, nominations: dict[int, int], start: int, stop: int) -> None:
        """Bring the nominations from before decision ``start`` to before decision ``stop``."""
        decisions, priority = self.decisions, self._engine.state.pods.priority
        for position in range(start, stop):
            row = int(decisions.rows[position])
            found = decisions.preemptions.get(position)
            if found is not None:
                node = found.node
                for other in [one for one, slot in nominations.items() if slot == node]:
                    if priority[other] < priority[row]:
                        del nominations[other]
                nominations.pop(row, None)
                if self._options.preemption == "nominate":
                    nominations[row] = node
            elif decisions.node[position] >= 0 or position in decisions.denied:
                nominations.pop(row, None)

    def _move(self, start: int, stop: int) -> None:
        """Bring the accounts from before decision ``start`` to before decision ``stop``, either way."""
        low, high = min(start, stop), max(start, stop)
        marks = [one for one in sorted(self.decisions.preemptions) if low <= one < high]
        bounds = [low, *(mark + 1 for mark in marks), high]
        stretches = list(zip(bounds[:-1], bounds[1:], [*marks, -1], strict=True))
        if stop >= start:
            for begin, end, mark in stretches:
                if mark >= 0:
                    self._place(begin, mark, 1)
                    self._evict(mark, -1)
                    self._place(mark, end, 1)
                else:
                    self._place(begin, end, 1)
            return
        for begin, end, mark in reversed(stretches):
            if mark >= 0:
                self._place(mark, end, -1)
                self._evict(mark, 1)
                self._place(begin, mark, -1)
            else:
                self._place(begin, end, -1)

    def _place(self, start: int, stop: int, sign: int) -> None:
        decisions = self.decisions
        self._account(decisions.rows[start:stop], decisions.node[start:stop], sign)
        made = [position for position in sorted(decisions.reservations) if start <= position < stop]
        for position in made if sign > 0 else reversed(made):
            for one in decisions.reservations[position][::sign]:
                if sign > 0:
                    one.redo()
                else:
                    one.undo()

    def _evict(self, position: int, sign: int) -> None:
        found = self.decisions.preemptions[position]
        if self._options.preemption == "evict":
            victims = np.array(found.victims, dtype=np.int32)
            self._account(victims, np.full(len(victims), found.node, dtype=np.int32), sign)

    def _account(self, rows: np.ndarray, slots: np.ndarray, sign: int) -> None:
        world, hosted = self._world, self._engine.state.hosted
        self._engine.run(account_many)(world.nodes, world.pods, world.requests, rows, slots, sign)
        for row, slot in zip(rows.tolist(), slots.tolist(), strict=True) if hosted else ():
            # plugins on objects look at where such pods are themselves
            if slot >= 0 and row in hosted:
                self._engine.state.pods.node[row] = slot if sign > 0 else -1
