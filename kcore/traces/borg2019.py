"""Google's Borg trace of 2019 (clusterdata v3): one pod an instance, made from its events.

Source: google/cluster-data, clusterdata_trace_format_v3.proto and "Google cluster-usage traces v3"; Tirmazi et al.,
Borg: the Next Generation, EuroSys 2020. Files of JSON lines, as the bucket has them and BigQuery exports them (64-bit
numbers may be texts there), or Parquet; nested records or columns like ``resource_request.cpus``. Each table may be in
several files (``instance_events-000000000000``); collection_events and machine_events may be missing.

- instance_events: time, type, collection_id, instance_index, priority, alloc_collection_id, resource_request {cpus,
  memory}
- collection_events: collection_id, user
- machine_events: time, machine_id, type, switch_id, platform_id, capacity {cpus, memory}

Times are in microseconds; amounts are parts of the largest machine, scaled by ``cpu_milli`` and ``memory_bytes``. An
instance arrives at its first SUBMIT (its first event where the trace has none), and runs as long as it was seen to run,
all its runs together, from SCHEDULE to EVICT, FAIL, FINISH, KILL or LOST; without end where the last run has none.
Alloc instances are placed like tasks; tasks inside them use their room and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kcore.api.errors import InputError
from kcore.api.objects import Node
from kcore.traces.arrivals import Arrivals, MachineHistory, codes_of, joined
from kcore.traces.layout import folder_or_file, table_files
from kcore.traces.records import read_records
from kcore.traces.rows import ERROR, Rows
from kcore.traces.shapes import node, pod
from kcore.traces.trace import NEVER_MS, NO_OWNER, Trace

SUFFIXES = (".json", ".jsonl", ".ndjson", ".parquet")
TYPES = (
    "SUBMIT", "QUEUE", "ENABLE", "SCHEDULE", "EVICT", "FAIL", "FINISH", "KILL", "LOST", "UPDATE_PENDING",
    "UPDATE_RUNNING",
)  # fmt: skip
SUBMIT, SCHEDULE, EVICT, LOST = 0, 3, 4, 8
MACHINE_TYPES = ("EVENT_TYPE_UNKNOWN", "ADD", "REMOVE", "UPDATE")
MACHINE_REMOVE = 2
ID_MAX = (1 << 63) - 1
AFTER_END_US = ID_MAX  # what happened after the trace's end
LABELS = {"platform_id": "kcore.dev/platform", "switch_id": "kcore.dev/switch"}
INSIDE, NEVER_RAN, NO_REQUEST = (
    "tasks inside alloc instances, whose room they use",
    "instances that did not run within the trace",
    "instances without a request",
)


def borg2019(*, path: str, cpu_milli: int, memory_bytes: int, on_bad: str = ERROR) -> Trace:
    """The trace in the folder, or of instance_events alone; InputError where a table or a row is wrong."""
    folder_or_file(path, "borg2019")
    files = table_files(path, "instance_events", SUFFIXES)
    if not files:
        raise InputError(
            "holds no instance_events", file=path, expected="instance_events-000000000000.json.gz"
        )
    events = _Events()
    for file in files:
        events.read(file, on_bad)
    skipped = events.skipped
    owners: dict[int, str] = {}
    for file in table_files(path, "collection_events", SUFFIXES):
        skipped += _users(file, on_bad, owners)
    arrivals, left_out = events.arrivals(cpu_milli, memory_bytes)
    _own(arrivals, owners)
    machine_files = table_files(path, "machine_events", SUFFIXES)
    nodes: list[Node] = []
    history = None
    if machine_files:
        nodes, history, bad = _machines(machine_files, cpu_milli, memory_bytes, on_bad)
        skipped += bad
    return arrivals.trace(origin=path, nodes=nodes, machines=history, skipped=skipped, left_out=left_out)


class _Events:
    """All instance events, in files' order, as columns."""

    COLUMNS = ("time", "type", "collection", "index", "inside", "priority", "cpus", "memory")

    def __init__(self) -> None:
        self.parts: dict[str, list[np.ndarray]] = {name: [] for name in self.COLUMNS}
        self.skipped = 0

    def read(self, file: Path, on_bad: str) -> None:
        """The events of one file are added."""
        wanted = (
            "time",
            "type",
            "collection_id",
            "instance_index",
            "resource_request.cpus",
            "resource_request.memory",
        )
        optional = ("priority", "alloc_collection_id")
        rows = read_records(file, wanted, optional, on_bad=on_bad)
        found = {
            "time": rows.integers("time", most=AFTER_END_US),
            "type": _named(rows, "type", TYPES),
            "collection": rows.integers("collection_id", most=ID_MAX),
            "index": rows.integers("instance_index"),
            "cpus": rows.reals("resource_request.cpus", missing=-1, most=1000),
            "memory": rows.reals("resource_request.memory", missing=-1, most=1000),
            "inside": _optional(rows, "alloc_collection_id", ID_MAX) > 0,
            "priority": _optional(rows, "priority", 1 << 30),
        }
        for name, values in found.items():
            self.parts[name].append(rows.kept(values))
        self.skipped += rows.skipped

    def arrivals(self, cpu_milli: int, memory_bytes: int) -> tuple[Arrivals, dict[str, int]]:
        """The instances that are placed, and how many are not, by reason."""
        column = {name: joined(parts) for name, parts in self.parts.items()}
        order = np.lexsort((column["type"], column["time"], column["index"], column["collection"]))
        column = {name: values[order] for name, values in column.items()}
        first = _changes(column["collection"]) | _changes(column["index"])
        instance = np.cumsum(first) - 1
        starts = np.flatnonzero(first)
        run_ms, ran = run_lengths(column["time"], column["type"], instance, len(starts))
        submit_us = _first_where(column["type"] == SUBMIT, column["time"], starts, instance)
        asked = (column["cpus"] >= 0) & (column["memory"] >= 0)
        cpus, memory = (
            _first_where(asked, column[name], starts, instance, -1) for name in ("cpus", "memory")
        )
        inside = column["inside"][starts]
        left_out = {
            INSIDE: int(inside.sum()),
            NEVER_RAN: int((~inside & ~ran).sum()),
            NO_REQUEST: int((~inside & ran & (cpus < 0)).sum()),
        }
        at = np.flatnonzero(~inside & ran & (cpus >= 0))
        ids = [pa.array(column[name][starts[at]]).cast(pa.string()) for name in ("collection", "index")]
        return (
            Arrivals(
                names=pc.binary_join_element_wise(*ids, "-"),
                submit_ms=submit_us[at] // 1000,
                duration_ms=run_ms[at],
                requests={
                    "cpu": _scaled(cpus[at], cpu_milli),
                    "memory": _scaled(memory[at], memory_bytes),
                },
                exemplars=[pod()],
                job=column["collection"][starts[at]],
                priority=column["priority"][starts[at]].astype(np.int32),
            ),
            left_out,
        )


