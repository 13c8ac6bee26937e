"""What could have been reached: the best placement of a queue, and how far a result is from it.

CP-SAT models how many pods of each kind go on each node under resources, the pod limits, host ports and the filters that
nodes themselves decide; small instances are solved to the end. :func:`bound` is for large ones: nothing can be
better, and it takes a linear program. Preemption and the order of the queue play no part in either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kcore.api.errors import InputError
from kcore.sim.greedy import by_shares, by_size
from kcore.sim.instance import PODS, Instance, instance_of
from kcore.sim.relaxation import least_nodes, most_of, relaxed

if TYPE_CHECKING:
    from kcore.cluster import Cluster
    from kcore.scheduler.result import Result

OBJECTIVES = ("placed", "nodes_used")
"""Besides the name of a resource."""


@dataclass(frozen=True)
class Optimum:
    """The best placement that was found, and what none can exceed (or, of ``nodes_used``, undercut).

    ``status`` is "optimal" where the two meet, "feasible" where the time ran out, "bound" where no placement was
    looked for (``value`` is None then).
    """

    objective: str
    value: int | None
    bound: int
    status: str
    placements: dict[str, str | None]
    """The node of every pod, ``namespace/name``; None for those left over."""
    seconds: float
    nodes: int
    pods: int
    left_out: tuple[str, ...]
    """Filters that were not modelled: with any, ``value`` may be out of reach, and ``bound`` still holds."""

    @property
    def gap(self) -> int | None:
        """How far value and bound are apart; 0 is a proof."""
        return None if self.value is None else abs(self.bound - self.value)

    def distance(self, value: int) -> dict[str, float | int]:
        """How far another placement's ``value`` is from the bound: value, bound, gap, gap_percent (of the bound)."""
        gap = value - self.bound if self.objective == "nodes_used" else self.bound - value
        return {
            "value": value, "bound": self.bound, "gap": gap,
            "gap_percent": round(100 * gap / self.bound, 4) if self.bound else 0.0,
        }  # fmt: skip


