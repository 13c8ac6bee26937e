"""Runs races of the two engines from a seed for so many minutes: ``python -m tests.scheduler.soak --minutes 20``.

A difference prints the one command that reproduces it, and ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import sys
import time

from kcore import kernel
from tests.scheduler.races import Race

SIZES = ((10, 24), (40, 40), (60, 60), (150, 30), (3, 80))
"""Nodes and pods of a race, at most; each pod is there several times."""


def race(seed: int) -> list[str]:
    """The differences in the race of that seed."""
    nodes_max, pods_max = SIZES[seed % len(SIZES)]
    found = Race(seed, compiled=kernel.JIT, nodes_max=nodes_max, pods_max=pods_max).run()
    return found


def main() -> int:
    """Race until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, help="races, whatever the time")
    given = parser.parse_args()
    seed, start = given.seed, time.monotonic()
    while seed - given.seed < given.count if given.count else time.monotonic() - start < given.minutes * 60:
        try:
            found = race(seed)
        except Exception as error:  # noqa: BLE001 - any failure of either engine is a finding
            found = [f"{type(error).__name__}: {error}"]
        if found:
            print(*found[:8], sep="\n")
            print(f"reproduce: python -m tests.scheduler.soak --seed {seed} --count 1")
            return 1
        seed += 1
        if (seed - given.seed) % 500 == 0:
            print(f"{seed - given.seed} races, no difference", flush=True)
    print(f"{seed - given.seed} races from seed {given.seed}, no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
