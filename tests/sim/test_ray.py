"""The same study on a real Ray cluster of this machine gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kcore import InputError
from kcore.sim import engines
from kcore.sim.sweep import sweep
from tests.sim.studies import study_in, write_plugin

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray with two processors."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def test_ray_gives_the_bytes_that_this_machine_gives(cluster: None, tmp_path: Path) -> None:
    write_plugin(tmp_path, "Crowded")
    spec = "synthetic:heterogeneous?nodes=1&pods=30&seed={seed}"
    changes: dict[str, Any] = {
        "policies": ["default", "Crowded"],
        "plugins": ["crowded.py"],
        "workloads": [{"name": "w", "spec": spec}],
        "tables": ["nodes"],
        "parameters": {"tie_break": ["random"]},
    }
    study = study_in(tmp_path, **changes)
    local = sweep(study, tmp_path / "local.parquet", workers=1)
    there = sweep(study, tmp_path / "ray.parquet", engine="ray")
    assert (there.ran, there.failed) == (4, [])
    assert there.table.equals(local.table)
    for name in ("{}.parquet", "{}.nodes.parquet"):
        assert (tmp_path / name.format("ray")).read_bytes() == (tmp_path / name.format("local")).read_bytes()
    again = sweep(study, tmp_path / "local.parquet", engine="ray")
    assert (again.found, again.ran) == (4, 0), "what one engine finished the other does not run again"


def test_a_run_that_fails_there_is_recorded(cluster: None, tmp_path: Path) -> None:
    write_plugin(tmp_path, "Broken", 'raise ValueError("out of luck")')
    study = study_in(tmp_path, policies=["default", "Broken"], plugins=["broken.py"], seeds=1)
    result = sweep(study, tmp_path / "runs.parquet", engine="ray", workers=2)
    assert result.table["status"].to_pylist() == ["done", "done", "failed", "failed"]
    assert result.failed[0][1] == "plugin Broken (score): failed with ValueError: out of luck"


def test_a_task_that_dies_there_is_recorded(cluster: None, tmp_path: Path) -> None:
    write_plugin(tmp_path, "Deadly", "import os\nos._exit(1)")
    study = study_in(tmp_path, policies=["Deadly"], plugins=["deadly.py"], seeds=1, parameters={"load": 0.01})
    result = sweep(study, tmp_path / "runs.parquet", engine="ray")
    assert result.failed[0][1].startswith("the Ray task failed: WorkerCrashedError")


def test_nobody_says_where_the_cluster_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(
        InputError, match=r"--engine: says nowhere which Ray cluster \(expected --ray-address"
    ):
        sweep(study_in(tmp_path), tmp_path / "runs.parquet", engine="ray")


def test_ray_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"ray is not installed \(expected pip install 'kcore\[ray\]'\)"):
        sweep(study_in(tmp_path), tmp_path / "runs.parquet", engine="ray")
