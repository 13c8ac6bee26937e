"""The simulation does what its slow twin does, at every moment, however it is run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from kcore import kernel
from kcore.scheduler.plugins.contract import NodeView, PodView, score_plugin
from tests.sim.races import SimulationRace

pytestmark = pytest.mark.differential

CHUNK = 8


def assert_equal_runs(seed: int, **arguments: object) -> None:
    race = SimulationRace(seed, **arguments)  # type: ignore[arg-type]
    told = "\n".join(race.run()[:8])
    assert not told, f"SimulationRace({seed}, {arguments}), {race.options}, {race.manner}:\n{told}"


@pytest.mark.parametrize("chunk", range(6))
def test_the_twin_agrees(chunk: int) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        assert_equal_runs(seed)


@given_settings(max_examples=15)
@given(seed=st.integers(0, 2**32), nodes_max=st.integers(1, 12), pods_max=st.sampled_from((1, 3, 8)))
def test_the_twin_agrees_on_clusters_of_any_shape(seed: int, nodes_max: int, pods_max: int) -> None:
    assert_equal_runs(seed, nodes_max=nodes_max, pods_max=pods_max)


@pytest.mark.slow  # it compiles for a minute and more
@pytest.mark.skipif(not kernel.JIT, reason="with the JIT off the kernels are the interpreted ones")
def test_the_twin_agrees_with_the_compiled_loop() -> None:
    for seed in range(90_000, 90_030):
        assert_equal_runs(seed, compiled=True)


def test_users_policies_agree_too() -> None:
    @score_plugin("race_emptiest")
    def race_emptiest(pod: PodView, nodes: NodeView, out: object) -> None:
        for node in range(nodes.pod_count.shape[0]):
            out[node] = 50 - nodes.pod_count[node]  # type: ignore[index]

    for seed in range(70_000, 70_012):
        assert_equal_runs(seed, plugins="race_emptiest")
