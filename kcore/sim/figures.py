"""The usual figures of a study, drawn from its tables: lines, cdf, bars, timeline, heatmap.

``draw`` reads nothing and decides nothing that ``series`` could: it takes a table, fills in what was not asked for, and
writes PNG, SVG, PDF or one HTML page with the picture and its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kcore.api.errors import InputError
from kcore.sim import look, series
from kcore.sim.look import AFTER, GRID, GROUP_COLORS, INK, LINE_STYLES, QUIET
from kcore.sim.study import unknown

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg", ".pdf", ".html")
WIDE, HIGH = 9.0, 5.2  # inches
STEPS_DRAWN_MAX = 4000  # of one distribution
HEAT_COLUMNS_MAX = 600  # of a heat map; a column is the mean of the nodes that it stands for
NAMED_NODES_MAX = 40
REPLAY_RESOURCES_MAX = 6  # in one panel
ROWS_SHOWN_MAX = 500  # of the numbers on an HTML page
FIRST_Y = ("utilisation_cpu", "allocation", "placed")  # what is shown where nobody says
FIRST_VALUE = ("wait_ms", "jct_ms", *FIRST_Y)


class Numbers(NamedTuple):
    """What the picture shows, as a table for people."""

    header: list[str]
    rows: list[list[str]]


class Drawing(NamedTuple):
    """A picture, its title, and its numbers."""

    picture: Figure
    title: str
    numbers: Numbers


class Asked(NamedTuple):
    """The columns that were asked for; None where the figure chooses."""

    x: str | None = None
    y: str | None = None
    group: str | None = None
    title: str | None = None


def check_path(path: str, flag: str) -> None:
    """InputError where the ending is none of a picture, or nothing can draw it."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise InputError(
            f"{path} has no ending of a picture",
            field=flag,
            expected="a file that ends in " + ", ".join(ENDINGS),
        )
    if find_spec("matplotlib") is None:
        raise InputError("matplotlib is not installed", field=flag, expected="pip install 'kcore[plots]'")


def drawing(table: pa.Table, kind: str, asked: Asked = Asked()) -> Drawing:  # noqa: B008 - immutable
    """The figure of a table: a tidy one, or one that a study kept.

    Args:
        table: as ``kcore sweep`` writes it, or any table with the columns that are asked for.
        kind: one of KINDS.
        asked: columns for the axes and the groups.

    Raises:
        InputError: an unknown kind, a column that is missing or holds no numbers; lists those there are.
    """
    if kind not in KINDS:
        raise unknown(f"{kind!r} is not a figure", kind, KINDS, "KIND")
    table = series.done(table)
    if not len(table):
        raise InputError("there are no finished runs to draw", expected="a table with rows")
    with look.style():
        return KINDS[kind](table, asked)


def draw(table: pa.Table, kind: str, path: str, asked: Asked = Asked()) -> None:  # noqa: B008
    """The figure is in the file; its ending decides the form."""
    write(drawing(table, kind, asked), path)


def page(made: Drawing) -> str:
    """One HTML page that needs nothing else: the picture and its numbers."""
    svg = look.svg_text(made.picture)
    title = escape(made.title)
    header = "".join(f"<th>{escape(name)}</th>" for name in made.numbers.header)
    rows = [
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in made.numbers.rows[:ROWS_SHOWN_MAX]
    ]
    left = len(made.numbers.rows) - ROWS_SHOWN_MAX
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f"<style>{look.PAGE_STYLE}</style></head><body><h1>{title}</h1>{svg[svg.index('<svg') :]}",
        f"<h2>Numbers</h2><table><tr>{header}</tr>",
        *rows,
        "</table>",
        *([f"<p>... and {left:,} more</p>"] if left > 0 else []),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


# -- choosing what was not asked for


def _group(table: pa.Table, asked: str | None, but: Sequence[str | None]) -> str | None:
    """The column of groups: asked for, or policy or workload where there are several."""
    if asked is not None:
        return asked or None
    return next((name for name in ("policy", "workload") if name in series.varying(table, but)), None)


