"""A process that builds a cluster and prints what it cost, as one JSON object; run by bench_memory.py.

``python -m bench.memory_probe allocated SHAPE NODES PODS``: bytes that Python and NumPy hold for the state,
the demands and the scratch, beyond the objects read (tracemalloc, started when the objects are there), and
for which lines.
``python -m bench.memory_probe resident PODS PATH...``: resident and peak size at each stage of reading the
files and scheduling the first PODS pods.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np

STATUS = Path("/proc/self/status")
PLAIN, HETEROGENEOUS = "plain", "heterogeneous"  # shapes: bench.clusters.plain_pods, or a dataset's name
LINES = 12  # of code that hold most


def resident_bytes() -> dict[str, int]:
    """The resident size now and its peak so far."""
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return {"now": int(fields["VmRSS"].split()[0]) * 1024, "peak": int(fields["VmHWM"].split()[0]) * 1024}


def allocated(shape: str, node_count: int, pod_count: int) -> dict[str, object]:
    """Bytes held by a loaded state whose pods are compiled and that has its scratch."""
    from bench.clusters import plain_pods
    from kcore import traces
    from kcore.scheduler.config import default_configuration
    from kcore.scheduler.engine import Engine
    from kcore.scheduler.state import State

    objects = (
        plain_pods(node_count, pod_count)
        if shape == PLAIN
        else traces.make(shape, nodes=node_count, pods=pod_count)
    )
    State().load(traces.make(HETEROGENEOUS, nodes=10, pods=10))  # what is imported and cached on first use
    gc.collect()
    tracemalloc.start()
    state = State()
    state.load(objects)
    loaded = tracemalloc.get_traced_memory()[0]
    engine = Engine(state, default_configuration(), compiled=False)
    engine.compile_demands(np.arange(state.pods.count, dtype=np.int32))
    engine.scratch(state.world())
    gc.collect()
    now, peak = tracemalloc.get_traced_memory()
    lines = tracemalloc.take_snapshot().statistics("lineno")[:LINES]
    top = {f"{Path(one.traceback[0].filename).name}:{one.traceback[0].lineno}": one.size for one in lines}
    counts = {"classes": len(state.classes), "requests": state.requests.count, "rows": len(state.ledger.rows)}
    return {"loaded": loaded, "ready": now, "peak": peak, **counts, "top": top}


def resident(pod_max: int, paths: list[str]) -> dict[str, object]:
    """Resident and peak size after each stage, and how many of the first ``pod_max`` pods were placed."""
    stages: dict[str, dict[str, float]] = {}
    started = time.perf_counter()

    def stage(name: str) -> None:
        stages[name] = {**resident_bytes(), "seconds": time.perf_counter() - started}

    from kcore import sources
    from kcore.cluster import Cluster
    from kcore.scheduler.config import default_configuration
    from kcore.scheduler.engine import Engine, Options
    from kcore.scheduler.history import History

    stage("imported")
    objects = sources.read(paths)
    stage("read")
    cluster = Cluster(objects)
    stage("loaded")
    state = cluster.state
    engine = Engine(state, default_configuration(), compiled=True)
    engine.compile_demands(np.arange(state.pods.count, dtype=np.int32))
    stage("demands")
    engine.scratch(state.world())
    stage("scratch")
    history = History(engine, Options())
    stage("history")
    engine.warm()
    stage("kernels")
    decisions = engine.schedule(np.arange(pod_max, dtype=np.int32), Options(engine="auto"))
    history.finish(decisions)
    stage("scheduled")
    return {
        "stages": stages,
        "nodes": cluster.node_count,
        "pods": state.pods.count,
        "placed": int((decisions.node >= 0).sum()),
        "bytes": sizes(state.world()),
    }


def sizes(world: tuple[tuple[object, ...], ...]) -> dict[str, int]:
    """Bytes of the largest arrays of the kernels' view."""
    found: dict[str, int] = {}
    for group in world:
        for name, value in zip(type(group)._fields, group, strict=True):  # type: ignore[attr-defined]
            parts = value if isinstance(value, tuple) else (value,)
            key = f"{type(group).__name__}.{name}"
            found[key] = sum(part.nbytes for part in parts)
    return dict(sorted(found.items(), key=lambda one: -one[1])[:12])


if __name__ == "__main__":
    if sys.argv[1] == "allocated":
        print(json.dumps(allocated(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
    else:
        print(json.dumps(resident(int(sys.argv[2]), sys.argv[3:])))