def _changes(values: np.ndarray) -> np.ndarray:
    """True at each item that differs from the one before, and at the first."""
    return np.concatenate((np.ones(min(len(values), 1), bool), values[1:] != values[:-1]))


def _first_where(
    wanted: np.ndarray,
    values: np.ndarray,
    starts: np.ndarray,
    instance: np.ndarray,
    missing: float | None = None,
) -> np.ndarray:
    """For each instance its first value where ``wanted`` is set; else ``missing``, or its first of all."""
    result = values[starts].copy() if missing is None else np.full(len(starts), missing, values.dtype)
    at = np.flatnonzero(wanted)
    at = at[_changes(instance[at])]
    result[instance[at]] = values[at]
    return result


def run_lengths(
    time_us: np.ndarray, kind: np.ndarray, instance: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each instance how long it ran in ms, NEVER_MS where the last run has no end; and whether it ran at all.

    Events come by instance and time. Of several starts or ends in a row the first counts.
    """
    begins, ends = kind == SCHEDULE, (kind >= EVICT) & (kind <= LOST)
    at = np.flatnonzero((begins | ends) & (time_us < AFTER_END_US))
    at = at[_changes(instance[at] * 2 + begins[at])]
    orphan = _changes(instance[at]) & ends[at]  # an end without a start: it ran before the trace, or never
    at = at[~orphan]
    signed = np.where(begins[at], -(time_us[at] // 1000), time_us[at] // 1000)
    total = np.zeros(count, np.int64)
    np.add.at(total, instance[at], signed)
    ran = np.zeros(count, bool)
    ran[instance[at]] = True
    last = at[np.concatenate((instance[at][1:] != instance[at][:-1], np.ones(min(len(at), 1), bool)))]
    total[instance[last[begins[last]]]] = NEVER_MS
    return total, ran


def _scaled(parts: np.ndarray, whole: int) -> np.ndarray:
    """Parts of a machine as whole units, rounded down, so that what fitted before fits now."""
    return np.floor(parts * whole + 1e-6).astype(np.int64)


def _optional(rows: Rows, column: str, most: int) -> np.ndarray:
    if not rows.has(column):
        return np.zeros(rows.count, np.int64)
    return rows.integers(column, missing=0, least=-1, most=most)


def _named(rows: Rows, column: str, names: Sequence[str]) -> np.ndarray:
    """The column of an enumeration, numbers or names, as numbers; 0 where it is missing."""
    if not rows.has(column):
        return np.zeros(rows.count, np.int64)
    array = rows.array(column)
    if pa.types.is_string(array.type):
        found = pc.fill_null(pc.index_in(array, pa.array(names)), -1).to_numpy(zero_copy_only=False)
        if (found >= 0).any():
            bad = found < 0
            rows.refuse(bad, column, lambda row: f"is {array[row].as_py()!r}", "one of " + ", ".join(names))
            return np.where(bad, 0, found).astype(np.int64)
    return rows.integers(column, missing=0, most=len(names) - 1)


def _users(file: Path, on_bad: str, owners: dict[int, str]) -> int:
    """The user of each collection is in ``owners``; how many rows were bad."""
    rows = read_records(file, ("collection_id", "user"), (), on_bad=on_bad)
    ids = rows.integers("collection_id", most=ID_MAX)
    users = rows.texts("user", required=False)
    for number, user in zip(rows.kept(ids).tolist(), rows.kept(users).to_pylist(), strict=True):
        if user:
            owners.setdefault(number, user)
    return rows.skipped


def _own(arrivals: Arrivals, owners: dict[int, str]) -> None:
    """Each pod belongs to the user of its collection; ``default`` where nobody is named."""
    assert arrivals.job is not None
    numbers, inverse = np.unique(arrivals.job, return_inverse=True)
    of_job = pa.array([owners.get(number, NO_OWNER) for number in numbers.tolist()], pa.string())
    codes, arrivals.owners = codes_of(of_job)
    arrivals.owner = codes[inverse] if len(codes) else np.zeros(0, np.int32)


def _machines(
    files: Sequence[Path], cpu_milli: int, memory_bytes: int, on_bad: str
) -> tuple[list[Node], MachineHistory, int]:
    """The machines with the first capacity that is told of each, and when they were there."""
    wanted = ("time", "machine_id", "type", "capacity.cpus", "capacity.memory")
    nodes: dict[str, Node] = {}
    names: list[str] = []
    times: list[np.ndarray] = []
    present: list[np.ndarray] = []
    skipped = 0
    for file in files:
        rows = read_records(file, wanted, tuple(LABELS), on_bad=on_bad)
        time_us = rows.integers("time", most=AFTER_END_US)
        ids = rows.integers("machine_id", most=ID_MAX)
        kind = _named(rows, "type", MACHINE_TYPES)
        cpus = rows.reals("capacity.cpus", missing=-1, most=1)
        memory = rows.reals("capacity.memory", missing=-1, most=1)
        labels = {key: rows.texts(key, required=False).to_pylist() for key in LABELS if rows.has(key)}
        at = np.flatnonzero(rows.good & (time_us < AFTER_END_US))
        for row in at[(cpus[at] >= 0) & (memory[at] >= 0)].tolist():
            name = f"machine-{ids[row]}"
            if name not in nodes:
                nodes[name] = node(
                    name,
                    cpu_milli=int(_scaled(cpus[row], cpu_milli)),
                    memory_bytes=int(_scaled(memory[row], memory_bytes)),
                    labels={LABELS[key]: texts[row] for key, texts in labels.items() if texts[row]},
                )
        names += [f"machine-{number}" for number in ids[at].tolist()]
        times.append(time_us[at] // 1000)
        present.append(kind[at] != MACHINE_REMOVE)
        skipped += rows.skipped
    known = [at for at, name in enumerate(names) if name in nodes]
    history = MachineHistory([names[at] for at in known], joined(times)[known], joined(present, bool)[known])
    return list(nodes.values()), history, skipped


def is_here(path: Path) -> bool:
    """Whether a folder has the tables."""
    return bool(table_files(path, "instance_events", SUFFIXES))
