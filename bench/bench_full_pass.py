"""The full pass: every node evaluated for every pod and nothing reused between pods, decisions only.

Each round of kernels is preceded by one of the alternatives, in the same process: NumPy on whole arrays, and
the interpreted engine. They do a slice of the same pods, on the same fresh state, and must decide the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from bench.clusters import ZONE, Run, plain_pods, spread_pods
from bench.figures import Figures, stopwatch
from bench.numpy_greedy import Zones, place
from kcore.api.objects import ClusterObjects

ROUNDS = 7
NUMPY_SLICE = 300  # pods
INTERPRETED_SLICE = 2  # pods


@dataclass
class Race:
    """Kernels against the alternatives on one cluster; seconds a pod, one entry a round."""

    objects: ClusterObjects
    compiled: bool
    numpy_slice: int
    interpreted_slice: int
    numpy: list[float] = field(default_factory=list)
    interpreted: list[float] = field(default_factory=list)
    expected: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))

    def setup(self) -> tuple[tuple[Run], dict[str, Any]]:
        """One round of each alternative, then a fresh state for the kernels."""
        greedy = Run(self.objects, compiled=False, pod_max=self.numpy_slice)
        seconds, self.expected = stopwatch(place, *arrays(greedy))
        self.numpy.append(seconds / len(self.expected))
        slow = Run(self.objects, compiled=False, pod_max=self.interpreted_slice)
        seconds, decisions = stopwatch(slow.schedule)
        self.interpreted.append(seconds / len(decisions.node))
        assert (decisions.node == self.expected[: len(decisions.node)]).all(), "interpreted against NumPy"
        return (Run(self.objects, compiled=self.compiled),), {}

    def decide(self, run: Run) -> Run:
        """The timed part; the state with its placements is what is left."""
        self.decisions = run.schedule()
        return run

    def check(self, run: Run) -> None:
        """All pods are placed, on nodes with room, and on those that NumPy found."""
        assert (self.decisions.node >= 0).all(), "every pod has a node"
        nodes = run.world.nodes
        assert (nodes.requested <= nodes.allocatable).all() and (nodes.pod_count <= nodes.pods_allowed).all()
        assert (self.decisions.node[: len(self.expected)] == self.expected).all(), "kernels against NumPy"


def arrays(run: Run) -> tuple[Any, ...]:
    """The arguments of :func:`place` for a fresh run."""
    nodes, pods, requests = run.world.nodes, run.world.pods, run.world.requests
    count = int(nodes.slots[0])
    wanted = requests.amount[pods.request[run.rows]][:, :2].copy()
    zones = None
    key = run.state.nodes.topology_keys.find(ZONE)
    if key >= 0:
        zone = nodes.domain[key, :count].astype(np.int64)
        app = pods.spec_class.astype(np.int64)
        counts = np.zeros((int(app.max()) + 1, int(zone.max()) + 1), dtype=np.int64)
        bound = np.flatnonzero(pods.node[: run.state.pods.count] >= 0)
        np.add.at(counts, (app[bound], zone[pods.node[bound]]), 1)
        zones = Zones(zone, counts, app[run.rows])
    return (
        nodes.allocatable[:2, :count].copy(), nodes.requested[:2, :count].copy(),
        nodes.pods_allowed[:count].copy(), nodes.pod_count[:count].copy(), wanted, zones,
    )  # fmt: skip


def race(
    benchmark: BenchmarkFixture,
    figures: Figures,
    what: str,
    objects: ClusterObjects,
    pods: int,
    target: float,
) -> None:
    """Run the rounds, check each result and record rate and ratios."""
    full = figures.enabled
    one = Race(objects, full, NUMPY_SLICE if full else 20, INTERPRETED_SLICE)
    if full:
        Run(objects, compiled=True, pod_max=500).schedule()
    benchmark.group = "full pass"
    run = benchmark.pedantic(one.decide, setup=one.setup, rounds=ROUNDS if full else 1)
    one.check(run)
    nodes = len(objects.nodes)
    benchmark.extra_info |= {"nodes": nodes, "pods": pods, "reused between pods": "nothing"}
    if not full:
        return
    seconds = list(benchmark.stats.stats.data)
    best = pods / min(seconds)
    benchmark.extra_info["pods_per_second"] = round(best)
    work = {"nodes": nodes, "pods": pods}
    figures.rates(what, seconds, pods, "pods/s", target=target, work=work)
    each = [one_round / pods for one_round in seconds]
    figures.ratio(f"{what}: NumPy / kernels", one.numpy, each, work={**work, "slice": NUMPY_SLICE})
    figures.ratio(
        f"{what}: interpreter / kernels", one.interpreted, each, work={**work, "slice": INTERPRETED_SLICE}
    )


def test_distinct_requests(benchmark: BenchmarkFixture, figures: Figures) -> None:
    """10,000 pods, no two alike, on 5,000 nodes, default profile."""
    nodes, pods = (5_000, 10_000) if figures.enabled else (30, 60)
    race(benchmark, figures, "distinct requests", plain_pods(nodes, pods), pods, 20_000)


def test_spread_and_affinity(benchmark: BenchmarkFixture, figures: Figures) -> None:
    """5,000 pods with a soft zone spread and a required zone affinity on 5,000 nodes."""
    nodes, pods = (5_000, 5_000) if figures.enabled else (40, 60)
    race(benchmark, figures, "zone spread and affinity", spread_pods(nodes, pods), pods, 5_000)