def _first(table: pa.Table, asked: str | None, names: Sequence[str], flag: str) -> str:
    """The column asked for, or the first that there is; InputError that lists those that could be meant."""
    if asked:
        return asked
    found = next((name for name in names if name in table.column_names), None)
    if found is None:
        listed = ", ".join(series.numeric_names(table)[: series.NAMES_SHOWN_MAX])
        raise InputError("must be said", field=flag, expected=f"one of {listed}")
    return found


def _x(table: pa.Table, asked: str | None) -> str:
    """The horizontal axis: asked for, or load, or the first parameter of numbers with several values."""
    if asked:
        return asked
    usable = [name for name in series.varying(table, ("seed",)) if name in series.numeric_names(table)]
    if "load" in table.column_names:
        return "load"
    if not usable:
        raise InputError(
            "must be said", field="--x", expected="one of " + ", ".join(series.point_names(table))
        )
    return usable[0]


def _over(table: pa.Table, but: Sequence[str | None], count: int) -> str:
    """What the spread is over."""
    names = series.varying(table, but)
    if count <= 1 or not names:
        return ""
    return f"mean and standard deviation over {', '.join(names)} (up to {count} runs)"


def _worded(name: str) -> str:
    return name.replace("_", " ")


# -- the page of a picture


def _framed(title: str, note: str, width: float = WIDE, height: float = HIGH) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, hspace=0.06, wspace=0.02)
    picture = Figure(figsize=(width, height), layout=layout, facecolor="white")
    picture.suptitle(title, x=0.015, ha="left", fontsize=14, fontweight="bold")
    if note:
        picture.supxlabel(note, x=0.985, ha="right", fontsize=8.5, color=QUIET)
    return picture


def _style_of(index: int) -> dict[str, Any]:
    return {
        "color": GROUP_COLORS[index % len(GROUP_COLORS)],
        "linestyle": LINE_STYLES[index // len(GROUP_COLORS) % len(LINE_STYLES)],
    }


def _legend(picture: Figure, axes: Axes, labels: Sequence[str], group: str | None) -> None:
    if any(labels):
        picture.legend(
            *axes.get_legend_handles_labels(),
            loc="outside right upper",
            frameon=False,
            fontsize=9.5,
            title=_worded(group or ""),
            title_fontsize=9.5,
            alignment="left",
        )


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "-"
    return f"{value:.6g}"


def _share_axis(axes: Axes, name: str, highest: float) -> None:
    """Shares are shown in per cent."""
    if name.startswith(("utilisation", "allocation", "asked", "share")) and highest <= 3:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.4g} %")


# -- the figures


def _lines(table: pa.Table, asked: Asked) -> Drawing:
    x = _x(table, asked.x)
    y = _first(table, asked.y, FIRST_Y, "--y")
    group = _group(table, asked.group, (x, y))
    found = series.lines(table, x, y, group)
    title = asked.title or f"{_worded(y)} by {_worded(x)}"
    count = max(int(line.runs.max()) for line in found)
    picture = _framed(title, _over(table, (x, group), count))
    axes = picture.add_subplot()
    texts = any(isinstance(tick, str) for line in found for tick in line.x)
    ticks = list(dict.fromkeys(tick for line in found for tick in line.x))
    for index, line in enumerate(found):
        at = np.array([ticks.index(tick) if texts else tick for tick in line.x], dtype=float)
        shown = _style_of(index)
        axes.plot(at, line.mean, label=line.label, linewidth=1.8, marker="o", markersize=4, **shown)
        spread = np.nan_to_num(line.sd)
        if spread.any():
            axes.fill_between(
                at, line.mean - spread, line.mean + spread, color=shown["color"], alpha=0.16, linewidth=0
            )
    if texts:
        axes.set_xticks(range(len(ticks)), [str(tick) for tick in ticks])
    look.plain_axes(axes, grid="both")
    _share_axis(axes, y, max(float(line.mean.max()) for line in found))
    axes.set_xlabel(_worded(x))
    axes.set_ylabel(_worded(y))
    _legend(picture, axes, [line.label for line in found], group)
    return Drawing(picture, title, _line_numbers(found, x, y, group))


