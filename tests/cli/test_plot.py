"""Pictures are drawn for clusters of every size, in every form, and say what the result says."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from kcore.cli.plot import PANELS_MAX, draw, drawn_resources, figure
from kcore.cli.text import headline
from tests.cli.conftest import Run
from tests.cli.fakes import FakeCluster, FakeResult

FIRST_BYTES = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".html": b"<!doctype html>"}


@pytest.mark.parametrize("ending", FIRST_BYTES)
def test_every_form_is_written(run: Run, cluster: type[FakeCluster], tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"use{ending}"
    assert run("schedule", "-f", "x", "--plot", str(file)).code == 0
    assert file.read_bytes().startswith(FIRST_BYTES[ending])


@pytest.mark.parametrize("nodes", [0, 1, 10, 31, 5000])
def test_every_size_is_drawn(nodes: int) -> None:
    picture = figure(FakeResult(nodes=nodes, pods=nodes * 2, unschedulable=0))
    assert len(picture.axes) == 4
    picture.canvas.draw()


def test_a_panel_shows_only_the_nodes_that_have_the_resource() -> None:
    share = np.array([0.5, np.nan, 1.0])
    result = FakeResult(utilisation={"cpu": (share * 0, share), "a_b-c.d/gpu": (share * 0, share)})
    panel = figure(result).axes[2]
    assert panel.get_title(loc="left") == "a_b-c.d/gpu"
    figures = panel.get_title(loc="right")
    assert figures.startswith("2 nodes of 3 have it,  ")
    assert figures.endswith("average node 0% → 75%,  fullest 100%")


def test_the_resources_worth_a_panel() -> None:
    none, some = np.zeros(3), np.full(3, 0.5)
    use = {"pods": (none, some), "x/unused": (none, none), "memory": (none, some), "cpu": (none, none)}
    assert drawn_resources(FakeResult(utilisation=use)) == ["cpu", "memory"]
    use |= {f"x/{number}": (none, some) for number in range(9)}
    assert drawn_resources(FakeResult(utilisation=use)) == ["cpu", "memory", "x/0", "x/1"]
    assert PANELS_MAX == 4


def test_more_than_a_node_has_is_drawn_above_the_line() -> None:
    over = np.array([1.5, 1.0, 0.2])
    picture = figure(FakeResult(utilisation={"cpu": (over, over), "memory": (over, over)}))
    assert picture.axes[0].get_ylim()[1] > 1.5


def test_the_headline() -> None:
    summary = {"nodes": 1, "pods": 2000, "placed": 1999, "unschedulable": 1}
    assert headline(summary) == "1,999 of 2,000 pods placed on 1 node, 1 not"
    assert headline({**summary, "placed": 2000, "unschedulable": 0}) == "2,000 of 2,000 pods placed on 1 node"


def test_a_page_needs_nothing_else_and_trusts_no_name(tmp_path: Path) -> None:
    result = FakeResult()
    reasons = ["<script>alert(1)</script>"] * 6
    at = result.placements.column_names.index("reason")
    result.placements = result.placements.set_column(at, "reason", [reasons])
    draw(result, str(tmp_path / "use.html"))
    text = (tmp_path / "use.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "src=" not in text
    assert "<link" not in text
    ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])


def test_the_same_result_gives_the_same_picture(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        draw(FakeResult(), str(tmp_path / name))
    assert (tmp_path / "a.html").read_text() == (tmp_path / "b.html").read_text()
