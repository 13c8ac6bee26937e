"""A process that simulates a made-up trace and prints what it took, as one JSON object; run by bench_simulation.py.

``python -m bench.simulation_probe NODES JOBS``: seconds of making the simulation, of loading kernels, of the run and of its
summary; the peak resident size after each; and counts that tell whether it did the work.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from bench.memory_probe import resident_bytes
from kcore.api.objects import ClusterObjects, Node, NodeStatus, ObjectMeta, PodColumns
from kcore.cluster import Cluster
from kcore.sim.simulation import Simulation
from kcore.traces.names import numbered
from kcore.traces.shapes import pod
from kcore.traces.trace import Trace

NODE_CPU_MILLI, NODE_MEMORY = 32_000, 128 << 30
CPU_MILLI = (500, 1000, 2000, 4000, 8000, 16_000)
CPU_SHARE = (0.3, 0.3, 0.2, 0.1, 0.07, 0.03)
MEMORY = (1 << 30, 2 << 30, 4 << 30, 8 << 30)
"""What pods ask for, of each any: 24 shapes."""
LOAD = 0.95
"""Of all CPU, asked for by the pods that would run at once if none waited."""
DURATION_MEAN_MS = 600_000
SEED = 1


def cluster(nodes: int) -> Cluster:
    """Nodes of 32 CPUs."""
    allocatable = {"cpu": f"{NODE_CPU_MILLI}m", "memory": str(NODE_MEMORY), "pods": "110"}
    made = [
        Node(metadata=ObjectMeta(name=f"node-{number:06}"), status=NodeStatus(allocatable=allocatable))
        for number in range(nodes)
    ]
    return Cluster(ClusterObjects(nodes=made))


def trace(nodes: int, jobs: int) -> Trace:
    """Jobs that arrive at random, at such a rate that they fill the nodes to LOAD; durations are exponential."""
    random = np.random.default_rng(SEED)
    cpu = random.choice(CPU_MILLI, jobs, p=CPU_SHARE)
    duration = random.exponential(DURATION_MEAN_MS, jobs).astype(np.int64)
    span = float((cpu * duration).sum()) / (LOAD * nodes * NODE_CPU_MILLI)
    submit = np.sort(random.uniform(0, span, jobs)).astype(np.int64)
    columns = PodColumns(
        exemplars=[pod()],
        exemplar=np.zeros(jobs, dtype=np.int32),
        names=numbered("job-", jobs),
        requests={"cpu": cpu, "memory": random.choice(MEMORY, jobs)},
    )
    return Trace(
        ClusterObjects(pod_columns=[columns]), submit - submit[0], duration, np.full(jobs, -1),
        np.arange(jobs, dtype=np.int32), random.integers(0, 10, jobs, dtype=np.int32),
        [f"owner-{number}" for number in range(10)],
    )  # fmt: skip


def measure(nodes: int, jobs: int) -> dict[str, object]:
    """Stages of one simulation with the default scheduler."""
    made, given = cluster(nodes), trace(nodes, jobs)
    stages: dict[str, dict[str, float]] = {"made up": {"seconds": 0.0, **resident_bytes()}}
    started = time.perf_counter()

    def stage(name: str) -> None:
        nonlocal started
        stages[name] = {"seconds": time.perf_counter() - started, **resident_bytes()}
        started = time.perf_counter()

    simulation = Simulation(made, given)
    stage("set up")
    simulation.warm()
    stage("kernels")
    result = simulation.run()
    stage("run")
    summary = result.summary
    stage("summary")
    wanted = ("pods", "completed", "attempts", "events", "waiting_max", "wait_ms_mean", "utilisation_cpu")
    return {"nodes": nodes, "stages": stages, **{name: summary[name] for name in wanted}}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
