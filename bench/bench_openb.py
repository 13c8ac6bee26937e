"""The openb trace: seconds of scheduling 8,152 pods on 1,523 nodes, and a reason for every pod left over.

The trace is not shipped: KCORE_SHARED names the folder that has ``datasets/openb``; without it this is
skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.clusters import Run
from bench.figures import Figures
from kcore import traces
from kcore.cluster import Cluster

ROUNDS = 5
NODES, PODS = 1_523, 8_152


@pytest.fixture(scope="module")
def folder() -> Path:
    """The folder of the trace."""
    found = Path(os.environ.get("KCORE_SHARED", "")) / "datasets" / "openb"
    if not os.environ.get("KCORE_SHARED") or not found.is_dir():
        pytest.skip("the openb trace is not here: KCORE_SHARED must name a folder that holds datasets/openb")
    return found


def test_openb(benchmark: BenchmarkFixture, figures: Figures, folder: Path) -> None:
    """Scheduling takes less than a second, and whoever is not placed is told why."""
    objects = traces.load_openb(folder)
    assert objects is not None
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
