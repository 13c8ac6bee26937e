"""``kcore reproduce``: rows, exit codes, errors of one line, a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kcore.scheduler.plugins.policies import NAMES
from tests.cli.conftest import Run
from tests.sim.tiny_trace import write_curves, write_trace


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("KCORE_SHARED", raising=False)
    write_trace(tmp_path)
    return str(tmp_path)


SMALL = ("--workload", "default", "--policy", "fgd", "--seeds", "1-2", "--jobs", "1")


def test_rows_as_promised(run: Run, trace: str) -> None:
    answer = run("reproduce", "fgd", "--data", trace, *SMALL, "-o", "json")
    assert (answer.code, answer.err) == (0, "")
    rows = json.loads(answer.out)
    assert [row["load"] for row in rows] == [60, 80, 90, 100, 110, 120, 130]
    for row in rows:
        assert list(row) == ["workload", "policy", "load", "mean", "sd", "published_mean"]
        assert (row["workload"], row["policy"], row["published_mean"]) == ("default", "fgd", None)
        assert row["mean"] is None or 30 < row["mean"] <= row["load"] + 1
    assert sum(row["mean"] is not None for row in rows) >= 5


def test_a_mean_that_is_off_is_a_no(run: Run, trace: str, tmp_path: Path) -> None:
    curves = tmp_path / "curves.csv"
    write_curves(curves, "fgd", 12.0)
    answer = run("reproduce", "fgd", "--data", trace, "--expected", str(curves), *SMALL)
    assert answer.code == 1
    assert "12.00" in answer.out
    assert "of 7 means are off by more than 0.5 points" in answer.out


def test_the_file_and_the_picture(run: Run, trace: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    curves, picture, table = tmp_path / "curves.csv", tmp_path / "a.svg", tmp_path / "a.csv"
    write_curves(curves, "best_fit", 12.0)
    words = ("--expected", str(curves), "--plot", str(picture), "--out", str(table))
    answer = run("reproduce", "fgd", "--data", trace, *words, *SMALL, "--policy", "best_fit")
    assert (answer.code, answer.out) == (1, "")
    assert "<svg" in picture.read_text()
    lines = table.read_text().splitlines()
    assert lines[0].replace('"', "") == "workload,policy,load,mean,sd,published_mean"
    assert len(lines) == 15


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("fdg",), "no study is named 'fdg'"),
        (("fgd",), "--data: the trace is not shipped"),
        (("fgd", "--data", "nowhere"), "--data: there is no folder nowhere"),
        (("fgd", "--data", ".", "--workload", "cpu000"), "--workload: 'cpu000' is not known"),
        (("fgd", "--data", ".", "--policy", "best"), "--policy: 'best' is not known"),
        (("fgd", "--data", ".", "--seeds", "5-1"), "--seeds: '5-1' is no list of seeds"),
        (("fgd", "--data", ".", "--seeds", "a"), "--seeds: 'a' is no list of seeds"),
        (("fgd", "--data", ".", "--expected", "none.csv"), "--expected: there is no file none.csv"),
        (("fgd", "--data", ".", "--plot", "a.txt"), "--plot: a.txt has no ending of a picture"),
    ],
)
def test_bad_usage_is_one_line(run: Run, trace: str, words: tuple[str, ...], problem: str) -> None:
    answer = run("reproduce", *words)
    assert answer.code == 2
    assert problem in answer.err
    assert answer.err.count("\n") == 1


def test_the_help_of_schedule_names_every_policy(run: Run) -> None:
    text = run("schedule", "--help").out
    assert [name for name in NAMES if name not in text] == []
