"""The openb trace: seconds of scheduling 8,152 pods on 1,523 nodes, and a reason for every pod left over.

The trace is not shipped: KCORE_SHARED names the folder that has ``datasets/openb``; without it this is
skipped.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench import inputs
from bench.clusters import Run
from bench.figures import Figures
from kcore.cluster import Cluster

ROUNDS = 5
NODES, PODS = 1_523, 8_152


def test_openb(benchmark: BenchmarkFixture, figures: Figures) -> None:
    """Scheduling takes less than a second, and whoever is not placed is told why."""
    objects = inputs.openb()
    if objects is None:
        pytest.skip(f"the openb trace is not at {inputs.OPENB}; set KCORE_SHARED")
    benchmark.group = "openb"
    if not figures.enabled:
        cluster = benchmark.pedantic(Cluster, args=(objects,))
        assert (cluster.node_count, cluster.pending) == (NODES, PODS)
        return
    decisions = benchmark.pedantic(
        Run.schedule, setup=lambda: ((Run(objects, compiled=True),), {}), rounds=ROUNDS, warmup_rounds=1
    )
    assert len(decisions.node) == PODS
    unplaced = [position for position in range(PODS) if decisions.node[position] < 0]
    assert unplaced and all(decisions.reason.get(position) for position in unplaced)
    assert len(decisions.reason) == len(unplaced)
    seconds = list(benchmark.stats.stats.data)
    work = {"nodes": NODES, "pods": PODS, "unplaced": len(unplaced)}
    benchmark.extra_info |= work
    figures.add("openb: scheduling", seconds, "s", target=1, work=work)
