"""Simulated clusters keep their promises, equal seeds make equal runs, and planted bugs are caught."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator

import pytest

from tests.simulation.__main__ import command, run
from tests.simulation.swarm import scenario
from tests.simulation.world import STEPS_MAX, World

SEEDS_PER_BLOCK = 10
BLOCKS = 20


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Torn ends and full disks are what is asked for here; a member's log of them is thousands of lines."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def given(**changes: object) -> argparse.Namespace:
    """A command line."""
    defaults = {"members": None, "steps": STEPS_MAX, "planted": [], "only": [], "verbose": False}
    return argparse.Namespace(**{**defaults, **changes})


@pytest.mark.parametrize("block", range(BLOCKS))
def test_clusters_keep_their_promises(block: int) -> None:
    for seed in range(block * SEEDS_PER_BLOCK, (block + 1) * SEEDS_PER_BLOCK):
        _, wrong, _ = run(given(), seed)
        assert not wrong, f"{wrong}\nreproduce: {command(given(), seed)}"


def traced(seed: int) -> tuple[list[str], int, int, list[str]]:
    world = World(scenario(seed))
    world.run()
    histories = [
        str(operation) for each in world.scenario.clients for operation in getattr(each, "history", ())
    ]
    return [*world.lines], world.timeline.events_count, world.timeline.now_us, histories


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equal_seeds_make_equal_runs(seed: int) -> None:
    assert traced(seed) == traced(seed)


CANARIES = [
    ("no_fsync", (), range(20)),
    ("no_read_index", (), range(20)),
    ("promises_early", (), range(20)),
    ("skips_an_entry", (), range(20)),
    ("lying_disk", (), range(20)),
    ("learner_votes", ("MembershipChanges", "Partitions"), range(60, 100)),
    ("forgets_votes", ("Elections",), range(20)),
]
"""A planted bug, the faults to look for it with, and the seeds among which one must show it."""


@pytest.mark.parametrize(("planted", "only", "seeds"), CANARIES)
def test_planted_bugs_are_caught(planted: str, only: tuple[str, ...], seeds: range) -> None:
    line = given(planted=[planted], only=list(only))
    for seed in seeds:
        _, wrong, _ = run(line, seed)
        if wrong:
            assert f"--planted {planted}" in command(line, seed)
            return
    pytest.fail(f"{planted} passed {seeds}")
