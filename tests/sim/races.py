"""A random cluster, trace and scenario, run by the simulation and by its slow twin, and what differs in the end."""

from __future__ import annotations

import copy
import math
import tempfile
from random import Random
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from kcore.api import objects
from kcore.api.objects import ClusterObjects, Node, Pod, PodColumns
from kcore.cluster import Cluster
from kcore.scheduler.config import load_configuration
from kcore.scheduler.engine import Engine
from kcore.scheduler.plugins import contract
from kcore.scheduler.pods import parse_start
from kcore.scheduler.state import State
from kcore.sim.checkpoint import restore
from kcore.sim.events import Event
from kcore.sim.outcome import SimulationResult
from kcore.sim.simulation import Simulation
from kcore.traces.trace import Trace
from tests.naive.cluster import pod_name
from tests.naive.scenarios import random_scenario
from tests.naive.simulation import Job, NaiveSimulation, Rules
from tests.sim.judges import EngineJudge, NaiveJudge

Object = dict[str, Any]

KINDS: dict[str, tuple[str, type]] = {
    "namespaces": ("namespaces", objects.Namespace),
    "services": ("services", objects.Service),
    "replicaSets": ("replica_sets", objects.ReplicaSet),
    "statefulSets": ("stateful_sets", objects.StatefulSet),
    "replicationControllers": ("replication_controllers", objects.ReplicationController),
    "pdbs": ("pdbs", objects.PodDisruptionBudget),
}
DURATIONS = (-1, 0, 1000, 2500, 7000, 7000, 20_000)
COPIES_MAX = 12
EVENTS_MAX = 8
SPAN_MS = 30_000
EVENT_KINDS = (
    "add-node", "remove-node", "fail-node", "cordon", "uncordon", "delete-pod", "delete-pod", "set-priority"
)  # fmt: skip


