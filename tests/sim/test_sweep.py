"""A sweep runs what is missing and nothing else, survives kill -9, and writes the same bytes however it was run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kcore import Cluster, InputError, __version__
from kcore.sim import parts
from kcore.sim.engines import PARTS, PROCESS_ENDED
from kcore.sim.plan import plan
from kcore.sim.sweep import Swept, sweep
from tests.sim.studies import study_in, write_plugin, write_study

STARTED_SECONDS_MAX = 120.0  # for a process to get going on a busy machine


def swept(
    folder: Path, out: str = "runs.parquet", workers: int = 1, fresh: bool = False, **changes: Any
) -> Swept:
    """The small study with changes, swept into the folder."""
    return sweep(study_in(folder, **changes), folder / out, workers=workers, fresh=fresh)


def written(folder: Path, out: str = "runs.parquet") -> dict[str, int]:
    """The parts there are, with the time at which each was written."""
    return {file.name: file.stat().st_mtime_ns for file in (folder / f"{out}.runs" / PARTS).glob("*.part")}


def contents(folder: Path, stem: str, tables: tuple[str, ...] = ()) -> list[bytes]:
    """The bytes of the tidy file and of the tables kept."""
    return [
        (folder / f"{name}.parquet").read_bytes() for name in (stem, *(f"{stem}.{one}" for one in tables))
    ]


def test_one_row_a_run_with_parameters_first(tmp_path: Path) -> None:
    result = swept(tmp_path)
    table = pq.read_table(tmp_path / "runs.parquet")
    assert table.equals(result.table)
    assert table.column_names[:7] == ["point", "workload", "policy", "seed", "load", "status", "error"]
    assert table["load"].to_pylist() == [0.01, 0.01, 0.02, 0.02]
    assert table["seed"].to_pylist() == [1, 2, 1, 2]
    assert table["placed"].to_pylist() == [2, 2, 3, 3]
    assert table["asked_cpu"].to_pylist() == [0.016667, 0.016667, 0.025, 0.025]
    assert (result.points, result.found, result.ran, result.failed) == (4, 0, 4, [])
    assert not {"seconds", "pods_per_second"} & set(table.column_names)
    times = pq.read_table(tmp_path / "runs.times.parquet")
    assert times["point"].to_pylist() == table["point"].to_pylist()
    assert all(seconds > 0 for seconds in times["seconds"].to_pylist())


def test_figures_are_those_of_a_run_by_hand(tmp_path: Path) -> None:
    spec = "synthetic:heterogeneous?nodes=6&pods=80&seed={seed}"
    result = swept(
        tmp_path, cluster=None, workloads=[{"name": "w", "spec": spec}], parameters={}, tables=["placements"]
    )
    kept = pq.read_table(tmp_path / "runs.placements.parquet")
    for row in result.table.to_pylist():
        by_hand = Cluster.synthetic("heterogeneous", nodes=6, pods=80, seed=row["seed"]).schedule(
            seed=row["seed"]
        )
        assert {name: row[name] for name in ("nodes", "pods", "placed", "unschedulable")} == {
            name: by_hand.summary[name] for name in ("nodes", "pods", "placed", "unschedulable")
        }
        assert row["utilisation_cpu"] == by_hand.summary["utilisation"]["cpu"]
        assert row["nodes_used"] == len(set(by_hand.placements["node"].to_pylist()) - {None})
        mine = kept.filter([one == row["point"] for one in kept["point"].to_pylist()])
        assert mine["node"].to_pylist() == by_hand.placements["node"].to_pylist()
        assert set(mine["seed"].to_pylist()) == {row["seed"]}


def test_the_same_bytes_for_one_and_for_many_workers(tmp_path: Path) -> None:
    write_plugin(tmp_path, "Crowded")
    changes = {
        "policies": ["default", "Crowded"],
        "plugins": ["crowded.py"],
        "tables": ["nodes", "placements"],
    }
    changes["parameters"] = {"tie_break": ["random"], "load": [0.02], "shuffle": [True]}
    for out, workers in (("one", 1), ("two", 2), ("three", 3)):
        assert swept(tmp_path, f"{out}.parquet", workers, **changes).failed == []
    found = [contents(tmp_path, out, ("nodes", "placements")) for out in ("one", "two", "three")]
    assert found[0] == found[1] == found[2]


def test_what_is_finished_is_not_run_again(tmp_path: Path) -> None:
    first = swept(tmp_path)
    before, bytes_before = written(tmp_path), contents(tmp_path, "runs")
    again = swept(tmp_path)
    assert (again.found, again.ran) == (4, 0)
    assert written(tmp_path) == before
    assert contents(tmp_path, "runs") == bytes_before
    more = swept(tmp_path, seeds="1-3")
    assert (more.points, more.found, more.ran) == (6, 4, 2)
    assert before.items() <= written(tmp_path).items()
    assert first.table["point"].to_pylist() == [
        row["point"] for row in more.table.to_pylist() if row["seed"] < 3
    ]


def test_fresh_forgets(tmp_path: Path) -> None:
    swept(tmp_path)
    assert swept(tmp_path, fresh=True).ran == 4


def test_a_damaged_part_is_run_again(tmp_path: Path) -> None:
    swept(tmp_path)
    before, whole = written(tmp_path), contents(tmp_path, "runs")
    name = sorted(before)[1]
    path = tmp_path / "runs.parquet.runs" / PARTS / name
    path.write_bytes(path.read_bytes()[:-5])
    again = swept(tmp_path)
    assert (again.found, again.ran) == (3, 1)
    assert {one for one, at in written(tmp_path).items() if before[one] != at} == {name}
    assert contents(tmp_path, "runs") == whole


def test_a_changed_input_means_other_runs(tmp_path: Path) -> None:
    from kcore import traces

    def write(pods: int) -> None:
        traces.write_objects(traces.make("scheduler_perf", nodes=1, pods=pods), tmp_path / "pods.yaml")

    changes: dict[str, Any] = {"workloads": [{"name": "w", "file": "pods.yaml"}], "parameters": {}}
    write(3)
    first = swept(tmp_path, **changes)
    write(4)
    second = swept(tmp_path, **changes)
    assert (second.found, second.ran) == (0, 2)
    assert first.table["pods"].to_pylist() == [3, 3]
    assert second.table["pods"].to_pylist() == [4, 4]


def test_a_run_that_fails_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    write_plugin(tmp_path, "Broken", 'raise ValueError("out of luck")')
    changes = {"policies": ["default", "Broken"], "plugins": ["broken.py"]}
    for workers in (1, 2):
        result = swept(tmp_path, f"{workers}.parquet", workers, **changes)
        assert [row["status"] for row in result.table.to_pylist()] == ["done"] * 4 + ["failed"] * 4
        problem = "plugin Broken (score): failed with ValueError: out of luck"
        assert result.table["error"].to_pylist() == [None] * 4 + [problem] * 4
        assert result.table["placed"].to_pylist()[4:] == [None] * 4
        assert result.failed[0][0] == "basic, Broken, load=0.01, seed 1"
    again = swept(tmp_path, "1.parquet", 1, **changes)
    assert (again.found, again.ran, len(again.failed)) == (4, 4, 4), "what failed is tried again"


def test_a_process_that_dies_takes_only_its_own_run_with_it(tmp_path: Path) -> None:
    write_plugin(
        tmp_path, "Deadly", "import os\nif os.path.exists('{}'): os._exit(1)".format(tmp_path / "deadly")
    )
    changes = {
        "policies": ["default", "Deadly"],
        "plugins": ["deadly.py"],
        "seeds": 1,
        "parameters": {"load": [0.01]},
    }
    (tmp_path / "deadly").touch()
    result = swept(tmp_path, workers=2, **changes)
    assert result.table["status"].to_pylist() == ["done", "failed"]
    assert result.table["error"].to_pylist() == [None, PROCESS_ENDED]
    (tmp_path / "deadly").unlink()
    result = swept(tmp_path, workers=2, **changes)
    assert (result.found, result.ran, result.failed) == (1, 1, [])


def test_paths_may_be_relative_to_a_folder_that_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kcore import traces

    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        traces.write_objects(traces.make("scheduler_perf", nodes=1, pods=3), "pods.yaml")
        result = swept(Path(), workers=2, workloads=[{"name": "w", "file": "pods.yaml"}], parameters={})
        assert (result.ran, result.failed) == (2, [])
        assert result.files == ["runs.parquet", "runs.times.parquet"]


def test_a_plugin_that_was_edited_is_loaded_anew(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"policies": ["Mine"], "plugins": ["mine.py"], "seeds": 1, "parameters": {}}
    write_plugin(tmp_path, "Mine")
    crowded = swept(tmp_path, **changes)
    write_plugin(tmp_path, "Mine", "out[:] = 100 - nodes.pod_count\nreturn")
    first = swept(tmp_path, **changes)
    write_plugin(tmp_path, "Mine")
    again = swept(tmp_path, fresh=True, **changes)
    used = [result.table["nodes_used"].to_pylist() for result in (crowded, first, again)]
    assert used == [[1], [3], [1]]
    assert [result.ran for result in (crowded, first, again)] == [1, 1, 1]
    assert crowded.table.equals(again.table)
    assert crowded.table["point"] != first.table["point"]


def test_a_plugin_that_fails_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import kcore\n1 / 0\n")
    with pytest.raises(
        InputError, match=r"bad.py: plugins: cannot be loaded: ZeroDivisionError: division by zero"
    ):
        swept(tmp_path, plugins=["bad.py"])


def test_wrong_policies_are_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"policies\[1\].policy: no policy is named 'fgdd'"):
        swept(tmp_path, policies=["default", "fgdd"])
    assert not (tmp_path / "runs.parquet.runs").exists()


def test_wrong_inputs_are_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "pods.yaml").write_text("kind: Pod\napiVersion: v1\nmetadata: {name: 1}\n")
    with pytest.raises(InputError, match=r"pods.yaml.*metadata.name"):
        swept(tmp_path, workloads=[{"name": "w", "file": "pods.yaml"}])
    assert written(tmp_path) == {}


def test_two_sweeps_on_one_file_are_refused(tmp_path: Path) -> None:
    import fcntl

    swept(tmp_path)
    with (tmp_path / "runs.parquet.runs" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another sweep is at work here"):
            swept(tmp_path)


def test_the_version_is_part_of_every_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_in(tmp_path)
    before = [point.id for point in plan(study).points]
    monkeypatch.setattr("kcore.sim.plan.__version__", __version__ + "x")
    assert not set(before) & {point.id for point in plan(study).points}


def test_a_killed_sweep_resumes_without_repeating_or_losing_a_run(tmp_path: Path) -> None:
    write_plugin(tmp_path, "Slow", "import time\ntime.sleep(0.02)")
    changes: dict[str, Any] = {
        "policies": ["Slow"],
        "plugins": ["slow.py"],
        "seeds": "1-16",
        "tables": ["nodes"],
    }
    path = write_study(tmp_path, **changes)
    command = [
        sys.executable,
        "-m",
        "kcore",
        "sweep",
        str(path),
        "--out",
        str(tmp_path / "runs.parquet"),
        "--workers",
        "2",
    ]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + STARTED_SECONDS_MAX
        while len(written(tmp_path)) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = written(tmp_path)
    assert 3 <= len(before) < 32, "killed in the middle"
    assert not (tmp_path / "runs.parquet").exists()
    whole = {
        name
        for name in before
        if parts.read(tmp_path / "runs.parquet.runs" / PARTS, name.removesuffix(parts.SUFFIX)) is not None
    }
    assert whole == set(before), "a part is there as a whole or not at all"
    resumed = swept(tmp_path, workers=2, **changes)
    assert (resumed.found, resumed.ran, resumed.failed) == (len(before), 32 - len(before), [])
    assert before.items() <= written(tmp_path).items(), "no finished run was repeated"
    swept(tmp_path, "undisturbed.parquet", **changes)
    assert contents(tmp_path, "runs", ("nodes",)) == contents(tmp_path, "undisturbed", ("nodes",))
    assert not list((tmp_path / "runs.parquet.runs" / PARTS).glob(".*"))


def test_workers_end_with_the_process_that_was_killed(tmp_path: Path) -> None:
    body = f"import os, time\nopen(os.path.join({str(tmp_path)!r}, f'pid-{{os.getpid()}}'), 'w').close()\ntime.sleep(0.05)"
    write_plugin(tmp_path, "Telling", body)
    path = write_study(tmp_path, policies=["Telling"], plugins=["telling.py"], seeds="1-200")
    command = [
        sys.executable,
        "-m",
        "kcore",
        "sweep",
        str(path),
        "--out",
        str(tmp_path / "runs.parquet"),
        "--workers",
        "2",
    ]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + STARTED_SECONDS_MAX
        while len(list(tmp_path.glob("pid-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        workers = {int(file.name.removeprefix("pid-")) for file in tmp_path.glob("pid-*")} - {process.pid}
        process.kill()
        process.wait()
        while any(map(parts._alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [worker for worker in workers if parts._alive(worker)] == []
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
