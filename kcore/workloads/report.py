"""What a run of a workload amounts to: rates, latencies, memory, commit and machine."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kcore.workloads.catalogue import Chosen


@dataclass
class Figures:
    """Of one round: measured pods, seconds of deciding, and by piece of the queue its pods and seconds."""

    nodes: int = 0
    pods: int = 0
    placed: int = 0
    seconds: float = 0.0
    engine: str = ""
    pieces: list[tuple[int, float]] = field(default_factory=list)


def summary(chosen: Chosen, rounds: list[Figures], sliced: Figures) -> dict[str, Any]:
    """The object that ``-o jsonl`` prints for a workload; the rate is that of the median round.

    Percentiles are of the round ``sliced``, whose clock was read after every piece of the queue.
    """
    rates = sorted(one.pods / one.seconds for one in rounds if one.seconds > 0)
    pieces = [piece for piece in sliced.pieces if piece[0] and piece[1] > 0]
    each = np.array([seconds / pods * 1e6 for pods, seconds in pieces]) if pieces else np.zeros(1)
    through = np.array([pods / seconds for pods, seconds in pieces]) if pieces else np.zeros(1)
    weights = np.array([pods for pods, _ in pieces]) if pieces else np.ones(1)
    middle = rates[len(rates) // 2] if rates else 0.0
    threshold = chosen.workload.threshold
    found: dict[str, Any] = {
        "workload": chosen.name,
        "nodes": rounds[-1].nodes,
        "pods": rounds[-1].pods,
        "placed": rounds[-1].placed,
        "engine": rounds[-1].engine,
        "pods_per_second": round(middle, 1),
        "best": round(rates[-1], 1) if rates else 0.0,
        "worst": round(rates[0], 1) if rates else 0.0,
        **{f"p{q}_us": round(_percentile(each, weights, q), 4) for q in (50, 90, 95, 99)},
        **{f"pods_per_second_p{q}": round(_percentile(through, weights, q), 1) for q in (50, 90, 95, 99)},
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "rounds": len(rounds),
        "commit": commit(),
        "machine": machine(),
    }
    if isinstance(threshold, float | int) and threshold:
        found["threshold"] = threshold
        found["passed"] = middle >= threshold
    return found


def _percentile(values: np.ndarray, weights: np.ndarray, share: int) -> float:
    """The value below which ``share`` per cent of the pods lie."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    index = int(np.searchsorted(reached, reached[-1] * share / 100))
    return float(values[order][min(index, len(values) - 1)])


def commit() -> str:
    """The commit of this checkout, or the version of the package."""
    from kcore import __version__

    folder = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=folder, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return f"kcore {__version__}"
    return found.stdout.strip()


def machine() -> str:
    """Processor, cores, interpreter and load of this machine."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    version = ".".join(map(str, sys.version_info[:3]))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return f"{model}, {os.cpu_count()} cores, Python {version}, NumPy {np.__version__}, load {load:.2f}"
