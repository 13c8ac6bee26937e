"""``kcore datasets`` names, describes and makes what the registry holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from kcore.traces import DATASETS
from tests.cli.conftest import Run


def test_list_names_every_dataset(run: Run) -> None:
    lines = run("datasets", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", *(dataset.name for dataset in DATASETS)]
    listed = json.loads(run("datasets", "list", "-o", "json").out)
    assert [entry["name"] for entry in listed] == [dataset.name for dataset in DATASETS]


@pytest.mark.parametrize("name", [dataset.name for dataset in DATASETS])
def test_describe_tells_parameters_source_and_licence(run: Run, name: str) -> None:
    out = run("datasets", "describe", name).out
    described = yaml.safe_load(run("datasets", "describe", name, "-o", "yaml").out)
    assert described["licence"] in out
    assert described["source"] in out
    for parameter in described["parameters"]:
        assert f"--{parameter['name'].replace('_', '-')} " in out


def test_make_writes_files(run: Run, tmp_path: Path) -> None:
    words = f"datasets make scheduler_perf --nodes 3 --pods=4 --init-pods 2 --out {tmp_path / 'x'} -o parquet"
    answer = run(*words.split())
    assert answer.code == 0
    assert answer.out.splitlines()[0] == "3 nodes and 6 pods"
    assert sorted(file.name for file in (tmp_path / "x").iterdir()) == [
        "nodes.parquet",
        "others.json",
        "pods.parquet",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("heterogeneous --node 3", "heterogeneous: node: heterogeneous has no parameter 'node'"),
        ("heterogeneous --nodes", "heterogeneous: --nodes: has no value"),
        ("heterogeneous --nodes 3 --nodes 4", "heterogeneous: --nodes: is given twice"),
        ("heterogeneous 3", "heterogeneous: '3' is no parameter"),
        ("heterogeneous --fill lots", "heterogeneous: fill: 'lots' is no value"),
        ("openb", "openb: path: openb is not shipped"),
        ("openb --path nowhere", "nowhere: openb: holds no openb files"),
    ],
)
def test_make_refuses_in_one_line(run: Run, tmp_path: Path, words: str, message: str) -> None:
    answer = run("datasets", "make", *words.split(), "--out", str(tmp_path / "x"))
    assert answer.code == 2
    assert message in answer.err
    assert not (tmp_path / "x").exists()