def _line_numbers(found: Sequence[series.Line], x: str, y: str, group: str | None) -> Numbers:
    header = [group or "", x, f"{y} mean", "sd", "runs"]
    rows = [
        [line.label, _number(tick), _number(float(mean)), _number(float(sd)), str(count)]
        for line in found
        for tick, mean, sd, count in zip(line.x, line.mean, line.sd, line.runs.tolist(), strict=True)
    ]
    return _without_empty_first(header, rows)


def _without_empty_first(header: list[str], rows: list[list[str]]) -> Numbers:
    if header[0]:
        return Numbers(header, rows)
    return Numbers(header[1:], [row[1:] for row in rows])


def _cdf(table: pa.Table, asked: Asked) -> Drawing:
    value = _first(table, asked.x or asked.y, FIRST_VALUE, "--x")
    group = _group(table, asked.group, (value,))
    found = series.curves(table, value, group)
    title = asked.title or f"distribution of {_worded(value)}"
    picture = _framed(title, "")
    axes = picture.add_subplot()
    for index, curve in enumerate(found):
        chosen = np.unique(np.linspace(0, len(curve.value) - 1, STEPS_DRAWN_MAX).astype(int))
        at, share = curve.value[chosen], curve.share[chosen]
        label = f"{curve.label} ({curve.rows:,})" if curve.label else ""
        axes.step(
            np.r_[at[0], at], np.r_[0.0, share], where="post", label=label, linewidth=1.8, **_style_of(index)
        )
    look.plain_axes(axes, grid="both")
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel(_worded(value))
    axes.set_ylabel("of rows are at most that")
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:,.6g}")
    _legend(picture, axes, [curve.label for curve in found], group)
    header = [group or "", "rows", "p10", "p50", "p90", "p99", "largest"]
    rows = [
        [curve.label, f"{curve.rows:,}"]
        + [_number(float(curve.value[np.searchsorted(curve.share, part)])) for part in (0.1, 0.5, 0.9, 0.99)]
        + [_number(float(curve.value[-1]))]
        for curve in found
    ]
    return Drawing(picture, title, _without_empty_first(header, rows))


def _bars(table: pa.Table, asked: Asked) -> Drawing:
    y = _first(table, asked.y, FIRST_Y, "--y")
    x = asked.x or next((name for name in ("policy", "workload") if name in series.varying(table)), None)
    x = x or next((name for name in series.point_names(table)), None)
    if x is None:
        raise InputError("must be said", field="--x", expected="one of " + ", ".join(table.column_names))
    group = _group(table, asked.group, (x, y))
    found = series.lines(table, x, y, group)
    title = asked.title or f"{_worded(y)} by {_worded(x)}"
    count = max(int(line.runs.max()) for line in found)
    ticks = list(dict.fromkeys(tick for line in found for tick in line.x))
    picture = _framed(
        title, _over(table, (x, group), count), width=max(WIDE, 2 + 0.3 * len(ticks) * len(found))
    )
    axes = picture.add_subplot()
    thickness = 0.8 / len(found)
    for index, line in enumerate(found):
        at = np.array([ticks.index(tick) for tick in line.x]) + (index - (len(found) - 1) / 2) * thickness
        spread = np.nan_to_num(line.sd)
        axes.bar(
            at,
            line.mean,
            width=thickness * 0.92,
            label=line.label,
            color=GROUP_COLORS[index % len(GROUP_COLORS)],
            yerr=spread if spread.any() else None,
            error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 3},
        )
    slanted = sum(len(str(tick)) for tick in ticks) > 80
    axes.set_xticks(
        range(len(ticks)), [str(tick) for tick in ticks], rotation=35 if slanted else 0, ha="right" if slanted else "center"
    )  # fmt: skip
    middle, half = (len(ticks) - 1) / 2, max(len(ticks), 2) / 2 + 0.1
    axes.set_xlim(middle - half, middle + half)
    look.plain_axes(axes)
    _share_axis(axes, y, max(float(line.mean.max()) for line in found))
    axes.set_xlabel(_worded(x))
    axes.set_ylabel(_worded(y))
    _legend(picture, axes, [line.label for line in found], group)
    return Drawing(picture, title, _line_numbers(found, x, y, group))


