"""What the scheduler's ``/metrics`` says: counted as it happens, in Prometheus' text."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from kcore.online.metric_families import FAMILIES

KIND: Final = b"text/plain; version=0.0.4; charset=utf-8"
SCHEDULED: Final = "scheduled"
UNSCHEDULABLE: Final = "unschedulable"
ERROR: Final = "error"
ATTEMPTS_TOLD: Final = 15  # tries from which pods are counted together
SAMPLE_OF: Final = 10  # binding cycles; of one the time of each plugin is taken
LEAST_PLAIN_EXPONENT: Final = -4  # of numbers that Go prints without an exponent
PLAIN_EXPONENTS_END: Final = 6
QUEUES: Final = ("active", "backoff", "gated", "unschedulable")

Key = tuple[str, ...]
Gauges = Mapping[str, Mapping[Key, float]]


class Histogram:
    """Observations counted by upper bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """One more, or so many."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times


class Metrics:
    """Counters and histograms; ``page`` is the whole text."""

    def __init__(self) -> None:
        self._counters: dict[str, dict[Key, float]] = {}
        self._histograms: dict[str, dict[Key, Histogram]] = {}
        for name, family in FAMILIES.items():
            if family.kind == "counter":
                self._counters[name] = {} if family.labels else {(): 0}
            elif family.kind == "histogram":
                self._histograms[name] = {} if family.labels else {(): Histogram(family.bounds)}
        self._cycles = 0

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """So many more of that counter (named without ``scheduler_``)."""
        values = self._counters[f"scheduler_{name}"]
        values[labels] = values.get(labels, 0) + by

    def observe(self, name: str, value: float, *labels: str, times: int = 1) -> None:
        """One more observation of that histogram (named without ``scheduler_``), or so many."""
        full = f"scheduler_{name}"
        histogram = self._histograms[full].get(labels)
        if histogram is None:
            histogram = self._histograms[full][labels] = Histogram(FAMILIES[full].bounds)
        histogram.observe(value, times)

    # -- what happens -----------------------------------------------------------------------------------------------
    def queued(self, queue: str, event: str) -> None:
        """A pod entered a queue."""
        self.count("queue_incoming_pods_total", event, "unschedulable" if queue == "gated" else queue)

    def attempted(self, result: str, profile: str, seconds: float) -> None:
        """A pod was tried, and what came of it."""
        self.count("schedule_attempts_total", profile, result)
        self.observe("scheduling_attempt_duration_seconds", seconds, profile, result)

    def bound(self, attempts: int, seconds: float, *, was_flushed: bool = False) -> None:
        """A pod has got its node, after that many tries and that time in the queue."""
        self.observe("pod_scheduling_attempts", attempts)
        label = str(attempts) if attempts < ATTEMPTS_TOLD else f"{ATTEMPTS_TOLD}+"
        self.observe("pod_scheduling_sli_duration_seconds", seconds, label)
        if was_flushed:
            self.count("pod_scheduled_after_flush_total")

    def preempted(self, victim_count: int) -> None:
        """Preemption chose a node."""
        self.count("preemption_attempts_total")
        self.observe("preemption_victims", victim_count)

    def ran(self, point: str, profile: str, status: str, seconds: float) -> None:
        """The plugins of that point have been asked about one pod."""
        self.observe("framework_extension_point_duration_seconds", seconds, point, profile, status)

    def decided(self, seconds: float, pod_count: int) -> None:
        """So many pods were decided, in that time each."""
        self.observe("scheduling_algorithm_duration_seconds", seconds, times=pod_count)

    def made_room(self, seconds: float, *, is_whole: bool) -> None:
        """The victims of one preemption have gone, or some stay."""
        result = "success" if is_whole else "error"
        self.observe("preemption_goroutines_duration_seconds", seconds, result)
        self.count("preemption_goroutines_execution_total", result)

    def handled(self, seconds: float, events: Mapping[str, int]) -> None:
        """So many events were taken in, all in that time."""
        each = seconds / max(sum(events.values()), 1)
        for event, count in events.items():
            self.observe("event_handling_duration_seconds", each, event, times=count)

    def samples(self) -> bool:
        """Whether the times of single plugins are taken in the binding cycle that begins."""
        self._cycles += 1
        return self._cycles % SAMPLE_OF == 1

    # -- the page ---------------------------------------------------------------------------------------------------
    def page(self, gauges: Gauges) -> bytes:
        """All of it, with what there is of everything now."""
        lines: list[str] = []
        for name, family in FAMILIES.items():
            values = gauges.get(name) or self._counters.get(name) or {}
            histograms = self._histograms.get(name) or {}
            if not values and not histograms:
                continue
            lines.append(f"# HELP {name} [{family.stability}] {family.help}")
            lines.append(f"# TYPE {name} {family.kind}")
            for key, value in sorted(values.items()):
                lines.append(f"{name}{_labels(family.labels, key)} {go_float(value)}")
            for key, histogram in sorted(histograms.items()):
                lines += _buckets(name, family.labels, key, histogram)
        return ("\n".join(lines) + "\n").encode()


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _buckets(name: str, labels: Sequence[str], key: Sequence[str], histogram: Histogram) -> Iterable[str]:
    count = 0
    for bound, number in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        count += number
        yield f"{name}_bucket{_labels((*labels, 'le'), (*key, go_float(bound)))} {count}"
    yield f"{name}_sum{_labels(labels, key)} {go_float(histogram.total)}"
    yield f"{name}_count{_labels(labels, key)} {count}"


def go_float(value: float) -> str:
    """The number as Go prints it with ``'g', -1``: the shortest text that reads back as it, 1e+06 from a million on."""
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    number = Decimal(repr(float(value))).normalize()
    exponent = number.adjusted()
    if not number or LEAST_PLAIN_EXPONENT <= exponent < PLAIN_EXPONENTS_END:
        return f"{number:f}"
    sign, digits, _ = number.as_tuple()
    text = "".join(map(str, digits))
    mantissa = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
