"""Draws pods a second against nodes and against pods, log-log: ``python -m bench.chart OUT [FIGURES...]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import RESULTS
from bench.report import lines

SERIES = {
    "equal pods over nodes": ("equal pods", "#0b4f8a", "o"),
    "distinct pods over nodes": ("all pods differ", "#c8500a", "s"),
    "equal pods over pods": ("equal pods, 5,000 nodes", "#0b4f8a", "o"),
}


def points(found: Sequence[dict[str, Any]], series: str) -> list[tuple[int, float]]:
    """(size, pods a second) of a curve, ascending."""
    marked = [line for line in found if line["what"].startswith(f"{series}: ")]
    return sorted((int(line["what"].partition(": ")[2]), line["median"]) for line in marked)


def draw(found: Sequence[dict[str, Any]], out: str) -> None:
    """Two panels side by side: over nodes, over pods."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter

    plain = FuncFormatter(lambda value, _: f"{value:,.0f}")
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for panel, axis in zip(panels, ("nodes", "pods"), strict=True):
        for series, (label, colour, marker) in SERIES.items():
            if series.endswith(f"over {axis}"):
                pairs = points(found, series)
                panel.plot(*zip(*pairs, strict=True), marker=marker, color=colour, label=label)
        panel.set(xscale="log", yscale="log", xlabel=f"{axis} (log)")
        panel.xaxis.set_major_formatter(plain)
        panel.yaxis.set_major_formatter(plain)
        panel.grid(visible=True, which="major", color="#d8dce2", linewidth=0.6)
        panel.legend(frameon=False)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    panels[0].set_ylabel("pods a second (log), median of 3")
    figure.savefig(out)


def main(arguments: Sequence[str]) -> int:
    """Draw from the figures of bench_incremental.py."""
    if not arguments:
        print("python -m bench.chart OUT [FIGURES...]", file=sys.stderr)
        return 2
    files = [Path(one) for one in arguments[1:]] or [RESULTS / "incremental.jsonl"]
    found = lines([one for one in files if one.exists()])
    if not any(points(found, series) for series in SERIES):
        print("no curves yet: make bench", file=sys.stderr)
        return 1
    draw(found, arguments[0])
    print(f"wrote {arguments[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