def _timeline(table: pa.Table, asked: Asked) -> Drawing:
    x = asked.x or series.TIME_COLUMN
    time = series.numbers(table, x, "--x")
    names = [asked.y] if asked.y else series.utilisation_names(table, "--y")
    group = _group(table, asked.group, (x,))
    height = max(HIGH, 1.2 + 2.1 * len(names))
    shown = _worded(asked.y) if asked.y else "utilisation"
    title = asked.title or f"{shown} over time"
    found = [(name, series.lines(table, x, name, group)) for name in names]
    count = max(int(line.runs.max()) for _, lines in found for line in lines)
    picture = _framed(title, _over(table, (x, group), count), height=height)
    unit, seconds = _time_unit(
        float(np.nanmax(time)) - float(np.nanmin(time)) if x == series.TIME_COLUMN else 0
    )
    panels = np.atleast_1d(picture.subplots(len(names), 1, sharex=True))
    for axes, (name, lines) in zip(panels, found, strict=True):
        for index, line in enumerate(lines):
            at = (
                np.array(line.x, dtype=float) / (1000 * seconds) if seconds else np.array(line.x, dtype=float)
            )
            drawn = _style_of(index)
            axes.plot(at, line.mean, label=line.label, linewidth=1.4, drawstyle="steps-post", **drawn)
            spread = np.nan_to_num(line.sd)
            if spread.any():
                axes.fill_between(
                    at, line.mean - spread, line.mean + spread, step="post", color=drawn["color"], alpha=0.16, linewidth=0
                )  # fmt: skip
        look.plain_axes(axes, grid="both")
        if name.startswith(series.UTILISATION):
            axes.set_ylim(0, max(1.02, 1.05 * max(float(line.mean.max()) for line in lines)))
        _share_axis(axes, name, max(float(line.mean.max()) for line in lines))
        axes.set_ylabel(_worded(name.removeprefix(series.UTILISATION)))
    panels[-1].set_xlabel(f"time, {unit}" if seconds else _worded(x))
    _legend(picture, panels[0], [line.label for line in found[0][1]], group)
    rows = [
        [
            line.label,
            name,
            _number(float(line.mean.mean())),
            _number(float(line.mean.max())),
            str(len(line.x)),
        ]
        for name, lines in found
        for line in lines
    ]
    header = [group or "", "column", "mean", "largest", "times"]
    return Drawing(picture, title, _without_empty_first(header, rows))


def _time_unit(span_ms: float) -> tuple[str, int]:
    """The unit in which a span of time is easy to read, and its seconds; 0 where ``x`` is no time."""
    units = (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
    if span_ms <= 0:
        return "", 0
    return next((unit for unit in units if span_ms >= 2000 * unit[1]), units[-1])


def replay(intervals: pa.Table, title: str) -> Drawing:
    """How a simulation went: utilisation of each resource, and pods that ran and waited, over time.

    ``intervals`` are those of a :class:`~kcore.sim.outcome.SimulationResult`.
    """
    if not len(intervals):
        raise InputError("there are no intervals to draw", expected="a run that lasted for one")
    time = series.numbers(intervals, series.TIME_COLUMN, "--x")
    unit, seconds = _time_unit(float(time[-1] - time[0]))
    at = time / (1000 * (seconds or 1))
    shares = series.utilisation_names(intervals, "--y")[:REPLAY_RESOURCES_MAX]
    shown = {
        "utilisation": {name.removeprefix(series.UTILISATION): intervals[name].to_numpy() for name in shares},
        "pods": {name: intervals[name].to_numpy() for name in ("running", "waiting")},
    }
    with look.style():
        picture = _framed(title, "")
        panels = picture.subplots(2, 1, sharex=True)
        for axes, (label, lines) in zip(panels, shown.items(), strict=True):
            for index, (name, values) in enumerate(lines.items()):
                axes.plot(at, values, label=name, linewidth=1.5, drawstyle="steps-post", **_style_of(index))
            look.plain_axes(axes, grid="both")
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9.5)
        _share_axis(
            panels[0], "utilisation", max(float(values.max()) for values in shown["utilisation"].values())
        )
        panels[1].yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
        panels[1].set_xlabel(f"simulated {unit or 'seconds'}")
    rows = [
        [name, _number(float(values.mean())), _number(float(values.max()))]
        for lines in shown.values()
        for name, values in lines.items()
    ]
    return Drawing(picture, title, Numbers(["", "mean of intervals", "largest"], rows))


