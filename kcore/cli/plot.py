"""One picture of every node's use of each resource, before and after the pods were placed.

A row a resource: to the left the nodes, fullest first, what was in use before in light and what has been added in
dark; to the right how many nodes are how full. The two shades differ in lightness, so they can be told apart by
everybody and in print.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kcore.api.errors import InputError
from kcore.cli.output import check_writable
from kcore.cli.text import headline, plural
from kcore.sim.look import AFTER, BEFORE, FULL, QUIET, save, style, svg_text

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kcore.scheduler.result import Result

IMAGE_ENDINGS = (".png", ".svg", ".pdf")
ENDINGS = (*IMAGE_ENDINGS, ".html")

PANELS_MAX = 4  # resources drawn
NAMED_NODES_MAX = 30  # bars with names; beyond it an outline over ranks
COLUMNS_MAX = 800  # of the outline; a column is the mean of the nodes it stands for
BEFORE_COLUMNS_MAX = 200  # fewer, for it is not sorted
BINS = 20  # of the distribution up to 100 %

FIRST_RESOURCES = ("cpu", "memory")
LAST_RESOURCES = ("ephemeral-storage", "pods")


def check_destination(path: str) -> None:
    """InputError where the picture could not be drawn or written, before any work is done."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise InputError(
            f"{path} has no ending of a picture",
            field="--plot",
            expected="a file that ends in " + ", ".join(ENDINGS),
        )
    check_writable(path, "--plot")
    if find_spec("matplotlib") is None:
        raise InputError("matplotlib is not installed", field="--plot", expected="pip install 'kcore[plots]'")


def draw(result: Result, path: str) -> None:
    """Writes the picture to the file; its ending decides the form."""
    if Path(path).suffix.lower() == ".html":
        from kcore.cli.page import page

        Path(path).write_text(page(result, svg_text(figure(result))), encoding="utf-8")
        return
    save(figure(result), path)


def drawn_resources(result: Result) -> list[str]:
    """The resources worth a panel: cpu and memory, then the special ones that anybody uses."""
    used = []
    for resource in result.resources:
        before, after = result.utilisation(resource)
        if resource in FIRST_RESOURCES or (
            resource not in LAST_RESOURCES and max(_top(before), _top(after)) > 0
        ):
            used.append(resource)
    ranks = {resource: rank for rank, resource in enumerate(FIRST_RESOURCES)}
    return sorted(used, key=lambda resource: ranks.get(resource, len(ranks)))[:PANELS_MAX]


def _top(values: np.ndarray) -> float:
    import numpy as np

    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else 0.0


