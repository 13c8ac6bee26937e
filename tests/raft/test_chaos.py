"""Random faults never break Raft's safety, and once they end the group gets on."""

from __future__ import annotations

import os

import pytest

from tests.raft.chaos import Chaos

SEEDS = range(int(os.environ.get("KCORE_RAFT_SEEDS", "40")))
STEPS = 5000


def run(seed: int, steps: int = STEPS) -> Chaos:
    chaos = Chaos(seed)
    for step in range(steps):
        chaos.step()
        if step % 100 == 0:
            chaos.check_logs()
    chaos.check_logs()
    chaos.heal()
    chaos.check_logs()
    return chaos


@pytest.mark.parametrize("seed", SEEDS)
def test_the_group_stays_safe_and_gets_on(seed: int) -> None:
    run(seed)


def test_the_faults_do_not_keep_everything_from_happening() -> None:
    runs = [run(seed) for seed in range(5)]
    assert sum(len(chaos.chosen) for chaos in runs) > 100
    assert sum(len(chaos.leaders) for chaos in runs) > 10
    assert any(chaos.states for chaos in runs)


def test_the_same_seed_does_the_same() -> None:
    assert run(3, 800).chosen == run(3, 800).chosen
