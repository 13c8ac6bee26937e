"""``kcore sweep``: run a study, what is missing of it, and write one tidy Parquet file."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kcore.api.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from kcore.sim.sweep import Swept

FIGURES_SHOWN_MAX = 5  # columns of means in -o table
GROUPS_SHOWN_MAX = 40  # rows of means in -o table

File = Annotated[str, typer.Argument(metavar="STUDY.yaml", help="What to run: see docs/sweep.md.")]
Engine = Annotated[
    Literal["local", "ray"],
    typer.Option("--engine", help="Processes of this machine, or an existing Ray cluster."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="HOST:PORT",
        help="Of the Ray cluster; auto finds one on this machine, local starts one. By default RAY_ADDRESS.",
    ),
]
Workers = Annotated[
    int, typer.Option("--workers", min=0, help="Runs at once; 0 for as many as there are processors.")
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="The Parquet file; by default NAME.parquet. Finished runs are kept in FILE.runs/.",
    ),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Forget what earlier sweeps finished, and run all anew.")
]
Output = Annotated[
    Literal["table", "json", "jsonl", "yaml", "csv"],
    typer.Option("-o", "--output", help="Form of what is printed."),
]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Say what is done; show tracebacks of internal errors.")
]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="No progress bar on the terminal.")]


def sweep(
    study: File,
    engine: Engine = "local",
    ray_address: RayAddress = None,
    workers: Workers = 0,
    out: Out = None,
    fresh: Fresh = False,
    output: Output = "table",
    verbose: Verbose = False,
    no_progress: NoProgress = False,
) -> None:
    """Run a study: workloads x policies x parameters x seeds. What an earlier sweep finished is not run again."""
    from kcore.cli.output import check_writable
    from kcore.sim.study import read_study
    from kcore.sim.sweep import sweep as run_study

    if ray_address and engine != "ray":
        raise InputError("has no cluster to reach", field="--ray-address", expected="--engine ray too")
    given = read_study(study)
    path = out or f"{given.name}.parquet"
    if not path.endswith(".parquet"):
        raise InputError(f"{path} is no Parquet file", field="--out", expected="a name that ends in .parquet")
    check_writable(path, "--out")
    with Progress(bar=not no_progress, verbose=verbose) as progress:
        swept = run_study(
            given,
            path,
            engine=engine,
            workers=workers,
            ray_address=ray_address,
            fresh=fresh,
            report=progress.report,
            stage=progress.stage,
        )
    _print(given.name, swept, output)
    for title, error in swept.failed:
        print(f"kcore: failed: {title}: {error}", file=sys.stderr)
    raise typer.Exit(1 if swept.failed else 0)


class Progress:
    """A bar on a terminal with the time that is left, by the pace so far; lines with -v; nothing otherwise."""

    def __init__(self, *, bar: bool, verbose: bool) -> None:
        self._verbose = verbose
        self._wants_bar = bar and not verbose and sys.stderr.isatty()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Progress:
        if self._wants_bar:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                TimeRemainingColumn(compact=True),
                console=Console(stderr=True),
                transient=True,
                speed_estimate_period=600,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=None, count="", left="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def stage(self, name: str) -> None:
        """What is being done from now on."""
        if self._verbose:
            print(f"kcore: {name}", file=sys.stderr)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=name)

    def report(self, done: int, total: int, failed: int) -> None:
        """So many of the runs are finished."""
        if self._verbose:
            print(f"kcore: {done:,} of {total:,} runs, {failed:,} failed", file=sys.stderr)
        if self._bar is not None and self._task is not None:
            count = f"{done:,} of {total:,} runs" + (f", {failed:,} failed" if failed else "")
            self._bar.update(self._task, completed=done, total=total, count=count, left="left:")


def _print(name: str, swept: Swept, form: str) -> None:
    from kcore.cli.output import print_plain

    rows = swept.table.to_pylist() if form in ("json", "jsonl", "yaml") else []
    if form == "table":
        print("\n".join(_lines(name, swept)))
    elif form == "csv":
        from kcore.traces.write import write_table

        sys.stdout.flush()
        write_table(swept.table, sys.stdout.buffer, "csv")
    elif form == "jsonl":
        import orjson

        for row in rows:
            print(orjson.dumps(row).decode())
    else:
        print_plain({"summary": _summary(name, swept), "runs": rows}, form, sys.stdout)


def _summary(name: str, swept: Swept) -> dict[str, Any]:
    return {
        "study": name,
        "runs": swept.points,
        "found": swept.found,
        "ran": swept.ran,
        "failed": len(swept.failed),
        "files": swept.files,
    }


def _lines(name: str, swept: Swept) -> Iterator[str]:
    """The counts, the means of the first figures that differ, and the files."""
    from kcore.cli.output import plural, table_lines

    yield f"{name}: {plural(swept.points, 'run')}, {swept.found:,} found, {swept.ran:,} run, {len(swept.failed):,} failed"
    header, rows = _means(swept.table)
    if rows:
        yield ""
        yield from table_lines(header, rows[:GROUPS_SHOWN_MAX])
        if len(rows) > GROUPS_SHOWN_MAX:
            yield f"... and {len(rows) - GROUPS_SHOWN_MAX:,} more"
    yield ""
    yield from (f"wrote {file}" for file in swept.files)


def _means(table: pa.Table) -> tuple[list[str], list[list[str]]]:
    """Means over the seeds of the first figures that are not the same in all runs."""
    from kcore.sim import series

    table = series.done(table)
    keys = ["workload", "policy"]
    keys += series.varying(table, (*keys, "seed"))
    after = table.column_names.index("error") + 1
    numeric = [name for name in series.numeric_names(table) if name in table.column_names[after:]]
    shown = [name for name in numeric if len(table[name].unique()) > 1][:FIGURES_SHOWN_MAX]
    if not len(table) or not shown:
        return [], []
    grouped = table.group_by(keys, use_threads=False).aggregate(
        [("seed", "count"), *((name, "mean") for name in shown)]
    )
    header = [*keys, "runs", *shown]
    rows = [
        [
            *(_text(row[key]) for key in keys),
            str(row["seed_count"]),
            *("-" if row[f"{name}_mean"] is None else f"{row[f'{name}_mean']:,.6g}" for name in shown),
        ]
        for row in grouped.to_pylist()
    ]
    return [name.upper().replace("_", " ") for name in header], rows


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
