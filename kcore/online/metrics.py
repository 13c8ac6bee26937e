"""What the scheduler's ``/metrics`` says, under upstream's names, stability levels and help texts.

Source: pkg/scheduler/metrics/metrics.go of Kubernetes 1.36.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

KIND: Final = b"text/plain; version=0.0.4; charset=utf-8"
SCHEDULED: Final = "scheduled"
UNSCHEDULABLE: Final = "unschedulable"
ERROR: Final = "error"
DURATIONS: Final = tuple(0.001 * 2**power for power in range(15))
SLI_DURATIONS: Final = tuple(0.01 * 2**power for power in range(20))
ATTEMPTS: Final = tuple(float(2**power) for power in range(5))
VICTIMS: Final = tuple(float(2**power) for power in range(7))
QUEUES: Final = {
    "active": "active", "backoff": "backoff", "unschedulable": "unschedulable", "gated": "gated",
}  # fmt: skip


class Histogram:
    """Observations counted by upper bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Family(NamedTuple):
    """One metric: its Prometheus type, stability, help, and the names of its labels."""

    kind: str
    stability: str
    help: str
    labels: tuple[str, ...] = ()


FAMILIES: Final = {
    "scheduler_pending_pods": Family(
        "gauge", "STABLE",
        "Number of pending pods, by the queue type. 'active' means number of pods in activeQ; 'backoff' means number of pods in backoffQ; 'unschedulable' means number of pods in unschedulablePods that the scheduler attempted to schedule and failed; 'gated' is the number of unschedulable pods that the scheduler never attempted to schedule because they are gated.",
        ("queue",),
    ),
    "scheduler_queue_incoming_pods_total": Family(
        "counter", "STABLE", "Number of pods added to scheduling queues by event and queue type.", ("event", "queue"),
    ),
    "scheduler_schedule_attempts_total": Family(
        "counter", "STABLE",
        "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an internal scheduler problem.",
        ("profile", "result"),
    ),
    "scheduler_scheduling_attempt_duration_seconds": Family(
        "histogram", "STABLE", "Scheduling attempt latency in seconds (scheduling algorithm + binding)",
        ("profile", "result"),
    ),
    "scheduler_pod_scheduling_sli_duration_seconds": Family(
        "histogram", "BETA",
        "E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue and might involve multiple scheduling attempts.",
        ("attempts",),
    ),
    "scheduler_pod_scheduling_attempts": Family(
        "histogram", "STABLE", "Number of attempts to successfully schedule a pod.",
    ),
    "scheduler_preemption_attempts_total": Family(
        "counter", "STABLE", "Total preemption attempts in the cluster till now",
    ),
    "scheduler_preemption_victims": Family("histogram", "STABLE", "Number of selected preemption victims"),
    "scheduler_cache_size": Family(
        "gauge", "ALPHA", "Number of nodes, pods, and assumed (bound) pods in the scheduler cache.", ("type",),
    ),
}  # fmt: skip


class Metrics:
    """Counted as it happens; ``page`` is the whole text."""

    def __init__(self) -> None:
        self.attempts: dict[tuple[str, ...], int] = {}
        self.incoming: dict[tuple[str, ...], int] = {}
        self.durations: dict[tuple[str, ...], Histogram] = {}
        self.sli: dict[tuple[str, ...], Histogram] = {}
        self.tries = Histogram(ATTEMPTS)
        self.victims = Histogram(VICTIMS)
        self.preemptions = 0

    def queued(self, queue: str, event: str) -> None:
        """A pod entered a queue."""
        key = (event, "unschedulable" if queue == "gated" else queue)
        self.incoming[key] = self.incoming.get(key, 0) + 1

    def attempted(self, result: str, profile: str, seconds: float) -> None:
        """A pod was tried, and what came of it."""
        key = (profile, result)
        self.attempts[key] = self.attempts.get(key, 0) + 1
        histogram = self.durations.get(key)
        if histogram is None:
            histogram = self.durations[key] = Histogram(DURATIONS)
        histogram.observe(seconds)

    def bound(self, attempts: int, seconds: float) -> None:
        """A pod has got its node, after that many tries and that time in the queue."""
        self.tries.observe(attempts)
        key = (str(attempts) if attempts < 16 else "15+",)
        histogram = self.sli.get(key)
        if histogram is None:
            histogram = self.sli[key] = Histogram(SLI_DURATIONS)
        histogram.observe(seconds)

    def preempted(self, victim_count: int) -> None:
        """Preemption chose a node."""
        self.preemptions += 1
        self.victims.observe(victim_count)

    def page(self, pending: Mapping[str, int], cached: Mapping[str, int]) -> bytes:
        """All of it; ``pending`` are the pods by queue, ``cached`` what the scheduler knows of, by type."""
        values: dict[str, Mapping[tuple[str, ...], float]] = {
            "scheduler_pending_pods": {(queue,): pending.get(queue, 0) for queue in QUEUES},
            "scheduler_queue_incoming_pods_total": self.incoming,
            "scheduler_schedule_attempts_total": self.attempts,
            "scheduler_preemption_attempts_total": {(): self.preemptions},
            "scheduler_cache_size": {(name,): count for name, count in cached.items()},
        }
        histograms: dict[str, Mapping[tuple[str, ...], Histogram]] = {
            "scheduler_scheduling_attempt_duration_seconds": self.durations,
            "scheduler_pod_scheduling_sli_duration_seconds": self.sli,
            "scheduler_pod_scheduling_attempts": {(): self.tries},
            "scheduler_preemption_victims": {(): self.victims},
        }
        lines: list[str] = []
        for name, family in sorted(FAMILIES.items()):
            lines.append(f"# HELP {name} [{family.stability}] {family.help}")
            lines.append(f"# TYPE {name} {family.kind}")
            for key, value in sorted(values.get(name, {}).items()):
                lines.append(f"{name}{_labels(family.labels, key)} {value:g}")
            for key, histogram in sorted(histograms.get(name, {}).items()):
                lines += _buckets(name, family.labels, key, histogram)
        return ("\n".join(lines) + "\n").encode()


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = ",".join(f'{name}="{value}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}" if pairs else ""


def _buckets(name: str, labels: Sequence[str], key: Sequence[str], histogram: Histogram) -> list[str]:
    lines, count = [], 0
    for bound, number in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        count += number
        text = "+Inf" if bound == float("inf") else f"{bound:g}"
        lines.append(f"{name}_bucket{_labels((*labels, 'le'), (*key, text))} {count}")
    lines.append(f"{name}_sum{_labels(labels, key)} {histogram.total:g}")
    lines.append(f"{name}_count{_labels(labels, key)} {count}")
    return lines
