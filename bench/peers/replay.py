"""Another scheduler's placements, judged pod by pod: each must be what kcore could have chosen in the same state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.clusters import Run
from kcore.api.objects import ClusterObjects
from kcore.scheduler.codes import PASS


@dataclass
class Agreement:
    """Of so many pods, how many went to a feasible node, and how many to one of the best."""

    pods: int = 0
    feasible: int = 0
    best: int = 0
    first: str = ""
    """What was wrong with the first that did not go to one of the best."""


def replay(objects: ClusterObjects, placements: Sequence[str]) -> Agreement:
    """Place the pods where the other scheduler did, comparing each choice with what kcore says of every node.

    ``placements`` names the node of each pending pod in order; empty where it found none.
    """
    run = Run(objects, compiled=True, pod_max=len(placements))
    engine, state = run.engine, run.state
    told = Agreement()
    for row, name in zip(run.rows.tolist(), placements, strict=True):
        told.pods += 1
        profile = engine.profile_of(row)
        assert profile is not None
        count = engine.filter(profile, row)
        scratch = engine.scratch(state.world())
        if not name:
            told.feasible += count == 0
            told.best += count == 0
            if count and not told.first:
                told.first = f"pod {told.pods - 1}: {count} nodes are feasible, none was found"
            continue
        slot = state.nodes.index[name]
        fits = bool(scratch.verdict[slot] == PASS)
        engine.score(profile, row)
        total = scratch.total[: len(scratch.verdict)]
        best = int(total[scratch.verdict == PASS].max(initial=-1))
        told.feasible += fits
        good = fits and int(total[slot]) == best
        told.best += good
        if not good and not told.first:
            told.first = (
                f"pod {told.pods - 1}: {name} has {int(total[slot])}, the best {best}, feasible: {fits}"
            )
        state.place(row, slot)
    return told
