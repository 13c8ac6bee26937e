"""The command ``kcore``: subcommands, exit codes, and errors of one line.

Exit codes: 0 done; 1 the job ran and the answer is no; 2 bad input or usage; 3 internal error. Modules that the start
needs are few and light, so that ``kcore --help`` answers at once; each job imports what it needs when it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer
import typer.main
from typer.exceptions import TyperException

from kcore.api.errors import KcoreError
from kcore.cli import (
    apiserver,
    bench,
    controllers,
    datasets,
    etcd,
    hollow_nodes,
    optimum,
    plots,
    reproduce,
    schedule,
    scheduler,
    simulate,
    snapshot,
    sweep,
    up,
)

DONE, NO, BAD_INPUT, INTERNAL = 0, 1, 2, 3
INTERRUPTED = 130  # as shells report SIGINT

COMPLETION_VARIABLE = "_KCORE_COMPLETE"  # set by the shell when it asks for completions
VERBOSE_FLAGS = ("-v", "--verbose")

SETTINGS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="kcore",
    help="The Kubernetes control plane as a Python library: API server, store, and kube-scheduler's decisions.",
    rich_markup_mode=None,  # importing rich would double the time to --help
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings=SETTINGS,
)
app.command("schedule", context_settings=SETTINGS)(schedule.schedule)
app.command("optimum", context_settings=SETTINGS)(optimum.optimum)
app.command("bench", context_settings=SETTINGS)(bench.bench)
app.command("simulate", context_settings=SETTINGS)(simulate.simulate)
app.command("sweep", context_settings=SETTINGS)(sweep.sweep)
app.command("plot", context_settings=SETTINGS)(plots.plot)
app.command("reproduce", context_settings=SETTINGS)(reproduce.reproduce)
app.command("up", context_settings=SETTINGS)(up.up)
app.command("apiserver", cls=apiserver.ApiServerCommand, context_settings=SETTINGS)(apiserver.apiserver)
app.command("controller-manager", cls=controllers.ControllerManagerCommand, context_settings=SETTINGS)(
    controllers.controller_manager
)
app.command("scheduler", cls=scheduler.SchedulerCommand, context_settings=SETTINGS)(scheduler.scheduler)
app.command("etcd", cls=etcd.EtcdCommand, context_settings=SETTINGS)(etcd.etcd)
app.command("hollow-nodes", cls=hollow_nodes.HollowNodesCommand, context_settings=SETTINGS)(
    hollow_nodes.hollow_nodes
)
app.add_typer(snapshot.app, name="snapshot")
app.add_typer(datasets.app, name="datasets")


def _print_version(wanted: bool) -> None:
    if wanted:
        from kcore import __version__

        print(f"kcore {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Options that come before the subcommand."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (by default this process') and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last frame: what went wrong is said
        return failed(error, arguments)


def failed(error: BaseException, arguments: Sequence[str]) -> int:
    """The exit code of a command that raised; what went wrong has been said in one line."""
    if isinstance(error, TyperException):
        return _usage_error(error)
    if isinstance(error, KcoreError):
        return _complain(str(error), BAD_INPUT)
    if isinstance(error, BrokenPipeError):
        # whoever read our output has enough of it; keep the interpreter from flushing into the closed pipe
        _discard_output()
        return DONE
    if isinstance(error, OSError) and error.filename:
        return _complain(f"{error.filename}: {error.strerror or error}", BAD_INPUT)
    if isinstance(error, KeyboardInterrupt):
        return _complain("interrupted", INTERRUPTED)
    return _internal_error(error, arguments)


def _run(arguments: list[str]) -> int:
    """Parses and runs; every exception comes out as it was raised, which Typer's own way would not do."""
    command = typer.main.get_command(app)
    if COMPLETION_VARIABLE in os.environ:
        command(prog_name="kcore")
    try:
        with command.make_context("kcore", arguments) as context:
            command.invoke(context)
    except typer.Exit as exit_:
        return exit_.exit_code
    return DONE


def _complain(problem: str, code: int) -> int:
    print(f"kcore: error: {' '.join(problem.split())}", file=sys.stderr)
    return code


def _usage_error(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
        return BAD_INPUT
    command = context.command_path if context is not None else "kcore"
    return _complain(f"{error.format_message().rstrip('.')} ({command} --help tells more)", BAD_INPUT)


def _internal_error(error: BaseException, arguments: Sequence[str]) -> int:
    if any(flag in arguments for flag in VERBOSE_FLAGS):
        import traceback

        traceback.print_exception(error)
    hint = (
        "" if any(flag in arguments for flag in VERBOSE_FLAGS) else " (-v after the subcommand shows where)"
    )
    text = str(error).splitlines()[0] if str(error) else "no message"
    return _complain(f"internal: {type(error).__name__}: {text}{hint}", INTERNAL)


def _discard_output() -> None:
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
