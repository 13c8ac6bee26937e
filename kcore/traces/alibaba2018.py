"""The Alibaba cluster trace of 2018, its batch jobs: one pod an instance of a task.

Source: alibaba/clusterdata, cluster-trace-v2018: schema.txt, trace_2018.md. Three CSV files without headers, of which
machine_meta and batch_instance may be missing:

- batch_task: task_name, instance_num, job_name, task_type, status, start_time, end_time, plan_cpu, plan_mem
- batch_instance: instance_name, task_name, job_name, task_type, status, start_time, end_time, machine_id, seq_no,
  total_seq_no, cpu_avg, cpu_max, mem_avg, mem_max
- machine_meta: machine_id, time_stamp, failure_domain_1, failure_domain_2, cpu_num, mem_size, status

Times are in seconds, 0 where they lie outside the eight days; 100 of CPU is one core; memory is normalized: 100 is the
largest machine's. A task's instances arrive at its start_time, which is when the tasks before it are done. They run as
long as the task did, or, with ``instances=yes``, as long as each did itself.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kcore.api.errors import InputError
from kcore.api.objects import Node
from kcore.traces.arrivals import Arrivals, MachineHistory, codes_of, repeated
from kcore.traces.csv_rows import read_csv
from kcore.traces.layout import folder_or_file, table_file
from kcore.traces.rows import ERROR, Rows
from kcore.traces.shapes import node, pod
from kcore.traces.trace import NEVER_MS, Trace

SUFFIXES = (".csv",)
TASK = (
    "task_name", "instance_num", "job_name", "task_type", "status", "start_time", "end_time", "plan_cpu", "plan_mem",
)  # fmt: skip
INSTANCE = (
    "instance_name", "task_name", "job_name", "task_type", "status", "start_time", "end_time", "machine_id", "seq_no",
    "total_seq_no", "cpu_avg", "cpu_max", "mem_avg", "mem_max",
)  # fmt: skip
MACHINE = (
    "machine_id",
    "time_stamp",
    "failure_domain_1",
    "failure_domain_2",
    "cpu_num",
    "mem_size",
    "status",
)
IN_USE = "USING"
MEMORY_WHOLE = 100.0  # the normalized memory of the largest machine
DOMAIN_LABELS = ("kcore.dev/failure-domain-1", "kcore.dev/failure-domain-2")
NO_START, NO_PLAN = "tasks that did not start within the trace", "tasks without a plan"


def alibaba2018(
    *, path: str, instances: str, memory_bytes: int, from_s: int, until_s: int, on_bad: str = ERROR
) -> Trace:
    """The trace in the folder, or of a batch_task file alone; InputError where a table or a row is wrong."""
    folder_or_file(path, "alibaba2018")
    file = table_file(path, "batch_task", SUFFIXES)
    if file is None:
        raise InputError("holds no batch_task file", file=path, expected="batch_task.csv")
    tasks = _Tasks(
        read_csv(file, TASK, names=TASK, on_bad=on_bad), memory_bytes, from_s * 1000, until_s * 1000
    )
    skipped = tasks.rows.skipped
    if instances == "yes":
        instance_file = table_file(path, "batch_instance", SUFFIXES)
        if instance_file is None:
            raise InputError("holds no batch_instance file", file=path, expected="batch_instance.csv")
        wanted = [name for name in INSTANCE if name in ("instance_name", "task_name", "job_name", "start_time", "end_time", "seq_no")]  # fmt: skip
        rows = read_csv(instance_file, wanted, names=INSTANCE, on_bad=on_bad)
        arrivals = tasks.measured(rows)
        skipped += rows.skipped
    else:
        arrivals = tasks.planned(path)
    nodes: list[Node] = []
    history = None
    machine_file = table_file(path, "machine_meta", SUFFIXES)
    if machine_file is not None:
        rows = read_csv(machine_file, MACHINE, names=MACHINE, on_bad=on_bad)
        nodes, history = _machines(rows, memory_bytes)
        skipped += rows.skipped
    return arrivals.trace(
        origin=path, nodes=nodes, machines=history, skipped=skipped, left_out=tasks.left_out
    )


class _Tasks:
    """The rows of batch_task that are placed: started within the trace, with a plan."""

    def __init__(self, rows: Rows, memory_bytes: int, from_ms: int, until_ms: int) -> None:
        self.rows = rows
        jobs, tasks = rows.texts("job_name"), rows.texts("task_name")
        keys = pc.binary_join_element_wise(jobs, tasks, ".")
        count = rows.integers("instance_num")
        start = rows.times_ms("start_time", missing=0)
        end = rows.times_ms("end_time", missing=0)
        cpu = rows.reals("plan_cpu", missing=-1)
        memory = rows.reals("plan_mem", missing=-1, most=MEMORY_WHOLE)
        rows.refuse(
            (end > 0) & (start > 0) & (end < start), "end_time", "is before start_time", "a later time"
        )
        rows.unique(keys, "task_name")
        started, planned = start > 0, (cpu >= 0) & (memory >= 0)
        placed = started & planned & (start >= from_ms)
        if until_ms:
            placed &= start < until_ms
        good = rows.good
        self.left_out = {
            NO_START: int((good & ~started).sum()),
            NO_PLAN: int((good & started & ~planned).sum()),
        }
        at = np.flatnonzero(good & placed)
        self.keys = keys.take(pa.array(at))
        self.job = codes_of(jobs.take(pa.array(at)))[0]
        self.count = count[at]
        self.start_ms = start[at]
        self.duration_ms = np.where(end[at] > 0, end[at] - start[at], NEVER_MS)
        self.cpu_milli = np.rint(cpu[at] * 10).astype(np.int64)
        self.memory = np.floor(memory[at] / MEMORY_WHOLE * memory_bytes + 1e-6).astype(np.int64)

    def planned(self, origin: str) -> Arrivals:
        """``instance_num`` pods of each task, all of which run as long as the task."""
        task, number = repeated(self.count, origin)
        names = pc.binary_join_element_wise(
            self.keys.take(pa.array(task)), pa.array(number).cast(pa.string()), "."
        )
        return self._arrivals(names, task, self.duration_ms[task])

    def measured(self, rows: Rows) -> Arrivals:
        """One pod a row of batch_instance, which runs as long as it did; those of other tasks are none of ours."""
        keys = pc.binary_join_element_wise(rows.texts("job_name"), rows.texts("task_name"), ".")
        names = pc.binary_join_element_wise(
            keys, rows.texts("instance_name"), rows.texts("seq_no", required=False), "."
        )
        start = rows.times_ms("start_time", missing=0)
        end = rows.times_ms("end_time", missing=0)
        rows.refuse(
            (end > 0) & (start > 0) & (end < start), "end_time", "is before start_time", "a later time"
        )
        rows.unique(names, "instance_name")
        task = pc.fill_null(pc.index_in(keys, self.keys), -1).to_numpy(zero_copy_only=False)
        at = np.flatnonzero(rows.good & (task >= 0))
        self.left_out["instances of tasks that are not placed"] = int((rows.good & (task < 0)).sum())
        begin = np.where(start[at] > 0, start[at], self.start_ms[task[at]])
        duration = np.where(end[at] > 0, np.maximum(end[at] - begin, 0), NEVER_MS)
        return self._arrivals(names.take(pa.array(at)), task[at], duration)

    def _arrivals(self, names: pa.StringArray, task: np.ndarray, duration_ms: np.ndarray) -> Arrivals:
        return Arrivals(
            names=names,
            submit_ms=self.start_ms[task],
            duration_ms=duration_ms,
            requests={"cpu": self.cpu_milli[task], "memory": self.memory[task]},
            exemplars=[pod()],
            job=self.job[task],
        )


def _machines(rows: Rows, memory_bytes: int) -> tuple[list[Node], MachineHistory]:
    """The machines, each with the capacity of its first row, and when they were in use."""
    names = rows.texts("machine_id")
    time = rows.times_ms("time_stamp")
    cpu = rows.reals("cpu_num")
    memory = rows.reals("mem_size", most=MEMORY_WHOLE)
    domains = [rows.texts(name, required=False) for name in ("failure_domain_1", "failure_domain_2")]
    status = rows.texts("status")
    at = np.flatnonzero(rows.good)
    names = names.take(pa.array(at)).to_pylist()
    nodes: dict[str, Node] = {}
    for name, row in zip(names, at.tolist(), strict=True):
        if name not in nodes:
            labels = {
                key: column[row].as_py()
                for key, column in zip(DOMAIN_LABELS, domains, strict=True)
                if column[row].as_py()
            }
            nodes[name] = node(
                name,
                cpu_milli=round(float(cpu[row]) * 1000),
                memory_bytes=int(memory[row] / MEMORY_WHOLE * memory_bytes + 1e-6),
                labels=labels,
            )
    in_use = pc.equal(status, IN_USE).to_numpy(zero_copy_only=False)[at]
    return list(nodes.values()), MachineHistory(names, time[at], in_use)


def is_task_row(cells: list[str]) -> bool:
    """Whether the cells of a line are those of batch_task."""
    states = ("Terminated", "Failed", "Running", "Waiting", "Cancelled", "Interrupted", "Ready")
    return len(cells) == len(TASK) and cells[4] in states


def is_here(path: Path) -> bool:
    """Whether a folder has the tables."""
    return bool(table_file(path, "batch_task", SUFFIXES))