def optimum(
    source: Cluster | Instance,
    *,
    objective: str = "placed",
    seconds: float = 60.0,
    workers: int | None = None,
    seed: int = 0,
    effort: float | None = None,
    device: str | None = None,
    config: Any = None,
    profile: str | None = None,
    starts: Iterable[Mapping[str, str | None]] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Optimum:
    """The best placement of a cluster's pending pods; the cluster is not changed.

    Args:
        source: a Cluster, or an :class:`~kcore.sim.instance.Instance`.
        objective: "placed": as many pods as possible. "nodes_used": as many pods, then as few nodes with pods as
            possible, those that have some already counted. The name of a resource: as much of it as possible.
        seconds: after which the best so far is the answer.
        workers: threads; None for all cores. With one, equal seeds give equal answers, unless the time runs out.
        seed: of the search.
        effort: a limit in CP-SAT's deterministic units (about a second each): an answer that is cut off by
            it is the same every time, with one worker.
        device: a resource in devices of 1,000, as openb's ``alibabacloud.com/gpu-milli``: a pod that asks for less gets
            it from one device, one that asks for thousands gets whole ones.
        config: a KubeSchedulerConfiguration, whose filters count.
        profile: the profile for all pods.
        starts: placements to begin with, as :attr:`Optimum.placements`; the answer is at least as good as each.
        progress: called with (value, bound) when either has become better.

    Raises:
        InputError: anything wrong with the arguments; OR-tools is not installed.
    """
    started = time.perf_counter()
    instance = _instance(source, device, config, profile)
    check_objective(objective, instance)
    search = _Search(seconds, workers, seed, effort, progress)
    search.starts = [_counted(instance, one) for one in starts]
    gain = _gain(instance, objective)
    placed, proven = search.most(instance, gain)
    if objective == "nodes_used":
        wanted = int(placed.sum())
        proven_all = wanted == proven
        placed, proven = search.fewest_nodes(instance, placed)
        value = _nodes_used(instance, placed)
        # without a proof that no more pods can be placed, fewer nodes for more pods cannot be ruled out
        optimal = proven_all and value == proven
    else:
        value = int(gain @ placed.sum(axis=1))
        optimal = value == proven
    wrong = instance.violations(placed)
    assert not wrong, wrong
    return Optimum(
        objective, value, proven, "optimal" if optimal else "feasible", _named(instance, placed),
        round(time.perf_counter() - started, 6), len(instance.nodes), len(instance.pods), instance.left_out,
    )  # fmt: skip


def bound(
    source: Cluster | Instance,
    *,
    objective: str = "placed",
    placed: int | None = None,
    device: str | None = None,
    config: Any = None,
    profile: str | None = None,
) -> Optimum:
    """What no placement can exceed (of ``nodes_used``: undercut), by a linear relaxation with cuts; no placement.

    ``placed`` is for how many pods ``nodes_used`` is asked; None for as many as the relaxation of "placed" allows for,
    which may be more than there is room for. The other arguments are those of :func:`optimum`.
    """
    started = time.perf_counter()
    instance = _instance(source, device, config, profile)
    check_objective(objective, instance)
    most = most_of(instance, _gain(instance, objective))
    if objective == "nodes_used":
        most = least_nodes(instance, most if placed is None else placed)
    return Optimum(
        objective, None, most, "bound", {}, round(time.perf_counter() - started, 6), len(instance.nodes),
        len(instance.pods), instance.left_out,
    )  # fmt: skip


def distance(
    result: Result,
    cluster: Cluster,
    *,
    objective: str = "placed",
    device: str | None = None,
    config: Any = None,
    profile: str | None = None,
    exact: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """How far a result is from what could have been reached: objective, value, bound, gap, gap_percent, status.

    The bound is that of the relaxation, or with ``exact`` (arguments of :func:`optimum`, ``{}`` for none) CP-SAT's.
    ``cluster`` is the one that was scheduled, not changed since. Pods that preemption evicted count as gone.
    Ask the result for explanations before.

    Raises:
        InputError: as :func:`optimum`.
    """
    instance = instance_of(cluster, result.rows, config=config, profile=profile, device=device)
    check_objective(objective, instance)
    columns = (result.placements[name].to_pylist() for name in ("namespace", "name", "node"))
    found = {f"{namespace}/{name}": node for namespace, name, node in zip(*columns, strict=True)}
    placed = _counted(instance, found)
    value = value_of(instance, placed, objective)
    if exact is not None:
        best = optimum(instance, objective=objective, **exact)
    else:
        best = bound(instance, objective=objective, placed=int(placed.sum()))
    return {"objective": objective, **best.distance(value), "status": best.status}


def value_of(instance: Instance, placed: np.ndarray, objective: str) -> int:
    """The objective of ``placed[kind, node]`` pods."""
    if objective == "nodes_used":
        return _nodes_used(instance, placed)
    return int(_gain(instance, objective) @ placed.sum(axis=1))


def value_by_name(instance: Instance, placements: Mapping[str, str | None], objective: str) -> int:
    """The same of placements by name; pods that the instance does not have do not count."""
    return value_of(instance, _counted(instance, placements), objective)


def check_objective(objective: str, instance: Instance) -> None:
    """InputError unless it is one that the instance has."""
    known = [*OBJECTIVES, *(name for name in instance.resources if name != PODS)]
    if objective not in known:
        raise InputError(
            f"{objective!r} cannot be optimized", field="objective", expected=f"one of {', '.join(known)}"
        )


def _instance(source: Cluster | Instance, device: str | None, config: Any, profile: str | None) -> Instance:
    try:
        import ortools  # noqa: F401
    except ModuleNotFoundError:
        raise InputError(
            "OR-tools is not installed", field="kcore.sim.optimum", expected="pip install 'kcore[opt]'"
        ) from None
    if isinstance(source, Instance):
        return source
    return instance_of(source, config=config, profile=profile, device=device)


def _gain(instance: Instance, objective: str) -> np.ndarray:
    """``int64[kind]``: what placing a pod adds to what is maximized (first)."""
    if objective in OBJECTIVES:
        return np.ones(len(instance.amount), dtype=np.int64)
    found: np.ndarray = instance.amount[:, instance.resources.index(objective)]
    return found


def _nodes_used(instance: Instance, placed: np.ndarray) -> int:
    return int((instance.busy | (placed.sum(axis=0) > 0)).sum())


def _counted(instance: Instance, placements: Mapping[str, str | None]) -> np.ndarray:
    """Placements by name as ``placed[kind, node]``."""
    nodes = {name: index for index, name in enumerate(instance.nodes)}
    placed = np.zeros((len(instance.amount), len(nodes)), dtype=np.int64)
    for pod, kind in zip(instance.pods, instance.kind.tolist(), strict=True):
        node = placements.get(pod)
        if node is not None:
            placed[kind, nodes[node]] += 1
    return placed


def _named(instance: Instance, placed: np.ndarray) -> dict[str, str | None]:
    """Which pod goes where: those of a kind in the order of the queue, over the nodes in order."""
    targets = [iter(np.repeat(np.arange(len(instance.nodes)), row).tolist()) for row in placed]
    found: dict[str, str | None] = {}
    for pod, kind in zip(instance.pods, instance.kind.tolist(), strict=True):
        node = next(targets[kind], None)
        found[pod] = None if node is None else instance.nodes[node]
    return found


@dataclass
class _Search:
    """How CP-SAT is to search, over one or two models that share the time."""

    seconds: float
    workers: int | None
    seed: int
    effort: float | None
    progress: Callable[[int, int], None] | None

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise InputError(f"{self.seconds} seconds are none", field="seconds", expected="more than 0")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"{self.workers} workers are none", field="workers", expected="1 or more")
        if not 0 <= self.seed < 2**31:
            raise InputError(f"{self.seed} is no seed", field="seed", expected="0 to 2147483647")
        self.starts: list[np.ndarray] = []
        self._until = time.perf_counter() + self.seconds

    def most(self, instance: Instance, gain: np.ndarray) -> tuple[np.ndarray, int]:
        """``placed[kind, node]`` of the greatest gain found, and what none exceeds."""
        from kcore.sim.model import Model

        upper, shares = relaxed(instance, gain)
        self.starts += [by_size(instance, "small"), by_size(instance, "large"), by_shares(instance, shares)]

        def gained(placed: np.ndarray) -> int:
            return int(gain @ placed.sum(axis=1))

        start = max(self._sound(instance), key=gained)
        if gained(start) == upper:
            return start, upper
        model = Model(instance)
        model.maximize(gain, upper)
        model.hint(start)
        found, proven = self._solve(model)
        if found is None or gained(found) < gained(start):
            found = start
        return found, min(upper, proven)

    def fewest_nodes(self, instance: Instance, placed: np.ndarray) -> tuple[np.ndarray, int]:
        """As many pods as in ``placed`` on the fewest nodes found, and what none undercuts."""
        from kcore.sim.model import Model

        wanted = placed.sum()
        lower = least_nodes(instance, int(wanted))
        self.starts += [by_size(instance, "large", tight=True), by_size(instance, "small", tight=True)]
        starts = [placed, *(one for one in self._sound(instance) if one.sum() >= wanted)]
        start = min(starts, key=lambda one: _nodes_used(instance, one))
        if _nodes_used(instance, start) == lower:
            return start, lower
        model = Model(instance)
        model.minimize_nodes(int(wanted), lower)
        model.hint(start)
        found, proven = self._solve(model)
        if found is None or _nodes_used(instance, found) > _nodes_used(instance, start):
            found = start
        return found, max(lower, proven)

    def _sound(self, instance: Instance) -> list[np.ndarray]:
        """The starts that break no rule of the model: those of a scheduler may know others."""
        return [one for one in self.starts if not instance.violations(one)]

    def _solve(self, model: Any) -> tuple[np.ndarray | None, int]:
        left = max(0.1, self._until - time.perf_counter())
        found: tuple[np.ndarray | None, int] = model.solve(
            left, self.workers, self.seed, self.effort, self.progress
        )
        return found
