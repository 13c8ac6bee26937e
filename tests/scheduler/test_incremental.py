"""The incremental engine decides as the full pass does, pod for pod, score for score, in every situation."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcore import kernel
from tests.scheduler.races import Race

pytestmark = pytest.mark.differential

CHUNK = 25


def assert_equal_decisions(seed: int, *, compiled: bool = False, **limits: int) -> None:
    found = Race(seed, compiled=compiled, **limits).run()
    told = "\n".join(found[:8])
    assert not found, f"Race({seed}, compiled={compiled}, {limits}):\n{told}"


@pytest.mark.parametrize("chunk", range(8))
def test_both_engines_agree_in_the_interpreter(chunk: int) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        assert_equal_decisions(seed)


@pytest.mark.skipif(not kernel.JIT, reason="with the JIT off the kernels are the interpreted ones")
@pytest.mark.parametrize("chunk", range(2))
def test_both_engines_agree_when_compiled(chunk: int) -> None:
    for seed in range(50_000 + chunk * 100, 50_100 + chunk * 100):
        assert_equal_decisions(seed, compiled=True, nodes_max=40, pods_max=40)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), nodes_max=st.integers(1, 30), pods_max=st.sampled_from((1, 3, 8, 24)))
def test_both_engines_agree_on_clusters_of_any_shape(seed: int, nodes_max: int, pods_max: int) -> None:
    assert_equal_decisions(seed, nodes_max=nodes_max, pods_max=pods_max)


def test_nodes_without_a_limit_hold_any_number_of_victims() -> None:
    """A profile without NodeResourcesFit puts more pods on a node than it allows, and preemption looks at all."""
    assert_equal_decisions(1_002_304, nodes_max=3, pods_max=80)
