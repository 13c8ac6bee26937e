"""The command ``kcore``, which is also ``python -m kcore``: hands the arguments to :mod:`kcore.cli.app`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process; the result is the exit code."""
    from kcore.cli.app import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
