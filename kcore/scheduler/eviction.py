"""DefaultPreemption as a whole: is the pod eligible, which nodes are candidates, which one is best, in which words.

Source: plugins/defaultpreemption and framework/preemption of Kubernetes 1.36.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kcore.kernel import Kernel
from kcore.scheduler import reasons
from kcore.scheduler.preemption import NO_VICTIMS, STILL_REJECTED, dry_run

if TYPE_CHECKING:
    from kcore.scheduler.columns import Scratch, Settings
    from kcore.scheduler.profile import DefaultPreemptionArgs
    from kcore.scheduler.reasons import ThirdParty
    from kcore.scheduler.state import State, World

NEVER = "not eligible due to preemptionPolicy=Never."
WAITING = "not eligible due to a terminating pod on the nominated node."

_PRIORITY_OFFSET = 2**31
"""Added to every victim's priority in the sum, so that negative ones do not make more victims look better."""


class Candidate(NamedTuple):
    """A node on which evicting ``victims`` (rows, most important first) would make the pod fit."""

    node: int
    victims: tuple[int, ...]
    violations: int


class Preemption(NamedTuple):
    """What preemption found; ``chosen`` is the best candidate, ``message`` upstream's where there is none.

    ``has_failed``: it could not be told whether there is one.
    """

    ineligible: str | None
    message: str
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    has_failed: bool = False


class Search(NamedTuple):
    """What a search for candidates works on."""

    state: State
    world: World
    settings: Settings
    scratch: Scratch
    third_party: ThirdParty
    run: Callable[[Kernel], Callable[..., Any]]


def preempt(
    search: Search, row: int, args: DefaultPreemptionArgs, offset: float, evaluate: Callable[..., int] | None
) -> Preemption:
    """Search for the best node to preempt on, right after the pod's verdicts have been left in scratch.

    ``offset`` in [0, 1) is where the search starts among the nodes in order of name: upstream starts at random and
    stops when it has enough candidates. ``evaluate`` replaces the compiled dry run where third-party filters must
    be asked too.
    """
    state, world, scratch = search.state, search.world, search.scratch
    slots = int(world.nodes.slots[0])
    verdict, detail = scratch.verdict[:slots], scratch.detail[:slots]
    resolvable = reasons.is_resolvable(verdict, detail, search.third_party)
    why = _ineligible(state, row, resolvable)
    if why is not None:
        return Preemption(why, why, (), None)
    order = np.flatnonzero(resolvable).astype(np.int32)
    order = order[np.argsort(world.nodes.rank[order], kind="stable")]
    order = np.roll(order, -int(offset * len(order)))
    candidates, outcome = _dry_run(search, row, order, args, evaluate)
    if candidates:
        return Preemption(None, "", candidates, best_of(state, candidates))
    counts: Counter[str] = Counter()
    counts[reasons.NO_VICTIMS_FOUND] = int((outcome == NO_VICTIMS).sum())
    tried = order[outcome == STILL_REJECTED]
    names = state.nodes.resources.values
    counts += reasons.count_reasons(scratch.verdict[tried], scratch.detail[tried], names, search.third_party)
    counts[reasons.NOT_HELPFUL] = state.nodes.alive_count - len(order)
    return Preemption(None, reasons.sentence(state.nodes.alive_count, counts), (), None)


def _ineligible(state: State, row: int, resolvable: np.ndarray) -> str | None:
    spec_class = state.classes[state.pods.spec_class[row]]
    if spec_class.exemplar.spec.preemption_policy == "Never":
        return NEVER
    slot = int(state.pods.nominated[row])
    if slot < 0 or not resolvable[slot]:
        return None
    priority = state.pods.priority[row]
    for other in state.preempting:
        if state.pods.node[other] == slot and state.pods.priority[other] < priority:
            return WAITING
    return None


def _dry_run(
    search: Search,
    row: int,
    order: np.ndarray,
    args: DefaultPreemptionArgs,
    evaluate: Callable[..., int] | None,
) -> tuple[tuple[Candidate, ...], np.ndarray]:
    state, world = search.state, search.world
    outcome = np.zeros(len(order), dtype=np.int64)
    if not len(order):
        return (), outcome
    wanted = len(order) * args.min_candidate_nodes_percentage // 100
    wanted = min(max(wanted, args.min_candidate_nodes_absolute), len(order))
    on_nodes = world.nodes.pod_count[order]
    victims = np.zeros(int(on_nodes.sum()) + 1, dtype=np.int32)
    violating = np.zeros(int(on_nodes.max()) + 1, dtype=np.uint8)
    candidate = np.zeros((len(order), 2), dtype=np.int64)
    bounds = np.zeros(len(order) + 1, dtype=np.int64)
    allowed = np.array([budget.allowed for budget in state.budgets], dtype=np.int64)
    nominated = state.nominated
    found: int = (evaluate or search.run(dry_run))(
        world.nodes, world.pods, world.demands, world.requests, search.settings, row, order, wanted, nominated,
        allowed, allowed.copy(), search.scratch, victims, violating, candidate, bounds, outcome,
    )  # fmt: skip
    return tuple(
        Candidate(
            int(candidate[index, 0]),
            tuple(victims[bounds[index] : bounds[index + 1]].tolist()),
            int(candidate[index, 1]),
        )
        for index in range(found)
    ), outcome


def best_of(state: State, candidates: tuple[Candidate, ...]) -> Candidate:
    """Fewest budget violations, lowest top priority, lowest sum, fewest victims, latest start of the top ones."""
    priority, start = state.pods.priority, state.pods.start

    def cost(candidate: Candidate) -> tuple[int, int, int, int, int]:
        victims = candidate.victims
        top = int(priority[victims[0]])
        earliest = min(int(start[row]) for row in victims if priority[row] == top)
        total = sum(int(priority[row]) + _PRIORITY_OFFSET for row in victims)
        return (candidate.violations, top, total, len(victims), -earliest)

    return min(candidates, key=cost)