def figure(result: Result) -> Figure:
    """The picture; works for one node as for a hundred thousand."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with style():
        resources = drawn_resources(result)
        rows = max(len(resources), 1)
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, hspace=0.06, wspace=0.02)
        picture = Figure(figsize=(12, 1.45 + 2.75 * rows), layout=layout, facecolor="white")
        picture.suptitle(headline(result.summary), x=0.012, ha="left", fontsize=15, fontweight="bold")
        grid = picture.add_gridspec(rows, 2, width_ratios=(4.2, 1))
        for row, resource in enumerate(resources):
            nodes = picture.add_subplot(grid[row, 0])
            spread = picture.add_subplot(grid[row, 1], sharey=nodes)
            _panel(result, resource, nodes, spread, first=row == 0, last=row == rows - 1)
        if not resources:
            picture.text(0.5, 0.4, "no nodes", ha="center", color=QUIET)
        return picture


def _panel(result: Result, resource: str, nodes: Axes, spread: Axes, *, first: bool, last: bool) -> None:
    import numpy as np

    before, after = result.utilisation(resource)
    has = np.flatnonzero(np.isfinite(after) & np.isfinite(before))
    # fullest first; among equals, the fuller before, then by name as they stand
    order = has[np.lexsort((has, -before[has], -after[has]))]
    before, after = before[order], after[order]
    if len(order) <= NAMED_NODES_MAX:
        _bars(nodes, before, after, [result.node_names[node] for node in order.tolist()])
    else:
        _outline(nodes, before, after)
        if last:
            nodes.set_xlabel("nodes, fullest first", color=QUIET)
    top = max(1.0, _top(after), _top(before)) * 1.08
    _distribution(spread, before, after, top)
    nodes.set_ylim(0, top)
    for axes in (nodes, spread):
        axes.axhline(1.0, color=FULL, linewidth=1, linestyle=(0, (4, 3)), zorder=5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#c3c8cf")
        axes.tick_params(colors=QUIET, labelsize=9)
    nodes.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "25", "50", "75", "100 %"])
    nodes.grid(axis="y", color="#e5e8ec", linewidth=0.8)
    nodes.set_axisbelow(True)
    nodes.set_title(resource, loc="left", fontsize=12, fontweight="bold")
    nodes.set_title(_figures(result, resource, before, after), loc="right", fontsize=10)
    if first:
        spread.set_title("how many nodes are how full", loc="left", fontsize=9, color=QUIET)
        _legend(nodes, bool(before.any()))


def _figures(result: Result, resource: str, before: np.ndarray, after: np.ndarray) -> str:
    share = (result.summary.get("utilisation") or {}).get(resource)
    parts = []
    if len(after) < len(result.node_names):
        parts.append(f"{plural(len(after), 'node')} of {len(result.node_names):,} have it")
    if isinstance(share, int | float):
        parts.append(f"{share:.1%} of all in use")
    if len(after):
        parts.append(f"average node {before.mean():.0%} → {after.mean():.0%}")
        parts.append(f"fullest {after.max():.0%}")
    return ",  ".join(parts)


def _bars(axes: Axes, before: np.ndarray, after: np.ndarray, names: list[str]) -> None:
    at = range(len(names))
    axes.bar(at, after, width=0.72, color=AFTER)
    axes.bar(at, before, width=0.72, color=BEFORE)
    for rank, value in enumerate(after.tolist()):
        inside = value >= 0.12 and value - before[rank] >= 0.12  # on the dark
        axes.annotate(
            f"{value:.0%}",
            (rank, value),
            (0, -3 if inside else 2),
            textcoords="offset points",
            ha="center",
            va="top" if inside else "bottom",
            fontsize=8,
            color="white" if inside else QUIET,
        )
    slanted = len(names) > 12 or any(len(name) > 12 for name in names)
    axes.set_xticks(at, names, rotation=35 if slanted else 0, ha="right" if slanted else "center")
    axes.set_xlim(-0.6, max(len(names), 6) - 0.4)


def _outline(axes: Axes, before: np.ndarray, after: np.ndarray) -> None:
    import numpy as np

    count = len(after)
    for values, color, columns_max in ((after, AFTER, COLUMNS_MAX), (before, BEFORE, BEFORE_COLUMNS_MAX)):
        edges = np.unique(np.linspace(0, count, min(count, columns_max) + 1).astype(int))
        means = np.add.reduceat(values, edges[:-1]) / np.diff(edges)
        axes.stairs(means, edges, fill=True, color=color, linewidth=0)
    axes.set_xlim(0, count)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _distribution(axes: Axes, before: np.ndarray, after: np.ndarray, top: float) -> None:
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    edges = np.arange(0, top + 1 / BINS, 1 / BINS)
    shades = [(before, BEFORE), (after, AFTER)] if before.any() else [(after, AFTER)]
    thickness = 0.94 / BINS / len(shades)
    for shade, (values, color) in enumerate(shades):
        # the upper edge belongs to the bin below it: a full node is not above 100 %
        counts, _ = np.histogram(np.clip(values - 1e-9, 0, top), edges)
        axes.barh(edges[:-1] + (shade + 0.5) * thickness, counts, height=thickness, color=color)
    axes.tick_params(labelleft=False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    axes.set_xlabel("")


def _legend(axes: Axes, any_before: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Any] = [Patch(color=AFTER, label="after")]
    if any_before:
        entries.insert(0, Patch(color=BEFORE, label="before"))
    entries.append(
        Line2D([], [], color=FULL, linestyle=(0, (4, 3)), linewidth=1, label="all that a node has")
    )
    axes.figure.legend(handles=entries, loc="outside upper right", ncols=3, frameon=False, fontsize=10)
