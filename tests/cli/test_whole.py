"""The whole way: made, written, read, scheduled, shown; with nothing put in place of anything."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from kcore.traces.write import FORMS
from tests.cli.conftest import Run

SPEC = "synthetic:heterogeneous?nodes=12&pods=120&seed=5"


@pytest.fixture(scope="module")
def expected() -> list[dict[str, object]]:
    from kcore.cluster import Cluster

    return Cluster.synthetic("heterogeneous", nodes=12, pods=120, seed=5).schedule().to_dict()["placements"]


def test_a_generated_cluster_is_scheduled(run: Run, expected: list[dict[str, object]]) -> None:
    answer = run("schedule", "-f", SPEC, "-o", "json")
    assert (answer.code, answer.err) == (0, "")
    result = json.loads(answer.out)
    assert result["placements"] == expected
    assert result["summary"]["placed"] + result["summary"]["unschedulable"] == 120


@pytest.mark.parametrize("form", FORMS)
def test_its_files_are_scheduled_alike(
    run: Run, tmp_path: Path, expected: list[dict[str, object]], form: str
) -> None:
    words = f"datasets make heterogeneous --nodes 12 --pods 120 --seed 5 --out {tmp_path} -o {form}"
    assert run(*words.split()).code == 0
    answer = run("schedule", "-f", str(tmp_path), "-o", "json")
    assert answer.err == ""
    assert json.loads(answer.out)["placements"] == expected


def test_everything_at_once(run: Run, tmp_path: Path) -> None:
    out, picture = tmp_path / "placements.parquet", tmp_path / "use.html"
    answer = run("schedule", "-f", SPEC, "--out", str(out), "--plot", str(picture), "--require-all")
    table = pq.read_table(out)
    assert answer.code == (1 if table["node"].null_count else 0)
    assert len(table) == 120
    assert picture.read_text().startswith("<!doctype html>")


def test_every_pod_can_be_explained(run: Run) -> None:
    result = json.loads(run("schedule", "-f", SPEC, "-o", "json", "--explain", "all").out)
    assert len(result["explanations"]) == 120
    for placement, why in zip(result["placements"], result["explanations"], strict=True):
        feasible = {node for node, verdict in why["filter"].items() if verdict is None}
        if placement["node"] is None:
            assert not feasible
        else:
            best = max(score["total"] for score in why["score"].values())
            assert placement["node"] in feasible
            assert why["score"].get(placement["node"], {"total": best})["total"] == best
    assert run("schedule", "-f", SPEC, "--explain", "all", "-o", "wide").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-f nowhere.yaml", "nowhere.yaml"),
        ("-f synthetic:nothing", "there is no dataset 'nothing'"),
        (f"-f {SPEC} -f {SPEC}", "node-00000"),
        (f"-f {SPEC} --explain nobody", "default/nobody"),
        (f"-f {SPEC} --policy nothing", "nothing"),
        (f"-f {SPEC} --profile nothing", "nothing"),
        (f"-f {SPEC} --config nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_bad_input_is_one_line(run: Run, words: str, message: str) -> None:
    answer = run("schedule", *words.split())
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    assert answer.err.startswith("kcore: error: ")
    assert message in answer.err
