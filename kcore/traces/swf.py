"""Logs in the Standard Workload Format: parallel jobs, as wide as the processors they ask for.

Source: Parallel Workloads Archive, "The Standard Workload Format", version 2.2. One line a job, 18 numbers parted by
blanks, -1 where something is not known: 1 job number, 2 submit time (s), 3 wait time, 4 run time (s), 5 processors
given, 6 CPU time, 7 used memory, 8 processors asked for, 9 time asked for (s), 10 memory asked for (KB a processor),
11 status, 12 user, 13 group, 14 executable, 15 queue, 16 partition, 17 preceding job, 18 think time. Lines that begin
with ``;`` are comments, those like ``; MaxNodes: 100`` the header.

A job asks for field 8 (5 where that is unknown) processors of a core each. It becomes pods of at most
``cores_per_node`` cores (MaxProcs / MaxNodes of the header by default) that start together. Field 9 is the estimate.
The header's nodes are the trace's. Jobs that never ran (run time or processors unknown: they were cancelled) are left
out, and so are the lines of status 2, 3 and 4, parts of a job whose first line says it all.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kcore.api.errors import InputError
from kcore.api.objects import Node
from kcore.sources.files import COMPRESSED_SUFFIXES
from kcore.traces.arrivals import Arrivals, codes_of, repeated
from kcore.traces.csv_rows import opened
from kcore.traces.layout import folder_or_file
from kcore.traces.names import numbered
from kcore.traces.rows import ERROR, Rows
from kcore.traces.shapes import node, pod
from kcore.traces.trace import NEVER_MS, NO_OWNER, Trace

FIELDS = (
    "job number", "submit time", "wait time", "run time", "allocated processors", "CPU time", "used memory",
    "requested processors", "requested time", "requested memory", "status", "user", "group", "executable", "queue",
    "partition", "preceding job", "think time",
)  # fmt: skip
READ = (
    "job number", "submit time", "run time", "allocated processors", "requested processors", "requested time",
    "requested memory", "status", "user",
)  # fmt: skip
UNKNOWN = -1
PARTS = (2, 3, 4)  # of status: to be continued, last part, last part of a cancelled job
NODES_MAX = 1_000_000
NOT_RUN, PART = "jobs that never ran", "parts of jobs that another line sums up"
KIBIBYTE = 1 << 10
PROCESSORS_MAX = 100_000_000  # of one job
MEMORY_KIB_MAX = 1 << 26  # a processor
_HEADER = re.compile(r"^;\s*(\w+):\s*(\d+)")


def swf(*, path: str, cores_per_node: int, memory_bytes_per_node: int, on_bad: str = ERROR) -> Trace:
    """The log, with as many nodes as its header says; InputError where a line is wrong."""
    folder_or_file(path, "swf")
    file = _file(Path(path))
    rows, header = _read(file, on_bad)
    procs, nodes = header.get("MaxProcs", 0), header.get("MaxNodes", 0)
    widths = _node_widths(procs, nodes, cores_per_node, file)
    width = cores_per_node or (min(widths) if widths else 0)
    arrivals, left_out = _arrivals(rows, width, bool(memory_bytes_per_node), str(file))
    machines: list[Node] = [
        node(name, cpu_milli=cores * 1000, memory_bytes=memory_bytes_per_node)
        for name, cores in zip(numbered("node-", len(widths)).to_pylist(), widths, strict=True)
    ]
    return arrivals.trace(
        origin=str(file), nodes=machines, gang=True, skipped=rows.skipped, left_out=left_out
    )


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(file for file in path.iterdir() if is_named(file))
    if len(found) != 1:
        raise InputError(f"holds {len(found)} SWF files", file=str(path), expected="one, or its path")
    return found[0]


def is_named(file: Path) -> bool:
    """Whether the name is that of an SWF file."""
    name = file.name.lower()
    for suffix in COMPRESSED_SUFFIXES:
        name = name.removesuffix(suffix)
    return name.endswith(".swf")


def is_head(start: bytes) -> bool:
    """Whether the first lines are those of an SWF file: a header comment, or 18 numbers."""
    for line in start.splitlines():
        text = line.strip()
        if text.startswith(b";"):
            return True
        if text:
            cells = text.split()
            return len(cells) == len(FIELDS) and all(re.fullmatch(rb"-?\d+(\.\d+)?", cell) for cell in cells)
    return False


def _read(file: Path, on_bad: str) -> tuple[Rows, dict[str, int]]:
    """The jobs as Rows, numbered as the file's lines are, and the numbers of the header."""
    try:
        with opened(file) as stream:
            text = stream.read().decode("utf-8", "replace")
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot be read: {error}", file=str(file)) from None
    lines = pc.utf8_trim_whitespace(pc.split_pattern(pa.array([text], pa.large_string()), "\n").flatten())
    comment = pc.starts_with(lines, ";")
    header: dict[str, int] = {}
    for line in lines.filter(comment).to_pylist():
        match = _HEADER.match(line)
        if match:
            header.setdefault(match[1], int(match[2]))
    job = pc.and_(pc.invert(comment), pc.greater(pc.binary_length(lines), 0))
    numbers = np.flatnonzero(job.to_numpy(zero_copy_only=False)) + 1
    fields = pc.utf8_split_whitespace(lines.filter(job))
    counts = pc.list_value_length(fields).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(counts != len(FIELDS))
    if len(wrong) and on_bad == ERROR:
        raise InputError(
            f"has {counts[wrong[0]]} fields",
            file=str(file),
            document=f"line {numbers[wrong[0]]}",
            expected=f"{len(FIELDS)}",
        )
    right = counts == len(FIELDS)
    if not right.any():
        raise InputError("holds no job", file=str(file), expected="lines of 18 numbers")
    cells = fields.filter(pa.array(right)).flatten()
    first = np.arange(0, len(cells), len(FIELDS))
    columns = {
        name: cells.take(pa.array(first + at)).cast(pa.string())
        for at, name in enumerate(FIELDS)
        if name in READ
    }
    rows = Rows(
        pa.table(columns), str(file), on_bad=on_bad, numbers=numbers[right], noun="line", skipped=len(wrong)
    )
    return rows, header


