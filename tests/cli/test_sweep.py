"""kcore sweep: what it prints, where it writes, and its exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kcore.cli import sweep
from kcore.cli.app import main
from kcore.scheduler.plugins import contract
from tests.cli.conftest import Run
from tests.sim.studies import write_plugin, write_study


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a study."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contract, "_registered", {})
    write_study(tmp_path)
    return tmp_path


def test_a_table_of_means(run: Run, folder: Path) -> None:
    answer = run("sweep", "study.yaml", "--workers", "1")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0] == "small: 4 runs, 0 found, 4 run, 0 failed"
    assert lines[2].split() == [
        "WORKLOAD",
        "POLICY",
        "LOAD",
        "RUNS",
        "NODES",
        "USED",
        "PODS",
        "PLACED",
        "UTILISATION",
        "CPU",
        "UTILISATION",
        "MEMORY",
    ]
    assert lines[3].split()[:7] == ["basic", "default", "0.01", "2", "2", "2", "2"]
    assert lines[-2:] == ["wrote small.parquet", "wrote small.times.parquet"]
    again = run("sweep", "study.yaml", "--workers", "1")
    assert again.out.splitlines()[0] == "small: 4 runs, 4 found, 0 run, 0 failed"
    assert run("sweep", "study.yaml", "--workers", "1", "--fresh").out == answer.out


def test_yaml_and_csv(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import yaml

    assert main(["sweep", "study.yaml", "--workers", "1", "-o", "yaml"]) == 0
    assert yaml.safe_load(capfd.readouterr().out)["summary"]["runs"] == 4
    assert main(["sweep", "study.yaml", "--workers", "1", "-o", "csv"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith('"point","workload","policy","seed","load","status","error"')


def test_json(run: Run, folder: Path) -> None:
    answer = json.loads(run("sweep", "study.yaml", "--workers", "1", "-o", "json", "--out", "a.parquet").out)
    assert answer["summary"] == {
        "study": "small",
        "runs": 4,
        "found": 0,
        "ran": 4,
        "failed": 0,
        "files": ["a.parquet", "a.times.parquet"],
    }
    assert [row["load"] for row in answer["runs"]] == [0.01, 0.01, 0.02, 0.02]
    lines = run("sweep", "study.yaml", "--workers", "1", "-o", "jsonl", "--out", "a.parquet").out.splitlines()
    assert [json.loads(line) for line in lines] == answer["runs"]


def test_failures_are_told_one_a_line(run: Run, folder: Path) -> None:
    write_plugin(folder, "Broken", 'raise ValueError("out of luck")')
    write_study(folder, policies=["default", "Broken"], plugins=["broken.py"], seeds=1)
    answer = run("sweep", "study.yaml", "--workers", "1")
    assert answer.code == 1
    assert answer.out.startswith("small: 4 runs, 0 found, 4 run, 2 failed\n")
    problem = "plugin Broken (score): failed with ValueError: out of luck"
    assert answer.err.splitlines() == [
        f"kcore: failed: basic, Broken, load={load}, seed 1: {problem}" for load in (0.01, 0.02)
    ]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["none.yaml"], "none.yaml: cannot be read: No such file or directory"),
        (["study.yaml", "--out", "runs.csv"], "--out: runs.csv is no Parquet file (expected a name that ends in .parquet)"),
        (["study.yaml", "--out", "no/runs.parquet"], "--out: there is no folder no (expected a file in a folder that exists)"),
        (["study.yaml", "--ray-address", "auto"], "--ray-address: has no cluster to reach (expected --engine ray too)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(run: Run, folder: Path, words: list[str], problem: str) -> None:
    answer = run("sweep", *words)
    assert (answer.code, answer.out, answer.err) == (2, "", f"kcore: error: {problem}\n")


def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with sweep.Progress(bar=True, verbose=False) as progress:
        progress.stage("running")
        progress.report(1, 4, 0)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with sweep.Progress(bar=True, verbose=False) as progress:
        progress.stage("running")
        progress.report(1, 4, 1)
    shown = capsys.readouterr().err
    assert "running" in shown
    assert "1 of 4 runs, 1 failed" in shown
    with sweep.Progress(bar=True, verbose=True) as progress:
        progress.stage("running")
        progress.report(1, 4, 1)
    assert capsys.readouterr().err == "kcore: running\nkcore: 1 of 4 runs, 1 failed\n"
