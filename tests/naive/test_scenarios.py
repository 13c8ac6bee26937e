"""Random scenarios are repeatable, varied, and playable."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.naive_scenario import run_scenario
from tests.conformance.scheduler_vectors import compare
from tests.naive.scenarios import FEATURES, canonical, random_scenario

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(200)


@cache
def played(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A scenario and the twin's output line for it."""
    scenario = random_scenario(seed)
    return scenario, run_scenario(scenario)


def keys_of(value: Any) -> Iterator[str]:
    """Every mapping key inside a JSON value."""
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


def test_one_seed_gives_one_scenario() -> None:
    assert canonical(7) == canonical(7)
    assert canonical(7) != canonical(8)
    assert json.loads(canonical(7)) == random_scenario(7)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_scenario_does_not_depend_on_string_hashing(hash_seed: str) -> None:
    text = "".join(canonical(seed) for seed in range(5))
    program = (
        "import hashlib; from tests.naive.scenarios import canonical;"
        "print(hashlib.sha256(''.join(canonical(seed) for seed in range(5)).encode()).hexdigest())"
    )
    environment = dict(os.environ, PYTHONHASHSEED=hash_seed)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == hashlib.sha256(text.encode()).hexdigest()


def test_limits_are_kept() -> None:
    for seed in SEEDS:
        scenario = random_scenario(seed, nodes_max=3, pods_max=4)
        assert 1 <= len(scenario["nodes"]) <= 3
        assert len(scenario["pods"]) <= 4
        assert 1 <= len(scenario["pending"]) <= 4


def test_start_times_and_uids_are_distinct() -> None:
    for seed in SEEDS:
        scenario = random_scenario(seed)
        starts = [pod["status"]["startTime"] for pod in scenario["pods"]]
        uids = [pod["metadata"]["uid"] for pod in scenario["pods"] + scenario["pending"]]
        assert len(set(starts)) == len(starts)
        assert len(set(uids)) == len(uids)


def test_every_feature_occurs() -> None:
    scenarios = [random_scenario(seed) for seed in range(200)]
    assert {tag for scenario in scenarios for tag in scenario["tags"]} == set(FEATURES)
    wanted = {
        "schedulingGates", "nominatedNodeName", "deletionTimestamp", "containerStatuses", "allocatedResources",
        "hostIP", "minDomains", "matchLabelKeys", "namespaceSelector", "matchFields", "overhead", "disruptedPods",
        "ignoredResourceGroups", "requestedToCapacityRatio", "defaultConstraints", "addedAffinity", "onPreempt",
    }  # fmt: skip
    assert wanted - {key for scenario in scenarios for key in keys_of(scenario)} == set()


@pytest.mark.differential
def test_the_twin_plays_every_scenario_and_repeats_itself() -> None:
    for seed in SEEDS:
        scenario, line = played(seed)
        assert [pod.get("error") for pod in line["pods"] if "error" in pod] == [], scenario["name"]
        agreement = compare(line, run_scenario(json.loads(json.dumps(scenario))))
        assert agreement.is_complete


def test_outcomes_are_varied() -> None:
    entries = [pod for seed in SEEDS for pod in played(seed)[1]["pods"]]
    assert sum("preEnqueue" in entry for entry in entries) > 5
    assert sum("preFilter" in entry for entry in entries) > 0
    assert sum(len(entry.get("feasible", ())) > 1 for entry in entries) > 50
    assert sum("fitError" in entry for entry in entries) > 50
    assert sum("candidates" in entry.get("preemption", ()) for entry in entries) > 20
    rejecting = {reject["plugin"] for entry in entries for reject in entry.get("rejects", ())}
    assert rejecting >= {
        "NodeUnschedulable", "TaintToleration", "NodeAffinity", "NodePorts", "NodeResourcesFit",
        "PodTopologySpread", "InterPodAffinity", "PreFilterResult",
    }  # fmt: skip
