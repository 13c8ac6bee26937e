"""Microsoft's Philly trace (deep learning jobs): one pod a server that a job ran on, all of a job at once.

Source: msr-fiddle/philly-traces, README.md; Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN
Training Workloads, USENIX ATC 2019. Two files: ``cluster_job_log``, a JSON list of jobs {status, vc, jobid, attempts
[{start_time, end_time, detail [{ip, gpus [...]}]}], submitted_time, user}, and, where it is there,
``cluster_machine_list``, CSV: machineId, number of GPUs, single GPU mem.

Times are local and have no zone; they are taken as they stand. A job asks for the GPUs of its first attempt that has
any, as one pod a server, and runs as long as its attempts did together; an attempt without start or end counts for
nothing, but a last one without end runs on. Jobs without any GPUs are left out: what they asked for is not known. The
trace knows GPUs only; ``cpu_milli_per_gpu`` and ``memory_bytes_per_gpu`` give pods and machines their part of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from kcore.api.errors import InputError
from kcore.api.objects import Node
from kcore.sources import files
from kcore.sources.limits import shown
from kcore.traces.arrivals import Arrivals, codes_of
from kcore.traces.csv_rows import read_csv
from kcore.traces.layout import folder_or_file, table_file
from kcore.traces.openb import GPU_MILLI
from kcore.traces.rows import ERROR, Rows
from kcore.traces.shapes import MILLI_PER_GPU, node, pod
from kcore.traces.trace import NEVER_MS, NO_OWNER, Trace

JOB_SUFFIXES = (".json", "")
MACHINE_SUFFIXES = (".csv", "")
MACHINE = ("machineId", "number of GPUs", "single GPU mem")
MEMORY_LABEL = "kcore.dev/gpu-memory"
NO_GPUS = "jobs that were never given a GPU"
EXPECTED_TIME = "2017-10-07 01:11:39"


class Detail(msgspec.Struct):
    """What an attempt had on one server."""

    ip: str = ""
    gpus: list[str] | None = None


class Attempt(msgspec.Struct):
    """One run of a job."""

    start_time: str | None = None
    end_time: str | None = None
    detail: list[Detail] | None = None


class Job(msgspec.Struct):
    """One entry of cluster_job_log."""

    jobid: str
    submitted_time: str
    attempts: list[Attempt]
    user: str | None = None
    vc: str | None = None


@dataclass
class _Found:
    """The pods so far: one item a pod."""

    names: list[str] = field(default_factory=list)
    submit_ms: list[int] = field(default_factory=list)
    duration_ms: list[int] = field(default_factory=list)
    gpus: list[int] = field(default_factory=list)
    job: list[int] = field(default_factory=list)
    owner: list[str] = field(default_factory=list)


def philly(
    *,
    path: str,
    owner: str,
    cpu_milli_per_gpu: int,
    memory_bytes_per_gpu: int,
    on_bad: str = ERROR,
) -> Trace:
    """The trace in the folder, or of cluster_job_log alone; InputError where a job or a machine is wrong."""
    folder_or_file(path, "philly")
    file = Path(path) if Path(path).is_file() else table_file(path, "cluster_job_log", JOB_SUFFIXES)
    if file is None:
        raise InputError("holds no cluster_job_log", file=path, expected="cluster_job_log")
    found, skipped, left_out = _jobs(file, owner, on_bad)
    nodes: list[Node] = []
    machine_file = table_file(path, "cluster_machine_list", MACHINE_SUFFIXES) if Path(path).is_dir() else None
    if machine_file is not None:
        rows = read_csv(machine_file, MACHINE, names=MACHINE, on_bad=on_bad)
        nodes = _machines(rows, cpu_milli_per_gpu, memory_bytes_per_gpu)
        skipped += rows.skipped
    gpus = np.array(found.gpus, np.int64)
    requests = {
        "cpu": gpus * cpu_milli_per_gpu,
        "memory": gpus * memory_bytes_per_gpu,
        GPU_MILLI: gpus * MILLI_PER_GPU,
    }
    owners, owner_names = codes_of(pa.array(found.owner, pa.string()))
    arrivals = Arrivals(
        names=pa.array(found.names, pa.string()),
        submit_ms=np.array(found.submit_ms, np.int64),
        duration_ms=np.array(found.duration_ms, np.int64),
        requests={name: amounts for name, amounts in requests.items() if name == GPU_MILLI or amounts.any()},
        exemplars=[pod()],
        job=np.array(found.job, np.int64),
        owner=owners,
        owners=owner_names,
        gpu_count=gpus,
        gpu_milli=np.full(len(gpus), MILLI_PER_GPU),
    )
    return arrivals.trace(origin=path, nodes=nodes, gang=True, skipped=skipped, left_out={NO_GPUS: left_out})


def _jobs(file: Path, owner: str, on_bad: str) -> tuple[_Found, int, int]:
    """The pods of all jobs, how many jobs were bad, and how many had no GPUs."""
    found, seen = _Found(), set()
    skipped = left_out = 0
    for number, raw in enumerate(_entries(file)):
        try:
            job = _job(raw)
            if job.jobid in seen:
                raise InputError(
                    f"{shown(job.jobid)} is there twice", field="jobid", expected="each job once"
                )
            placed = _add(found, job, number, owner)
        except InputError as error:
            if on_bad == ERROR:
                raise error.at(file=str(file), document=f"job {number + 1}") from None
            skipped += 1
            continue
        seen.add(job.jobid)
        left_out += not placed
    return found, skipped, left_out


def _entries(file: Path) -> list[msgspec.Raw]:
    data = files.read(str(file)).data
    try:
        return msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InputError(f"is no JSON list of jobs: {error}", file=str(file)) from None


def _job(raw: msgspec.Raw) -> Job:
    try:
        return msgspec.json.decode(raw, type=Job)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        text, _, place = str(error).partition(" - at `$.")
        raise InputError(text, field=place.rstrip("`") or None, expected="a job of cluster_job_log") from None


def _time_ms(text: str | None, name: str) -> int | None:
    if text in (None, "", "None"):
        return None
    try:
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise InputError(f"is {shown(text)}", field=name, expected=EXPECTED_TIME) from None
    return int(moment.timestamp()) * 1000


def _add(found: _Found, job: Job, number: int, owner: str) -> bool:
    """The pods of a job are added; False where no attempt had GPUs."""
    submit = _time_ms(job.submitted_time, "submitted_time")
    if submit is None:
        raise InputError("is empty", field="submitted_time", expected=EXPECTED_TIME)
    duration = _duration_ms(job)
    servers: list[int] = []
    for attempt in job.attempts:
        servers = [len(detail.gpus) for detail in attempt.detail or () if detail.gpus]
        if servers:
            break
    for at, gpus in enumerate(servers):
        found.names.append(f"{job.jobid}-{at}" if len(servers) > 1 else job.jobid)
        found.submit_ms.append(submit)
        found.duration_ms.append(duration)
        found.gpus.append(gpus)
        found.job.append(number)
        found.owner.append((job.vc if owner == "vc" else job.user) or NO_OWNER)
    return bool(servers)


def _duration_ms(job: Job) -> int:
    total = 0
    for at, attempt in enumerate(job.attempts):
        start = _time_ms(attempt.start_time, f"attempts[{at}].start_time")
        end = _time_ms(attempt.end_time, f"attempts[{at}].end_time")
        if end is None and at == len(job.attempts) - 1:
            return NEVER_MS
        if start is None or end is None:
            continue
        if end < start:
            raise InputError(
                "is before start_time", field=f"attempts[{at}].end_time", expected="a later time"
            )
        total += end - start
    return total


def _machines(rows: Rows, cpu_milli: int, memory_bytes: int) -> list[Node]:
    names = rows.texts("machineId")
    gpus = rows.integers("number of GPUs")
    memory = rows.texts("single GPU mem", required=False)
    rows.unique(names, "machineId")
    return [
        node(
            name,
            cpu_milli=count * cpu_milli,
            memory_bytes=count * memory_bytes,
            gpus=count,
            labels={MEMORY_LABEL: text.strip()} if text.strip() else None,
        )
        for name, count, text in zip(
            rows.kept(names).to_pylist(),
            rows.kept(gpus).tolist(),
            rows.kept(memory).to_pylist(),
            strict=True,
        )
    ]


def is_job(entry: Any) -> bool:
    """Whether the first entry of a JSON list is a job of cluster_job_log."""
    return isinstance(entry, dict) and {"jobid", "attempts", "submitted_time"} <= entry.keys()
