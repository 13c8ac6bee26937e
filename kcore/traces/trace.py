"""What a workload trace is: pods in order of arrival, when each comes, how long it runs, whose it is.

Loaders (:mod:`kcore.traces.openb_trace` and its neighbours) make traces; a simulation replays them. No file is read here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec
import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, PodColumns

NEVER_MS = -1  # a duration that does not end by itself; an estimate that nobody gave
ADD, REMOVE = "add", "remove"
NO_OWNER = "default"  # the one owner of a trace that names none


class NodeEvent(NamedTuple):
    """A node comes or goes."""

    time_ms: int  # since the trace's first arrival
    kind: str  # ADD | REMOVE
    node: str


@dataclass(frozen=True, eq=False)
class Trace:
    """A workload: nodes (there may be none) and pods in order of arrival, with their times, jobs and owners.

    Invariant: ``objects`` has one PodColumns with all pods; every array has one item a pod, in its order;
    ``submit_ms`` begins at 0 and never falls. Pods that arrive together stand job by job.
    """

    objects: ClusterObjects
    submit_ms: np.ndarray  # int64[pod], since the first arrival
    duration_ms: (
        np.ndarray
    )  # int64[pod], how long it runs once started; NEVER_MS where it never ends by itself
    estimate_ms: np.ndarray  # int64[pod], what its user promised; NEVER_MS where nothing was
    job: np.ndarray  # int32[pod], numbered by first arrival
    owner: np.ndarray  # int32[pod], index into owners
    owners: list[str]
    gang: bool = False  # the pods of a job arrive together and start together or not at all
    node_events: list[NodeEvent] | None = (
        None  # by time; a node whose first event is ADD is not there at first
    )
    gpu_count: np.ndarray | None = None  # int32[pod], devices asked for
    gpu_milli: np.ndarray | None = None  # int32[pod], thousandths of each of those devices
    skipped: int = 0  # bad rows that on_bad="skip" left out
    left_out: dict[str, int] = field(default_factory=dict)  # reason -> rows that are no pods to be placed
    origin: str = ""  # the file or folder

    @property
    def columns(self) -> PodColumns:
        """The pods."""
        return self.objects.pod_columns[0]

    @property
    def pods(self) -> int:
        """How many pods there are."""
        return len(self.submit_ms)

    @property
    def jobs(self) -> int:
        """How many jobs there are."""
        return int(self.job.max()) + 1 if self.pods else 0

    @property
    def span_ms(self) -> int:
        """Milliseconds from the first arrival to the last."""
        return int(self.submit_ms[-1]) if self.pods else 0

    def without_nodes(self) -> Trace:
        """The same pods without the trace's own machines, for a cluster from elsewhere."""
        pods = ClusterObjects(pod_columns=self.objects.pod_columns)
        return replace(self, objects=pods, node_events=None)

    def first(self, count: int) -> Trace:
        """The first ``count`` pods to arrive, or all."""
        if count >= self.pods:
            return self
        taken = slice(0, count)

        def part(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else array[taken]

        columns = self.columns
        pods = msgspec.structs.replace(
            columns,
            exemplar=columns.exemplar[taken],
            names=columns.names[:count],
            requests={name: values[taken] for name, values in columns.requests.items()}
            if columns.requests is not None
            else None,
            priority=part(columns.priority),
            node=part(columns.node),
            start_time_ms=part(columns.start_time_ms),
        )
        return replace(
            self, objects=msgspec.structs.replace(self.objects, pod_columns=[pods]), submit_ms=self.submit_ms[taken],
            duration_ms=self.duration_ms[taken], estimate_ms=self.estimate_ms[taken], job=self.job[taken],
            owner=self.owner[taken], gpu_count=part(self.gpu_count), gpu_milli=part(self.gpu_milli),
        )  # fmt: skip

    def faster(self, factor: float) -> Trace:
        """The same pods, arriving ``factor`` times as fast; they run as long as before."""
        return replace(self, submit_ms=np.floor(self.submit_ms / factor).astype(np.int64))

    def validate(self) -> None:
        """All that is said above holds; InputError with the field that does not."""
        if len(self.objects.pod_columns) != 1 or self.objects.pods:
            raise self._wrong("pods", "are not one table", "one PodColumns with every pod")
        count = len(self.columns.exemplar)
        arrays: dict[str, Any] = {
            "submit_ms": self.submit_ms,
            "duration_ms": self.duration_ms,
            "estimate_ms": self.estimate_ms,
            "job": self.job,
            "owner": self.owner,
            "gpu_count": self.gpu_count,
            "gpu_milli": self.gpu_milli,
            **{f"requests.{name}": amounts for name, amounts in (self.columns.requests or {}).items()},
        }
        for name, array in arrays.items():
            if array is not None and len(array) != count:
                raise self._wrong(name, f"has {len(array)} items for {count} pods", "one a pod")
        least = {"duration_ms": NEVER_MS, "estimate_ms": NEVER_MS}
        for name, array in arrays.items():
            if array is not None and count and array.min() < least.get(name, 0):
                raise self._wrong(
                    name, f"is {array.min()} for pod {int(array.argmin())}", "no less than zero"
                )
        if count and (self.submit_ms[0] != 0 or (np.diff(self.submit_ms) < 0).any()):
            raise self._wrong("submit_ms", "does not ascend from 0", "pods in order of arrival")
        if count and self.owner.max() >= len(self.owners):
            raise self._wrong("owner", f"is {self.owner.max()}", f"an index into {len(self.owners)} owners")
        self._validate_jobs()
        self._validate_node_events()

    def _validate_jobs(self) -> None:
        """Jobs are numbered without gaps; those that arrive together stand together, a gang in one piece."""
        if not self.pods:
            return
        latest = np.maximum.accumulate(self.job)  # a new number is the next one
        jobs = int(latest[-1]) + 1
        if self.job[0] != 0 or (np.diff(latest) > 1).any():
            raise self._wrong("job", "is not numbered by first arrival", "0, 1, 2, ... as they arrive")
        moment = np.cumsum(np.concatenate(([0], np.diff(self.submit_ms) != 0))).astype(np.int64)
        together = moment * jobs + self.job  # one number for the pods of a job that arrive together
        pieces = np.sort(together[np.concatenate(([True], np.diff(together) != 0))])
        if (np.diff(pieces) == 0).any():
            raise self._wrong("job", "has pods apart from each other", "the pods of a job one after another")
        if self.gang and len(pieces) != jobs:
            raise self._wrong("submit_ms", "differs within a job", "one arrival for the pods of a gang")

    def _validate_node_events(self) -> None:
        names = {node.metadata.name for node in self.objects.nodes}
        before = 0
        for event in self.node_events or ():
            if event.node not in names:
                raise self._wrong(
                    "node_events", f"name the unknown node {event.node!r}", "a node of the trace"
                )
            if event.kind not in (ADD, REMOVE):
                raise self._wrong("node_events", f"have the kind {event.kind!r}", f"{ADD} or {REMOVE}")
            if event.time_ms < before:
                raise self._wrong("node_events", "are not in order of time", "times from 0 on, ascending")
            before = event.time_ms

    def _wrong(self, name: str, problem: str, expected: str) -> InputError:
        return InputError(problem, file=self.origin or None, field=name, expected=expected)
