"""kcore plot: figures from files of every form, and errors that list the columns there are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Run

pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a tidy table in three forms."""
    monkeypatch.chdir(tmp_path)
    table = pa.table(
        {
            "point": ["a", "b", "c"],
            "workload": ["w", "w", "v"],
            "policy": ["default", "fgd", "fgd"],
            "seed": [1, 1, 2],
            "load": [0.5, 0.5, 1.0],
            "status": ["done"] * 3,
            "placed": [10, 11, 12],
        }
    )
    pq.write_table(table, "runs.parquet")
    pa_csv.write_csv(table, "runs.csv")
    with pa.ipc.new_file("runs.arrow", table.schema) as writer:
        writer.write_table(table)
    return tmp_path


@pytest.mark.parametrize("name", ["runs.parquet", "runs.csv", "runs.arrow"])
def test_a_figure_of_a_file(run: Run, folder: Path, name: str) -> None:
    answer = run("plot", name, "bars", "--y", "placed", "--out", "bars.svg")
    assert (answer.code, answer.out, answer.err) == (0, "wrote bars.svg\n", "")
    assert (folder / "bars.svg").read_bytes().startswith(b"<?xml")


def test_rows_may_be_chosen(run: Run, folder: Path) -> None:
    answer = run(
        "plot", "runs.parquet", "lines", "--x", "load", "--y", "placed", "--group", "workload",
        "--where", "policy=fgd", "--where", "seed=1", "--title", "Chosen", "--out", "a.html",
    )  # fmt: skip
    assert (answer.code, answer.out) == (0, "wrote a.html\n")
    text = (folder / "a.html").read_text()
    assert "<title>Chosen</title>" in text
    assert "<td>w</td><td>0.5</td><td>11</td>" in text
    assert "<td>v</td>" not in text


COLUMNS = "point, workload, policy, seed, load, status, placed"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["lines", "--y", "plcaed"], f"runs.parquet: --y: there is no column 'plcaed' (expected placed; there are {COLUMNS})"),
        (["cdf", "--x", "wait_ms"], f"runs.parquet: --x: there is no column 'wait_ms' (expected {COLUMNS})"),
        (["timeline"], f"runs.parquet: --x: there is no column 'time_ms' (expected {COLUMNS})"),
        (["heatmap"], f"runs.parquet: KIND: there is no column utilisation:RESOURCE, only {COLUMNS} (expected a table of intervals or nodes)"),
        (["bars", "--where", "policy"], "--where: 'policy' is no condition (expected COLUMN=VALUE)"),
        (["bars", "--where", "policy=x"], "runs.parquet: --where: no row has policy=x (expected default, fgd)"),
        (["bars", "--out", "a.gif"], "--out: a.gif has no ending of a picture (expected a file that ends in .png, .svg, .pdf, .html)"),
        (["bars", "--out", "no/a.png"], "--out: there is no folder no (expected a file in a folder that exists)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(run: Run, folder: Path, words: list[str], problem: str) -> None:
    answer = run("plot", "runs.parquet", *words)
    assert (answer.code, answer.out, answer.err) == (2, "", f"kcore: error: {problem}\n")


def test_files_that_are_no_tables(run: Run, folder: Path) -> None:
    (folder / "a.yaml").write_text("a: 1\n")
    (folder / "b.parquet").write_bytes(b"PAR1 and no more")
    assert (
        run("plot", "a.yaml", "bars").err
        == "kcore: error: a.yaml: is no table (expected Parquet, Arrow or CSV)\n"
    )
    assert "b.parquet: the parquet table is damaged" in run("plot", "b.parquet", "bars").err
    assert "none.parquet: cannot be read" in run("plot", "none.parquet", "bars").err
    assert "is a folder" in run("plot", ".", "bars").err
