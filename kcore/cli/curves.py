"""GPUs given out against GPUs asked for: a panel a workload, a line a policy, the published means dashed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kcore.api.errors import InputError
from kcore.cli.output import check_writable

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kcore.sim.reproduce.published import Curves

ENDINGS = (".png", ".svg", ".pdf")
LOAD_FROM, LOAD_TO = 70, 130
PANELS_ACROSS_MAX = 3
INK, QUIET = "#1b1f24", "#6b7280"
COLOURS = {
    "random": "#7f7f7f", "dot_prod": "#e69f00", "gpu_clustering": "#009e73", "gpu_packing": "#cc79a7",
    "best_fit": "#56b4e9", "fgd": "#0b4f8a", "worst_fit": "#d55e00", "first_fit": "#8c6d31", "tetris": "#b2182b",
    "default": "#000000",
}  # fmt: skip


def check_destination(path: str) -> None:
    """InputError where the picture could not be drawn or written, before any work is done."""
    if Path(path).suffix.lower() not in ENDINGS:
        expected = "a file that ends in " + ", ".join(ENDINGS)
        raise InputError(f"{path} has no ending of a picture", field="--plot", expected=expected)
    check_writable(path, "--plot")
    if find_spec("matplotlib") is None:
        raise InputError("matplotlib is not installed", field="--plot", expected="pip install 'kcore[plots]'")


def draw(ours: Curves, published: Curves, path: str) -> None:
    """Writes the picture to the file; its ending decides the form."""
    import matplotlib as mpl

    settings: dict[Any, Any] = {
        name: value for name, value in mpl.rcParamsDefault.items() if not name.startswith("backend")
    }
    settings |= {"font.size": 10, "svg.hashsalt": "kcore", "text.color": INK, "axes.labelcolor": INK}
    with mpl.rc_context(settings):
        figure(ours, published).savefig(path, dpi=150)


def figure(ours: Curves, published: Curves) -> Figure:
    """The picture, not yet written."""
    from matplotlib.figure import Figure

    workloads = list(dict.fromkeys(workload for workload, _ in ours))
    across = min(len(workloads), PANELS_ACROSS_MAX)
    down = -(-len(workloads) // across)
    picture = Figure(figsize=(3.2 + 3.6 * across, 1.0 + 3.0 * down), layout="constrained")
    panels = picture.subplots(down, across, squeeze=False, sharex=True)
    for number, axes in enumerate(panels.flat):
        if number >= len(workloads):
            axes.set_visible(False)
            continue
        _panel(axes, workloads[number], ours, published)
        if number + across >= len(workloads):
            axes.tick_params(labelbottom=True)  # the lowest of its column
    for axes in panels[:, 0]:
        axes.set_ylabel("GPUs given out, % of all")
    picture.supxlabel("GPUs asked for, % of all", fontsize=10)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside right upper", frameon=False)
    return picture


def _panel(axes: Axes, workload: str, ours: Curves, published: Curves) -> None:
    import numpy as np

    loads = np.arange(LOAD_FROM, LOAD_TO + 1)
    for (name, policy), curves in ours.items():
        if name != workload:
            continue
        colour = COLOURS.get(policy, INK)
        mean, low, high = _band(curves, loads)
        axes.fill_between(loads, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(loads, mean, color=colour, linewidth=1.6, label=policy)
        theirs = published.get((workload, policy))
        if theirs:
            axes.plot(
                loads, _band(theirs, loads)[0], color=INK, linewidth=0.9, linestyle=(0, (3, 2)), zorder=3
            )
    if any(key[0] == workload for key in published):
        axes.plot([], [], color=INK, linewidth=0.9, linestyle=(0, (3, 2)), label="published")
    axes.set_title(workload, loc="left", fontsize=10)
    axes.set_xlim(LOAD_FROM, LOAD_TO)
    axes.grid(color="#e5e7eb", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=QUIET)


def _band(curves: dict[int, np.ndarray], loads: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, least and most over the seeds; NaN where no seed reaches the load."""
    import numpy as np

    values = np.array([curve[loads] for curve in curves.values()])
    known = np.where(np.isnan(values).all(axis=0), 0.0, values)
    blank = np.where(np.isnan(values).all(axis=0), np.nan, 0.0)
    return (
        np.nanmean(known, axis=0) + blank,
        np.nanmin(known, axis=0) + blank,
        np.nanmax(known, axis=0) + blank,
    )
