"""Figures of one run as JSON lines: every round, the target, the commit and the machine.

A benchmark takes the ``figures`` fixture (conftest.py) and calls :meth:`Figures.add`; ``report.py`` reads the
lines back. Lines are written only with ``--benchmark-enable``: the tiny sizes of an ordinary test run say
nothing.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
OUT_VARIABLE = "KCORE_BENCH_OUT"
RESULTS = ROOT / "bench" / "results"

T = TypeVar("T")


def out_file(name: str) -> Path:
    """Where the lines of a benchmark file go: KCORE_BENCH_OUT (one file for all) or results/NAME.jsonl."""
    given = os.environ.get(OUT_VARIABLE)
    return Path(given) if given else RESULTS / f"{name}.jsonl"


def processor() -> str:
    """The model of the processor as the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def stopwatch(function: Callable[..., T], *arguments: Any) -> tuple[float, T]:
    """Seconds that one call took, the garbage collector off, and what it returned."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        started = time.perf_counter()
        result = function(*arguments)
        return time.perf_counter() - started, result
    finally:
        if was_on:
            gc.enable()


@dataclass
class Figures:
    """Collects the lines of one benchmark file and appends them to its results as they come."""

    name: str
    enabled: bool
    stamp: dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        what: str,
        rounds: Sequence[float],
        unit: str,
        *,
        target: float | None = None,
        more_is_better: bool = False,
        work: dict[str, Any] | None = None,
        figure: float | None = None,
    ) -> None:
        """Append one figure with all its ``rounds``; its value is the best unless ``figure`` says otherwise.

        ``target`` is a bound in the same unit: from below where more is better, else from above. Without one
        the figure only informs.
        """
        if not self.enabled:
            return
        best = max(rounds) if more_is_better else min(rounds)
        if figure is not None:
            best = figure
        median = statistics.median(rounds)
        met = None if target is None else (best >= target if more_is_better else best <= target)
        met_by_median = None if target is None else (median >= target if more_is_better else median <= target)
        line = {
            "bench": self.name,
            "what": what,
            "figure": best,
            "unit": unit,
            "target": target,
            "more_is_better": more_is_better,
            "met": met,
            "met_by_median": met_by_median,
            "min": min(rounds),
            "median": median,
            "max": max(rounds),
            "deviation": statistics.pstdev(rounds),
            "rounds": list(rounds),
            "work": work or {},
            "load_average": os.getloadavg()[0],
            **self.stamp,
        }
        file = out_file(self.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    def rates(self, what: str, seconds: Sequence[float], count: int, unit: str, **others: Any) -> None:
        """The same for ``count`` things done in each round's seconds, as things per second."""
        self.add(what, [count / one for one in seconds], unit, more_is_better=True, **others)

    def ratio(self, what: str, slow: Sequence[float], fast: Sequence[float], **others: Any) -> None:
        """How many times longer the alternative takes, best over best; the spread is of neighbouring rounds.

        Both sequences are seconds for one and the same piece of work, their rounds having alternated.
        """
        rounds = [a / b for a, b in zip(slow, fast, strict=True)]
        self.add(what, rounds, "times", figure=min(slow) / min(fast), **others)
