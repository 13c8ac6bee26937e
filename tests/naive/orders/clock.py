"""Pods, nodes and a clock; a discipline is a function that is called when all events of a moment have happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

FOREVER = 1 << 62


@dataclass(eq=False)
class Pod:
    """One pod and all that has happened to it."""

    index: int
    unit: int
    cpu: int
    memory: int
    submit: int
    work: int
    estimate: int  # -1 unknown
    priority: int = 0
    gpu_milli: int = 1000
    left: int = 0
    node: int | None = None
    start: int = -1
    queued: int = 0
    status: str = "coming"
    runs: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def length(self) -> int:
        """What the scheduler thinks it runs from its next or latest start on."""
        length = self.estimate if self.estimate >= 0 else self.work
        return max(length - (self.work - self.left), 1)

    @property
    def kind(self) -> tuple[int, int]:
        return self.cpu, self.memory

    def expected_end(self, now: int) -> int:
        span = self.length
        while self.start + span <= now:
            span *= 2
        return self.start + span


Room = list[list[int]]  # [node] -> [cpu, memory, pods] that are free


class Simulator:
    """Nodes all alike but for their sizes; the earliest in the list has the first name."""

    def __init__(self, nodes: list[tuple[int, int, int]], pods: list[Pod], score: str, resume: bool) -> None:
        self.capacity, self.pods, self.score, self.resume = nodes, pods, score, resume
        self.now = 0
        self.sequence = 0
        self.preemptions: list[tuple[int, int]] = []
        for pod in pods:
            pod.left = pod.work

    # -- what is free

    def room(self, without: Callable[[Pod], bool] = lambda pod: False) -> Room:
        free = [list(one) for one in self.capacity]
        for pod in self.pods:
            if pod.node is not None and not without(pod):
                take(free, pod, pod.node)
        return free

    def units(self, status: str) -> list[int]:
        return sorted({pod.unit for pod in self.pods if pod.status == status})

    def of(self, unit: int, status: str) -> list[Pod]:
        return [pod for pod in self.pods if pod.unit == unit and pod.status == status]

    def queue(self) -> list[int]:
        def key(unit: int) -> tuple[int, int]:
            first = next(pod for pod in self.pods if pod.unit == unit)
            return -first.priority, first.queued

        return sorted(self.units("waiting"), key=key)

    def length_of(self, unit: int) -> int:
        return max(pod.length for pod in self.of(unit, "waiting"))

    # -- nodes

    def choose(self, pod: Pod, allowed: Callable[[int], bool]) -> int | None:
        free = self.room()
        best, best_total = None, -1
        for node, there in enumerate(free):
            if not has_room(there, pod) or not allowed(node):
                continue
            total = 0
            if self.score == "least":
                cpu, memory, _ = self.capacity[node]
                total = ((there[0] - pod.cpu) * 100 // cpu + (there[1] - pod.memory) * 100 // memory) // 2
            if total > best_total:
                best, best_total = node, total
        return best

    def try_start(
        self,
        unit: int,
        allowed: Callable[[Pod, int], bool] | None = None,
        planned: list[int] | None = None,
    ) -> bool:
        """All pods of the unit, one after another, or none; at last on the planned nodes, or those that counting finds."""
        pods = self.of(unit, "waiting")
        for pod in pods:
            pod.node = self.choose(pod, lambda node, pod=pod: allowed is None or allowed(pod, node))  # type: ignore[misc]
            if pod.node is None:
                for other in pods:
                    other.node = None
                if planned is None and allowed is None:
                    planned = lay_out(self.room(), pods)
                if planned is None:
                    return False
                for other, node in zip(pods, planned, strict=True):
                    other.node = node
                break
        for pod in pods:
            pod.status, pod.start = "running", self.now
        return True

    def evict(self, pod: Pod) -> None:
        assert pod.node is not None
        pod.runs.append((pod.start, self.now, pod.node))
        self.preemptions.append((self.now, pod.index))
        pod.left = pod.left - (self.now - pod.start) if self.resume else pod.work
        pod.node, pod.status = None, "waiting"
        self._enter(pod)

    def _enter(self, pod: Pod) -> None:
        pod.queued = self.sequence
        self.sequence += 1

    # -- time

    def run(self, decide: Callable[[], None], timer: Callable[[], int] = lambda: FOREVER) -> None:
        for _ in range(100_000):
            times = [pod.submit for pod in self.pods if pod.status == "coming"]
            times += [pod.start + pod.left for pod in self.pods if pod.status == "running"]
            times += [one for one in [timer()] if self.now < one < FOREVER]
            if not times:
                return
            self.now = max(min(times), self.now)
            for pod in self.pods:
                if pod.status == "running" and pod.start + pod.left <= self.now:
                    assert pod.node is not None
                    pod.runs.append((pod.start, self.now, pod.node))
                    pod.node, pod.status = None, "ended"
            for pod in self.pods:
                if pod.status == "coming" and pod.submit <= self.now:
                    pod.status = "waiting"
                    self._enter(pod)
            decide()
        raise AssertionError("it does not end")


def has_room(there: list[int], pod: Pod) -> bool:
    return there[0] >= pod.cpu and there[1] >= pod.memory and there[2] >= 1


def take(free: Room, pod: Pod, node: int) -> None:
    free[node] = [free[node][0] - pod.cpu, free[node][1] - pod.memory, free[node][2] - 1]


def lay_out(free: Room, pods: list[Pod]) -> list[int] | None:
    """Nodes for the pods in turn, each the first with room; None if one has none. ``free`` is left as it is."""
    free = [list(one) for one in free]
    nodes = []
    for pod in pods:
        fitting = [node for node, there in enumerate(free) if has_room(there, pod)]
        if not fitting:
            return None
        nodes.append(fitting[0])
        take(free, pod, fitting[0])
    return nodes
