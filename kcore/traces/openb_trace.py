"""The Alibaba GPU trace "openb" with its times: what :mod:`kcore.traces.openb` reads, as a Trace.

Source: alibaba/clusterdata, cluster-trace-gpu-v2023, README.md. creation_time, scheduled_time and deletion_time are in
seconds. A task arrives at creation_time and, once started, runs from scheduled_time (creation_time where it was never
scheduled) to deletion_time. The four published lists without times (multigpu) arrive all at once and never end.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, Node
from kcore.traces import openb
from kcore.traces.arrivals import Arrivals
from kcore.traces.csv_rows import read_csv
from kcore.traces.rows import ERROR, Rows
from kcore.traces.shapes import kinds, node
from kcore.traces.trace import NEVER_MS, Trace

TIMES = ("creation_time", "scheduled_time", "deletion_time")
MEBIBYTE = 1 << 20


def openb_objects(*, path: str, nodes: str = "", pods: str = "", on_bad: str = ERROR) -> ClusterObjects:
    """The nodes and pods alone, as :func:`kcore.traces.openb.openb` has them, or without bad rows."""
    if on_bad == ERROR:
        return openb.openb(path=path, nodes=nodes, pods=pods)
    return openb_trace(path=path, nodes=nodes, pods=pods, on_bad=on_bad).objects


def openb_trace(*, path: str, nodes: str = "", pods: str = "", on_bad: str = ERROR) -> Trace:
    """The trace in the folder, or of one pod file; InputError where it is not there or a row is wrong."""
    if not path:
        raise InputError("openb is not shipped", field="path", expected="the folder of its CSV files")
    node_file, pod_file = openb.files(path, nodes=nodes, pods=pods)
    if pod_file is None:
        raise InputError("holds no openb pod file", file=path, expected=openb.POD_FILE)
    skipped = 0
    machines: list[Node] = []
    if node_file is not None:
        machines, skipped = _nodes(read_csv(node_file, openb.NODE_COLUMNS, on_bad=on_bad))
    rows = read_csv(pod_file, openb.POD_COLUMNS, optional=("gpu_spec", *TIMES), on_bad=on_bad)
    arrivals = _arrivals(rows, machines)
    return arrivals.trace(origin=path, nodes=machines, skipped=skipped + rows.skipped)


def _nodes(rows: Rows) -> tuple[list[Node], int]:
    names = rows.texts("sn")
    cpu, memory, gpus = (rows.integers(name) for name in ("cpu_milli", "memory_mib", "gpu"))
    models = rows.texts("model", required=False)
    rows.unique(names, "sn")
    columns = [rows.kept(each).tolist() for each in (cpu, memory, gpus)]
    found = [
        node(name, cpu_milli=cpu, memory_bytes=memory * MEBIBYTE, gpus=gpus, gpu_model=model)
        for name, cpu, memory, gpus, model in zip(
            rows.kept(names).to_pylist(), *columns, rows.kept(models).to_pylist(), strict=True
        )
    ]
    return found, rows.skipped


def _arrivals(rows: Rows, nodes: list[Node]) -> Arrivals:
    names = rows.texts("name")
    cpu, memory, count = (rows.integers(name) for name in ("cpu_milli", "memory_mib", "num_gpu"))
    each = rows.integers("gpu_milli", most=1000)
    spec = rows.texts("gpu_spec", required=False) if rows.has("gpu_spec") else pa.array([""] * rows.count)
    exemplar, exemplars = kinds(rows, spec, "gpu_spec", nodes)
    submit, duration = _times(rows)
    rows.unique(names, "name")
    each = np.where(count > 0, each, 0)
    return Arrivals(
        names=rows.kept(names),
        submit_ms=rows.kept(submit),
        duration_ms=rows.kept(duration),
        requests={
            "cpu": rows.kept(cpu),
            "memory": rows.kept(memory * MEBIBYTE),
            openb.GPU_MILLI: rows.kept(count * each),
        },
        exemplars=exemplars,
        exemplar=rows.kept(exemplar),
        gpu_count=rows.kept(count),
        gpu_milli=rows.kept(each),
    )


def _times(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """When each task arrives, and how long it runs."""
    if not rows.has("creation_time"):
        return np.zeros(rows.count, np.int64), np.full(rows.count, NEVER_MS, np.int64)
    submit = rows.times_ms("creation_time")
    duration = np.full(rows.count, NEVER_MS, np.int64)
    if rows.has("deletion_time"):
        end = rows.times_ms("deletion_time", missing=NEVER_MS)
        begin = submit
        if rows.has("scheduled_time"):
            scheduled = rows.times_ms("scheduled_time", missing=NEVER_MS)
            begin = np.where(scheduled < 0, submit, scheduled)
            rows.refuse(begin < submit, "scheduled_time", "is before creation_time", "the later of the two")
        ends = end >= 0
        rows.refuse(ends & (end < begin), "deletion_time", "is before the task began", "a later time")
        duration = np.where(ends, end - begin, NEVER_MS)
    return submit, duration
