"""Five policies on one trace: a table of means, and a picture of how long jobs waited under each.

Three of them only order the queue (first come first served, shortest first, dominant resource fairness), one places as
this script says, and one does both; the rest is kube-scheduler's default.

    python docs/examples/compare_five_policies.py --plot waits.png
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pyarrow as pa

import kcore
from kcore.api.objects import ClusterObjects, PodColumns
from kcore.sim import SimulationResult
from kcore.sim.figures import Asked, draw
from kcore.traces.names import numbered
from kcore.traces.shapes import pod
from kcore.traces.trace import Trace

POLICIES = {
    "default": {},
    "fifo": {"policy": "fifo", "strict": True},
    "sjf": {"policy": "sjf"},
    "drf": {"policy": "drf"},
    "fullest,sjf": {"policy": "fullest,sjf"},
}


@kcore.score_plugin("fullest", depends="node")
def fullest(pod: Any, nodes: Any, out: Any) -> None:
    """The node with the least CPU left over comes first."""
    for node in range(nodes.pod_count.shape[0]):
        capacity = max(nodes.allocatable[0, node], 1)
        out[node] = 100 * (nodes.requested[0, node] + pod.requests[0]) // capacity


def cluster(nodes: int) -> kcore.Cluster:
    """Nodes of 16 CPUs."""
    allocatable = {"cpu": "16", "memory": "64Gi", "pods": "110"}
    return kcore.Cluster.from_objects(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"node-{number}"},
            "status": {"allocatable": allocatable},
        }
        for number in range(nodes)
    )


def trace(jobs: int, seed: int) -> Trace:
    """Two owners, of whom one submits four times as much; most jobs are short, some are very long."""
    random = np.random.default_rng(seed)
    submit = np.sort(random.integers(0, 3_600_000, jobs))
    duration = random.lognormal(5.5, 1.2, jobs).astype(np.int64) * 1000
    cpu = random.choice([1000, 2000, 4000, 8000], jobs)
    columns = PodColumns(
        exemplars=[pod()],
        exemplar=np.zeros(jobs, dtype=np.int32),
        names=numbered("job-", jobs),
        requests={"cpu": cpu, "memory": cpu * (1 << 21)},
    )
    return Trace(
        ClusterObjects(pod_columns=[columns]),
        submit_ms=submit - submit[0],
        duration_ms=duration,
        estimate_ms=duration,
        job=np.arange(jobs, dtype=np.int32),
        owner=(random.random(jobs) < 0.2).astype(np.int32),
        owners=["busy", "modest"],
    )


def row(name: str, result: SimulationResult) -> str:
    """A line of the table."""
    summary = result.summary
    shares = result.owners["wait_ms_mean"].to_pylist()
    return (
        f"{name:12} {summary['wait_ms_mean'] / 1000:10.0f} {summary['wait_ms_p99'] / 1000:9.0f} "
        f"{summary['slowdown_mean']:9.1f} {summary['utilisation_cpu']:9.1%} {shares[0] / 1000:7.0f} {shares[1] / 1000:8.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", help="a picture of the waits: .png, .svg, .pdf or .html")
    given = parser.parse_args()

    print("policy        mean wait  p99 wait  slowdown  CPU in use   busy   modest   (waits in s)")
    tables = []
    for name, arguments in POLICIES.items():
        simulation = kcore.Simulation(cluster(given.nodes), trace(given.jobs, given.seed), **arguments)
        result = simulation.run()
        print(row(name, result))
        waits = result.placements["wait_ms"].to_numpy() / 1000
        tables.append(pa.table({"policy": [name] * len(waits), "wait in s": waits}))
    if given.plot:
        asked = Asked(x="wait in s", group="policy", title="how long jobs waited")
        draw(pa.concat_tables(tables), "cdf", given.plot, asked)
        print(f"wrote {given.plot}")


if __name__ == "__main__":
    main()
