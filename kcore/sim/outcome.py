"""What comes out of a simulation: Arrow tables, and a summary of plain figures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kcore.scheduler.codes import CPU
from kcore.scheduler.devices import device_lists
from kcore.scheduler.state import State
from kcore.sim import timeline as names
from kcore.sim.events import NODE_KINDS
from kcore.sim.lines import Jobs, copy_timeline
from kcore.sim.timeline import Timeline

if TYPE_CHECKING:
    import pyarrow as pa

STATUS = ("coming", "waiting", "running", "completed", "deleted", "untried", "failed", "killed")
KILLED = len(STATUS) - 1
"""It was ended at its estimate; to the clock that is a completion."""
IDLE_WATTS = 100.0
PEAK_WATTS = 300.0
"""Energy by the linear model: a node in use draws IDLE_WATTS and, by the share of its CPU that is requested, up to PEAK_WATTS
(Barroso and Hoelzle, The Case for Energy-Proportional Computing, IEEE Computer 2007)."""
HOUR_MS = 3_600_000
REASONS_MAX = 1_000
"""Pods that wait at the end and are told why; the others have no reason in the table."""


class Seen(NamedTuple):
    """What a result looks at."""

    state: State
    jobs: Jobs
    timeline: Timeline
    score: np.ndarray
    reason: dict[int, str]
    happened: list[tuple[int, str, str, int]]
    nodes: list[str]
    policy: str
    order: str


class SimulationResult:
    """What a simulation has brought so far. Times are simulated milliseconds since the first arrival.

    A pod that is *killed* at its estimate has ended as others complete: only its status and the counts tell them apart.

    ``metrics`` holds Arrow tables:

    - *placements*: a row a pod: namespace, name, job, owner, status, node, score, submit_ms, start_ms (first start),
      end_ms, wait_ms (all waits), run_ms, completion_ms (end - submit), attempts, preemptions, reason, devices (GPU
      devices of its latest start, where they are shared).
    - *intervals*: a row an interval: time_ms, arrived, waiting, running, completed, preempted, nodes_used, and for every
      resource R ``allocated:R``, ``capacity:R``, ``utilisation:R``, ``fragmented:R`` (share of what is free that lies
      on nodes where a typical pod does not fit).
    - *owners*: a row an owner: pods, completed, wait_ms_mean, dominant_share (mean over time).
    - *events*: a row an event in order of time: time_ms, kind (arrive, start, preempt, fail: its node went, complete,
      delete; of nodes add-node, remove-node, fail-node, cordon, uncordon), namespace, name, node.
    """

    def __init__(self, seen: Seen, why: Callable[[int], str]) -> None:
        self._seen = seen._replace(
            timeline=copy_timeline(seen.timeline), score=seen.score.copy(), reason=dict(seen.reason),
            happened=list(seen.happened),
        )  # fmt: skip
        timeline = self._seen.timeline
        waiting = np.flatnonzero(timeline.status == names.WAITING)[:REASONS_MAX]
        self._reasons = dict(seen.reason) | {int(place): why(int(place)) for place in waiting}
        self._nodes_alive, self._running = seen.state.nodes.alive_count, self._running_shares()

    # -- tables

    @functools.cached_property
    def metrics(self) -> dict[str, pa.Table]:
        """All tables by name."""
        return {
            "placements": self.placements,
            "intervals": self.intervals,
            "owners": self.owners,
            "events": self.events,
        }

    @functools.cached_property
    def placements(self) -> pa.Table:
        """A row a pod."""
        import pyarrow as pa

        seen, timeline = self._seen, self._seen.timeline
        rows = seen.jobs.rows
        ended = timeline.end >= 0
        reasons: list[str | None] = [None] * len(rows)
        for place, text in self._reasons.items():
            reasons[place] = text
        started, on_node = timeline.first_start >= 0, timeline.start >= 0
        masks = seen.state.pods.devices[rows]
        return pa.table(
            {
                "namespace": self._namespaces(),
                "name": self._names(),
                "job": seen.jobs.job,
                "owner": _words(seen.jobs.owner, seen.jobs.owners),
                "status": _words(self._status(), list(STATUS)),
                "node": self._nodes(np.where(on_node, timeline.home, -1)),
                "score": pa.array(seen.score, mask=~on_node),
                "submit_ms": seen.jobs.submit,
                "start_ms": pa.array(timeline.first_start, mask=~started),
                "end_ms": pa.array(timeline.end, mask=~ended),
                "wait_ms": self._waits(),
                "run_ms": pa.array(timeline.end - timeline.start, mask=~(ended & (timeline.start >= 0))),
                "completion_ms": pa.array(
                    timeline.end - seen.jobs.submit, mask=timeline.status != names.COMPLETED
                ),
                "attempts": timeline.attempts,
                "preemptions": timeline.evicted - self._lost(),
                "reason": pa.array(reasons, type=pa.string()),
                "devices": device_lists(masks if masks.any() else None, ~started),
            }
        )

    def _lost(self) -> np.ndarray:
        """How often each pod lost its node."""
        evicted = self._seen.timeline.eviction[: self._seen.timeline.clock[names.EVICTIONS]]
        lost: np.ndarray = np.bincount(evicted[evicted[:, 4] == 1, 1], minlength=len(self._seen.jobs.rows))
        return lost

    def _status(self) -> np.ndarray:
        """``int32[place]``: as STATUS names them."""
        status = self._seen.timeline.status.astype(np.int32)
        cut = self._seen.jobs.cut
        return status if cut is None else np.where(cut & (status == names.COMPLETED), KILLED, status)

    def _waits(self) -> np.ndarray:
        timeline = self._seen.timeline
        now = timeline.clock[names.NOW]
        waits: np.ndarray = timeline.waited + np.where(
            timeline.status == names.WAITING, now - timeline.since, 0
        )
        return waits

    def _names(self) -> pa.Array:
        return self._seen.state.pods.names_array(self._seen.jobs.rows)

    def _namespaces(self) -> pa.Array:
        state, rows = self._seen.state, self._seen.jobs.rows
        return _words(state.pods.spec_class[rows], [one.namespace for one in state.classes])

    def _nodes(self, numbers: np.ndarray) -> pa.Array:
        import pyarrow as pa

        indices = pa.array(numbers.astype(np.int32), mask=numbers < 0)
        return pa.DictionaryArray.from_arrays(indices, pa.array(self._seen.nodes, type=pa.string()))

    @functools.cached_property
    def intervals(self) -> pa.Table:
        """A row an interval."""
        import pyarrow as pa

        timeline = self._seen.timeline
        rows = timeline.interval[: timeline.clock[names.INTERVALS]]
        heads = ("time_ms", "arrived", "waiting", "running", "completed", "preempted", "nodes_used")
        columns: dict[str, Any] = {name: rows[:, index] for index, name in enumerate(heads)}
        resources = self._resources()
        count = len(timeline.allocated)
        for row, name in resources.items():
            allocated = rows[:, names.INTERVAL_FIELDS + row]
            lost = rows[:, names.INTERVAL_FIELDS + count + row]
            capacity = rows[:, names.INTERVAL_FIELDS + 2 * count + row]
            columns[f"allocated:{name}"] = allocated
            columns[f"capacity:{name}"] = capacity
            columns[f"utilisation:{name}"] = allocated / np.maximum(capacity, 1)
            columns[f"fragmented:{name}"] = lost / np.maximum(capacity - allocated, 1)
        return pa.table(columns)

    def _resources(self) -> dict[int, str]:
        """Rows and names of the resources that nodes have or had."""
        timeline = self._seen.timeline
        had = (timeline.capacity > 0) | (timeline.capacity_area > 0)
        found = enumerate(self._seen.state.nodes.resources.values)
        return {row: name for row, name in found if row < len(had) and had[row]}

    @functools.cached_property
    def owners(self) -> pa.Table:
        """A row an owner."""
        import pyarrow as pa

        seen, timeline = self._seen, self._seen.timeline
        count = len(seen.jobs.owners)
        owner = seen.jobs.owner
        pods = np.bincount(owner, minlength=count)
        completed = np.bincount(owner[timeline.status == names.COMPLETED], minlength=count)
        waits = np.bincount(owner, weights=self._waits(), minlength=count)
        return pa.table(
            {
                "owner": pa.array(seen.jobs.owners, type=pa.string()),
                "pods": pods,
                "completed": completed,
                "wait_ms_mean": waits / np.maximum(pods, 1),
                "dominant_share": self._shares(),
            }
        )

    def _shares(self) -> np.ndarray:
        """Mean dominant share over time, by owner."""
        timeline = self._seen.timeline
        now = int(timeline.clock[names.NOW])
        area = timeline.owner_area + timeline.owner_share * (now - timeline.owner_since)
        shares: np.ndarray = area / max(now, 1)
        return shares

    @functools.cached_property
    def events(self) -> pa.Table:
        """A row an event."""
        import pyarrow as pa

        seen, timeline = self._seen, self._seen.timeline
        evicted = timeline.eviction[: timeline.clock[names.EVICTIONS]]
        places = np.arange(len(seen.jobs.rows))
        arrived = places[: timeline.clock[names.ARRIVED]]
        started = np.flatnonzero(
            (timeline.start >= 0) & np.isin(timeline.status, (names.RUNNING, names.COMPLETED, names.DELETED))
        )
        lost = evicted[:, 4] == 1
        # of pods that were preempted and wait or have failed, the eviction tells the latest start
        parts = [
            ("arrive", timeline.submit[arrived], arrived, np.full(len(arrived), -1)),
            ("start", timeline.start[started], started, timeline.home[started]),
            ("start", evicted[:, 3], evicted[:, 1], evicted[:, 2]),
            ("preempt", evicted[~lost, 0], evicted[~lost, 1], evicted[~lost, 2]),
            ("fail", evicted[lost, 0], evicted[lost, 1], evicted[lost, 2]),
        ]
        for ending, status in (("complete", names.COMPLETED), ("delete", names.DELETED)):
            ended = np.flatnonzero((timeline.status == status) & (timeline.end >= 0))
            parts.append(
                (
                    ending,
                    timeline.end[ended],
                    ended,
                    np.where(timeline.start[ended] >= 0, timeline.home[ended], -1),
                )
            )
        nodes = {name: number for number, name in enumerate(seen.nodes)}
        for node_kind in NODE_KINDS:
            found = [(when, nodes.get(name, -1)) for when, one, name, _ in seen.happened if one == node_kind]
            times, slots = zip(*found, strict=True) if found else ((), ())
            parts.append((node_kind, np.array(times), np.full(len(found), -1), np.array(slots)))
        kinds = ("complete", "delete", "preempt", "fail", *NODE_KINDS, "arrive", "start")
        number = np.concatenate(
            [np.full(len(when), kinds.index(name), dtype=np.int32) for name, when, _, _ in parts]
        )
        at, place, node = (
            np.concatenate([np.asarray(part[index], dtype=np.int64) for part in parts]) for index in (1, 2, 3)
        )
        order = np.lexsort((place, number, at))
        whose = pa.array(place[order], mask=place[order] < 0)
        table = pa.table(
            {
                "time_ms": at[order],
                "kind": _words(number[order], list(kinds)),
                "namespace": self._namespaces().take(whose),
                "name": self._names().take(whose),
                "node": self._nodes(node[order]),
            }
        )
        return table

    # -- figures

    @functools.cached_property
    def summary(self) -> dict[str, int | float | None]:
        """Plain figures of the whole run. Utilisation is a mean over time; times in ms; energy in kWh (IDLE_WATTS)."""
        seen, timeline = self._seen, self._seen.timeline
        clock = timeline.clock
        now = int(clock[names.NOW])
        status = np.bincount(self._status(), minlength=len(STATUS))
        completed = timeline.status == names.COMPLETED
        waits, arrived = self._waits(), timeline.status != names.COMING
        started = timeline.first_start >= 0
        span = max(now, 1)
        resources = len(timeline.allocated)
        used_ms, share_ms = float(timeline.area[resources]), float(timeline.area[resources + 1])
        share_ms += self._running * now
        summary: dict[str, int | float | None] = {
            "nodes": self._nodes_alive,
            "pods": len(seen.jobs.rows),
            "arrived": int(clock[names.ARRIVED]),
            "placed": int(started.sum()),
            "completed": int(status[names.COMPLETED]),
            "running": int(status[names.RUNNING]),
            "waiting": int(status[names.WAITING]),
            "deleted": int(status[names.DELETED]),
            "failed": int(status[names.FAILED]),
            "untried": int(status[names.UNTRIED]),
            "killed": int(status[KILLED]),
            "attempts": int(clock[names.ATTEMPTS]),
            "preemptions": int(clock[names.PREEMPTED]),
            "events": int(clock[names.EVENTS]),
            "simulated_ms": now,
            "makespan_ms": int(timeline.end[completed].max(initial=0)),
        }
        summary |= _spread("wait_ms", waits[arrived & (timeline.status != names.UNTRIED)])
        summary |= _spread("jct_ms", (timeline.end - seen.jobs.submit)[completed])
        run = np.maximum(timeline.work[completed], 1)
        summary["slowdown_mean"] = _mean((timeline.end - seen.jobs.submit)[completed] / run)
        for row, name in self._resources().items():
            share = float(timeline.area[row]) / max(float(timeline.capacity_area[row]), 1.0)
            summary[f"utilisation_{name}"] = round(share, 6)
        rows = timeline.interval[: clock[names.INTERVALS]]
        summary["nodes_used_mean"] = round(used_ms / span, 3)
        summary["nodes_used_max"] = int(rows[:, names.USED_NODES].max(initial=int(clock[names.NODES_USED])))
        summary["waiting_mean"] = round(float(timeline.area[resources + 2]) / span, 3)
        summary["waiting_max"] = int(rows[:, names.WAITING_PODS].max(initial=0))
        shares = self._shares()
        shares = shares[np.bincount(seen.jobs.owner, minlength=len(shares)) > 0]
        square = float((shares**2).sum()) * len(shares)
        summary["jain_index"] = round(float(shares.sum()) ** 2 / square, 6) if square else None
        watts_ms = IDLE_WATTS * used_ms + (PEAK_WATTS - IDLE_WATTS) * share_ms
        summary["energy_kwh"] = round(watts_ms / HOUR_MS / 1000, 6)
        return summary

    def _running_shares(self) -> float:
        """Sum over nodes of the share of their CPU that is requested."""
        nodes = self._seen.state.world().nodes
        there = np.flatnonzero(nodes.allocatable[CPU] > 0)
        return float((nodes.requested[CPU, there] / nodes.allocatable[CPU, there]).sum())

    def to_dict(self) -> dict[str, Any]:
        """The summary with policy and order, as ``kcore simulate -o json`` prints it."""
        return {"policy": self._seen.policy, "order": self._seen.order, "summary": self.summary}


def _words(indices: np.ndarray, words: list[str]) -> pa.Array:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(
        pa.array(indices.astype(np.int32)), pa.array(words, type=pa.string())
    )


def _mean(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 3) if len(values) else None


def _spread(name: str, values: np.ndarray) -> dict[str, int | float | None]:
    """Mean, median and high percentiles."""
    points = np.percentile(values, (50, 90, 99, 100)).tolist() if len(values) else [None] * 4
    keys = (f"{name}_p50", f"{name}_p90", f"{name}_p99", f"{name}_max")
    rounded = [None if one is None else round(float(one), 3) for one in points]
    return {f"{name}_mean": _mean(values), **dict(zip(keys, rounded, strict=True))}
