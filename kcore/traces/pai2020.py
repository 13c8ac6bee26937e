"""The Alibaba PAI trace of 2020 (machine learning on shared GPUs): one pod an instance of a task.

Source: alibaba/clusterdata, cluster-trace-gpu-v2020, README.md and data/*.header; Weng et al., MLaaS in the Wild, NSDI
2022. CSV files without headers, of which all but pai_task_table may be missing:

- pai_task_table: job_name, task_name, inst_num, status, start_time, end_time, plan_cpu, plan_mem, plan_gpu, gpu_type
- pai_job_table: job_name, inst_id, user, status, start_time, end_time (when the job was submitted, and by whom)
- pai_instance_table: job_name, task_name, inst_name, worker_name, inst_id, status, start_time, end_time, machine
- pai_machine_spec: machine, gpu_type, cap_cpu, cap_mem, cap_gpu

Times are in seconds; plan_cpu and plan_gpu in hundredths of cores and GPUs, plan_mem and cap_mem in GiB. Pods arrive
with their job (with their task where there is no job table) and run as long as the task, or, with ``instances=yes``,
as long as each instance did itself.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kcore.api.errors import InputError
from kcore.api.objects import Node
from kcore.traces.arrivals import Arrivals, codes_of, repeated
from kcore.traces.csv_rows import read_csv
from kcore.traces.layout import folder_or_file, table_file
from kcore.traces.openb import GPU_MILLI
from kcore.traces.rows import ERROR, Rows
from kcore.traces.shapes import devices, kinds, node
from kcore.traces.trace import NEVER_MS, NO_OWNER, Trace

SUFFIXES = (".csv",)
TASK = (
    "job_name", "task_name", "inst_num", "status", "start_time", "end_time", "plan_cpu", "plan_mem", "plan_gpu",
    "gpu_type",
)  # fmt: skip
JOB = ("job_name", "inst_id", "user", "status", "start_time", "end_time")
INSTANCE = (
    "job_name", "task_name", "inst_name", "worker_name", "inst_id", "status", "start_time", "end_time", "machine",
)  # fmt: skip
MACHINE = ("machine", "gpu_type", "cap_cpu", "cap_mem", "cap_gpu")
GIBIBYTE = 1 << 30
NO_START = "tasks that were not launched within the trace"
NOT_LAUNCHED = "instances that were not launched within the trace"
NO_TASK = "instances of tasks that are not placed"


def pai2020(*, path: str, instances: str, gpu_type: str, gang: str, on_bad: str = ERROR) -> Trace:
    """The trace in the folder, or of a pai_task_table file alone; InputError where a table or a row is wrong."""
    folder_or_file(path, "pai2020")
    file = table_file(path, "pai_task_table", SUFFIXES)
    if file is None:
        raise InputError("holds no pai_task_table file", file=path, expected="pai_task_table.csv")
    nodes: list[Node] = []
    skipped = 0
    machine_file = table_file(path, "pai_machine_spec", SUFFIXES)
    if machine_file is not None:
        nodes, skipped = _machines(read_csv(machine_file, MACHINE, names=MACHINE, on_bad=on_bad))
    tasks = _Tasks(read_csv(file, TASK, names=TASK, on_bad=on_bad), nodes, gpu_type == "assigned")
    job_file = table_file(path, "pai_job_table", SUFFIXES)
    if job_file is not None:
        rows = read_csv(job_file, ("job_name", "user", "start_time"), names=JOB, on_bad=on_bad)
        tasks.submitted(rows)
        skipped += rows.skipped
    tasks.choose()
    skipped += tasks.rows.skipped
    if instances == "yes":
        instance_file = table_file(path, "pai_instance_table", SUFFIXES)
        if instance_file is None:
            raise InputError("holds no pai_instance_table file", file=path, expected="pai_instance_table.csv")
        wanted = ("job_name", "task_name", "inst_name", "start_time", "end_time")
        rows = read_csv(instance_file, wanted, optional=("worker_name",), names=INSTANCE, on_bad=on_bad)
        arrivals = tasks.measured(rows)
        skipped += rows.skipped
    else:
        arrivals = tasks.planned(path)
    if gang == "yes":
        _together(arrivals)
    return arrivals.trace(
        origin=path, nodes=nodes, gang=gang == "yes", skipped=skipped, left_out=tasks.left_out
    )


def _together(arrivals: Arrivals) -> None:
    """The pods of a job arrive when its first does."""
    assert arrivals.job is not None
    first = np.full(int(arrivals.job.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, arrivals.job, arrivals.submit_ms)
    arrivals.submit_ms = first[arrivals.job]


class _Tasks:
    """The rows of pai_task_table, and what the job table says of them."""

    def __init__(self, rows: Rows, nodes: list[Node], with_models: bool) -> None:
        self.rows = rows
        self.jobs = rows.texts("job_name")
        self.keys = pc.binary_join_element_wise(self.jobs, rows.texts("task_name"), ".")
        self.count = rows.integers("inst_num", missing=1)
        self.start_ms = rows.times_ms("start_time", missing=NEVER_MS)
        end = rows.times_ms("end_time", missing=NEVER_MS)
        ran = (self.start_ms >= 0) & (end >= 0)
        rows.refuse(ran & (end < self.start_ms), "end_time", "is before start_time", "a later time")
        self.cpu_milli = np.rint(rows.reals("plan_cpu", missing=0) * 10).astype(np.int64)
        self.memory = np.rint(rows.reals("plan_mem", missing=0) * GIBIBYTE).astype(np.int64)
        self.gpu_total = np.rint(rows.reals("plan_gpu", missing=0, most=1 << 20) * 10).astype(np.int64)
        models = rows.texts("gpu_type", required=False)
        bound = (self.gpu_total > 0) & with_models
        models = pc.if_else(pa.array(bound), models, "")
        self.exemplar, self.exemplars = kinds(rows, models, "gpu_type", nodes)
        rows.unique(self.keys, "task_name")
        self.duration_ms = np.where(ran, end - self.start_ms, NEVER_MS)
        self.submit_ms = self.start_ms
        self.owner = np.zeros(rows.count, np.int32)
        self.owners = [NO_OWNER]
        self.left_out: dict[str, int] = {}
        self.at = np.zeros(0, np.int64)  # the rows that are placed

    def submitted(self, rows: Rows) -> None:
        """Jobs are submitted, by their users, when the job table says so; those that it does not know keep their own."""
        names = rows.texts("job_name")
        users = rows.texts("user", required=False)
        start = rows.times_ms("start_time", missing=NEVER_MS)
        rows.unique(names, "job_name")
        names, users, start = (rows.kept(each) for each in (names, users, start))
        row = pc.fill_null(pc.index_in(self.jobs, names), -1).to_numpy(zero_copy_only=False)
        known = row >= 0
        codes, self.owners = codes_of(pc.if_else(pc.equal(users, ""), NO_OWNER, users))
        if not known.all() and NO_OWNER not in self.owners:
            self.owners.append(NO_OWNER)
        nobody = self.owners.index(NO_OWNER) if NO_OWNER in self.owners else 0
        if len(codes):
            self.owner = np.where(known, codes[row], nobody).astype(np.int32)
            said = np.where(known, start[row], NEVER_MS)
            # a job cannot be submitted after its task was launched; where the tables say so, the launch counts
            sooner = (said >= 0) & ((said < self.start_ms) | (self.start_ms < 0))
            self.submit_ms = np.where(sooner, said, self.start_ms)

    def choose(self) -> None:
        """Tasks that were launched are placed."""
        launched = self.start_ms >= 0
        self.left_out[NO_START] = int((self.rows.good & ~launched).sum())
        self.at = np.flatnonzero(self.rows.good & launched)

    def planned(self, origin: str) -> Arrivals:
        """``inst_num`` pods of each task, which run as long as the task."""
        again, number = repeated(self.count[self.at], origin)
        row = self.at[again]
        digits = pa.array(number).cast(pa.string())
        names = pc.binary_join_element_wise(self.keys.take(pa.array(row)), digits, ".")
        return self._arrivals(names, row, self.duration_ms[row])

    def measured(self, rows: Rows) -> Arrivals:
        """One pod a row of the instance table, which runs as long as it did."""
        keys = pc.binary_join_element_wise(rows.texts("job_name"), rows.texts("task_name"), ".")
        worker = "worker_name" if rows.has("worker_name") else "inst_name"  # of the two, the unique one
        names = pc.binary_join_element_wise(keys, rows.texts(worker), ".")
        start = rows.times_ms("start_time", missing=NEVER_MS)
        end = rows.times_ms("end_time", missing=NEVER_MS)
        ran = (start >= 0) & (end >= 0)
        rows.refuse(ran & (end < start), "end_time", "is before start_time", "a later time")
        rows.unique(names, worker)
        found = pc.index_in(keys, self.keys.take(pa.array(self.at)))
        task = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
        self.left_out[NO_TASK] = int((rows.good & (task < 0)).sum())
        self.left_out[NOT_LAUNCHED] = int((rows.good & (task >= 0) & (start < 0)).sum())
        at = np.flatnonzero(rows.good & (task >= 0) & (start >= 0))
        duration = np.where(ran, end - start, NEVER_MS)
        return self._arrivals(names.take(pa.array(at)), self.at[task[at]], duration[at])

    def _arrivals(self, names: pa.StringArray, row: np.ndarray, duration_ms: np.ndarray) -> Arrivals:
        count, each = devices(self.gpu_total[row])
        return Arrivals(
            names=names,
            submit_ms=self.submit_ms[row],
            duration_ms=duration_ms,
            requests={"cpu": self.cpu_milli[row], "memory": self.memory[row], GPU_MILLI: count * each},
            exemplars=self.exemplars,
            exemplar=self.exemplar[row],
            job=codes_of(self.jobs.take(pa.array(row)))[0],
            owner=self.owner[row],
            owners=self.owners,
            gpu_count=count,
            gpu_milli=each,
        )


def _machines(rows: Rows) -> tuple[list[Node], int]:
    names, models = rows.texts("machine"), rows.texts("gpu_type", required=False)
    cpu = np.rint(rows.reals("cap_cpu") * 1000).astype(np.int64)
    memory = np.rint(rows.reals("cap_mem") * GIBIBYTE).astype(np.int64)
    gpus = rows.integers("cap_gpu", missing=0)
    rows.unique(names, "machine")
    found = [
        node(name, cpu_milli=cpu, memory_bytes=memory, gpus=gpus, gpu_model=model)
        for name, model, cpu, memory, gpus in zip(
            rows.kept(names).to_pylist(),
            rows.kept(models).to_pylist(),
            *(rows.kept(each).tolist() for each in (cpu, memory, gpus)),
            strict=True,
        )
    ]
    return found, rows.skipped


def is_here(path: Path) -> bool:
    """Whether a folder has the tables."""
    return bool(table_file(path, "pai_task_table", SUFFIXES))
