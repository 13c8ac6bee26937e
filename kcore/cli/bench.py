"""``kcore bench``: run workloads in the format of upstream's scheduler_perf, and say how fast they were."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kcore.api.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kcore.workloads import Chosen

DEFAULT_LABEL = "performance"
MIB = 2**20

Names = Annotated[
    list[str],
    typer.Argument(
        metavar="[WORKLOAD]...",
        help="TEST or TEST/WORKLOAD, * stands for anything; without one, all that are labelled performance.",
    ),
]
Files = Annotated[
    list[str],
    typer.Option(
        "-f", "--file", metavar="FILE", help="Test cases of your own instead of those of kcore. Repeatable."
    ),
]
Labels = Annotated[
    list[str], typer.Option("--label", metavar="LABEL", help="Only workloads with this label. Repeatable.")
]
ListThem = Annotated[bool, typer.Option("--list", help="Name the workloads and run none.")]
Nodes = Annotated[int | None, typer.Option("--nodes", min=1, help="Nodes instead of the workload's number.")]
Pods = Annotated[int | None, typer.Option("--pods", min=1, help="Measured pods instead of the workload's.")]
Parameters = Annotated[
    list[str],
    typer.Option("--param", metavar="NAME=NUMBER", help="A parameter of the workload. Repeatable."),
]
Rounds = Annotated[int, typer.Option("--rounds", min=1, help="Runs of each; the rate is that of the median.")]
Engine = Annotated[
    Literal["auto", "full", "incremental"], typer.Option("--engine", help="As of kcore schedule.")
]
Output = Annotated[
    Literal["table", "json", "jsonl"], typer.Option("-o", "--output", help="Form of the answer.")
]
Out = Annotated[
    str | None,
    typer.Option("--out", metavar="FILE", help="Write JSON lines there too, each as it is measured."),
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks of internal errors.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Do not say what is being run.")]

COLUMNS = (
    ("WORKLOAD", "{workload}"),
    ("NODES", "{nodes:,}"),
    ("PODS", "{pods:,}"),
    ("PLACED", "{placed:,}"),
    ("PODS/S", "{pods_per_second:,.0f}"),
    ("BEST", "{best:,.0f}"),
    ("WORST", "{worst:,.0f}"),
    ("P50 US", "{p50_us:,.2f}"),
    ("P90 US", "{p90_us:,.2f}"),
    ("P99 US", "{p99_us:,.2f}"),
    ("PEAK MIB", "{peak:,.0f}"),
)


def bench(
    workload: Names = [],  # noqa: B006 - typer copies it
    file: Files = [],  # noqa: B006
    label: Labels = [],  # noqa: B006
    list_them: ListThem = False,
    nodes: Nodes = None,
    pods: Pods = None,
    param: Parameters = [],  # noqa: B006
    rounds: Rounds = 3,
    engine: Engine = "auto",
    output: Output = "table",
    out: Out = None,
    verbose: Verbose = False,
    no_progress: NoProgress = False,
) -> None:
    """Run scheduler_perf workloads in-process: pods a second, latency of an attempt, peak memory."""
    from kcore.cli.output import check_destination
    from kcore.workloads import Overrides, choose, measure, shipped

    overrides = Overrides(_parameters(param), nodes, pods)
    known = shipped(file)
    if not workload and not label and not file and not list_them:
        label = [DEFAULT_LABEL]
    chosen = choose(known, workload or ["*"], label)
    if not chosen:
        raise InputError(f"no workload has the labels {', '.join(label)}", field="--label")
    if list_them:
        _list(chosen, output)
        return
    if out is not None:
        check_destination("jsonl", out)
    found = []
    for number, one in enumerate(chosen, 1):
        if not no_progress and sys.stderr.isatty():
            print(f"kcore: {number} of {len(chosen)}: {one.name}", file=sys.stderr)
        figures = measure(one, overrides, engine, rounds)
        found.append(figures)
        if out is not None:
            _append(out, figures, first=number == 1)
        if output == "jsonl":
            _print_json([figures], "jsonl")
    if output == "table":
        _print_table(found)
    elif output == "json":
        _print_json(found, "json")


def _parameters(words: list[str]) -> dict[str, int]:
    given = {}
    for word in words:
        name, _, value = word.partition("=")
        if not name or not value.isdecimal():
            raise InputError(f"{word!r} is no parameter", field="--param", expected="NAME=NUMBER")
        given[name] = int(value)
    return given


def _list(chosen: list[Chosen], output: str) -> None:
    from kcore.cli.output import table_lines

    if output != "table":
        plain = [
            {
                "workload": one.name,
                "labels": one.labels,
                "params": one.workload.params,
                "threshold": one.workload.threshold,
            }
            for one in chosen
        ]
        _print_json(plain, output)
        return
    rows = [
        [one.name, ",".join(one.labels) or "-", " ".join(f"{k}={v}" for k, v in one.workload.params.items())]
        for one in chosen
    ]
    print("\n".join(table_lines(["WORKLOAD", "LABELS", "PARAMETERS"], rows)))


def _print_table(found: list[dict[str, Any]]) -> None:
    from kcore.cli.output import table_lines

    rows = [[form.format(peak=one["peak_rss_bytes"] / MIB, **one) for _, form in COLUMNS] for one in found]
    print("\n".join(table_lines([name for name, _ in COLUMNS], rows)))
    print(f"\n{found[0]['engine']}; commit {found[0]['commit']}; {found[0]['machine']}")


def _print_json(found: Iterable[dict[str, Any]], output: str) -> None:
    import orjson

    if output == "json":
        print(orjson.dumps(list(found), option=orjson.OPT_INDENT_2).decode())
        return
    for one in found:
        print(orjson.dumps(one).decode(), flush=True)


def _append(path: str, figures: dict[str, Any], *, first: bool) -> None:
    import orjson

    with open(path, "wb" if first else "ab") as stream:
        stream.write(orjson.dumps(figures) + b"\n")
