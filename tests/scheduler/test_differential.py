"""The engine decides as the naive twin does, plugin by plugin, on random scenarios."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcore import kernel
from tests.conformance import engine_scenario, naive_scenario
from tests.conformance.scheduler_vectors import Mismatch, compare
from tests.naive.scenarios import random_scenario

pytestmark = pytest.mark.differential

CHUNK = 25
INTERPRETED_CHUNKS = 12
COMPILED_SEEDS = range(10_000, 10_060)
CONFLICT_WITHOUT_PREEMPTION = 30_150
"""A pod that PreFilter turns down, in a profile where DynamicResources alone is asked what then."""
SOAK_SEEDS_MAX = 2_000


def mismatches(seed: int, *, compiled: bool = False, **limits: int) -> list[Mismatch]:
    """The decisions on which engine and twin differ in the scenario of that seed."""
    scenario = random_scenario(seed, **limits)
    wanted = naive_scenario.run_scenario(scenario)
    return compare(wanted, engine_scenario.run_scenario(scenario, compiled=compiled)).mismatches


def assert_agreement(seed: int, *, compiled: bool = False, **limits: int) -> None:
    found = mismatches(seed, compiled=compiled, **limits)
    told = "\n".join(map(str, found[:5]))
    assert not found, f"random_scenario({seed}, **{limits}): {len(found)} decisions differ\n{told}"


@pytest.mark.parametrize("chunk", range(INTERPRETED_CHUNKS))
def test_the_interpreted_engine_agrees_with_the_twin(chunk: int) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        assert_agreement(seed)


def test_the_words_after_post_filter_are_compared_only_where_recordings_have_them() -> None:
    assert_agreement(CONFLICT_WITHOUT_PREEMPTION)


@pytest.mark.skipif(not kernel.JIT, reason="with the JIT off the kernels are the interpreted ones")
@pytest.mark.parametrize("first", COMPILED_SEEDS[::20])
def test_the_compiled_engine_agrees_with_the_twin(first: int) -> None:
    for seed in range(first, first + 20):
        assert_agreement(seed, compiled=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), nodes_max=st.integers(1, 20), pods_max=st.sampled_from((1, 3, 8, 24)))
def test_the_engine_agrees_with_the_twin_on_clusters_of_any_shape(
    seed: int, nodes_max: int, pods_max: int
) -> None:
    assert_agreement(seed, nodes_max=nodes_max, pods_max=pods_max)


def test_a_difference_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from kcore.scheduler import cycle

    monkeypatch.setattr(cycle, "fit_filter", lambda *_: None)
    assert any(mismatches(seed) for seed in range(CHUNK))


@pytest.mark.slow
def test_the_engine_agrees_with_the_twin_for_a_long_time() -> None:
    first = int(os.environ.get("KCORE_SOAK_SEED", "1000000"))
    count = int(os.environ.get("KCORE_SOAK_COUNT", str(SOAK_SEEDS_MAX)))
    for seed in range(first, first + count):
        assert_agreement(seed, compiled=kernel.JIT and seed % 2 == 1)
