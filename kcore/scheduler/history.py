"""Going back to the moment of a decision: the state before a run, plus the log of what it decided.

Nothing is stored per node and pod while scheduling; an explanation of an old decision is made by putting the
accounts back to the start, replaying the log up to that pod and asking the kernels again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from kcore.api.errors import KcoreError
from kcore.scheduler.cycle import account_many
from kcore.scheduler.engine import Decisions, Engine, Options
from kcore.scheduler.explain import Explanation, explain
from kcore.scheduler.state import World


class Accounts:
    """A copy of everything that placements change and verdicts read."""

    def __init__(self, world: World) -> None:
        nodes = world.nodes
        self._live: tuple[np.ndarray, ...] = (
            nodes.requested, nodes.nonzero, nodes.pod_count, nodes.ledger, world.pods.nominated
        )  # fmt: skip
        self._saved = tuple(array.copy() for array in self._live)

    @property
    def requested(self) -> np.ndarray:
        """``int64[resource, node]`` as it was."""
        return self._saved[0]

    @property
    def pod_count(self) -> np.ndarray:
        """``int64[node]`` as it was."""
        return self._saved[2]

    def restore(self) -> None:
        """Put everything back as it was."""
        for array, saved in zip(self._live, self._saved, strict=True):
            array[...] = saved


class History:
    """One run that can be gone back to; make it right before the run and give it the decisions afterwards."""

    def __init__(self, engine: Engine, options: Options) -> None:
        self._engine = engine
        self._options = options
        self._world = engine.state.world()
        self.before = Accounts(self._world)
        self._nominated = list(engine.state.nominated)
        self._decisions: Decisions | None = None

    def finish(self, decisions: Decisions) -> None:
        """Take the log of the run."""
        self._decisions = decisions
        self._world = self._engine.state.world()

    def explain(self, positions: Iterable[int]) -> Iterator[tuple[int, Explanation | None]]:
        """Explain decisions by position, in ascending order; None for pods that were never tried.

        Raises:
            KcoreError: the cluster has changed since the run.
        """
        state = self._engine.state
        decisions = self._decisions
        assert decisions is not None
        if state.world() is not self._world:
            raise KcoreError(
                "the cluster has changed since; ask for explanations while scheduling (explain=)"
            )
        now = Accounts(self._world)
        nominated_now = list(state.nominated)
        try:
            self.before.restore()
            state.nominated[:] = self._nominated
            done = 0
            for position in sorted(positions):
                self._replay(done, position)
                done = position
                row = int(decisions.rows[position])
                profile = self._engine.profile_of(row)
                tried = profile is not None and state.pods.demand[row] >= 0
                # a demand is compiled only for pods that entered the queue
                if not tried or not self._was_tried(position):
                    yield position, None
                    continue
                assert profile is not None
                yield position, explain(self._engine, row, profile)
        finally:
            now.restore()
            state.nominated[:] = nominated_now

    def _was_tried(self, position: int) -> bool:
        decisions = self._decisions
        assert decisions is not None
        return position not in decisions.untried

    def _replay(self, start: int, stop: int) -> None:
        """Apply the decisions of ``start`` to ``stop`` to the accounts."""
        decisions, state = self._decisions, self._engine.state
        assert decisions is not None
        world = self._world
        marks = [one for one in sorted(decisions.preemptions) if start <= one < stop]
        begin = start
        for mark in [*marks, stop]:
            end = mark + 1 if mark in marks else stop
            rows, slots = decisions.rows[begin:end], decisions.node[begin:end]
            self._engine.run(account_many)(world.nodes, world.pods, world.requests, rows, slots, 1)
            for row in [row for row in state.nominated if row in set(rows[slots >= 0].tolist())]:
                state.forget_nomination(row)
            if mark in marks:
                self._replay_preemption(mark)
            begin = end

    def _replay_preemption(self, position: int) -> None:
        decisions, state, world = self._decisions, self._engine.state, self._world
        assert decisions is not None
        found = decisions.preemptions[position].chosen
        assert found is not None
        state.outrank(int(decisions.rows[position]), found.node)
        if self._options.preemption == "evict":
            victims = np.array(found.victims, dtype=np.int32)
            slots = np.full(len(victims), found.node, dtype=np.int32)
            self._engine.run(account_many)(world.nodes, world.pods, world.requests, victims, slots, -1)
        else:
            state.nominate(int(decisions.rows[position]), found.node)
