"""Pods in the order of a file become a Trace in the order of arrival."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, Node, Pod, PodColumns
from kcore.traces.trace import ADD, NEVER_MS, NO_OWNER, REMOVE, NodeEvent, Trace

GPU_DEVICES_MAX, GPU_MILLI = (
    31,
    1000,
)  # devices that a node may have, and the whole of one, as sharing counts them
PODS_MAX = 50_000_000  # of one trace; more do not fit into memory and are refused before they are made


@dataclass
class Arrivals:
    """Pods as a loader found them, in any order; one item a pod in every array."""

    names: pa.StringArray
    submit_ms: np.ndarray  # int64, since any moment
    duration_ms: np.ndarray  # int64
    requests: dict[str, np.ndarray]  # resource -> int64
    exemplars: list[Pod]
    exemplar: np.ndarray | None = None  # int32; None: all the first
    estimate_ms: np.ndarray | None = None  # int64
    job: np.ndarray | None = None  # int, any numbers; None: each pod is a job
    owner: np.ndarray | None = None  # int32
    owners: list[str] = field(default_factory=lambda: [NO_OWNER])
    priority: np.ndarray | None = None  # int32
    gpu_count: np.ndarray | None = None  # int32
    gpu_milli: np.ndarray | None = None  # int32, of each device

    def trace(
        self,
        *,
        origin: str,
        nodes: Sequence[Node] = (),
        machines: MachineHistory | None = None,
        gang: bool = False,
        skipped: int = 0,
        left_out: dict[str, int] | None = None,
    ) -> Trace:
        """The trace: stably sorted by arrival, jobs that arrive together in one piece, time from the first arrival."""
        count = len(self.submit_ms)
        if not count:
            raise InputError("holds no pods that could be placed", file=origin, expected="a trace of jobs")
        order, job = self._order()
        start_ms = int(self.submit_ms[order[0]])
        exemplar = np.zeros(count, np.int32) if self.exemplar is None else self.exemplar[order]
        columns = PodColumns(
            exemplars=self.exemplars,
            exemplar=exemplar.astype(np.int32, copy=False),
            names=self.names.take(pa.array(order)),
            requests={name: amounts[order] for name, amounts in self.requests.items()},
            priority=None if self.priority is None else self.priority[order].astype(np.int32),
            origin=origin,
        )
        self._add_devices(columns, order)
        objects = ClusterObjects(nodes=list(nodes), pod_columns=[columns])
        events = None
        if machines is not None:
            objects.nodes, events = machines.since(start_ms, objects.nodes)
        objects.node_origins = [(origin, f"node {node.metadata.name}") for node in objects.nodes]
        never = np.full(count, NEVER_MS, np.int64)
        return Trace(
            objects=objects,
            submit_ms=self.submit_ms[order] - start_ms,
            duration_ms=self.duration_ms[order],
            estimate_ms=never if self.estimate_ms is None else self.estimate_ms[order],
            job=job,
            owner=np.zeros(count, np.int32) if self.owner is None else self.owner[order].astype(np.int32),
            owners=self.owners,
            gang=gang,
            node_events=events,
            gpu_count=None if self.gpu_count is None else self.gpu_count[order].astype(np.int32),
            gpu_milli=None if self.gpu_milli is None else self.gpu_milli[order].astype(np.int32),
            skipped=skipped,
            left_out={reason: number for reason, number in (left_out or {}).items() if number},
            origin=origin,
        )

    def _add_devices(self, columns: PodColumns, order: np.ndarray) -> None:
        """The devices that pods ask for, where one node could have them: what policies share."""
        count, each = self.gpu_count, self.gpu_milli
        if count is None or not count.any() or int(count.max()) > GPU_DEVICES_MAX:
            return
        milli = np.where(count > 0, GPU_MILLI if each is None else each, 0)
        if ((milli < 1) & (count > 0)).any() or ((milli != GPU_MILLI) & (count > 1)).any():
            return
        columns.gpu_count = count[order].astype(np.int64)
        columns.gpu_milli = milli[order].astype(np.int64)

    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows in order of arrival, and for each its job, numbered by first arrival."""
        order = np.argsort(self.submit_ms, kind="stable")
        if self.job is None:
            return order, np.arange(len(order), dtype=np.int32)
        job = codes_of(pa.array(self.job[order]))[0]
        again = np.lexsort((job, self.submit_ms[order]))  # stable: pods of a job stay in file order
        return order[again], job[again]


@dataclass
class MachineHistory:
    """When machines were there: one item an event, in any order."""

    node: list[str]
    time_ms: np.ndarray  # int64, on the clock of the arrivals
    present: np.ndarray  # bool: there from then on, or gone

    def since(self, start_ms: int, nodes: Sequence[Node]) -> tuple[list[Node], list[NodeEvent]]:
        """The nodes that are there at some time from ``start_ms`` on, and what happens to them after it.

        What happened up to ``start_ms`` counts as the state at that moment; an event that changes nothing is dropped.
        """
        state: dict[str, bool] = {}
        begins: dict[str, bool] = {}
        events: list[NodeEvent] = []
        for at in np.argsort(self.time_ms, kind="stable").tolist():
            name, there, time_ms = self.node[at], bool(self.present[at]), int(self.time_ms[at]) - start_ms
            if time_ms <= 0:
                state[name] = begins[name] = there
                continue
            begins.setdefault(name, not there)  # said to come: it was not there; said to go: it was
            if state.setdefault(name, begins[name]) != there:
                events.append(NodeEvent(time_ms, ADD if there else REMOVE, name))
                state[name] = there
        ever = {name for name, there in begins.items() if there} | {event.node for event in events}
        return [node for node in nodes if node.metadata.name in ever], events


def codes_of(values: Any) -> tuple[np.ndarray, list[Any]]:
    """For each item the number of its value (int32), numbered as they first appear; and the values."""
    encoded = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    encoded = encoded.dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32), encoded.dictionary.to_pylist()


def repeated(counts: np.ndarray, origin: str) -> tuple[np.ndarray, np.ndarray]:
    """Row ``i`` appears ``counts[i]`` times: the row of each pod, and its number within the row.

    InputError where that would be more than PODS_MAX pods.
    """
    total = int(counts.sum(dtype=np.float64)) if len(counts) else 0
    if total > PODS_MAX:
        raise InputError(
            f"holds {total:,} pods", file=origin, expected=f"at most {PODS_MAX:,}: cut the trace in time"
        )
    row = np.repeat(np.arange(len(counts)), counts)
    first = np.concatenate(([0], np.cumsum(counts)))[:-1]
    return row, np.arange(total) - first[row]


def joined(parts: Sequence[np.ndarray], kind: Any = np.int64) -> np.ndarray:
    """The parts one after another; empty of the given type where there are none."""
    return np.concatenate(parts) if parts else np.zeros(0, kind)
