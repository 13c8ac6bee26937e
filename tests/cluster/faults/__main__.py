"""Real faults on real processes: ``python -m tests.cluster.faults --rounds 100``; exit code 1 where something is wrong."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.cluster.faults.rounds import FAULTS, run


def main() -> int:
    """Run the rounds; the directory is kept where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pods", type=int, default=100)
    parser.add_argument("--whole", action="store_true", help="kcore up, all in one process")
    parser.add_argument("--fault", default="", choices=["", *FAULTS], help="only this one")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kcore-cluster-faults-"))
    try:
        asyncio.run(
            run(
                folder, given.rounds, given.seed, pods=given.pods, is_whole=given.whole, fault=given.fault,
                tell=lambda line: print(line, flush=True),
            )
        )  # fmt: skip
    except AssertionError as wrong:
        print(wrong, f"logs and data are in {folder}", sep="\n")
        return 1
    shutil.rmtree(folder)
    print(f"{given.rounds} rounds, every rollout and every job came out as without faults")
    return 0


if __name__ == "__main__":
    sys.exit(main())
