"""Memory beyond the input: bytes a node and a pod, and the peak of a process with a huge cluster.

Bytes a node are the slope between two clusters of different size with equal pods, bytes a pod between two of
equal nodes: constant costs cancel. tracemalloc counts what Python and NumPy allocate after the objects were
read; the objects themselves, Arrow's buffers and the interpreter do not count; zeroed arrays count in full
before they are used. A peak is the resident size of a fresh process (VmHWM), interpreter, libraries and input
included.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.figures import ROOT, Figures
from bench.memory_probe import HETEROGENEOUS, PLAIN
from kcore import traces

GIBIBYTE = 1 << 30
HUGE = {"scheduler_perf": (1_000_000, 1.0), HETEROGENEOUS: (3_000, 1.5)}
"""Pods scheduled of the huge cluster of a shape, and the GiB that this may take."""
SHAPES = (PLAIN, HETEROGENEOUS)
"""Pods of one class, requests all distinct; and pods of thousands of applications with affinity terms."""


def probe(*arguments: object) -> dict[str, Any]:
    """What a fresh process of memory_probe.py prints."""
    command = [sys.executable, "-m", "bench.memory_probe", *map(str, arguments)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def slope(
    figures: Figures, what: str, target: float, low: dict[str, Any], high: dict[str, Any], more: int
) -> None:
    """Record what ``more`` things cost each, at rest and at the worst moment."""
    assert high["ready"] > low["ready"]
    counts = {key: [low[key], high[key]] for key in ("classes", "requests", "rows")}
    held = {line: size - low["top"].get(line, 0) for line, size in high["top"].items()}
    for key, bound in (("ready", target), ("peak", None)):
        each = (high[key] - low[key]) / more
        figures.add(f"{what}, {key}", [each], "bytes", target=bound, work={**counts, "held": held})


@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_a_node(figures: Figures, shape: str) -> None:
    """A node's columns, ledger rows, labels and scratch: at most 1 KiB."""
    few, many, pods = (5_000, 25_000, 5_000) if figures.enabled else (50, 100, 20)
    low, high = probe("allocated", shape, few, pods), probe("allocated", shape, many, pods)
    slope(figures, f"bytes a node, {shape}", 1024, low, high, many - few)


@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_a_pod(figures: Figures, shape: str) -> None:
    """A pod's columns: at most 100 bytes."""
    few, many, nodes = (100_000, 300_000, 1_000) if figures.enabled else (100, 300, 20)
    low, high = probe("allocated", shape, nodes, few), probe("allocated", shape, nodes, many)
    slope(figures, f"bytes a pod, {shape}", 100, low, high, many - few)


@pytest.mark.parametrize("shape", list(HUGE))
def test_huge_cluster(figures: Figures, tmp_path: Path, shape: str) -> None:
    """100,000 nodes and 1,000,000 pods from Parquet, scheduled: all of them, or of the heterogeneous ones some."""
    scheduled, target = HUGE[shape]
    nodes, pods, scheduled = (100_000, 1_000_000, scheduled) if figures.enabled else (40, 400, 20)
    traces.write_objects(traces.make(shape, nodes=nodes, pods=pods), tmp_path, "parquet")
    if figures.enabled:
        found = probe("resident", scheduled, tmp_path)
        assert (found["nodes"], found["pods"]) == (nodes, pods)
        assert found["placed"] >= scheduled * 0.99
        peak = found["stages"]["scheduled"]["peak"] / GIBIBYTE
        work = {"nodes": nodes, "pods": pods, "scheduled": scheduled, **found}
        figures.add(f"peak of a huge cluster, {shape}", [peak], "GiB", target=target, work=work)
