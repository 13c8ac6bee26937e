"""How every picture and page of kcore looks, whatever the user's own matplotlib settings are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEFORE, AFTER, FULL, INK, QUIET = "#a6cbe3", "#0b4f8a", "#c8500a", "#1b1f24", "#6b7280"
EDGE, GRID = "#c3c8cf", "#e5e8ec"
DPI = 150

# of groups, in turn; told apart by lightness and hue, and by the line styles below where there are more
GROUP_COLORS = (AFTER, FULL, "#2f9e6e", "#8c4fa8", "#c79a1b", "#3aa0c9", "#7a3b1d", "#555b66")
LINE_STYLES = ("-", "--", ":", "-.")

PAGE_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff;margin:2rem auto;max-width:76rem;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 1rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
svg{width:100%;height:auto}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.25rem 1.2rem .25rem 0;border-bottom:1px solid #e5e8ec;vertical-align:top}
th{color:#6b7280;font-weight:600}td.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
pre{background:#f6f7f9;padding:.8rem 1rem;border-radius:6px;overflow:auto}
"""


def style() -> Any:
    """Our settings for the time of a ``with``."""
    import matplotlib as mpl

    settings: dict[Any, Any] = {
        name: value for name, value in mpl.rcParamsDefault.items() if not name.startswith("backend")
    }
    settings |= {"font.size": 10, "svg.hashsalt": "kcore", "text.color": INK, "axes.labelcolor": INK}
    return mpl.rc_context(settings)


def svg_text(picture: Figure) -> str:
    """The picture as SVG; the same picture gives the same text."""
    text = io.StringIO()
    with style():
        picture.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def save(picture: Figure, path: str | Path) -> None:
    """The picture is in the file, in the form of its ending."""
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(Path(path).suffix.lower())
    with style():
        picture.savefig(path, dpi=DPI, metadata=metadata)


def plain_axes(axes: Axes, *, grid: Literal["x", "y", "both", ""] = "y") -> None:
    """The panel has two quiet edges, quiet numbers and, unless ``grid`` is empty, lines behind what is drawn."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(EDGE)
    axes.tick_params(colors=QUIET, labelsize=9)
    if grid:
        axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
