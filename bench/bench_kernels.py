"""Each plugin's kernel alone on all nodes: microseconds a call, with the arguments of one pod.

A call from Python into compiled code costs something by itself; ``empty`` has the most arguments of all and
does nothing, and tells how much. Between the calls nothing is changed, so that all see the same nodes; totals
are added to, as in the full pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.clusters import Run, plain_pods, spread_pods
from bench.figures import Figures
from kcore.kernel import Kernel, kernel
from kcore.scheduler.cycle import select_node
from kcore.scheduler.plugins.inter_pod_affinity import affinity_filter, count_terms, preference_score
from kcore.scheduler.plugins.node_resources import add_balanced_score, add_fit_score, fit_filter
from kcore.scheduler.plugins.pod_topology_spread import add_soft_normalized, soft_score
from kcore.scheduler.state import World

NODES = 5_000
PODS = 1_000
ROUNDS, CALLS = 50, 20


@kernel
def empty(
    allocatable, requested, nonzero, amount, pod_nonzero, score_row, score_amount, strategy, resources, shape,
    weight, count, number, total,
):  # fmt: skip
    """Do nothing with the arguments of add_fit_score."""


@dataclass
class Scene:
    """A pod in front of the cluster, the filters having run, so that scores find verdicts."""

    run: Run

    def __post_init__(self) -> None:
        pod = int(self.run.rows[-1])
        state = self.run.state
        self.world: World = state.world()
        self.demand, self.request = int(state.pods.demand[pod]), int(state.pods.request[pod])
        profile = self.run.engine.profile_of(pod)
        assert profile is not None
        self.settings = self.run.engine.settings(profile)
        self.scratch = self.run.engine.scratch(self.world)
        assert self.run.engine.filter(profile, pod) > 0
        self.count = int(self.world.nodes.slots[0])

    def items(self, name: str) -> tuple[np.ndarray, int, int]:
        """The rows of one ragged table of the demands: items, first, last + 1."""
        table = getattr(self.world.demands, name)
        return table.item, int(table.ptr[self.demand]), int(table.ptr[self.demand + 1])


def of_fit_filter(scene: Scene) -> tuple[Any, ...]:
    nodes, scratch = scene.world.nodes, scene.scratch
    amount = scene.world.requests.amount[scene.request]
    return (
        nodes.allocatable, nodes.requested, nodes.pods_allowed[: scene.count], nodes.pod_count[: scene.count],
        amount, scene.settings.fit_ignored, 0, scratch.verdict[: scene.count], scratch.detail[: scene.count],
    )  # fmt: skip


def of_fit_score(scene: Scene) -> tuple[Any, ...]:
    nodes, requests, settings = scene.world.nodes, scene.world.requests, scene.settings
    return (
        nodes.allocatable, nodes.requested, nodes.nonzero, requests.amount[scene.request],
        requests.nonzero[scene.request], int(requests.exception[scene.request]), requests.score,
        int(settings.fit_strategy[0]), settings.fit_resources, settings.fit_shape, 1, scene.count,
        scene.scratch.number, scene.scratch.total,
    )  # fmt: skip


def of_balanced(scene: Scene) -> tuple[Any, ...]:
    nodes, scratch = scene.world.nodes, scene.scratch
    return (
        nodes.allocatable, nodes.requested, scene.world.requests.amount[scene.request],
        scene.settings.balanced_resources, 1, scene.count, scratch.verdict, scratch.number, scratch.total,
    )  # fmt: skip


def of_soft_spread(scene: Scene) -> tuple[Any, ...]:
    nodes, demands, scratch = scene.world.nodes, scene.world.demands, scene.scratch
    return (
        *scene.items("spread_soft"), True, nodes.domain, nodes.domain_count, nodes.ledger, scratch.selected,
        nodes.taint_set, demands.tolerates[0], scratch.verdict, scene.count, scratch.complete,
        scratch.admitted, scratch.soft, scratch.soft_present, scratch.number[0], scratch.raw,
    )  # fmt: skip


def of_soft_normalized(scene: Scene) -> tuple[Any, ...]:
    scratch = scene.scratch
    return scratch.verdict, scratch.raw, 2, scene.count, scratch.total


def of_count_terms(scene: Scene) -> tuple[Any, ...]:
    nodes = scene.world.nodes
    return (
        *scene.items("affinity"), nodes.domain, nodes.domain_count, nodes.ledger, scene.count,
        scene.scratch.affinity,
    )  # fmt: skip


def of_affinity_filter(scene: Scene) -> tuple[Any, ...]:
    return (
        *scene.items("affinity"), scene.world.nodes.domain, scene.scratch.affinity, False, 0,
        scene.scratch.verdict[: scene.count],
    )  # fmt: skip


def of_preference(scene: Scene) -> tuple[Any, ...]:
    nodes = scene.world.nodes
    return (
        *scene.items("pod_preference"), nodes.domain, nodes.domain_count, nodes.ledger, scene.count,
        scene.scratch.preference, scene.scratch.raw,
    )  # fmt: skip


def of_selection(scene: Scene) -> tuple[Any, ...]:
    return scene.scratch.verdict, scene.scratch.total, scene.world.nodes.rank, -1.0, scene.count


CASES: tuple[tuple[str, Kernel, Callable[[Scene], tuple[Any, ...]]], ...] = (
    ("empty", empty, of_fit_score),
    ("fit filter", fit_filter, of_fit_filter),
    ("fit score", add_fit_score, of_fit_score),
    ("balanced score", add_balanced_score, of_balanced),
    ("soft spread score", soft_score, of_soft_spread),
    ("soft spread normalized", add_soft_normalized, of_soft_normalized),
    ("pod affinity counts", count_terms, of_count_terms),
    ("pod affinity filter", affinity_filter, of_affinity_filter),
    ("pod preference score", preference_score, of_preference),
    ("selection", select_node, of_selection),
)


@pytest.fixture(scope="module")
def scenes(request: pytest.FixtureRequest) -> dict[str, Scene]:
    """The last pod of a queue in front of a cluster that holds the pods before it."""
    full = bool(request.config.getoption("benchmark_enable"))
    nodes, pods = (NODES, PODS) if full else (30, 40)
    made = {}
    for name, objects in (("plain", plain_pods(nodes, pods)), ("spread", spread_pods(nodes, pods))):
        run = Run(objects, compiled=full)
        last = run.rows
        run.rows = last[:-1]
        run.schedule()
        run.rows = last
        made[name] = Scene(run)
    return made


@pytest.mark.parametrize(("name", "one", "arguments"), CASES, ids=[case[0] for case in CASES])
def test_kernel(
    benchmark: BenchmarkFixture,
    figures: Figures,
    scenes: dict[str, Scene],
    name: str,
    one: Kernel,
    arguments: Callable[[Scene], tuple[Any, ...]],
) -> None:
    """One kernel on all nodes; compiled, it answers as in the interpreter."""
    scene = scenes["spread" if name.startswith(("soft", "pod")) else "plain"]
    values = arguments(scene)
    run = one.compiled if figures.enabled else one
    if figures.enabled:
        agree(run, one, values)
    benchmark.group = "kernels"
    benchmark.pedantic(run, args=values, rounds=ROUNDS, iterations=CALLS, warmup_rounds=3)
    if figures.enabled:
        micros = [seconds * 1e6 for seconds in benchmark.stats.stats.data]
        benchmark.extra_info |= {"nodes": scene.count}
        figures.add(name, micros, "us", work={"nodes": scene.count, "calls a round": CALLS})


def agree(run: Callable[..., Any], one: Kernel, values: tuple[Any, ...]) -> None:
    """The compiled kernel returns and leaves what the interpreted one does."""
    copies = [
        [value.copy() if isinstance(value, np.ndarray) else value for value in values] for _ in range(2)
    ]
    assert run(*copies[0]) == one(*copies[1])
    for compiled, interpreted in zip(*copies, strict=True):
        assert np.array_equal(compiled, interpreted)
