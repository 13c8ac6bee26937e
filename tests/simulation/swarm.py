"""From a seed to a scenario: a random subset of faults and workloads, each of random strength (swarm testing).

Groce et al., Swarm Testing, 2012: runs that leave features out find more than runs that have a little of everything.
"""

from __future__ import annotations

import random
from typing import Any

from tests.simulation import faults
from tests.simulation.clients import Compactions, KeyValueClients, Leases, Watchers
from tests.simulation.world import STEPS_MAX, Scenario

SIZES = (1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7)
"""Members of a cluster, drawn with these frequencies."""

DURATION_US = 9_000_000
ELECTIONS_PERIOD_US = 150_000


def scenario(
    seed: int,
    *,
    members: int | None = None,
    steps_max: int = STEPS_MAX,
    planted: frozenset[str] = frozenset(),
    only: frozenset[str] = frozenset(),
) -> Scenario:
    """The scenario of that seed. ``only``: the names of its faults; chosen at random where empty."""
    chance = random.Random(f"scenario {seed}")
    size = chance.choice(SIZES)
    if members is not None:
        size = members
    chosen = [
        fault
        for likely, fault in _faults(chance, size)
        if (type(fault).__name__ in only if only else likely and chance.random() < likely)
    ]
    return Scenario(
        seed=seed,
        members=size,
        duration_us=DURATION_US,
        steps_max=steps_max,
        segment_bytes=chance.choice((2_048, 8_192, 65_536)),
        member=_constants(chance),
        rates=_rates(chance),
        clients=_clients(chance),
        faults=chosen,
        planted=planted,
    )


def _constants(chance: random.Random) -> dict[str, Any]:
    """What a member is configured with: small limits, so that logs are cut and snapshots taken all the time."""
    return {
        "tick_ms": 100,
        "election_ticks": chance.choice((5, 10)),
        "snapshot_count": chance.choice((10, 40, 10_000)),
        "catch_up_entries": chance.choice((0, 5, 20)),
        "snapshot_log_bytes": chance.choice((2_000, 10_000, 1 << 30)),
        "pre_vote": chance.random() < 0.8,
        "check_quorum": chance.random() < 0.9,
        "strict_reconfig_check": chance.random() < 0.8,
        "auto_compaction_mode": "revision",
        "auto_compaction_retention": chance.choice((0, 0, 50)),
        "corrupt_check_ms": chance.choice((0, 0, 2_000)),
        "lease_checkpoints": chance.random() < 0.3,
    }


def _rates(chance: random.Random) -> tuple[float, ...]:
    if chance.random() < 0.6:
        return ()
    return tuple(round(chance.uniform(0.8, 1.2), 3) for _ in range(7))


def _clients(chance: random.Random) -> list[Any]:
    found: list[Any] = [
        KeyValueClients(chance.randint(2, 8), chance.choice((2, 6)), chance.choice((50_000, 300_000)))
    ]
    if chance.random() < 0.6:
        found.append(Watchers(chance.randint(1, 4), chance.choice((50_000, 2_000_000))))
    if chance.random() < 0.5:
        found.append(Compactions(chance.choice((300_000, 3_000_000))))
    if chance.random() < 0.4:
        found.append(Leases(chance.randint(1, 3)))
    return found


def _faults(chance: random.Random, size: int) -> list[tuple[float, Any]]:
    """Every fault of some strength, with the probability that it is in a run."""

    def period() -> int:
        return chance.choice((400_000, 1_500_000, 4_000_000))

    return [
        (0.6, faults.Crashes(period())),
        (0.5, faults.Partitions(period())),
        (0.5, faults.BadWeather(period(), chance.choice((0.05, 0.3)))),
        (0.3, faults.SlowDisks(period())),
        (0.15, faults.FullDisks(period())),
        (0.3, faults.Pauses(period())),
        (0.3, faults.Transfers(period())),
        (0.0, faults.Elections(ELECTIONS_PERIOD_US)),  # only where it is asked for
        (
            0.35,
            faults.MembershipChanges(period(), members_max=min(7, size + 2), promotes=chance.random() < 0.7),
        ),
    ]
