"""``kcore optimum``: value, bound and what policies reach, in every form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kcore import score_plugin
from kcore.scheduler.plugins import contract
from tests.cli.conftest import Run
from tests.scheduler.cluster_objects import node_dict, pod_dict

pytest.importorskip("ortools", reason="the extra opt is not installed")


@pytest.fixture
def cluster(tmp_path: Path) -> str:
    """Two nodes of 4 CPU and pods of 2, 2, 3, 1 CPU in that order: the scheduler spreads and leaves one over."""
    objects = [node_dict("a", "4"), node_dict("b", "4")]
    objects += [pod_dict(f"p{one}", cpu) for one, cpu in enumerate(["2", "2", "3", "1"])]
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return str(path)


@pytest.fixture
def packing(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a policy that prefers full nodes."""
    monkeypatch.setattr(contract, "_load_entry_points", lambda: None)
    monkeypatch.setattr(contract, "_registered", {})

    @score_plugin("Crowded", normalize="default")
    def crowded(pod: Any, view: Any, out: Any) -> None:
        for node in range(out.shape[0]):
            out[node] = view.pod_count[node]

    return "Crowded"


def test_value_bound_and_policies(run: Run, cluster: str, packing: str) -> None:
    answer = run("optimum", "-f", cluster, "--policy", packing, "--workers", "1", "-o", "json")
    assert (answer.code, answer.err) == (0, "")
    found = json.loads(answer.out)
    assert (found["status"], found["value"], found["bound"], found["gap"]) == ("optimal", 4, 4, 0)
    assert found["policies"] == [
        {"policy": "default", "placed": 3, "value": 3, "bound": 4, "gap": 1, "gap_percent": 25.0},
        {"policy": packing, "placed": 4, "value": 4, "bound": 4, "gap": 0, "gap_percent": 0.0},
    ]
    nodes = {row["name"]: row["node"] for row in found["placements"]}
    assert nodes["p0"] == nodes["p1"] != nodes["p2"] == nodes["p3"]


def test_a_table_and_a_file(run: Run, cluster: str, tmp_path: Path) -> None:
    answer = run("optimum", "-f", cluster, "--workers", "1", "--objective", "cpu")
    lines = answer.out.splitlines()
    assert answer.code == 0
    assert "value         8,000" in lines
    assert lines[-1].split() == ["default", "3", "5,000", "8,000", "3,000", "37.50", "%"]
    out = tmp_path / "answer.yaml"
    answer = run(
        "optimum", "-f", cluster, "--bound-only", "--objective", "nodes_used", "-o", "yaml", "--out", str(out)
    )
    assert (answer.code, answer.out) == (0, f"wrote {out}\n")
    found = yaml.safe_load(out.read_text())
    assert (found["status"], found["value"], found["bound"], found["gap"]) == ("bound", None, 2, None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--objective", "speed"], "objective: 'speed' cannot be optimized"),
        (["--policy", "none-such"], "policy: no policy is named 'none-such'"),
        (["--seconds", "0"], "seconds: 0.0 seconds are none"),
        (["--device", "x"], "device: no node or pod has the resource 'x'"),
        (["--out", "/no/such/folder/x.json"], "--out: there is no folder /no/such/folder"),
    ],
)
def test_wrong_arguments_are_one_line(run: Run, cluster: str, words: list[str], message: str) -> None:
    answer = run("optimum", "-f", cluster, *words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"kcore: error: {message}")
    assert answer.err.count("\n") == 1


def test_nothing_to_read(run: Run) -> None:
    assert run("optimum").err == "kcore: error: nothing to read (expected -f FILE with nodes and pods)\n"
