"""Every figure is drawn in every form from small and from large tables, and its numbers stand on the page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from kcore import InputError
from kcore.sim.figures import HEAT_COLUMNS_MAX, KINDS, Asked, _columns, _time_unit, draw, drawing, page

pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")

FIRST_BYTES = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".html": b"<!doctype html>"}


def tidy(policies: int = 2, seeds: int = 3) -> pa.Table:
    """Runs of some policies at three loads."""
    rng = np.random.default_rng(1)
    rows = [
        {
            "point": f"{policy}-{load}-{seed}",
            "workload": "w",
            "policy": f"policy-{policy}",
            "seed": seed,
            "load": load,
            "status": "done",
            "error": None,
            "utilisation_cpu": load * (0.8 + 0.02 * policy) + 0.01 * rng.random(),
            "wait_ms": float(rng.integers(0, 5000)),
        }
        for policy in range(policies)
        for load in (0.5, 0.75, 1.0)
        for seed in range(seeds)
    ]
    return pa.Table.from_pylist(rows)


def intervals() -> pa.Table:
    """A day of two policies."""
    time = np.arange(0, 86_400_000, 3_600_000)
    parts = [
        pa.table(
            {
                "policy": [policy] * len(time),
                "seed": [seed] * len(time),
                "time_ms": time,
                "pending": time % 7,
                "utilisation:cpu": (time % 5) / 5,
                "utilisation:memory": (time % 3) / 3 + seed / 10,
            }
        )
        for policy in ("default", "fgd")
        for seed in (1, 2)
    ]
    return pa.concat_tables(parts)


def nodes(count: int, policies: int = 2) -> pa.Table:
    """Nodes, every third of which has a GPU."""
    rng = np.random.default_rng(count)
    parts = [
        pa.table(
            {
                "policy": [f"policy-{policy}"] * count,
                "name": [f"node-{node}" for node in range(count)],
                "utilisation:cpu": rng.random(count),
                "utilisation:gpu": pa.array(rng.random(count), pa.float64(), mask=np.arange(count) % 3 != 0),
            }
        )
        for policy in range(policies)
    ]
    return pa.concat_tables(parts)


TABLES = {"lines": tidy(), "cdf": tidy(), "bars": tidy(), "timeline": intervals(), "heatmap": nodes(5)}


@pytest.mark.parametrize("ending", FIRST_BYTES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_in_every_form(tmp_path: Path, kind: str, ending: str) -> None:
    file = tmp_path / f"figure{ending}"
    draw(TABLES[kind], kind, str(file))
    assert file.read_bytes().startswith(FIRST_BYTES[ending])
    draw(TABLES[kind], kind, str(tmp_path / f"again{ending}"))
    assert file.read_bytes() == (tmp_path / f"again{ending}").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_needs_nothing_else_and_trusts_no_name(kind: str) -> None:
    table = TABLES[kind].set_column(
        TABLES[kind].column_names.index("policy"),
        "policy",
        [["<script>alert(1)</script>"] * len(TABLES[kind])],
    )
    text = page(drawing(table, kind, Asked(group="policy")))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"\b(?:src|href)=\"(?!#|data:)", text)
    assert "<link" not in text
    ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])


def test_lines_show_mean_and_spread() -> None:
    made = drawing(tidy(), "lines")
    (axes,) = made.picture.axes
    assert [line.get_label() for line in axes.lines] == ["policy-0", "policy-1"]
    assert len(axes.collections) == 2
    assert axes.lines[0].get_xdata().tolist() == [0.5, 0.75, 1.0]
    assert made.numbers.header == ["policy", "load", "utilisation_cpu mean", "sd", "runs"]
    assert [row[:2] + row[4:] for row in made.numbers.rows[:2]] == [
        ["policy-0", "0.5", "3"],
        ["policy-0", "0.75", "3"],
    ]
    assert made.title == "utilisation cpu by load"


def test_one_run_has_no_spread_and_one_group_no_legend() -> None:
    made = drawing(tidy(policies=1, seeds=1), "lines")
    assert len(made.picture.axes[0].collections) == 0
    assert made.picture.legends == []
    assert made.numbers.header[0] == "load"


def test_bars_have_error_bars() -> None:
    made = drawing(tidy(), "bars", Asked(y="wait_ms", x="load"))
    (axes,) = made.picture.axes
    assert len(axes.patches) == 6
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.5", "0.75", "1.0"]
    assert axes.get_ylabel() == "wait ms"


def test_a_timeline_has_a_panel_for_each_resource() -> None:
    made = drawing(intervals(), "timeline")
    assert [axes.get_ylabel() for axes in made.picture.axes] == ["cpu", "memory"]
    assert made.picture.axes[-1].get_xlabel() == "time, hours"
    assert len(drawing(intervals(), "timeline", Asked(y="pending")).picture.axes) == 1


@pytest.mark.parametrize("count", [1, 40, 41, 5000])
def test_a_heat_map_of_any_size(count: int) -> None:
    made = drawing(nodes(count), "heatmap")
    panels = [axes for axes in made.picture.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == ["policy-0", "policy-1"]
    made.picture.canvas.draw()
    assert made.numbers.rows[0][:3] == ["policy-0", "cpu", str(count)]


def test_columns_of_a_heat_map_are_means_of_neighbours() -> None:
    share = np.arange(3.0 * HEAT_COLUMNS_MAX).reshape(1, -1)
    share[0, 0] = np.nan
    drawn = _columns(share)
    assert drawn.shape == (1, HEAT_COLUMNS_MAX)
    assert drawn[0, :2].tolist() == [1.5, 4.0]


@pytest.mark.parametrize(
    ("span_ms", "unit"),
    [(0, ""), (5_000, "seconds"), (121_000, "minutes"), (7_200_000, "hours"), (172_800_000, "days")],
)
def test_time_has_a_unit_that_is_easy_to_read(span_ms: float, unit: str) -> None:
    assert _time_unit(span_ms)[0] == unit


def test_what_is_not_said_and_cannot_be_guessed_is_asked_for() -> None:
    table = pa.table({"policy": ["a", "b"], "count": [1, 2]})
    with pytest.raises(InputError, match=r"--y: must be said \(expected one of count\)"):
        drawing(table, "bars")
    with pytest.raises(InputError, match=r"--x: must be said \(expected one of policy\)"):
        drawing(table, "lines", Asked(y="count"))
    with pytest.raises(InputError, match=r"KIND: 'line' is not a figure \(expected lines\)"):
        drawing(table, "line")
    with pytest.raises(InputError, match="no finished runs"):
        drawing(table.slice(0, 0), "lines")