class SimulationRace:
    """Everything of the race of a seed."""

    def __init__(
        self,
        seed: int,
        *,
        compiled: bool = False,
        copies_max: int = COPIES_MAX,
        plugins: str = "",
        **limits: int,
    ) -> None:
        self.random = random = Random(seed)
        self.compiled = compiled
        scenario = random_scenario(seed, **(limits or {"nodes_max": 6, "pods_max": 8}))
        self.config = scenario.get("config")
        self.others = {
            ours: [msgspec.convert(one, kind) for one in scenario.get(theirs) or ()]
            for theirs, (ours, kind) in KINDS.items()
        }
        nodes = [msgspec.convert(_sized(node), Node) for node in scenario["nodes"]]
        self.spare = [node for node in nodes[1:] if random.random() < 0.25]
        self.nodes = [node for node in nodes if node not in self.spare]
        names = {node.metadata.name for node in self.nodes}
        bound = [msgspec.convert(one, Pod) for one in scenario["pods"]]
        self.bound = [
            pod for pod in bound if pod.spec.node_name in names and pod.status.phase not in ("Succeeded", "Failed")
        ]  # fmt: skip
        self.plugins = plugins
        if plugins:
            score = {"disabled": [{"name": "*"}], "enabled": [{"name": plugins}]}
            profile = {"schedulerName": "default-scheduler", "plugins": {"score": score}}
            self.config = {
                "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
                "profiles": [profile],
            }  # fmt: skip
        self._make_trace([_plain(pod) for pod in scenario["pending"]], copies_max)
        self.options: Object = {
            "order": random.choice(("queue", "queue", "fifo", "sjf", "drf")),
            "strict": random.random() < 0.2,
            "preemption": random.choice(("off", "evict", "evict")),
            "preempted": random.choice(("restart", "resume", "drop")),
            "tie_break": random.choice(("first", "first", "random")),
            "interval_ms": random.choice((1000, 1700, 5000)),
            "seed": seed % 1000,
            "engine": random.choice(("auto", "auto", "full", "incremental")),
        }
        self.manner = random.choice(("run", "run", "step", "pause", "fork", "save", "save"))
        self.events = self._make_events()

    # -- what is raced

    def _make_trace(self, exemplars: list[Pod], copies_max: int) -> None:
        random = self.random
        made: list[tuple[int, int]] = []
        for index in range(len(exemplars)):
            made += [(index, number) for number in range(random.randint(1, copies_max))]
        random.shuffle(made)
        submits = sorted(random.choice((0, 1000 * random.randint(0, 20))) for _ in made)
        submits = [one - submits[0] for one in submits]
        owners = random.randint(1, 3)
        self.jobs = []
        for place, ((index, number), submit) in enumerate(zip(made, submits, strict=True)):
            pod = exemplars[index]
            priority = pod.spec.priority or 0
            if random.random() < 0.3:
                priority = random.choice((-5, 0, 10, 1000))
            metadata = replace(pod.metadata, name=f"{pod.metadata.name}-{number}", uid=None)
            spec = replace(pod.spec, priority=priority)
            work = random.choice(DURATIONS)
            estimate = random.choice((-1, max(work, 0) + random.randint(0, 5) * 500))
            pod = replace(pod, metadata=metadata, spec=spec)
            self.jobs.append(Job(place, pod, submit, work, estimate, random.randrange(owners)))
        columns = PodColumns(
            exemplars=exemplars,
            exemplar=np.array([index for index, _ in made], dtype=np.int32),
            names=[job.pod.metadata.name for job in self.jobs],
            priority=np.array([job.priority for job in self.jobs], dtype=np.int32),
        )

        def column(values: list[int], dtype: type = np.int64) -> np.ndarray:
            return np.array(values, dtype=dtype)

        self.trace = Trace(
            ClusterObjects(pod_columns=[columns]), column(submits), column([job.work for job in self.jobs]),
            column([job.estimate for job in self.jobs]), np.arange(len(made), dtype=np.int32),
            column([job.owner for job in self.jobs], np.int32), [f"owner-{number}" for number in range(owners)],
        )  # fmt: skip

    def _make_events(self) -> list[Object]:
        """Events that make sense in their order: nodes are removed only while they are there."""
        random = self.random
        times = sorted(
            random.choice((1000, 1)) * random.randint(0, SPAN_MS // 1000)
            for _ in range(random.randint(0, EVENTS_MAX))
        )
        there = [node.metadata.name for node in self.nodes]
        gone: list[str] = []
        spare = list(self.spare)
        events: list[Object] = []
        for at in times:
            kind = random.choice(EVENT_KINDS)
            event: Object = {"at": at, "kind": kind}
            if kind == "add-node":
                if spare:
                    event["node"] = spare.pop()
                    there.append(event["node"].metadata.name)
                elif gone:
                    event["name"] = gone.pop()
                    there.append(event["name"])
                else:
                    continue
            elif kind in ("remove-node", "fail-node"):
                if not there:
                    continue
                event["name"] = there.pop(random.randrange(len(there)))
                gone.append(event["name"])
            elif kind in ("cordon", "uncordon"):
                if not there:
                    continue
                event["name"] = random.choice(there)
            else:
                event["pod"] = pod_name(random.choice(self.jobs).pod)
                if kind == "set-priority":
                    event["priority"] = random.choice((-5, 0, 10, 1000))
            events.append(event)
        return events

    # -- the two

    def simulation(self) -> Simulation:
        """The simulation under test, at the beginning."""
        cluster = Cluster()
        cluster.state = self._state()
        scenario = [
            Event(event["at"], event["kind"], **{k: v for k, v in event.items() if k not in ("at", "kind")})
            for event in self.events
        ]
        made = Simulation(cluster, self.trace, config=self.config, scenario=scenario, **self.options)
        made._engine.compiled = self.compiled
        return made

    def _state(self) -> State:
        state = State()
        state.load(ClusterObjects(nodes=copy.deepcopy(self.nodes), pods=self.bound, **self.others))
        state.world()
        return state

    def twin(self, draws: np.ndarray) -> NaiveSimulation:
        """The slow one, at the beginning."""
        jobs = [copy.copy(job) for job in self.jobs]
        random_ties = self.options["tie_break"] == "random"
        for job in jobs:
            job.draw = float(draws[job.place])
        profile = (
            load_configuration(self.config, third_party=self._points()).profiles[0]
            if self.config
            else (load_configuration(None).profiles[0])
        )
        judge: NaiveJudge | EngineJudge
        if random_ties or self.plugins or self.random.random() < 0.3:
            judge = self._engine_judge(jobs)
        else:
            judge = NaiveJudge(profile, jobs, nodes=self.nodes, pods=self.bound, **self.others)
        starts = [parse_start(pod.status.start_time) for pod in self.bound if pod.status.start_time]
        rules = Rules(
            self.options["order"], self.options["strict"], self.options["preemption"] == "evict",
            self.options["preempted"], self.options["interval_ms"], max(starts, default=-1) + 1,
        )  # fmt: skip
        return NaiveSimulation(judge, jobs, rules, nodes=self.nodes, bound=self.bound, events=self.events)

    @staticmethod
    def _points() -> dict[str, frozenset[str]]:
        return {name: frozenset(points) for name, points in contract.registered().items()}

    def _engine_judge(self, jobs: list[Job]) -> EngineJudge:
        state = self._state()
        rows = state.load(self.trace.objects)
        configuration = load_configuration(self.config, third_party=self._points())
        engine = Engine(state, configuration, compiled=False)
        engine.compile_demands(np.arange(rows.start, rows.stop, dtype=np.int32))
        return EngineJudge(state, engine, {pod_name(job.pod): rows[job.place] for job in jobs}, self.bound)

    # -- the race

    def run(self) -> list[str]:
        """Run both to the end; what differs, in words."""
        simulation = self.simulation()
        twin = self.twin(simulation._draws)
        until = self.random.choice((None, None, 5000, 12_345))
        if self.manner in ("pause", "fork", "save"):
            pauses = sorted(self.random.sample(range(0, 15_000, 500), 3))
            self.pauses = [at for at in pauses if until is None or at < until]
            for at in self.pauses:
                twin.run(at)
        twin.run(until)
        result = self._go(simulation, until)
        return compare(result, twin)

    def _go(self, simulation: Simulation, until: int | None) -> SimulationResult:
        if self.manner == "step" and until is None:
            while not simulation.is_over:
                before = simulation.timeline.clock.copy()
                simulation.step(self.random.randint(1, 3))
                if (before == simulation.timeline.clock).all():
                    break
        elif self.manner == "pause":
            for at in self.pauses:
                simulation.run(at)
        elif self.manner == "fork":
            for at in self.pauses:
                simulation.run(at)
            other = simulation.fork()
            places = np.flatnonzero(other.timeline.status == 2).tolist()
            for place in places[::2]:
                other.take_off(place, 4)
            other.run(until)
            simulation = self._alike(simulation, simulation.fork(), until)
        elif self.manner == "save":
            for at in self.pauses:
                simulation.run(at)
            loaded = self.simulation()
            with tempfile.TemporaryDirectory() as folder:
                simulation.save(f"{folder}/one.npz")
                restore(loaded, f"{folder}/one.npz")
            simulation = self._alike(simulation, loaded, until)
        return simulation.run(until)

    def _alike(self, one: Simulation, two: Simulation, until: int | None) -> Simulation:
        """The second, which has gone on exactly as the first has."""
        one.run(until)
        two.run(until)
        first, second = one.result(), two.result()
        for name, table in first.metrics.items():
            if not table.equals(second.metrics[name]):
                for column in table.column_names:
                    assert table[column].to_pylist() == second.metrics[name][column].to_pylist(), (
                        f"{name}.{column}"
                    )
        assert first.summary == second.summary
        return two


def compare(result: SimulationResult, twin: NaiveSimulation) -> list[str]:
    """Everything of tables and summary that is not what the twin says."""
    told = []
    columns = ("status", "node", "score", "start_ms", "end_ms", "wait_ms")
    rows = {f"{row['namespace']}/{row['name']}": row for row in result.placements.to_pylist()}
    for job in twin.jobs:
        row = rows[pod_name(job.pod)]
        on_node = job.start >= 0
        waits = job.waited + (twin.now - job.since if job.status == "waiting" else 0)
        wanted = (
            job.status, job.node if on_node else None, job.score if on_node else None,
            job.first_start if job.first_start >= 0 else None, job.end if job.end >= 0 else None, waits,
        )  # fmt: skip
        found = tuple(row[name] for name in columns)
        if found != wanted:
            told.append(f"{pod_name(job.pod)}: {dict(zip(columns, found, strict=True))}, twin {wanted}")
        if job.status == "waiting" and row["reason"] != twin.judge.why(job):
            told.append(f"{pod_name(job.pod)}: {row['reason']!r}, twin {twin.judge.why(job)!r}")
    told += _compare_intervals(result.intervals.to_pylist(), twin)
    events = [(row["time_ms"], row["kind"], row["name"]) for row in result.events.to_pylist() if row["name"]]
    if sorted(events) != sorted(twin.log):
        told.append(f"events {sorted(set(events) ^ set(twin.log))[:6]}")
    return told + _compare_summary(result, twin)


def _compare_intervals(found: list[Object], twin: NaiveSimulation) -> list[str]:
    told = []
    if len(found) != len(twin.rows):
        told.append(f"{len(found)} intervals, twin {len(twin.rows)}")
    for row, wanted in zip(found, twin.rows, strict=False):
        for name, value in row.items():
            if name.startswith("utilisation:"):
                continue
            right = wanted.get(name, 0)
            if name.startswith("fragmented:"):
                resource = name.removeprefix("fragmented:")
                free = wanted.get(f"capacity:{resource}", 0) - wanted.get(f"allocated:{resource}", 0)
                right = right / max(free, 1)
            if value != right:
                told.append(f"at {row['time_ms']} {name} {value}, twin {right}")
    return told


def _compare_summary(result: SimulationResult, twin: NaiveSimulation) -> list[str]:
    summary, area, span = result.summary, twin.area, max(twin.now, 1)
    wanted: dict[str, float] = {
        "simulated_ms": twin.now,
        "nodes": len(twin.nodes),
        "preemptions": twin.preempted,
        "nodes_used_mean": round(area.nodes_used / span, 3),
        "waiting_mean": round(area.waiting / span, 3),
        "energy_kwh": twin.energy_kwh(),
    }
    for name, capacity in area.capacity.items():
        if f"utilisation_{name}" in summary:
            wanted[f"utilisation_{name}"] = area.allocated.get(name, 0.0) / max(capacity, 1)
    told = [
        f"{name} {summary[name]}, twin {value}"
        for name, value in wanted.items()
        if not math.isclose(summary[name] or 0, value, rel_tol=1e-9, abs_tol=2e-6)
    ]
    shares = result.owners["dominant_share"].to_pylist()
    for owner, share in area.owner.items():
        if not math.isclose(shares[owner], share / span, rel_tol=1e-9, abs_tol=1e-12):
            told.append(f"share of owner {owner} {shares[owner]}, twin {share / span}")
    return told


def _plain(pod: Object) -> Pod:
    """The pod as a trace may have it: no node of its own, no promise."""
    pod = copy.deepcopy(pod)
    pod["spec"].pop("nodeName", None)
    pod.get("status", {}).pop("nominatedNodeName", None)
    pod["metadata"].pop("uid", None)
    return msgspec.convert(pod, Pod)


def _sized(node: Object) -> Object:
    """One size for an image wherever it is: whose counts depends on the order of the slots."""
    for image in node["status"].get("images", ()):
        image["sizeBytes"] = (1 + sum(map(ord, image["names"][0])) % 900) * 1024 * 1024
    return node