def _node_widths(procs: int, nodes: int, cores: int, file: Path) -> list[int]:
    """The cores of each node: the header's, evenly, or nodes of ``cores``."""
    if cores and procs:
        nodes = max(procs // cores, 1)
    if nodes > NODES_MAX:
        raise InputError(
            f"has {nodes:,} nodes", file=str(file), field="MaxNodes", expected=f"at most {NODES_MAX:,}"
        )
    if not nodes:
        nodes = 1 if procs else 0  # one machine, as far as is known
    if cores:
        return [cores] * nodes
    procs = max(procs, nodes)
    return [procs // nodes + (at < procs % nodes) for at in range(nodes)]


def _arrivals(rows: Rows, width: int, with_memory: bool, origin: str) -> tuple[Arrivals, dict[str, int]]:
    number = rows.integers("job number")
    submit = rows.times_ms("submit time")
    run = rows.times_ms("run time", least=UNKNOWN)
    given = rows.integers("allocated processors", least=UNKNOWN, most=PROCESSORS_MAX)
    asked = rows.integers("requested processors", least=UNKNOWN, most=PROCESSORS_MAX)
    estimate = rows.times_ms("requested time", least=UNKNOWN)
    status = rows.integers("status", least=UNKNOWN)
    user = rows.integers("user", least=UNKNOWN)
    memory = np.zeros(rows.count)
    if with_memory:
        memory = rows.reals("requested memory", least=UNKNOWN, most=MEMORY_KIB_MAX)
    processors = np.where(asked > 0, asked, given)
    part = np.isin(status, PARTS)
    whole = rows.good & ~part
    ran = (run >= 0) & (processors > 0)
    names = pc.binary_join_element_wise("job", pa.array(number).cast(pa.string()), "-")
    rows.unique(names, "job number", among=~part)
    whole &= rows.good
    at = np.flatnonzero(whole & ran)
    left_out = {NOT_RUN: int((whole & ~ran).sum()), PART: int((rows.good & part).sum())}
    pods = -(-processors[at] // width) if width else np.ones(len(at), np.int64)
    again, index = repeated(pods, origin)
    row = at[again]
    cores = np.minimum(processors[row] - index * width, width) if width else processors[row]
    digits = pa.array(index).cast(pa.string())
    single = pa.array(pods[again] == 1)
    stems = names.take(pa.array(row))
    requests = {"cpu": cores * 1000}
    if with_memory:
        each = np.rint(np.maximum(memory[row], 0) * KIBIBYTE).astype(np.int64)
        requests["memory"] = each * cores
    users = pa.array(user[row]).cast(pa.string())
    named = pc.if_else(pa.array(user[row] < 0), NO_OWNER, pc.binary_join_element_wise("user", users, "-"))
    owner, owners = codes_of(named)
    return (
        Arrivals(
            names=pc.if_else(single, stems, pc.binary_join_element_wise(stems, digits, "-")),
            submit_ms=submit[row],
            duration_ms=run[row],
            requests=requests,
            exemplars=[pod()],
            estimate_ms=np.where(estimate[row] > 0, estimate[row], NEVER_MS),
            job=row,
            owner=owner,
            owners=owners,
        ),
        left_out,
    )
