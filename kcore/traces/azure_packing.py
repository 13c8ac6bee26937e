"""The Azure packing trace of 2020: one pod a virtual machine.

Source: Azure/AzurePublicDataset, AzureTracesForPacking2020.md; Hadary et al., Protean: VM Allocation Service at Scale,
OSDI 2020. A SQLite file with two tables:

- vm: vmId, tenantId, vmTypeId, priority (0 high, 1 low), starttime, endtime (days; endtime NULL where it outlived the
  trace)
- vmType: id, vmTypeId, machineId, core, memory, hdd, ssd, nic: what a type takes of a machine, as parts of it

What a type takes depends on the machine; a pod has one request. So one machine is chosen (``machine``; by default the
one that most VMs can run on), all nodes are of that kind, and VMs of types that it does not offer are left out. Parts
are scaled to the machine's ``cpu_milli``, ``memory_bytes`` and ``ssd_bytes`` (ephemeral storage), and to millionths for
``kcore.dev/hdd`` and ``kcore.dev/nic``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kcore.api.errors import InputError
from kcore.traces.arrivals import Arrivals, codes_of, joined
from kcore.traces.layout import folder_or_file
from kcore.traces.names import numbered
from kcore.traces.rows import ERROR
from kcore.traces.shapes import node, pod
from kcore.traces.trace import NEVER_MS, Trace

SUFFIXES = (".sqlite", ".sqlite3", ".db")
MAGIC = b"SQLite format 3\x00"
VM = ("vmId", "tenantId", "vmTypeId", "priority", "starttime", "endtime")
VM_TYPE = ("vmTypeId", "machineId", "core", "memory", "hdd", "ssd", "nic")
PARTS = ("core", "memory", "hdd", "ssd", "nic")
HDD, NIC = "kcore.dev/hdd", "kcore.dev/nic"
WHOLE = 1_000_000  # of a resource that has no unit
DAY_MS = 86_400_000
DAYS_MAX = 1_000_000
ROWS_AT_ONCE = 100_000
ANY_MACHINE = -1
NOT_OFFERED = "VMs of types that the chosen machine does not offer"
# column, SQL that is true of a bad row, what is wrong with it, what would be right
_CHECKS = (
    ("vmId", "vm.vmId IS NULL", "is NULL", "an id"),
    ("starttime", "typeof(vm.starttime) NOT IN ('real', 'integer')", "is {}", "a number of days"),
    ("starttime", f"abs(vm.starttime) > {DAYS_MAX}", "is {}", f"at most {DAYS_MAX} days"),
    ("endtime", "typeof(vm.endtime) NOT IN ('real', 'integer', 'null')", "is {}", "a number of days, or NULL"),
    ("endtime", f"abs(vm.endtime) > {DAYS_MAX}", "is {}", f"at most {DAYS_MAX} days"),
    ("endtime", "vm.endtime < vm.starttime", "is before starttime", "a later time"),
    ("priority", "vm.priority IS NULL OR vm.priority NOT IN (0, 1)", "is {}", "0 or 1"),
    ("vmTypeId", "vm.vmTypeId IS NULL OR vm.vmTypeId NOT IN (SELECT vmTypeId FROM vmType)", "is {}", "a vmTypeId of the table vmType"),
    ("vmId", "vm.rowid NOT IN (SELECT min(rowid) FROM vm GROUP BY vmId)", "{} is there twice", "each id once"),
)  # fmt: skip


def azure_packing(
    *,
    path: str,
    machine: int,
    nodes: int,
    cpu_milli: int,
    memory_bytes: int,
    ssd_bytes: int,
    on_bad: str = ERROR,
) -> Trace:
    """The trace in the SQLite file, or in the one of a folder; InputError where a table or a row is wrong."""
    folder_or_file(path, "azure_packing")
    file = _file(Path(path))
    try:
        with closing(_opened(file)) as connection:
            _check_tables(connection, file)
            good, skipped = _checked(connection, file, on_bad)
            types = _types(connection, file, good, machine)
            arrivals, left_out = _arrivals(connection, good, types)
    except sqlite3.Error as error:
        raise InputError(f"is no SQLite file that can be read: {error}", file=str(file)) from None
    scale = {"cpu": cpu_milli, "memory": memory_bytes, "ephemeral-storage": ssd_bytes, HDD: WHOLE, NIC: WHOLE}
    arrivals.requests = {
        resource: np.floor(parts * scale[resource] + 1e-6).astype(np.int64)
        for resource, parts in arrivals.requests.items()
    }
    more = {resource: scale[resource] for resource in ("ephemeral-storage", HDD, NIC)}
    machines = [
        node(name, cpu_milli=cpu_milli, memory_bytes=memory_bytes, more=more)
        for name in numbered("machine-", nodes).to_pylist()
    ]
    return arrivals.trace(origin=str(file), nodes=machines, skipped=skipped, left_out={NOT_OFFERED: left_out})


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if len(found) != 1:
        raise InputError(
            f"holds {len(found)} SQLite files",
            file=str(path),
            expected="packing_trace_zone_a_v1.sqlite alone",
        )
    return found[0]


def _opened(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode=ro", uri=True)


def _check_tables(connection: sqlite3.Connection, file: Path) -> None:
    for table, wanted in (("vm", VM), ("vmType", VM_TYPE)):
        given = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        if not given:
            raise InputError(
                f"there is no table {table!r}", file=str(file), expected="the tables vm and vmType"
            )
        for name in wanted:
            if name not in given:
                raise InputError(
                    f"the table {table!r} has no column {name!r}, only {', '.join(given)}"[:300],
                    file=str(file),
                    expected=", ".join(wanted),
                )
    for name in PARTS:
        bad = f"typeof({name}) NOT IN ('real', 'integer', 'null') OR {name} < 0 OR {name} > 1"
        row = connection.execute(f"SELECT rowid, {name} FROM vmType WHERE {bad} LIMIT 1").fetchone()
        if row:
            raise InputError(
                f"is {row[1]!r}",
                file=str(file),
                document=f"table vmType, row {row[0]}",
                field=f"column {name!r}",
                expected="a part of a machine, from 0 to 1",
            )


def _checked(connection: sqlite3.Connection, file: Path, on_bad: str) -> tuple[str, int]:
    """SQL that is true of good rows of vm, and how many others there are."""
    for column, bad, problem, expected in _CHECKS:
        row = None
        if on_bad == ERROR:
            row = connection.execute(f"SELECT rowid, {column} FROM vm WHERE {bad} LIMIT 1").fetchone()
        if row:
            raise InputError(
                problem.format(repr(row[1])),
                file=str(file),
                document=f"table vm, row {row[0]}",
                field=f"column {column!r}",
                expected=expected,
            )
    if on_bad == ERROR:
        return "1", 0
    good = " AND ".join(f"NOT coalesce({bad}, 0)" for _, bad, _, _ in _CHECKS)
    skipped = connection.execute(f"SELECT count(*) FROM vm WHERE NOT ({good})").fetchone()[0]
    return good, int(skipped)


def _types(
    connection: sqlite3.Connection, file: Path, good: str, machine: int
) -> dict[Any, tuple[float, ...]]:
    """What each type takes of the chosen machine, in the order of PARTS."""
    if machine == ANY_MACHINE:
        row = connection.execute(
            "SELECT t.machineId FROM (SELECT vmTypeId, count(*) AS wanted FROM vm WHERE "
            f"{good} GROUP BY vmTypeId) AS v JOIN (SELECT DISTINCT vmTypeId, machineId FROM vmType) AS t "
            "ON t.vmTypeId = v.vmTypeId GROUP BY t.machineId ORDER BY sum(v.wanted) DESC, t.machineId LIMIT 1"
        ).fetchone()
        if row is None:
            raise InputError("holds no VM that could be placed", file=str(file), expected="a trace of VMs")
        machine = row[0]
    found = connection.execute(
        "SELECT vmTypeId, coalesce(core, 0), coalesce(memory, 0), coalesce(hdd, 0), coalesce(ssd, 0), "
        "coalesce(nic, 0) FROM vmType WHERE machineId = ?",
        (machine,),
    ).fetchall()
    if not found:
        known = connection.execute("SELECT min(machineId), max(machineId) FROM vmType").fetchone()
        raise InputError(
            f"no machine {machine} is in the table vmType",
            file=str(file),
            field="machine",
            expected=f"one from {known[0]} to {known[1]}",
        )
    return {row[0]: tuple(map(float, row[1:])) for row in found}


def _chunks(connection: sqlite3.Connection, good: str) -> Iterator[list[tuple[Any, ...]]]:
    cursor = connection.execute(
        f"SELECT vmId, tenantId, vmTypeId, priority, starttime, endtime FROM vm WHERE {good}"
    )
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        yield rows


def _arrivals(
    connection: sqlite3.Connection, good: str, types: dict[Any, tuple[float, ...]]
) -> tuple[Arrivals, int]:
    """The VMs that the machine offers, requests as parts of it; and how many others there are."""
    number = {each: at for at, each in enumerate(types)}
    names: list[pa.Array] = []
    tenants: list[pa.Array] = []
    columns: dict[str, list[np.ndarray]] = {"type": [], "priority": [], "start": [], "end": []}
    left_out = 0
    for rows in _chunks(connection, good):
        offered = [row for row in rows if row[2] in number]
        left_out += len(rows) - len(offered)
        if not offered:
            continue
        ids, owners, kinds, priorities, starts, ends = zip(*offered, strict=True)
        names.append(pa.array([str(each) for each in ids], pa.string()))
        tenants.append(pa.array(["default" if each is None else str(each) for each in owners], pa.string()))
        columns["type"].append(np.array([number[each] for each in kinds], np.int64))
        columns["priority"].append(np.array(priorities, np.int32))
        columns["start"].append(np.array(starts, np.float64))
        columns["end"].append(np.array([np.nan if each is None else each for each in ends], np.float64))
    kind, start, end = (joined(columns[name]) for name in ("type", "start", "end"))
    submit = np.rint(start * DAY_MS).astype(np.int64)
    alive = np.isnan(end)
    duration = np.rint(np.where(alive, 0, end) * DAY_MS).astype(np.int64) - submit
    parts = np.array(list(types.values())).reshape(-1, len(PARTS))[kind.astype(np.int64)]
    owner, owner_names = codes_of(pa.chunked_array(tenants, pa.string()))
    stems = pa.chunked_array(names, pa.string()).combine_chunks()
    return (
        Arrivals(
            names=pc.binary_join_element_wise("vm", stems, "-"),
            submit_ms=submit,
            duration_ms=np.where(alive, NEVER_MS, duration),
            requests={
                "cpu": parts[:, 0],
                "memory": parts[:, 1],
                HDD: parts[:, 2],
                "ephemeral-storage": parts[:, 3],
                NIC: parts[:, 4],
            },
            exemplars=[pod()],
            owner=owner,
            owners=owner_names,
            priority=-joined(columns["priority"], np.int32),  # the trace's 1 is the lower one
        ),
        left_out,
    )


def is_file(start: bytes) -> bool:
    """Whether the file's first bytes are SQLite's."""
    return start.startswith(MAGIC)
