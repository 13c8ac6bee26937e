"""``kcore schedule`` hands over what it was told and shows what came back, in every form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from kcore.cli.app import main
from tests.cli.conftest import Run
from tests.cli.fakes import FakeCluster, FakeResult


def test_everything_on_the_command_line_reaches_the_cluster(run: Run, cluster: type[FakeCluster]) -> None:
    words = (
        "-f a.yaml -f synthetic:x?n=1 --config c.yaml --profile p --tie-break random --seed 7 --order file"
    )
    words += " --preemption evict --engine full --explain web --explain ns/db"
    assert run("schedule", *words.split()).code == 0
    (loaded, paths, _), (_, pods, options) = cluster.calls
    assert (loaded, paths) == ("load", ("a.yaml", "synthetic:x?n=1"))
    assert pods == (None,)
    assert callable(options.pop("progress"))
    assert callable(options.pop("stage"))
    assert options == {
        "config": "c.yaml",
        "profile": "p",
        "policy": None,
        "tie_break": "random",
        "seed": 7,
        "order": "file",
        "preemption": "evict",
        "engine": "full",
        "explain": ["default/web", "ns/db"],
    }


def test_the_defaults(run: Run, cluster: type[FakeCluster]) -> None:
    run("schedule", "-f", "a.yaml")
    options = cluster.calls[1][2]
    assert options["explain"] is False
    assert (options["tie_break"], options["seed"], options["order"]) == ("first", 0, "queue")
    assert (options["preemption"], options["engine"], options["policy"]) == ("nominate", "auto", None)


def test_a_live_cluster_takes_pods_from_files(run: Run, cluster: type[FakeCluster]) -> None:
    run("schedule", "--from-kubeconfig", "kube", "--context", "c", "-f", "pods.yaml")
    assert cluster.calls[0] == ("from_kubeconfig", ("kube",), {"context": "c"})
    assert cluster.calls[1][1] == (["pods.yaml"],)
    cluster.calls.clear()
    run("schedule", "--from-kubeconfig", "kube")
    assert cluster.calls[1][1] == (None,)


def test_require_all_says_no_by_exit_code(run: Run, cluster: type[FakeCluster]) -> None:
    assert run("schedule", "-f", "x").code == 0
    assert run("schedule", "-f", "x", "--require-all").code == 1
    cluster.answer = FakeResult(unschedulable=0)
    assert run("schedule", "-f", "x", "--require-all").code == 0


def test_the_table_shows_the_summary_some_rows_and_what_did_not_fit(
    run: Run, cluster: type[FakeCluster]
) -> None:
    cluster.answer = FakeResult(nodes=3, pods=100, unschedulable=30)
    out = run("schedule", "-f", "x").out
    lines = out.splitlines()
    assert lines[0].split() == ["nodes", "3"]
    assert "scheduling time  0.250 s (400 pods/s)" in lines
    assert any(line.startswith("utilisation") and "cpu" in line and "%" in line for line in lines)
    assert "default     pod-0   node-0" in lines
    assert "... and 60 more placed pods (-o wide shows all)" in lines
    assert "... and 10 more pods that were not placed (-o wide shows all)" in lines
    assert "30     Insufficient cpu" in lines
    assert "nominated to node-0, evicting 1 pod; 0/3 nodes are available" in out


def test_wide_shows_every_pod(run: Run, cluster: type[FakeCluster]) -> None:
    cluster.answer = FakeResult(nodes=3, pods=100, unschedulable=30)
    out = run("schedule", "-f", "x", "-o", "wide").out
    assert all(f" pod-{pod} " in out for pod in range(100))
    assert "default/old-0" in out


def test_json_is_the_promised_object(run: Run, cluster: type[FakeCluster]) -> None:
    answer = json.loads(run("schedule", "-f", "x", "-o", "json", "--explain", "all").out)
    assert list(answer) == ["summary", "placements", "explanations"]
    assert answer == FakeResult(explain=True).to_dict()


def test_yaml_says_the_same(run: Run, cluster: type[FakeCluster]) -> None:
    out = run("schedule", "-f", "x", "-o", "yaml", "--explain", "all").out
    assert yaml.load(out, yaml.CSafeLoader) == FakeResult(explain=True).to_dict()


def test_jsonl_is_one_placement_a_line(run: Run, cluster: type[FakeCluster]) -> None:
    out = run("schedule", "-f", "x", "-o", "jsonl").out
    assert [json.loads(line) for line in out.splitlines()] == FakeResult().to_dict()["placements"]


def test_csv_is_the_placements(run: Run, cluster: type[FakeCluster]) -> None:
    out = run("schedule", "-f", "x", "-o", "csv").out
    assert out.splitlines()[0].replace('"', "").startswith("namespace,name,node,node_index,score,reason,")
    assert len(out.splitlines()) == 7
    assert "default/old-0" in out.splitlines()[-1]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_binary_tables_go_down_the_pipe(
    capfdbinary: pytest.CaptureFixture[bytes], cluster: type[FakeCluster], form: str
) -> None:
    assert main(["schedule", "-f", "x", "-o", form]) == 0
    data = pa.BufferReader(capfdbinary.readouterr().out)
    table = pq.read_table(data) if form == "parquet" else pa.ipc.open_file(data).read_all()
    assert table.equals(FakeResult().placements)


@pytest.mark.parametrize(
    ("ending", "read"),
    [
        ("parquet", pq.read_table),
        ("arrow", lambda file: pa.ipc.open_file(pa.memory_map(str(file))).read_all()),
        ("json", lambda file: json.loads(file.read_text())),
        ("yaml", lambda file: yaml.safe_load(file.read_text())),
        ("csv", lambda file: file.read_text()),
        ("jsonl", lambda file: file.read_text()),
        ("txt", lambda file: file.read_text()),
    ],
)
def test_the_ending_of_out_decides_the_form(
    run: Run, cluster: type[FakeCluster], tmp_path: Path, ending: str, read: Any
) -> None:
    file = tmp_path / f"placements.{ending}"
    answer = run("schedule", "-f", "x", "--out", str(file))
    assert answer.code == 0
    assert answer.out.startswith("nodes ")
    assert answer.out.endswith(f"wrote {file}\n")
    assert len(read(file)) > 0


def test_a_form_may_be_named_against_the_ending(run: Run, cluster: type[FakeCluster], tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    run("schedule", "-f", "x", "--out", str(file), "-o", "json")
    assert json.loads(file.read_text())["summary"]["pods"] == 6


def test_explain_names_the_rejecting_plugin_and_the_scores(run: Run, cluster: type[FakeCluster]) -> None:
    lines = run("schedule", "-f", "x", "--explain", "pod-0").out.splitlines()
    assert "default/pod-0: 1 of 3 nodes feasible" in lines
    assert "RAW/NORMALIZED/WEIGHTED   node-0" in lines
    assert "NodeAffinity              50/100/200" in lines
    assert "total                     400" in lines
    assert "node-1   NodeResourcesFit   Insufficient cpu, Too many pods" in lines


def test_many_rejected_nodes_are_grouped_by_reason(run: Run, cluster: type[FakeCluster]) -> None:
    cluster.answer = FakeResult(nodes=100, explain=True)
    lines = run("schedule", "-f", "x", "--explain", "all").out.splitlines()
    row = "99      NodeResourcesFit   Insufficient cpu, Too many pods   node-1, node-2, node-3, ..."
    assert row in lines


def test_a_cluster_of_nothing_is_shown(run: Run, cluster: type[FakeCluster]) -> None:
    cluster.answer = FakeResult(nodes=0, pods=0, unschedulable=0)
    for form in ("table", "wide", "json", "csv"):
        assert run("schedule", "-f", "x", "-o", form).code == 0


def test_verbose_times_the_stages_on_standard_error(run: Run, cluster: type[FakeCluster]) -> None:
    answer = run("schedule", "-f", "x", "-v")
    assert [line.split(": ")[1] for line in answer.err.splitlines()] == ["reading", "scheduling"]
    assert run("schedule", "-f", "x").err == ""


def test_a_terminal_sees_a_bar_unless_it_is_told_not_to(
    run: Run, cluster: type[FakeCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert "pods" in run("schedule", "-f", "x").err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert run("schedule", "-f", "x", "--no-progress").err == ""


def test_bytes_are_kept_off_terminals(
    run: Run, cluster: type[FakeCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    answer = run("schedule", "-f", "x", "-o", "parquet")
    assert answer.code == 2
    assert "parquet is not for terminals" in answer.err
