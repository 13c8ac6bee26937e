"""A trace on a simulated clock, one pod and one moment after the other; the twin of ``kcore.sim``.

At every moment at which anything happens, completions come first, then arrivals; then every pod that waits is tried, in
order, again from the first whenever one was placed, until nobody can be; then the scenario's events of that moment, and
all that wait are tried once more. A pod of no length is gone before the next one is tried. Nothing is remembered of who
was refused why. Source: backend/queue/scheduling_queue.go of Kubernetes 1.36 on a clock where an attempt takes no time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from kcore.api.objects import Node, Pod
from tests.naive.cluster import PodInfo, Resource, allocatable_of, pod_name

NEVER = -1
IDLE_WATTS, PEAK_WATTS = 100.0, 300.0
HOUR_MS = 3_600_000


@dataclass
class Job:
    """A pod of the trace and what has become of it. Times in ms; -1 where there is none."""

    place: int
    pod: Pod
    submit: int
    work: int
    estimate: int = NEVER
    owner: int = 0
    draw: float = -1.0
    status: str = "coming"
    left: int = 0
    start: int = -1
    first_start: int = -1
    end: int = -1
    waited: int = 0
    since: int = 0
    entry: int = 0
    evicted: int = 0
    node: str | None = None
    score: int = 0

    def __post_init__(self) -> None:
        self.left = self.work

    @property
    def priority(self) -> int:
        """0 where the pod says nothing."""
        return self.pod.spec.priority or 0

    @property
    def ends(self) -> int | None:
        """When it completes, if it runs and ever does."""
        return self.start + self.left if self.status == "running" and self.left >= 0 else None


class Verdict(NamedTuple):
    """Where the pod goes, at which score, and who must leave for it; no node where it fits nowhere."""

    node: str | None
    score: int = 0
    victims: Sequence[str] = ()


class Judge(Protocol):
    """Decides for one pod at a time and knows which pod is where. Pods are named ``namespace/name``."""

    def enters(self, job: Job) -> bool:
        """Whether the pod ever enters the queue."""

    def attempt(self, job: Job, preempts: bool) -> Verdict:
        """What the scheduler would do with the pod now."""

    def why(self, job: Job) -> str:
        """Why the pod fits nowhere now."""

    def put(self, job: Job, node: str, start_us: int) -> None:
        """The pod is on the node."""

    def take(self, pod: str) -> None:
        """The pod is on no node."""

    def pods_on(self, node: str) -> list[str]:
        """The pods on the node."""

    def set_priority(self, job: Job, priority: int) -> None:
        """The pod has that priority; ``job.pod`` has it already."""

    def add_node(self, node: Node) -> None:
        """The node is there."""

    def update_node(self, node: Node) -> None:
        """The node object is replaced."""

    def remove_node(self, name: str) -> None:
        """The node, on which nobody is, is gone."""


class Rules(NamedTuple):
    """How the queue is ordered and what preemption does."""

    order: str = "queue"
    strict: bool = False
    preempts: bool = True
    preempted: str = "restart"
    interval_ms: int = 1000
    start_us: int = 0


@dataclass
class Area:
    """Integrals over time, in units times ms."""

    allocated: dict[str, float] = field(default_factory=dict)
    capacity: dict[str, float] = field(default_factory=dict)
    nodes_used: float = 0.0
    cpu_share: float = 0.0
    waiting: float = 0.0
    owner: dict[int, float] = field(default_factory=dict)


def amounts(resource: Resource) -> dict[str, int]:
    """By the names that tables use."""
    plain = {
        "cpu": resource.milli_cpu, "memory": resource.memory, "ephemeral-storage": resource.ephemeral_storage
    }  # fmt: skip
    return plain | resource.scalars


class NaiveSimulation:
    """The cluster and the trace at a moment."""

    def __init__(
        self,
        judge: Judge,
        jobs: Sequence[Job],
        rules: Rules,
        *,
        nodes: Iterable[Node],
        bound: Iterable[Pod] = (),
        events: Iterable[Mapping[str, Any]] = (),
        known: Iterable[Node] = (),
    ) -> None:
        self.judge, self.jobs, self.rules = judge, list(jobs), rules
        self.nodes = {node.metadata.name: node for node in nodes}
        self.removed = {node.metadata.name: node for node in known}
        self.asks = {pod_name(job.pod): amounts(PodInfo(job.pod).requested()[0]) for job in jobs}
        self.asks |= {pod_name(pod): amounts(PodInfo(pod).requested()[0]) for pod in bound}
        self.by_name = {pod_name(job.pod): job for job in jobs}
        self.events = sorted(events, key=lambda event: event["at"])
        self.coming = list(self.jobs)
        self.now, self.entries, self.preempted, self.interval_next = 0, 0, 0, 0
        self.rows: list[dict[str, Any]] = []
        self.log: list[tuple[int, str, str]] = []
        self.area = Area()
        for job in self.jobs:
            if not judge.enters(job):
                job.status = "untried"

    # -- time

    def run(self, until: int | None = None) -> None:
        """Let time go on until nothing is left to happen, or to ``until``."""
        while True:
            times = [job.ends for job in self.jobs if job.ends is not None]
            times += [job.submit for job in self.coming[:1]] + [event["at"] for event in self.events[:1]]
            at = min(times, default=None)
            if at is None or (until is not None and at > until):
                if until is not None:
                    self._pass(until)
                return
            self._pass(at)
            self._complete()
            while self.coming and self.coming[0].submit <= self.now:
                self._arrive(self.coming.pop(0))
            self._settle()
            while self.events and self.events[0]["at"] <= self.now:
                self._happen(self.events.pop(0))
            self._settle()

    def _pass(self, at: int) -> None:
        while self.interval_next <= at:
            self.rows.append(self._row(self.interval_next))
            self.interval_next += self.rules.interval_ms
        passed, area = at - self.now, self.area
        for name, amount in self.allocated().items():
            area.allocated[name] = area.allocated.get(name, 0.0) + amount * passed
        for name, amount in self.capacity().items():
            area.capacity[name] = area.capacity.get(name, 0.0) + amount * passed
        area.nodes_used += len(self._used()) * passed
        area.cpu_share += self._cpu_share() * passed
        area.waiting += len(self._of("waiting")) * passed
        for owner in {job.owner for job in self.jobs}:
            area.owner[owner] = area.owner.get(owner, 0.0) + self.share(owner) * passed
        self.now = max(at, self.now)

    def _complete(self) -> None:
        for job in self.jobs:
            if job.ends is not None and job.ends <= self.now:
                self._stop(job, "completed")

    def _arrive(self, job: Job) -> None:
        self.log.append((self.now, "arrive", job.pod.metadata.name))
        if job.status == "coming":
            self._join(job)

    # -- the queue

    def _of(self, status: str) -> list[Job]:
        return [job for job in self.jobs if job.status == status]

    def _join(self, job: Job) -> None:
        job.status, job.since, job.entry, job.node = "waiting", self.now, self.entries, None
        self.entries += 1

    def share(self, owner: int) -> float:
        """The owner's dominant share."""
        capacity, used = self.capacity(), dict.fromkeys(self.capacity(), 0)
        for job in self._of("running"):
            if job.owner == owner:
                for name, amount in self.asks[pod_name(job.pod)].items():
                    used[name] = used.get(name, 0) + amount
        return max((used[name] / most for name, most in capacity.items() if most > 0), default=0.0)

    def _line(self) -> list[Job]:
        def place(job: Job) -> tuple[float, int, int]:
            length = job.estimate if job.estimate >= 0 else job.work
            key = {"queue": -job.priority, "sjf": length if length >= 0 else 1 << 60}.get(self.rules.order, 0)
            return self.share(job.owner) if self.rules.order == "drf" else 0.0, key, job.entry

        return sorted(self._of("waiting"), key=place)

    def _settle(self) -> None:
        """Try all that wait until nobody can be placed any more."""
        moved = True
        while moved:
            moved = False
            for job in self._line():
                moved = self._try(job)
                if moved or self.rules.strict:
                    break

    def _try(self, job: Job) -> bool:
        verdict = self.judge.attempt(job, self.rules.preempts)
        if verdict.node is None:
            return False
        for pod in verdict.victims:
            self._evict(pod, verdict.node, "preempt")
        job.waited += self.now - job.since
        job.status, job.node, job.score, job.start = "running", verdict.node, verdict.score, self.now
        if job.first_start < 0:
            job.first_start = self.now
        self.log.append((self.now, "start", job.pod.metadata.name))
        self.judge.put(job, verdict.node, self.rules.start_us + self.now * 1000)
        self._complete()
        return True

    def _stop(self, job: Job, status: str) -> None:
        self.judge.take(pod_name(job.pod))
        job.status, job.end = status, self.now
        self.log.append(
            (self.now, {"completed": "complete", "deleted": "delete"}[status], job.pod.metadata.name)
        )

    def _evict(self, pod: str, node: str, kind: str) -> None:
        self.judge.take(pod)
        job = self.by_name.get(pod)
        if job is None:
            return
        self.log.append((self.now, kind, job.pod.metadata.name))
        job.evicted += 1
        self.preempted += kind == "preempt"
        if job.left >= 0:
            ran = self.now - job.start
            job.left = job.left - ran if self.rules.preempted == "resume" else job.work
        if self.rules.preempted == "drop":
            job.status, job.end = "failed", self.now
            return
        job.start = -1
        self._join(job)

    # -- the scenario

    def _happen(self, event: Mapping[str, Any]) -> None:
        kind, name = event["kind"], event.get("name", "")
        if kind == "add-node":
            node = event["node"] if "node" in event else self.removed[name]
            self.nodes[node.metadata.name] = node
            self.judge.add_node(node)
        elif kind in ("remove-node", "fail-node"):
            pods = self.judge.pods_on(name)
            for pod in sorted(pods, key=lambda one: self.by_name[one].place if one in self.by_name else -1):
                self._evict(pod, name, "fail")
            self.removed[name] = self.nodes.pop(name)
            self.judge.remove_node(name)
        elif kind in ("cordon", "uncordon"):
            node = self.nodes[name]
            node = replace(node, spec=replace(node.spec, unschedulable=kind == "cordon"))
            self.nodes[name] = node
            self.judge.update_node(node)
        else:
            job = self.by_name[event["pod"]]
            if kind == "delete-pod":
                self._delete(job)
            else:
                job.pod = replace(job.pod, spec=replace(job.pod.spec, priority=event["priority"]))
                self.judge.set_priority(job, event["priority"])

    def _delete(self, job: Job) -> None:
        if job.status == "running":
            self._stop(job, "deleted")
        elif job.status in ("waiting", "coming", "untried"):
            if job.status == "waiting":
                job.waited += self.now - job.since
            job.status, job.end = "deleted", self.now
            self.log.append((self.now, "delete", job.pod.metadata.name))

    # -- how things stand

    def capacity(self) -> dict[str, int]:
        """What all nodes have together."""
        total: dict[str, int] = {}
        for node in self.nodes.values():
            for name, amount in amounts(allocatable_of(node.status.allocatable)).items():
                total[name] = total.get(name, 0) + amount
        return total

    def _used(self) -> list[str]:
        return [name for name in self.nodes if self.judge.pods_on(name)]

    def _asked_on(self, node: str) -> dict[str, int]:
        total: dict[str, int] = {}
        for pod in self.judge.pods_on(node):
            for name, amount in self.asks[pod].items():
                total[name] = total.get(name, 0) + amount
        return total

    def allocated(self) -> dict[str, int]:
        """What the pods on all nodes ask for together."""
        total: dict[str, int] = {}
        for node in self.nodes:
            for name, amount in self._asked_on(node).items():
                total[name] = total.get(name, 0) + amount
        return total

    def _cpu_share(self) -> float:
        cpu = {name: allocatable_of(node.status.allocatable).milli_cpu for name, node in self.nodes.items()}
        return sum(self._asked_on(name).get("cpu", 0) / most for name, most in cpu.items() if most > 0)

    def _typical(self) -> dict[str, int]:
        """The median of what pods of the trace ask for that ask for the resource at all."""
        asked: dict[str, list[int]] = {}
        for job in self.jobs:
            for name, amount in self.asks[pod_name(job.pod)].items():
                if amount > 0:
                    asked.setdefault(name, []).append(amount)
        return {name: sorted(found)[(len(found) - 1) // 2] for name, found in asked.items()}

    def stranded(self, resource: str) -> int:
        """What is free of the resource where a typical pod that asks for it does not fit."""
        typical, lost = self._typical(), 0
        for name, node in self.nodes.items():
            most = allocatable_of(node.status.allocatable)
            asked = self._asked_on(name)
            free = {one: amount - asked.get(one, 0) for one, amount in amounts(most).items()}
            wanted = {one: typical.get(one, 0) for one in {"cpu", "memory", resource}}
            fits = len(self.judge.pods_on(name)) < most.allowed_pods
            fits = fits and all(amount <= free.get(one, 0) for one, amount in wanted.items() if amount)
            if free.get(resource, 0) > 0 and not fits:
                lost += free[resource]
        return lost

    def _row(self, at: int) -> dict[str, Any]:
        capacity, allocated = self.capacity(), self.allocated()
        row: dict[str, Any] = {
            "time_ms": at,
            "arrived": len(self.jobs) - len(self.coming),
            "waiting": len(self._of("waiting")),
            "running": len(self._of("running")),
            "completed": len(self._of("completed")),
            "preempted": self.preempted,
            "nodes_used": len(self._used()),
        }
        for name in {*capacity, *allocated, *self.area.capacity}:
            row[f"allocated:{name}"] = allocated.get(name, 0)
            row[f"capacity:{name}"] = capacity.get(name, 0)
            row[f"fragmented:{name}"] = self.stranded(name)
        return row

    def energy_kwh(self) -> float:
        """Nodes in use draw IDLE_WATTS, and up to PEAK_WATTS by the share of CPU that is asked for on nodes."""
        watts_ms = IDLE_WATTS * self.area.nodes_used + (PEAK_WATTS - IDLE_WATTS) * self.area.cpu_share
        return watts_ms / HOUR_MS / 1000
