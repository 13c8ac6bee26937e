"""Small traces and clusters, given to a simulation and to the slow twin alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

import kcore
from kcore.sim import Simulation
from kcore.traces.arrivals import Arrivals
from kcore.traces.shapes import pod
from kcore.traces.trace import Trace
from tests.naive.orders.clock import Pod, Simulator

GIB = 1 << 30
SCORES: dict[str, list[dict[str, Any]]] = {"first": [], "least": [{"name": "NodeResourcesFit", "weight": 1}]}


class Case(NamedTuple):
    """Nodes (cores, GiB, pods) and pods, by unit; ``gang``: units are jobs."""

    nodes: list[tuple[int, int, int]]
    pods: list[Pod]
    gang: bool

    def copy(self) -> list[Pod]:
        """Pods to which nothing has happened."""
        return [replace(one, runs=[]) for one in self.pods]

    def trace(self) -> Trace:
        """The pods as a trace."""
        numbers = [str(one.index) for one in self.pods]
        columns = {
            name: np.array([getattr(one, name) for one in self.pods], dtype=np.int64)
            for name in ("cpu", "memory", "submit", "work", "estimate", "priority", "gpu_milli")
        }
        gpus = columns["gpu_milli"] != 1000
        made = Arrivals(
            names=pa.array([f"pod-{one}" for one in numbers]),
            submit_ms=columns["submit"],
            duration_ms=columns["work"],
            requests={"cpu": columns["cpu"] * 1000, "memory": columns["memory"] * GIB},
            exemplars=[pod()],
            estimate_ms=columns["estimate"],
            job=np.array([one.unit for one in self.pods]),
            priority=columns["priority"],
            gpu_count=gpus.astype(np.int32) if gpus.any() else None,
            gpu_milli=np.where(gpus, columns["gpu_milli"], 0) if gpus.any() else None,
        )
        return made.trace(origin="a test", gang=self.gang)

    def simulation(self, order: str, score: str = "first", **options: Any) -> Simulation:
        """The case as a simulation."""
        config = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "profiles": [{"plugins": {"score": {"disabled": [{"name": "*"}], "enabled": SCORES[score]}}}],
        }
        cluster = kcore.Cluster.from_objects(node(f"node-{at}", *one) for at, one in enumerate(self.nodes))
        return Simulation(cluster, self.trace(), order=order, config=config, **options)

    def twin(self, score: str = "first", resume: bool = True) -> Simulator:
        """The case as its slow twin."""
        return Simulator(self.nodes, self.copy(), score, resume)


def node(name: str, cores: int, gib: int, pods: int) -> dict[str, Any]:
    """A Node object."""
    amounts = {"cpu": str(cores), "memory": f"{gib}Gi", "pods": str(pods)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"capacity": amounts, "allocatable": amounts},
    }


@st.composite
def cases(
    draw: st.DrawFn, *, exact: bool = False, alike: bool = False, gangs: bool = True, priorities: bool = True
) -> Case:
    """Up to four nodes and eight jobs. ``exact``: estimates are upper bounds; ``alike``: the pods of a job are equal."""
    sizes = st.tuples(st.integers(2, 6), st.integers(2, 6), st.sampled_from([2, 110]))
    nodes = draw(st.lists(sizes, min_size=1, max_size=4))
    gang = draw(st.booleans()) if gangs else False
    pods: list[Pod] = []
    submit = 0
    for _ in range(draw(st.integers(1, 8))):
        submit += draw(st.sampled_from([0, 0, 3, 10])) if pods else 0
        unit = len({one.unit for one in pods})
        priority = draw(st.sampled_from([0, 0, 0, 1])) if priorities else 0
        shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 4)))
        work = draw(st.integers(0, 30))
        for position in range(draw(st.integers(1, 4)) if gang else 1):
            if position and not alike and draw(st.booleans()):
                shape, work = draw(st.tuples(st.integers(1, 3), st.integers(1, 2))), draw(st.integers(1, 30))
            over = draw(st.integers(0, 20))
            estimate = (
                work + over if exact else draw(st.sampled_from([-1, work, work + over, max(work - over, 1)]))
            )
            gpu_milli = draw(st.sampled_from([1000, 1000, 500, 3000])) if not position else pods[-1].gpu_milli
            pods.append(Pod(len(pods), unit, *shape, submit, work, estimate, priority, gpu_milli))
    return Case(nodes, pods, gang)


def happened(simulation: Simulation) -> list[tuple[Any, ...]]:
    """By pod: status, node, first start, end, waited, preemptions."""
    placements = simulation.result().placements
    columns = ("status", "node", "start_ms", "end_ms", "wait_ms", "preemptions")
    rows = zip(*(placements[name].to_pylist() for name in columns), strict=True)
    names = placements["name"].to_pylist()
    return [row for _, row in sorted(zip((int(one[4:]) for one in names), rows, strict=True))]


def expected(sim: Simulator) -> list[tuple[Any, ...]]:
    """The same of the twin."""
    found: list[tuple[Any, ...]] = []
    for one in sim.pods:
        if not one.runs:
            found.append(("waiting", None, None, None, sim.now - one.submit, 0))
            continue
        ran = sum(end - start for start, end, _ in one.runs)
        begin, end, at = one.runs[0][0], one.runs[-1][1], one.runs[-1][2]
        found.append(("completed", f"node-{at}", begin, end, end - one.submit - ran, len(one.runs) - 1))
    return found
