"""The command ``kcore``, which is also ``python -m kcore``: hands the arguments to :mod:`kcore.cli.app`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process; the result is the exit code."""
    arguments = sys.argv[1:]
    from kcore.cli.daemons import plain

    serve = plain(arguments)
    if serve is None:
        from kcore.cli.app import main as run

        return run(arguments)
    import gc

    gc.disable()  # until it is ready: what the start makes stays
    try:
        return serve()
    except Exception as error:  # noqa: BLE001 - said as any other command's is
        from kcore.cli.app import failed

        return failed(error, arguments)
    except KeyboardInterrupt as error:
        from kcore.cli.app import failed

        return failed(error, arguments)


if __name__ == "__main__":
    sys.exit(main())
