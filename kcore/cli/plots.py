"""``kcore plot``: the usual figures from the tables that ``kcore sweep`` and ``kcore simulate`` write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kcore.api.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

File = Annotated[
    str, typer.Argument(metavar="RUNS.parquet", help="A table: Parquet, Arrow or CSV, .gz and .zst too.")
]
Kind = Annotated[
    Literal["lines", "cdf", "bars", "timeline", "heatmap"],
    typer.Argument(
        metavar="KIND",
        help="lines: mean and spread of --y at each --x; cdf: distribution of --x; bars: mean of --y for each "
        "--x with error bars; timeline: utilisation, or --y, over time; heatmap: use of each node.",
    ),
]
X = Annotated[str | None, typer.Option("--x", metavar="COLUMN", help="The column of the horizontal axis.")]
Y = Annotated[str | None, typer.Option("--y", metavar="COLUMN", help="The column of the vertical axis.")]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="COLUMN",
        help="One line, bar or panel for each of its values; by default policy, or workload, where they "
        "differ; '' for none.",
    ),
]
Where = Annotated[
    list[str],
    typer.Option("--where", metavar="COLUMN=VALUE", help="Only these rows. Repeatable."),
]
Title = Annotated[str | None, typer.Option("--title", metavar="TEXT", help="Instead of the figure's own.")]
Out = Annotated[
    str | None,
    typer.Option(
        "--out", metavar="FILE", help="The picture: .png, .svg, .pdf or .html; by default KIND.png."
    ),
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks of internal errors.")]


def plot(
    file: File,
    kind: Kind,
    x: X = None,
    y: Y = None,
    group: Group = None,
    where: Where = [],  # noqa: B006 - typer copies it
    title: Title = None,
    out: Out = None,
    verbose: Verbose = False,
) -> None:
    """Draw a figure of a table."""
    from kcore.cli.output import check_writable
    from kcore.sim import figures, series

    path = out or f"{kind}.png"
    figures.check_path(path, "--out")
    check_writable(path, "--out")
    conditions = [_condition(text) for text in where]
    try:
        table = series.where(_table(file), conditions)
        figures.draw(table, kind, path, figures.Asked(x, y, group, title))
    except InputError as error:
        raise error.at(file=file) from None
    print(f"wrote {path}")


def _condition(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InputError(f"{text!r} is no condition", field="--where", expected="COLUMN=VALUE")
    return name, value


def _table(file: str) -> pa.Table:
    """The table in the file; CSV columns get the types that their values have."""
    import pyarrow as pa

    from kcore.sources import files, table_files

    if Path(file).is_dir():
        raise InputError("is a folder", expected="a table such as those beside it")
    content = files.read(file)
    if content.format not in ("parquet", "arrow", "csv"):
        raise InputError("is no table", expected="Parquet, Arrow or CSV")
    table = table_files.table_of(content)
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(index, field.name, table[field.name].cast(field.type.value_type))
    return table
