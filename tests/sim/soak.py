"""Races simulations with their slow twin from a seed for so many minutes: ``python -m tests.sim.soak --minutes 20``.

A difference prints the one command that reproduces it, and ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import sys
import time

from kcore import kernel
from tests.sim.races import SimulationRace

SIZES = ((6, 8), (3, 10), (12, 6), (1, 4), (20, 12))
"""Nodes and kinds of pods of a race, at most; there are several pods of each kind."""


def race(seed: int) -> list[str]:
    """The differences in the race of that seed; every third one runs compiled."""
    nodes_max, pods_max = SIZES[seed % len(SIZES)]
    compiled = kernel.JIT and seed % 3 == 0
    return SimulationRace(seed, compiled=compiled, nodes_max=nodes_max, pods_max=pods_max).run()


def main() -> int:
    """Race until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, help="races, whatever the time")
    given = parser.parse_args()
    seed, start = given.seed, time.monotonic()
    while seed - given.seed < given.count if given.count else time.monotonic() - start < given.minutes * 60:
        try:
            found = race(seed)
        except Exception as error:  # noqa: BLE001 - any failure of either side is a finding
            found = [f"{type(error).__name__}: {error}"]
        if found:
            print(*found[:8], sep="\n")
            print(f"reproduce: python -m tests.sim.soak --seed {seed} --count 1")
            return 1
        seed += 1
        if (seed - given.seed) % 100 == 0:
            print(f"{seed - given.seed} simulations, no difference", flush=True)
    print(f"{seed - given.seed} simulations from seed {given.seed}, no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
