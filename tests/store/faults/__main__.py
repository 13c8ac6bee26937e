"""Real faults on real processes: ``python -m tests.store.faults --rounds 100``; exit code 1 where a promise is broken."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.store.faults.rounds import FAULTS, run


def main() -> int:
    """Run the rounds; the directory is kept where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.store.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], choices=list(FAULTS))
    given = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="kcore-faults-"))
    try:
        asyncio.run(
            run(
                directory,
                given.rounds,
                given.seed,
                only=tuple(given.only),
                tell=lambda line: print(line, flush=True),
            )
        )
    except AssertionError as wrong:
        print(wrong, f"logs and data are in {directory}", sep="\n")
        return 1
    shutil.rmtree(directory)
    print(f"{given.rounds} rounds, no acknowledged write lost, every history linearizable")
    return 0


if __name__ == "__main__":
    sys.exit(main())
