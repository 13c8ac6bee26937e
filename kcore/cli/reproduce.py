"""``kcore reproduce``: a published study run again, ours beside theirs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kcore.api.errors import InputError

if TYPE_CHECKING:
    from kcore.sim.reproduce.runs import Point

Format = Literal["table", "json", "jsonl", "yaml", "csv", "parquet", "arrow"]
STUDIES = ("fgd",)
SHARED_TRACE, SHARED_CURVES = "datasets/openb", "expected/openb_gpu_allocation.csv"
SEEDS_MAX = 10_000

Study = Annotated[str, typer.Argument(metavar="STUDY", help="fgd: Beware of Fragmentation, USENIX ATC 2023.")]
Workloads = Annotated[
    list[str],
    typer.Option(
        "--workload", metavar="NAME", help="Such as default or gpushare60; without one, all 17. Repeatable."
    ),
]
Policies = Annotated[
    list[str],
    typer.Option(
        "--policy", metavar="NAME", help="Such as fgd or best_fit; without one, the study's six. Repeatable."
    ),
]
Seeds = Annotated[str, typer.Option("--seeds", metavar="A-B", help="Seeds: 42-51, or 42,45, or both.")]
DataFolder = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="DIR", help="The folder of the trace's CSV files; by default in $KCORE_SHARED."
    ),
]
Expected = Annotated[
    str | None,
    typer.Option(
        "--expected", metavar="FILE", help="The published curves; by default in $KCORE_SHARED, or none."
    ),
]
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="Processes; by default one a core.")]
Output = Annotated[
    Format | None,
    typer.Option("-o", "--output", help="Form of the result; by default that of --out's ending, or table."),
]
Out = Annotated[str | None, typer.Option("--out", metavar="FILE", help="Write the result there.")]
Plot = Annotated[
    str | None, typer.Option("--plot", metavar="FILE", help="Draw the curves: .png, .svg or .pdf.")
]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Say what takes how long; show tracebacks of internal errors.")
]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="No progress bar on the terminal.")]


def reproduce(
    study: Study,
    workload: Workloads = [],  # noqa: B006 - typer copies it
    policy: Policies = [],  # noqa: B006
    seeds: Seeds = "42-51",
    data: DataFolder = None,
    expected: Expected = None,
    jobs: Jobs = None,
    output: Output = None,
    out: Out = None,
    plot: Plot = None,
    verbose: Verbose = False,
    no_progress: NoProgress = False,
) -> None:
    """Run a published study again: exit code 1 where a mean is off by more than 0.5 percentage points."""
    from kcore.cli import output as output_forms

    if study not in STUDIES:
        raise InputError(f"no study is named {study!r}", field="STUDY", expected=" or ".join(STUDIES))
    form = output_forms.form_of(output, out)
    output_forms.check_destination(form, out)
    if plot is not None:
        from kcore.cli import curves

        curves.check_destination(plot)
    chosen_seeds = _seeds(seeds)
    folder, curve_file = _data_folder(data), _curve_file(expected)
    from kcore.cli.progress import Progress
    from kcore.sim.reproduce import fgd, runs
    from kcore.sim.reproduce.published import read_published

    workloads = _chosen(workload, fgd.WORKLOADS, "--workload")
    policies = _policies(policy)
    published = read_published(curve_file) if curve_file is not None else {}
    with Progress(bar=not no_progress, verbose=verbose, unit="experiments") as progress:
        progress.stage("running experiments")
        ours = runs.run_all(folder, workloads, policies, chosen_seeds, jobs or runs.cores(), progress.advance)
    found = runs.points(ours, published)
    _write(found, form, out)
    if plot is not None:
        curves.draw(ours, published, plot)
    off = [one for one in found if one.is_off]
    if off and form == "table" and out is None:
        print(f"\n{len(off)} of {len(found)} means are off by more than {runs.TOLERANCE_POINTS} points")
    raise typer.Exit(1 if off else 0)


def _seeds(text: str) -> list[int]:
    """``42-44,50`` as numbers."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError(
                f"{text!r} is no list of seeds", field="--seeds", expected="such as 42-51 or 42,45"
            )
        numbers = range(int(first), int(last if dash else first) + 1)
        if not numbers or len(found) + len(numbers) > SEEDS_MAX:
            raise InputError(
                f"{text!r} is no list of seeds", field="--seeds", expected=f"1 to {SEEDS_MAX} seeds"
            )
        found += numbers
    return list(dict.fromkeys(found))


def _chosen(given: list[str], known: tuple[str, ...], flag: str) -> list[str]:
    names = [name.removeprefix("openb_pod_list_") for name in given]
    for name in names:
        if name not in known:
            raise InputError(f"{name!r} is not known", field=flag, expected=", ".join(known))
    return list(dict.fromkeys(names)) or list(known)


def _policies(given: list[str]) -> list[str]:
    from kcore.scheduler.plugins.policies import NAMES
    from kcore.sim.reproduce import fgd

    return _chosen(given, NAMES, "--policy") if given else list(fgd.POLICIES)


def _shared(name: str) -> Path | None:
    """A file or folder in $KCORE_SHARED, if it is there."""
    root = os.environ.get("KCORE_SHARED")
    return path if root and (path := Path(root) / name).exists() else None


def _data_folder(given: str | None) -> Path:
    if given is not None:
        if not Path(given).is_dir():
            raise InputError(
                f"there is no folder {given}", field="--data", expected="the folder of the trace openb"
            )
        return Path(given)
    found = _shared(SHARED_TRACE)
    if found is None:
        raise InputError(
            "the trace is not shipped",
            field="--data",
            expected="the folder data/csv of cluster-trace-gpu-v2023 (kcore datasets describe openb)",
        )
    return found


def _curve_file(given: str | None) -> Path | None:
    if given is not None and not Path(given).is_file():
        raise InputError(f"there is no file {given}", field="--expected", expected="the published curves")
    return Path(given) if given is not None else _shared(SHARED_CURVES)


def _row(point: Point) -> dict[str, Any]:
    return dict(point._asdict())


def _write(found: list[Point], form: str, out: str | None) -> None:
    from kcore.cli.output import print_plain, table_lines

    rows = [_row(point) for point in found]
    if form in ("csv", "parquet", "arrow"):
        import pyarrow as pa

        from kcore.traces.write import write_table

        schema = pa.schema(
            [("workload", pa.string()), ("policy", pa.string()), ("load", pa.int64())]
            + [(name, pa.float64()) for name in ("mean", "sd", "published_mean")]
        )
        sys.stdout.flush()
        write_table(pa.Table.from_pylist(rows, schema), out if out is not None else sys.stdout.buffer, form)
        return
    stream = Path(out).open("w", encoding="utf-8") if out is not None else sys.stdout  # noqa: SIM115
    try:
        if form == "table":
            stream.writelines(f"{line}\n" for line in table_lines(_HEADER, map(_cells, found)))
        elif form == "jsonl":
            import orjson

            stream.writelines(orjson.dumps(row).decode() + "\n" for row in rows)
        else:
            print_plain(rows, form, stream)
    finally:
        if out is not None:
            stream.close()


_HEADER = ["WORKLOAD", "POLICY", "LOAD %", "MEAN %", "SD", "PUBLISHED %", "DIFFERENCE"]


def _cells(point: Point) -> list[str]:
    def number(value: float | None, form: str = ".2f") -> str:
        return "-" if value is None else format(value, form)

    return [
        point.workload, point.policy, str(point.load), number(point.mean), number(point.sd),
        number(point.published_mean), number(point.difference, "+.2f") + (" !" if point.is_off else ""),
    ]  # fmt: skip
