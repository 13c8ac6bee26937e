"""The engine decides as the naive twin does, plugin by plugin, on random scenarios."""

from __future__ import annotations

import os
from typing import Any

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


POST_FILTERS: dict[str, dict[str, Any]] = {
    "preemption alone": {"multiPoint": {"disabled": [{"name": "DynamicResources"}]}},
    "claims alone": {"multiPoint": {"disabled": [{"name": "DefaultPreemption"}]}},
    "claims before all PreFilters": {"preFilter": {"enabled": [{"name": "DynamicResources"}]}},
    "preemption before claims": {
        "postFilter": {
            "disabled": [{"name": "*"}],
            "enabled": [{"name": "DefaultPreemption"}, {"name": "DynamicResources"}],
        }
    },
}
NOWHERE = {
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]} for name in "ab"]}
        ]
    }
}


@pytest.mark.parametrize("order", POST_FILTERS)
def test_they_agree_on_pods_that_pre_filter_turns_down_whoever_is_asked_then(order: str) -> None:
    profile = {"schedulerName": "default-scheduler", "plugins": POST_FILTERS[order]}
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [profile],
    }
    for seed in range(60_600, 60_606):
        scenario = random_scenario(seed, nodes_max=5) | {"config": config, "onPreempt": "evict"}
        for pod in scenario["pending"][::3]:
            pod["spec"].setdefault("affinity", {})["nodeAffinity"] = NOWHERE
        for pod in scenario["pending"]:
            if "nodeName" not in pod["spec"]:
                pod["status"]["nominatedNodeName"] = scenario["nodes"][0]["metadata"]["name"]
        wanted = naive_scenario.run_scenario(scenario)
        found = compare(wanted, engine_scenario.run_scenario(scenario)).mismatches
        assert not found, f"{seed}: {found[0]}"


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
