"""Points of mode simulate: the simulation is asked for what the point says, and its answer is gathered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

import kcore.sim
from kcore import Cluster, InputError, traces
from kcore.api.objects import ClusterObjects
from kcore.sim.offered import as_columns
from kcore.sim.runner import at_load
from kcore.sim.sweep import sweep
from tests.sim.studies import CLUSTER, study_in


@dataclass(frozen=True)
class Trace:
    """As loaders of traces make them."""

    objects: ClusterObjects
    submit_ms: np.ndarray
    duration_ms: np.ndarray


class Answer:
    """What a simulation answers."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.summary = {"placed": 3, "wait_ms_mean": 1.5, "policy": asked["policy"], "jain_index": None}
        self.metrics = {"intervals": pa.table({"time_ms": [0, 60_000], "pending": [1, asked["seed"]]})}


class Simulation:
    """Remembers what it was asked, and answers at once."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def __init__(
        self, cluster: Cluster, trace: Trace, *, policy: str = "default", config: Any = None, seed: int = 0,
        interval_ms: int = 60_000, estimates: str = "exact",
    ) -> None:  # fmt: skip
        given = {
            "nodes": cluster.node_count,
            "pods": len(trace.submit_ms),
            "last_ms": int(trace.submit_ms[-1]),
        }
        given |= {"policy": policy, "config": config, "seed": seed, "interval_ms": interval_ms}
        self.given = {**given, "estimates": estimates}

    def run(self, until_ms: int | None = None) -> Answer:
        """Remember the question."""
        self.asked.append({**self.given, "until_ms": until_ms})
        return Answer(self.given)


def load_trace(path: str, form: str = "", **parameters: Any) -> Trace:
    """Three pods of 100 milli-CPU that arrive over 10 s and stay 20 s."""
    assert (Path(path).read_text(), form) == ("trace", "swf")
    objects = traces.make("scheduler_perf", nodes=2, pods=3)
    rows = ClusterObjects(nodes=objects.nodes, pod_columns=[as_columns(objects)])
    return Trace(rows, np.array([0, 5_000, 10_000]), np.array([20_000] * 3) * parameters.get("slower", 1))


@pytest.fixture(autouse=True)
def simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the simulation and for the loaders of traces."""
    monkeypatch.setattr(kcore.sim, "Simulation", Simulation, raising=False)
    monkeypatch.setattr(traces, "load_trace", load_trace, raising=False)
    monkeypatch.setattr(Simulation, "asked", [])


def study(folder: Path, **changes: Any) -> Any:
    """A study of one trace in the folder."""
    (folder / "jobs.swf").write_text("trace")
    workload = {"name": "jobs", "trace": "jobs.swf", "form": "swf"}
    given = {
        "mode": "simulate",
        "workloads": [workload],
        "seeds": 7,
        "parameters": {},
        "policies": ["default", "srtf"],
    }
    return study_in(folder, **{**given, **changes})


def test_a_point_is_simulated_and_gathered(tmp_path: Path) -> None:
    parameters = {"interval_ms": 1000, "until_ms": [50], "estimates": ["user"]}
    result = sweep(
        study(tmp_path, parameters=parameters, tables=["intervals"]), tmp_path / "runs.parquet", workers=1
    )
    assert result.failed == []
    wanted = {"nodes": 3, "pods": 3, "last_ms": 10_000, "config": None, "seed": 7, "interval_ms": 1000}
    wanted |= {"estimates": "user", "until_ms": 50}
    assert Simulation.asked == [{**wanted, "policy": "default"}, {**wanted, "policy": "srtf"}]
    table = result.table
    assert table.column_names[-4:] == ["placed", "wait_ms_mean", "run:policy", "jain_index"]
    assert table["run:policy"].to_pylist() == table["policy"].to_pylist() == ["default", "srtf"]
    assert table["jain_index"].type == pa.float64()
    kept = pa.parquet.read_table(tmp_path / "runs.intervals.parquet")
    assert kept["time_ms"].to_pylist() == [0, 60_000] * 2
    assert kept["policy"].to_pylist() == ["default"] * 2 + ["srtf"] * 2


def test_without_a_cluster_the_trace_brings_its_nodes(tmp_path: Path) -> None:
    sweep(study(tmp_path, cluster=None, policies=["default"]), tmp_path / "runs.parquet", workers=1)
    assert [asked["nodes"] for asked in Simulation.asked] == [2]


def test_parameters_of_the_trace_go_to_its_loader(tmp_path: Path) -> None:
    workload = {"name": "jobs", "trace": "jobs.swf", "form": "swf", "parameters": {"slower": 3}}
    changes: dict[str, Any] = {
        "workloads": [workload],
        "policies": ["default"],
        "parameters": {"load": [0.1]},
    }
    sweep(study(tmp_path, **changes), tmp_path / "runs.parquet", workers=1)
    # 3 pods x 100 m x 60 s over 12,000 m x 10 s is a load of 0.15
    assert Simulation.asked[0]["last_ms"] == 15_000


def test_names_that_the_simulation_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"parameters.estimate: .* \(expected estimates\)"):
        sweep(study(tmp_path, parameters={"estimate": 1}), tmp_path / "runs.parquet", workers=1)
    result = sweep(study(tmp_path, tables=["interval"]), tmp_path / "runs.parquet", workers=1)
    assert result.failed[0][1] == "tables: 'interval' is no table of the simulation (expected intervals)"


def test_load_stretches_arrivals() -> None:
    objects = ClusterObjects(pod_columns=[as_columns(traces.make("scheduler_perf", nodes=1, pods=3))])
    trace = Trace(objects, np.array([0, 5_000, 10_000]), np.array([20_000, -1, 20_000]))
    # 2 pods x 100 m x 20 s over 1,000 m x 10 s is a load of 0.4
    assert at_load(trace, 0.4, "cpu", 1000).submit_ms.tolist() == [0, 5_000, 10_000]
    assert at_load(trace, 0.8, "cpu", 1000).submit_ms.tolist() == [0, 2_500, 5_000]
    assert at_load(trace, 0.2, "cpu", 1000).submit_ms.tolist() == [0, 10_000, 20_000]
    endless = replace(trace, duration_ms=np.array([-1, -1, -1]))
    with pytest.raises(InputError, match="no pod or no node has cpu for a known time"):
        at_load(endless, 0.5, "cpu", 1000)
    with pytest.raises(InputError, match="all pods arrive at once"):
        at_load(replace(trace, submit_ms=np.zeros(3, np.int64)), 0.5, "cpu", 1000)


def test_the_cluster_of_a_study_counts(tmp_path: Path) -> None:
    assert CLUSTER.startswith("synthetic:scheduler_perf?nodes=3")
    sweep(study(tmp_path, policies=["default"]), tmp_path / "runs.parquet", workers=1)
    assert Simulation.asked[0]["nodes"] == 3
