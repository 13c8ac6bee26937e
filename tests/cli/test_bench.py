"""``kcore bench``: what it prints, and what it says of wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

SMALL = "SchedulingBasic/5Nodes"


def test_a_table_of_figures(run: Run) -> None:
    answer = run("bench", SMALL, "--rounds", "1")
    assert answer.code == 0
    header, row, _, footer = answer.out.splitlines()
    assert header.split()[:4] == ["WORKLOAD", "NODES", "PODS", "PLACED"]
    assert row.split()[:4] == [SMALL, "5", "10", "10"]
    assert "commit" in footer


def test_json_lines_of_own_numbers(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "figures.jsonl"
    answer = run(
        "bench", SMALL, "--rounds", "2", "--nodes", "3", "--pods", "4", "-o", "jsonl", "--out", str(out)
    )
    assert answer.code == 0
    figures = json.loads(answer.out)
    assert figures == json.loads(out.read_text())
    assert (figures["nodes"], figures["pods"], figures["rounds"]) == (3, 4, 2)
    assert figures["worst"] <= figures["pods_per_second"] <= figures["best"]
    assert {"p50_us", "p99_us", "pods_per_second_p50", "peak_rss_bytes", "commit", "machine"} <= set(figures)


def test_the_list(run: Run) -> None:
    everything = run("bench", "--list").out.splitlines()
    labelled = run("bench", "--list", "--label", "performance", "-o", "json")
    names = [one["workload"] for one in json.loads(labelled.out)]
    assert 50 < len(names) < len(everything)
    assert run("bench", "--list", "SchedulingBasic/5000*").out.count("SchedulingBasic/5000Nodes") >= 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("Fly",), "WORKLOAD: no workload is named 'Fly' (expected a name from: kcore bench --list)"),
        ((SMALL, "--label", "red"), "--label: no workload has the labels red"),
        ((SMALL, "--param", "pods"), "--param: 'pods' is no parameter (expected NAME=NUMBER)"),
        ((SMALL, "--rounds", "0"), "--rounds"),
        ((SMALL, "--out", "nowhere/x"), "--out: there is no folder nowhere"),
        (("-f", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(words: tuple[str, ...], message: str, run: Run) -> None:
    answer = run("bench", *words)
    assert answer.code == 2
    assert message in answer.err
    assert answer.err.count("\n") == 1


def test_a_wrong_template_is_told_from_the_other_process(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "- name: A\n  workloadTemplate:\n  - {opcode: createNodes, count: 1, nodeTemplatePath: none.yaml}\n"
        "  workloads: [{name: b}]\n"
    )
    answer = run("bench", "-f", str(path))
    assert answer.code == 2
    assert "none.yaml" in answer.err
    assert answer.err.count("\n") == 1
