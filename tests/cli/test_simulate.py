"""kcore simulate: what it prints and writes, how it goes on from a checkpoint, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from kcore.cli import simulate
from tests.cli.conftest import Run

ROWS = [(index * 10, 25, 1000 + 1000 * (index % 3), 10 * (index % 7 == 6)) for index in range(40)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a trace, its nodes, and a scenario."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").mkdir()
    lines = [f"job-{index},{row[0]},{row[1]},{row[2]},{row[3]}" for index, row in enumerate(ROWS)]
    (tmp_path / "jobs" / "trace.csv").write_text(
        "\n".join(["name,submit,duration,cpu_milli,priority", *lines, ""])
    )
    (tmp_path / "jobs" / "nodes.csv").write_text(
        "name,cpu_milli,memory_bytes,pods\nn0,4000,1e9,10\n".replace("1e9", "1000000000")
    )
    (tmp_path / "scenario.yaml").write_text(
        yaml.safe_dump(
            {
                "events": [{"at": "60s", "kind": "cordon", "name": "n0"}, {"at": "2m", "kind": "uncordon", "name": "n0"}],
                "groups": [
                    {
                        "name": "more",
                        "max": 1,
                        "template": {"metadata": {"name": "t"}, "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "9"}}},
                    }
                ],
            }
        )
    )  # fmt: skip
    return tmp_path


def summary(run: Run, *words: str) -> dict[str, Any]:
    """The summary that the command prints as JSON."""
    answer = run("simulate", "jobs", "-o", "json", *words)
    assert (answer.code, answer.err) == (0, ""), answer
    told = json.loads(answer.out)
    assert set(told) == {"policy", "order", "summary", "seconds", "files"}
    found: dict[str, Any] = told["summary"]
    return found


def test_a_table_for_people(run: Run, folder: Path) -> None:
    answer = run("simulate", "jobs")
    assert (answer.code, answer.err) == (0, "")
    lines = dict(line.split("  ", 1) for line in answer.out.splitlines())
    assert {name: text.strip() for name, text in lines.items()}["policy"] == "default, order queue"
    assert {name: text.strip() for name, text in lines.items()}["pods"] == "40"


def test_tables_a_picture_and_a_checkpoint(run: Run, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    words = ("--out", "out", "--plot", "run.svg", "--checkpoint", "end.npz", "--interval", "30s")
    found = summary(run, *words)
    placements = pq.read_table(folder / "out" / "placements.parquet")
    assert len(placements) == found["pods"] == 40
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "events.parquet", "intervals.parquet", "owners.parquet", "placements.parquet",
    ]  # fmt: skip
    times = pq.read_table(folder / "out" / "intervals.parquet")["time_ms"].to_pylist()
    assert times[:3] == [0, 30_000, 60_000]
    assert "simulated minutes" in (folder / "run.svg").read_text()
    assert (folder / "end.npz").is_file()
    first = (folder / "run.svg").read_bytes()
    summary(run, *words)
    assert (folder / "run.svg").read_bytes() == first


@pytest.mark.parametrize("form", ["arrow", "csv"])
def test_other_forms_of_tables(run: Run, folder: Path, form: str) -> None:
    summary(run, "--out", "out", "--format", form)
    assert sorted(path.suffix for path in (folder / "out").iterdir()) == [f".{form}"] * 4


@pytest.mark.parametrize("form", ["jsonl", "yaml", "csv"])
def test_other_forms_of_the_summary(run: Run, folder: Path, form: str) -> None:
    wanted = summary(run)
    answer = run("simulate", "jobs", "-o", form)
    if form == "csv":
        names, values = (line.split(",") for line in answer.out.splitlines())
        assert dict(zip(names, values, strict=True))["pods"] == "40"
    else:
        told = json.loads(answer.out) if form == "jsonl" else yaml.safe_load(answer.out)
        assert told["summary"] == wanted


def test_going_on_from_a_checkpoint(run: Run, folder: Path) -> None:
    options = ("--scenario", "scenario.yaml", "--tie-break", "random", "--seed", "3", "--preempted", "resume")
    whole = summary(run, *options)
    stopped = summary(run, *options, "--until", "90s", "--checkpoint", "one.npz")
    assert stopped["simulated_ms"] == 90_000
    assert stopped["completed"] < whole["completed"] == 40
    assert summary(run, *options, "--resume", "one.npz") == whole
    answer = run("simulate", "jobs", *options[:-1], "drop", "--resume", "one.npz")
    assert (answer.code, answer.out) == (2, "")
    assert (
        answer.err == "kcore: error: one.npz: was saved with another preempted (expected the same inputs)\n"
    )


def test_checkpoints_on_the_way(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kcore.sim import simulation

    saved: list[int] = []
    monkeypatch.setattr(simulation, "CHUNK_EVENTS", 7)
    monkeypatch.setattr(simulation.Simulation, "save", lambda self, path: saved.append(self.now_ms))
    whole = summary(run)
    assert summary(run, "--checkpoint", "one.npz", "--checkpoint-every", "2m") == whole
    assert len(saved) == whole["simulated_ms"] // 120_000 + 1
    assert all(now // 120_000 == index for index, now in enumerate(saved[:-1], start=1))


def test_orders_and_limits(run: Run, folder: Path) -> None:
    assert summary(run, "--policy", "sjf")["completed"] == 40
    assert summary(run, "--max-pods", "5")["pods"] == 5
    slow, fast = summary(run), summary(run, "--speed", "4")
    assert fast["makespan_ms"] < slow["makespan_ms"]
    assert fast["wait_ms_mean"] > slow["wait_ms_mean"]
    assert summary(run, "--load", "4") == fast
    assert summary(run, "--strict", "--preemption", "off")["preemptions"] == 0


def test_a_cluster_in_place_of_the_traces_own(run: Run, folder: Path) -> None:
    nodes = [
        {"kind": "Node", "apiVersion": "v1", "metadata": {"name": f"big-{index}"},
         "status": {"allocatable": {"cpu": "64", "memory": "8Gi", "pods": "110"}}}
        for index in range(3)
    ]  # fmt: skip
    (folder / "nodes.json").write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": nodes}))
    found = summary(run, "-f", "nodes.json")
    assert (found["nodes"], found["wait_ms_max"]) == (3, 0.0)


def test_whoever_never_ran_may_be_a_no(run: Run, folder: Path) -> None:
    with (folder / "jobs" / "trace.csv").open("a") as stream:
        stream.write("huge,1,1,99000,0\n")
    assert run("simulate", "jobs").code == 0
    assert run("simulate", "jobs", "--require-all").code == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--interval", "soon"), "--interval: 'soon' is no time"),
        (("--interval", "0s"), "--interval: '0s' is no length of time"),
        (("--until", "-1"), "--until: '-1' is no time"),
        (("--speed", "0"), "--speed: 0.0 is no speed"),
        (("--checkpoint-every", "1h"), "--checkpoint-every: has no file"),
        (("--checkpoint", "none/one.npz"), "--checkpoint: there is no folder none"),
        (("--resume", "none.npz"), "none.npz: is not there"),
        (("--policy", "sjf,drf"), "policy: drf and sjf are both orders"),
        (("--policy", "none"), "policy: no policy is named 'none'"),
        (("--scenario", "none.yaml"), "none.yaml: cannot be read: No such file"),
        (("--plot", "run.txt"), "--plot: run.txt has no ending of a picture"),
        (("--form", "none"), "there is no dataset 'none'"),
        (("--out", "scenario.yaml"), "--out: scenario.yaml is a file"),
    ],
)
def test_wrong_options(run: Run, folder: Path, words: tuple[str, ...], told: str) -> None:
    answer = run("simulate", "jobs", *words)
    assert (answer.code, answer.out) == (2, "")
    assert told.lower() in answer.err.lower()
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- 1", "is not a mapping"),
        ("events: {}", "events: is no list"),
        ("event: []", "event: is not known (expected events or groups)"),
        ("events: [1]", "event 1: is no mapping"),
        ("events: [{at: 1s, kind: cordon}]", "event 1: name: is missing"),
        ("events: [{at: 1s, kind: cordon, name: n0}, {at: x, kind: cordon, name: n0}]", "event 2: at: 'x' is no time"),
        ("events: [{at: 1s, kind: add-node, node: {metadata: {name: 7}}}]", "event 1: node.metadata.name: is an integer"),
        ("groups: [{name: a, max: 1}]", "group 1: template: is missing"),
        ("groups: [{name: a, max: x, template: {metadata: {name: a}}}]", "group 1: max: 'x' is no number of nodes"),
        ("groups: [{name: a, max: 1, template: 7}]", "group 1: template: is no mapping"),
    ],
)  # fmt: skip
def test_wrong_scenarios(run: Run, folder: Path, text: str, told: str) -> None:
    (folder / "wrong.yaml").write_text(text)
    answer = run("simulate", "jobs", "--scenario", "wrong.yaml")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("kcore: error: wrong.yaml: ")
    assert told in answer.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("bad,zero,1,1,0", "trace.csv: row 41: column 'submit': is \"zero\" (expected a number)"),
        ("bad,1,-5,1,0", "trace.csv: row 41: column 'duration': is -5"),
        ("job-3,1,1,1,0", "trace.csv: row 41: column 'name': \"job-3\" is there twice"),
    ],
)
def test_bad_rows_are_named(run: Run, folder: Path, line: str, told: str) -> None:
    with (folder / "jobs" / "trace.csv").open("a") as stream:
        stream.write(line + "\n")
    answer = run("simulate", "jobs")
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.err


def test_times_for_people() -> None:
    times = (0, 350, 2500, 59_999, 60_000, 3_723_000, 273_845_000)
    assert [simulate._duration(time) for time in times] == [
        "0 ms", "350 ms", "2.5 s", "60 s", "0:01:00", "1:02:03", "3 d 04:04:05",
    ]  # fmt: skip
