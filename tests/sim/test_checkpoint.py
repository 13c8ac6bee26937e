"""A simulation that was saved goes on as if it had not been, and no other file is taken for one."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kcore.api.errors import InputError
from kcore.sim import Simulation
from kcore.sim.checkpoint import META
from tests.sim.test_simulation import cluster, group, node, trace

JOBS = [
    (1000 * (index // 2), 3000 + 500 * (index % 5), 1 + index % 3, 10 * (index % 4 == 3))
    for index in range(40)
]
ARGUMENTS: dict[str, Any] = {
    "tie_break": "random",
    "seed": 7,
    "preempted": "resume",
    "scenario": [
        {"at": 2000, "kind": "fail-node", "name": "n1"},
        {"at": 4000, "kind": "add-node", "name": "twin", "like": "n0"},
        {"at": 6000, "kind": "cordon", "name": "twin"},
        {"at": 9000, "kind": "add-node", "node": node("late", 8)},
        {"at": 12_000, "kind": "uncordon", "name": "twin"},
        {"at": 14_000, "kind": "set-priority", "pod": "p00039", "priority": 100},
        {"at": 15_000, "kind": "delete-pod", "pod": "p00038"},
    ],
    "groups": [group(max=2)],
}


def begun(until: int, **more: Any) -> Simulation:
    simulation = Simulation(cluster(4, 3, 2), trace(*JOBS), **ARGUMENTS | more)
    simulation.run(until)
    return simulation


def loaded(path: Path, **more: Any) -> Simulation:
    return Simulation.load(path, cluster(4, 3, 2), trace(*JOBS), **ARGUMENTS | more)


@pytest.mark.parametrize("until", [0, 500, 4000, 8000, 9000, 13_500, 30_000])
def test_the_rest_is_the_same(tmp_path: Path, until: int) -> None:
    simulation = begun(until)
    simulation.save(tmp_path / "one.npz")
    other = loaded(tmp_path / "one.npz")
    assert other.now_ms == simulation.now_ms
    assert [path.name for path in tmp_path.iterdir()] == ["one.npz"]
    first, second = simulation.run(), other.run()
    assert first.summary == second.summary
    assert first.summary["preemptions"] > 0
    for name, table in first.metrics.items():
        assert table.equals(second.metrics[name]), name


def test_a_checkpoint_of_a_checkpoint(tmp_path: Path) -> None:
    whole = begun(0).run()
    path = tmp_path / "one.npz"
    simulation = begun(0)
    for until in range(1000, 20_000, 3000):
        simulation.run(until)
        simulation.save(path)
        simulation = loaded(path)
    assert simulation.run().summary == whole.summary


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"seed": 8}, "another seed"),
        ({"preempted": "restart"}, "another preempted"),
        ({"scenario": []}, "another scenario"),
        ({"groups": [group(max=3)]}, "another groups"),
        ({"order": "sjf"}, "another order"),
    ],
)
def test_other_arguments_are_refused(tmp_path: Path, more: dict[str, Any], told: str) -> None:
    begun(5000).save(tmp_path / "one.npz")
    with pytest.raises(InputError, match=rf"one\.npz: was saved with {told} \(expected the same inputs\)"):
        loaded(tmp_path / "one.npz", **more)


def test_another_trace_or_cluster_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    begun(5000).save(path)
    with pytest.raises(InputError, match="was saved with another trace"):
        Simulation.load(path, cluster(4, 3, 2), trace(*JOBS[:-1], (20_000, 1, 1)), **ARGUMENTS)
    with pytest.raises(InputError, match="was saved with another cluster"):
        Simulation.load(path, cluster(4, 3, 3), trace(*JOBS), **ARGUMENTS)


def rewritten(path: Path, change: Any) -> None:
    """The file with its arrays and meta changed."""
    with np.load(path) as stream:
        arrays = {name: stream[name] for name in stream.files}
    meta = json.loads(arrays[META].tobytes())
    change(meta, arrays)
    arrays[META] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    np.savez(path, **arrays)


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    begun(5000).save(path)
    rewritten(path, lambda meta, arrays: meta.update(format=99))
    with pytest.raises(InputError, match="is a checkpoint of version 99"):
        loaded(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeline.head", 10_000), ("timeline.following", 10_000), ("timeline.of_class", -7), ("timeline.ending", 4000),
        ("timeline.home", 99), ("timeline.status", 9), ("timeline.number", 99), ("pods.node", 77), ("placed", 50),
        ("touched.ring", 1000), ("kept", 4000), ("timeline.clock", 1 << 40),
    ],
)  # fmt: skip
def test_numbers_out_of_bounds_are_refused(tmp_path: Path, name: str, value: int) -> None:
    path = tmp_path / "one.npz"
    begun(5000).save(path)

    def change(meta: Any, arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = np.full_like(arrays[name], value)

    rewritten(path, change)
    with pytest.raises(InputError, match=r"one\.npz: .*is damaged"):
        loaded(path)


@pytest.mark.parametrize(
    "name", ["timeline.status", "timeline.clock", "ledger", "pods.start", "timeline.ready"]
)
def test_arrays_of_another_length_or_type_are_refused(tmp_path: Path, name: str) -> None:
    for change in (lambda array: array[..., :-1], lambda array: array.astype(np.float32)):
        path = tmp_path / "one.npz"
        begun(5000).save(path)

        def cut(meta: Any, arrays: dict[str, np.ndarray], change: Any = change) -> None:
            arrays[name] = np.ascontiguousarray(change(arrays[name]))

        if name == "ledger" and not begun(0).state.world().nodes.ledger.size:
            continue
        rewritten(path, cut)
        with pytest.raises(InputError, match="is damaged"):
            loaded(path)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    with pytest.raises(InputError, match=r"one\.npz: is not there"):
        loaded(path)
    begun(5000).save(path)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is no checkpoint, or is damaged"):
            loaded(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(InputError, match="is no checkpoint, or is damaged"):
        loaded(path)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "done").touch, ())

    path = tmp_path / "one.npz"
    np.savez(path, **{META: np.array([Evil()], dtype=object)})
    with pytest.raises(InputError, match="is no checkpoint, or is damaged"):
        loaded(path)
    assert not (tmp_path / "done").exists()


def test_the_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.npz"
    simulation = begun(5000)
    simulation.save(path)
    before = path.read_bytes()

    def full(stream: io.BufferedWriter, **arrays: Any) -> None:
        stream.write(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(InputError, match=r"one\.npz: cannot be written: No space left on device"):
        simulation.save(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["one.npz"]
    assert zipfile.is_zipfile(path)


def test_what_nobody_could_replay_is_not_saved(tmp_path: Path) -> None:
    simulation = begun(5000)
    simulation.happen({"kind": "remove-node", "name": "n0"})
    with pytest.raises(InputError, match="events were made to happen by hand"):
        simulation.save(tmp_path / "one.npz")
