"""Simulated clusters under faults: a few seeds, and bugs that must be caught."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from tests.cluster import planted
from tests.cluster.judge import Violation
from tests.cluster.swarm import scenario
from tests.cluster.world import World

STORIES = ("--story=batch", "--story=preempt", "--story=daemon")
SEEDS_UNTIL_CAUGHT = 6


def simulated(*arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines; a process of its own, as the order of sets is part of a run."""
    command = [sys.executable, "-m", "tests.cluster", *arguments]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONHASHSEED": "0"}
    )
    return ran.returncode, ran.stdout.splitlines()


def test_nothing_is_lost_and_nothing_doubled() -> None:
    code, lines = simulated("--first=1", "--seeds=2", *STORIES)
    assert code == 0, "\n".join(lines)


@pytest.mark.parametrize("bug", planted.ALL)
def test_planted_bugs_are_caught(bug: str) -> None:
    caught = []
    logging.disable(logging.CRITICAL)
    try:
        for seed in range(2, 2 + SEEDS_UNTIL_CAUGHT):
            World(scenario(seed, only_stories=("preempt", "daemon"), planted=[planted.ALL[bug]])).run()
    except Violation as violation:
        caught.append(violation)
    finally:
        logging.disable(logging.NOTSET)
    assert caught


@pytest.mark.slow
def test_equal_seeds_make_equal_runs() -> None:
    first, second = (simulated("--seed=9", "--story=rollout") for _ in range(2))
    assert first[0] == 0
    assert [line.rpartition(",")[0] for line in first[1]] == [line.rpartition(",")[0] for line in second[1]]


@pytest.mark.slow
def test_nothing_is_lost_in_many_clusters() -> None:
    code, lines = simulated("--first=1000", "--seeds=30")
    assert code == 0, "\n".join(lines)


@pytest.mark.slow
def test_pods_are_ready_again_after_a_clock_has_jumped() -> None:
    code, lines = simulated("--seed=5", "--strike=Jumps", "--story=stateful", "--story=daemon")
    assert code == 0, "\n".join(lines)
