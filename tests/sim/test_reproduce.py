"""The experiments are the slow twin's, and, where the authors' curves are at hand, theirs to the hundredth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kcore import kernel
from kcore.api.errors import InputError
from kcore.sim.reproduce import fgd, runs
from kcore.sim.reproduce.go_random import GoRandom
from kcore.sim.reproduce.published import read_published
from tests.naive.gpu import protocol
from tests.naive.gpu.fragmentation import typical_pods
from tests.shared import SHARED
from tests.sim.tiny_trace import write_curves, write_trace

pytestmark = pytest.mark.differential
CURVES, TRACE = SHARED / "expected/openb_gpu_allocation.csv", SHARED / "datasets/openb"


def twin_curve(folder: Path, policy: str, seed: int) -> dict[int, float]:
    nodes = protocol.read_nodes(folder / fgd.NODES_FILE)
    pods = [pod for _, pod in protocol.read_pods(folder / "openb_pod_list_default.csv")]
    capacity = 1000 * sum(node.devices for node in nodes)
    random = GoRandom(seed)
    random.int63()
    arriving = protocol.tuned(pods, capacity, 1.3, random)
    for _ in range(fgd.DRAWS_MEANWHILE):
        random.int63()
    place = random.perm(len(nodes))
    order = [node for _, node in sorted(zip(place, nodes, strict=True), key=lambda pair: pair[0])]
    return protocol.allocation(arriving, protocol.run(order, arriving, policy, typical_pods(pods)), capacity)


@pytest.mark.parametrize("pods", [40, 90])
@pytest.mark.parametrize("policy", [name for name in fgd.POLICIES if name != "random"] + ["worst_fit"])
def test_an_experiment_is_the_twins(tmp_path: Path, policy: str, pods: int) -> None:
    write_trace(tmp_path, pods=pods)
    workload = fgd.load_workload(tmp_path, "default")
    for seed in (1, 2):
        curve = fgd.experiment(workload, policy, seed)
        expected = twin_curve(tmp_path, policy, seed)
        assert {load: curve[load] for load in expected if load <= fgd.LOAD_MAX} == {
            load: value for load, value in expected.items() if load <= fgd.LOAD_MAX
        }


def test_arrivals_ask_for_130_per_cent(tmp_path: Path) -> None:
    for pods in (40, 200):
        write_trace(tmp_path, pods=pods)
        workload = fgd.load_workload(tmp_path, "default")
        order = fgd.arrivals(workload, GoRandom(3))
        share = workload.gpu_milli[order].sum() / workload.capacity
        assert 1.2 < share <= 1.35
        assert (len(order) > pods) == (pods == 40)
        assert set(order) <= set(range(pods))


def test_random_placements_follow_the_seed(tmp_path: Path) -> None:
    write_trace(tmp_path)
    workload = fgd.load_workload(tmp_path, "default")
    once, again, other = (fgd.experiment(workload, "random", seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_processes_find_what_one_finds(tmp_path: Path) -> None:
    write_trace(tmp_path)
    told: list[tuple[int, int]] = []
    one = runs.run_all(tmp_path, ["default"], ["fgd", "best_fit"], [1, 2], 1)
    two = runs.run_all(tmp_path, ["default"], ["fgd", "best_fit"], [1, 2], 2, lambda *both: told.append(both))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert one.keys() == two.keys()
    for key, curves in one.items():
        for seed, curve in curves.items():
            np.testing.assert_array_equal(two[key][seed], curve)


def test_points_are_means_beside_published_ones(tmp_path: Path) -> None:
    write_curves(tmp_path / "curves.csv", "fgd", 91.0)
    published = read_published(tmp_path / "curves.csv")
    flat = np.full(fgd.LOAD_MAX + 1, 91.2)
    ours = {("default", "fgd"): {1: flat, 2: flat + 1}, ("default", "tetris"): {1: flat * np.nan}}
    found = runs.points(ours, published, loads=(100,))
    assert found[0][:4] == ("default", "fgd", 100, 91.7)
    assert found[0].sd == pytest.approx(0.7071, abs=1e-4)
    assert found[0].published_mean == 91.0
    assert found[0].is_off
    assert found[1] == ("default", "tetris", 100, None, None, None)
    assert not found[1].is_off


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"openb_node_list_gpu_node.csv: there is no such file"):
        fgd.load_workload(tmp_path, "default")
    (tmp_path / "a.csv").write_text("workload,seed\nx,1\n")
    with pytest.raises(InputError, match=r"a\.csv: has no column 'sc_policy'"):
        read_published(tmp_path / "a.csv")
    write_curves(tmp_path / "b.csv", "fgd", 91.0)
    text = (tmp_path / "b.csv").read_text().replace("91.0", "ninety", 1)
    (tmp_path / "b.csv").write_text(text)
    with pytest.raises(InputError, match=r"b\.csv: row 2: 0: 'ninety' is not a number"):
        read_published(tmp_path / "b.csv")
    write_trace(tmp_path)
    (tmp_path / fgd.NODES_FILE).write_text("sn,cpu\na,1\n")
    with pytest.raises(InputError, match="has not the columns of the trace openb"):
        fgd.load_workload(tmp_path, "default")


@pytest.mark.vectors
@pytest.mark.skipif(not (CURVES.exists() and TRACE.exists()), reason="no published curves in KCORE_SHARED")
@pytest.mark.skipif(
    not kernel.JIT, reason="ten thousand pods on a thousand nodes are too many for the interpreter"
)
@pytest.mark.parametrize("policy", ["best_fit", "fgd", "gpu_packing"])
def test_seed_42_is_the_published_curve_to_the_hundredth(policy: str) -> None:
    theirs = read_published(CURVES)["default", policy][42]
    ours = fgd.experiment(fgd.load_workload(TRACE, "default"), policy, 42)
    assert np.nanmax(np.abs(ours - theirs)) < 0.011
    assert np.isnan(theirs).sum() == 0
