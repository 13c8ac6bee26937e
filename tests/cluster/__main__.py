"""Simulates clusters under faults: ``python -m tests.cluster --seed 7 -v`` one, ``--seeds 300`` many.

A failure prints the one command that repeats it, and ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
import traceback

from tests.cluster import planted
from tests.cluster.loop import Stuck
from tests.cluster.swarm import expected_of, scenario
from tests.cluster.world import World


def command(given: argparse.Namespace, seed: int) -> str:
    """What repeats that seed's run."""
    words = [f"python -m tests.cluster --seed {seed}"]
    words += [f"--story {name}" for name in given.story]
    words += [f"--strike {name}" for name in given.strike]
    words += [f"--planted {name}" for name in given.planted]
    return " ".join([*words, "-v"])


def run(given: argparse.Namespace, seed: int) -> tuple[str, str]:
    """What went wrong (empty: nothing), and a digest of what happened."""
    bugs = [planted.ALL[name] for name in given.planted]
    chosen = scenario(seed, only_stories=given.story, only_strikes=given.strike, planted=bugs)
    world = World(chosen, expected_of(chosen), verbose=given.verbose)
    try:
        world.run()
    except (Exception, Stuck) as error:  # noqa: BLE001 - any failure is a finding
        lines = [] if given.verbose else [*world.lines][-40:]
        return "\n".join([f"seed {seed}", *lines, *traceback.format_exception(error, limit=-6)]), ""
    return "", f"{world.judge.revision} revisions, {world.judge.digest.hexdigest()[:12]}"


def main() -> int:
    """One seed or many."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--seeds", type=int, default=20, help="run so many")
    parser.add_argument("--first", type=int, default=1, help="the first of many")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many")
    parser.add_argument(
        "--story", action="append", default=[], help="only this one; may be given several times"
    )
    parser.add_argument(
        "--strike", action="append", default=[], help="only this fault; may be given several times"
    )
    parser.add_argument(
        "--planted", action="append", default=[], choices=[*planted.ALL], help="a bug to be caught"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print what happens")
    parser.add_argument("--log", action="store_true", help="print what components log, too")
    given = parser.parse_args()
    if not given.log:
        logging.disable(logging.CRITICAL)
    else:
        logging.basicConfig(
            level=logging.INFO, format="%(name)s %(levelname)s %(message)s", stream=sys.stdout
        )
    seeds = [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
    failed = 0
    for seed in seeds:
        began = time.process_time()
        wrong, what = run(given, seed)
        gc.collect()
        if wrong:
            failed += 1
            print(wrong, f"repeat: {command(given, seed)}", sep="\n", flush=True)
            if failed >= given.failures:
                break
        else:
            print(f"seed {seed}: {what}, {time.process_time() - began:.1f} s", flush=True)
    print(f"{failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is part of a run
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.cluster", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
