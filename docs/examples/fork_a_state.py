"""Run a simulation to a moment, fork it, and let three futures happen from there.

What would it have cost to lose a node at that moment, and what would two more nodes have been worth?

    python docs/examples/fork_a_state.py --at 600
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import kcore
from kcore.api.objects import ClusterObjects, PodColumns
from kcore.traces.names import numbered
from kcore.traces.shapes import pod
from kcore.traces.trace import Trace


def node(name: str) -> dict[str, Any]:
    """A node of 8 CPUs."""
    allocatable = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"allocatable": allocatable},
    }


def trace(jobs: int) -> Trace:
    """Jobs of two minutes or so, a little more than three nodes can take."""
    random = np.random.default_rng(2)
    columns = PodColumns(
        exemplars=[pod()],
        exemplar=np.zeros(jobs, dtype=np.int32),
        names=numbered("job-", jobs),
        requests={"cpu": random.choice([500, 1000, 2000], jobs)},
    )
    submit = np.sort(random.integers(0, 1_200_000, jobs))
    return Trace(
        ClusterObjects(pod_columns=[columns]),
        submit_ms=submit - submit[0],
        duration_ms=random.integers(60_000, 180_000, jobs),
        estimate_ms=np.full(jobs, -1),
        job=np.arange(jobs, dtype=np.int32),
        owner=np.zeros(jobs, dtype=np.int32),
        owners=["default"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=240)
    parser.add_argument("--at", type=int, default=600, help="seconds after which the futures part")
    given = parser.parse_args()

    cluster = kcore.Cluster.from_objects([node("a"), node("b"), node("c")])
    simulation = kcore.Simulation(cluster, trace(given.jobs))
    before = simulation.run(given.at * 1000)
    print(f"at {given.at} s: {before.summary['running']} jobs run, {before.summary['waiting']} wait")

    futures: dict[str, list[dict[str, Any]]] = {
        "nothing happens": [],
        "node b fails": [{"kind": "fail-node", "name": "b"}],
        "two nodes more": [{"kind": "add-node", "node": node("d")}, {"kind": "add-node", "node": node("e")}],
    }
    print("future            mean wait, s  last job done, s")
    for name, events in futures.items():
        future = simulation.fork()
        future.happen(*events)
        summary = future.run().summary
        print(f"{name:16}  {summary['wait_ms_mean'] / 1000:12.1f}  {summary['makespan_ms'] / 1000:16.0f}")

    # none of them has touched the simulation itself
    assert simulation.result().summary == before.summary


if __name__ == "__main__":
    main()
