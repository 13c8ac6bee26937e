"""Simulates clusters: ``python -m tests.simulation --seed 7 -v`` one, ``--seeds 10000 --jobs 2`` many.

A failure prints the one command that reproduces it, and ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import time
import traceback

from tests.simulation.swarm import scenario
from tests.simulation.world import STEPS_MAX, Scenario, World

PROGRESS_EVERY = 500
"""Seeds between two lines of progress."""


def command(given: argparse.Namespace, seed: int) -> str:
    """What reproduces that seed's run."""
    words = [f"python -m tests.simulation --seed {seed}"]
    if given.members is not None:
        words.append(f"--members {given.members}")
    if given.steps != STEPS_MAX:
        words.append(f"--steps {given.steps}")
    words += [f"--planted {name}" for name in given.planted]
    words += [f"--only {name}" for name in given.only]
    return " ".join([*words, "-v"])


def made(given: argparse.Namespace, seed: int) -> Scenario:
    """The seed's scenario by the command line."""
    return scenario(
        seed,
        members=given.members,
        steps_max=given.steps,
        planted=frozenset(given.planted),
        only=frozenset(given.only),
    )


def run(given: argparse.Namespace, seed: int) -> tuple[int, str, int]:
    """The seed, what went wrong (empty: nothing), and the number of events."""
    world = World(made(given, seed), verbose=print if given.verbose else None)
    try:
        world.run()
    except Exception as error:  # noqa: BLE001 - any failure is a finding
        lines = [] if given.verbose else [*world.lines][-20:]
        short = traceback.format_exception(error, limit=None if given.verbose else -4)
        return seed, "\n".join([str(world.scenario), *lines, "".join(short)]), world.timeline.events_count
    return seed, "", world.timeline.events_count


def _run(job: tuple[argparse.Namespace, int]) -> tuple[int, str, int]:
    return run(*job)


def _many(given: argparse.Namespace) -> int:
    start = time.monotonic()
    seeds = range(given.first, given.first + given.seeds)
    jobs = ((given, seed) for seed in seeds)
    failed = events = done = 0
    with multiprocessing.Pool(given.jobs) as pool:
        for seed, wrong, count in pool.imap_unordered(_run, jobs, chunksize=4):
            done += 1
            events += count
            if wrong:
                failed += 1
                print(wrong, f"reproduce: {command(given, seed)}", sep="\n", flush=True)
                if failed >= given.failures:
                    pool.terminate()
                    break
            if done % PROGRESS_EVERY == 0:
                print(f"{done} seeds, {events} events, {failed} failures", flush=True)
            if given.minutes and time.monotonic() - start > given.minutes * 60:
                pool.terminate()
                break
    print(f"{done} seeds from {given.first}, {events} events, {failed} failures")
    return 1 if failed else 0


def main() -> int:
    """One seed or many."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--seeds", type=int, default=200, help="run so many")
    parser.add_argument("--first", type=int, default=0, help="the first of many")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="stop many after that time")
    parser.add_argument("--members", type=int, help="in place of the seed's own number")
    parser.add_argument("--steps", type=int, default=STEPS_MAX, help="events until peace at the latest")
    parser.add_argument("--planted", action="append", default=[], help="a bug to be caught")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="a fault by its name; without any, they are chosen by the seed",
    )
    parser.add_argument("--failures", type=int, default=1, help="stop many after so many")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the trace")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # what a member logs of torn ends and full disks is not for people here
    if given.seed is None:
        return _many(given)
    _, wrong, count = run(given, given.seed)
    print(wrong or f"seed {given.seed}: {count} events, nothing wrong")
    if wrong:
        print(f"reproduce: {command(given, given.seed)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