def write(made: Drawing, path: str) -> None:
    """The drawing is in the file; its ending decides the form."""
    if Path(path).suffix.lower() == ".html":
        Path(path).write_text(page(made), encoding="utf-8")
    else:
        look.save(made.picture, path)


def _heatmap(table: pa.Table, asked: Asked) -> Drawing:
    group = _group(table, asked.group, ())
    found = [grid for grid in series.grids(table, group) if grid.resources and grid.nodes]
    if not found:
        raise InputError("no node has a resource", expected="a table of nodes")
    title = asked.title or "use of each node"
    height = 1.3 + sum(0.75 + 0.42 * len(grid.resources) for grid in found)
    named = max(len(grid.nodes) for grid in found) <= NAMED_NODES_MAX
    runs = max(grid.runs for grid in found)
    note = f"each node's mean over {runs} runs" if runs > 1 else ""
    picture = _framed(title, note, width=11, height=height + 0.8 * named)
    ratios = [len(grid.resources) for grid in found]
    panels = np.atleast_1d(picture.subplots(len(found), 1, gridspec_kw={"height_ratios": ratios}))
    highest = max(1.0, *(float(np.nanmax(grid.share)) for grid in found))
    image: Any = None
    for axes, grid in zip(panels, found, strict=True):
        image = axes.imshow(
            _columns(grid.share), aspect="auto", cmap=_shades(), vmin=0, vmax=highest, interpolation="nearest",
            extent=(0, len(grid.nodes), len(grid.resources), 0),
        )  # fmt: skip
        axes.set_yticks(np.arange(len(grid.resources)) + 0.5, grid.resources)
        axes.tick_params(colors=QUIET, labelsize=9, length=0)
        axes.spines[:].set_visible(False)
        for edge in range(1, len(grid.resources)):
            axes.axhline(edge, color="white", linewidth=1.5)
        axes.set_title(grid.label, loc="left", fontsize=11, fontweight="bold")
        if len(grid.nodes) <= NAMED_NODES_MAX:
            axes.set_xticks(np.arange(len(grid.nodes)) + 0.5, grid.nodes, rotation=45, ha="right", fontsize=8)
        else:
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if not named:
        panels[-1].set_xlabel("nodes, fullest first", color=QUIET)
    bar = picture.colorbar(image, ax=list(panels), fraction=0.025, pad=0.01)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=QUIET, labelsize=9)
    header = [group or "", "resource", "nodes", "mean", "least", "most"]
    rows = [
        [grid.label, name, str(int(np.isfinite(row).sum()))]
        + [_number(float(figure(row))) for figure in (np.nanmean, np.nanmin, np.nanmax)]
        for grid in found
        for name, row in zip(grid.resources, grid.share, strict=True)
    ]
    return Drawing(picture, title, _without_empty_first(header, rows))


def _shades() -> Any:
    """From almost white to dark blue; grey where a node lacks the resource."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("use", ["#f3f7fb", look.BEFORE, AFTER, "#06233f"])
    return shades.with_extremes(bad=GRID)


def _columns(share: np.ndarray) -> np.ndarray:
    """At most HEAT_COLUMNS_MAX columns, each the mean of neighbours that have the resource."""
    count = share.shape[1]
    if count <= HEAT_COLUMNS_MAX:
        return share
    edges = np.linspace(0, count, HEAT_COLUMNS_MAX + 1).astype(int)[:-1]
    known = np.add.reduceat(np.isfinite(share).astype(float), edges, axis=1)
    total = np.add.reduceat(np.nan_to_num(share), edges, axis=1)
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)


KINDS: dict[str, Callable[[Any, Asked], Drawing]] = {
    "lines": _lines,
    "cdf": _cdf,
    "bars": _bars,
    "timeline": _timeline,
    "heatmap": _heatmap,
}
