"""``kcore datasets``: what can be made up or loaded, with which parameters, from which source."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

import typer

from kcore.api.errors import InputError
from kcore.traces import DATASETS, Dataset, find, make, write_objects

app = typer.Typer(
    help="Built-in generators and loaders of public traces.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Output = Annotated[
    Literal["table", "json", "yaml"], typer.Option("-o", "--output", help="Form of the answer.")
]
FileForm = Annotated[
    Literal["yaml", "json", "parquet", "arrow", "csv"] | None,
    typer.Option("-o", "--output", help="Form of the files; by default that of --out's ending, or yaml."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A name from: kcore datasets list.")]
Out = Annotated[str, typer.Option("--out", metavar="PATH", help="A folder, or a .json or .yaml file.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks of internal errors.")]


@app.command("list")
def list_datasets(output: Output = "table", verbose: Verbose = False) -> None:
    """Name every dataset."""
    from kcore.cli.output import print_plain, table_lines

    if output != "table":
        print_plain([_plain(dataset) for dataset in DATASETS], output, sys.stdout)
        return
    rows = [[dataset.name, dataset.form, dataset.description] for dataset in DATASETS]
    print("\n".join(table_lines(["NAME", "FORM", "DESCRIPTION"], rows)))


@app.command()
def describe(name: Name, output: Output = "table", verbose: Verbose = False) -> None:
    """Tell a dataset's parameters, source and licence."""
    from kcore.cli.output import print_plain, table_lines
    from kcore.cli.text import size_text

    dataset = find(name)
    if output != "table":
        print_plain(_plain(dataset), output, sys.stdout)
        return
    print(f"{dataset.name} ({dataset.form}): {dataset.description}\n")
    rows = [
        [
            f"--{parameter.name.replace('_', '-')}",
            str(parameter.default) if parameter.default != "" else "-",
            parameter.unit or "-",
            parameter.description + (f": {', '.join(parameter.choices)}" if parameter.choices else ""),
        ]
        for parameter in dataset.parameters
    ]
    print("\n".join(table_lines(["PARAMETER", "DEFAULT", "UNIT", "DESCRIPTION"], rows)))
    print(f"\nsource   {dataset.source}\nlicence  {dataset.licence}")
    if dataset.files:
        rows = [
            [file.name, size_text(file.size), "" if file.by_default else "only when named"]
            for file in dataset.files
        ]
        print("\n" + "\n".join(table_lines(["FILE", "ABOUT", ""], rows)))
        print(f"\nfetch    kcore datasets fetch {dataset.name} --out DIR")
    if dataset.form == "generator":
        pairs = [f"{parameter.name}={parameter.default}" for parameter in dataset.parameters[:2]]
        print(f"\nuse      kcore schedule -f 'synthetic:{dataset.name}?{'&'.join(pairs)}'")
    else:
        print(
            "\nuse      kcore schedule -f FOLDER\n         kcore.traces.load_trace(FOLDER), with arrivals and durations"
        )


@app.command(
    "make",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog="Parameters of the dataset are options: kcore datasets make heterogeneous --nodes 100 --pods 1000 --out DIR",
)
def make_files(
    context: typer.Context, name: Name, out: Out, output: FileForm = None, verbose: Verbose = False
) -> None:
    """Write a dataset into files that -f reads."""
    from kcore.cli.output import plural

    objects = make(name, **_parameters(context.args, find(name)))
    files = write_objects(objects, out, output or "")
    pods = len(objects.pods) + sum(len(columns.exemplar) for columns in objects.pod_columns)
    print(f"{plural(len(objects.nodes), 'node')} and {plural(pods, 'pod')}")
    for file in files:
        print(f"wrote {file}")


@app.command()
def fetch(
    name: Name,
    out: Annotated[
        str, typer.Option("--out", metavar="DIR", help="Where to; by default a folder of the name.")
    ] = "",
    file: Annotated[
        list[str] | None,
        typer.Option("--file", metavar="FILE", help="Only this one of the files; repeatable."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Download a public trace from its publisher, check it and unpack it."""
    from pathlib import Path

    from kcore.cli.progress import Progress
    from kcore.traces import fetching

    dataset = find(name)
    folder = Path(out or name)
    with Progress(bar=True, verbose=verbose) as progress:
        for published in fetching.chosen(dataset, file or []):
            progress.stage(f"fetch {published.name}", unit="bytes")
            try:
                paths = fetching.fetch(
                    published, folder, lambda _, done, total: progress.advance(done, total)
                )
            except fetching.FetchError as error:
                print(f"kcore: error: {error}", file=sys.stderr)
                raise typer.Exit(1) from None
            for path in paths:
                print(f"have {path}")


def _parameters(words: list[str], dataset: Dataset) -> dict[str, str]:
    """``--name value`` and ``--name=value`` as a mapping; InputError for anything else."""
    given: dict[str, str] = {}
    left = iter(words)
    for word in left:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise InputError(f"{word!r} is no parameter", document=dataset.name, expected="--NAME VALUE")
        if not equals:
            following = next(left, None)
            if following is None:
                raise InputError("has no value", document=dataset.name, field=word)
            value = following
        key = name.replace("-", "_")
        if key in given:
            raise InputError("is given twice", document=dataset.name, field=word)
        given[key] = value
    return given


def _plain(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "form": dataset.form,
        "description": dataset.description,
        "parameters": [
            {
                "name": parameter.name,
                "default": parameter.default,
                "unit": parameter.unit,
                "description": parameter.description,
                **({"choices": list(parameter.choices)} if parameter.choices else {}),
            }
            for parameter in dataset.parameters
        ],
        "source": dataset.source,
        "licence": dataset.licence,
        "files": [
            {
                "name": file.name,
                "url": file.url,
                "bytes": file.size,
                "sha256": file.sha256 or None,
                "by_default": file.by_default,
            }
            for file in dataset.files
        ],
    }
