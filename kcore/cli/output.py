"""Results in every form of ``-o``: text for people, JSON and YAML as promised, tables for programs."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from kcore.api.errors import InputError
from kcore.cli.explain import explanation_lines
from kcore.cli.text import plural, reason_kinds, table_lines

if TYPE_CHECKING:
    import pyarrow as pa

    from kcore.scheduler.result import Result

__all__ = [
    "check_destination",
    "form_of",
    "plural",
    "print_plain",
    "summary_lines",
    "table_lines",
    "write_file",
    "write_stream",
]

TEXT_FORMS = ("table", "wide")
BINARY_FORMS = ("parquet", "arrow")
ENDINGS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".csv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}

ROWS_SHOWN_MAX = 10  # placed pods in -o table
UNSCHEDULABLE_SHOWN_MAX = 20  # in -o table
REASONS_SHOWN_MAX = 5  # distinct ones in -o table


def form_of(given: str | None, out: str | None) -> str:
    """The form of the result: the one asked for, or that of the file's ending, or table."""
    return given or ENDINGS.get(Path(out or "").suffix.lower(), "table")


def check_destination(form: str, out: str | None) -> None:
    """InputError where the result could not be written, before any work is done."""
    if out is None:
        if form in BINARY_FORMS and sys.stdout.isatty():
            raise InputError(f"{form} is not for terminals", field="-o", expected="--out FILE or a pipe")
        return
    check_writable(out, "--out")


def check_writable(path: str, flag: str) -> None:
    """InputError where the path cannot become a file."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {folder}", field=flag, expected="a file in a folder that exists"
        )
    if Path(path).is_dir():
        raise InputError(f"{path} is a folder", field=flag, expected="a file")
    if not os.access(path if Path(path).exists() else folder, os.W_OK):
        raise InputError(f"{path} may not be written", field=flag, expected="a file that may be")


def write_file(result: Result, form: str, out: str) -> None:
    """Writes the result to a file."""
    if form in BINARY_FORMS or form == "csv":
        _write_table(result, form, out)
        return
    with Path(out).open("w", encoding="utf-8") as stream:
        write_stream(result, form, stream)


def write_stream(result: Result, form: str, stream: TextIO) -> None:
    """Writes the result to a text stream; tables of bytes go to its buffer."""
    if form in TEXT_FORMS:
        stream.writelines(f"{line}\n" for line in text_lines(result, wide=form == "wide"))
    elif form == "csv" or form in BINARY_FORMS:
        stream.flush()
        _write_table(result, form, stream.buffer)
    elif form == "jsonl":
        import orjson

        for row in result.to_dict()["placements"]:
            stream.write(orjson.dumps(row).decode() + "\n")
    else:
        print_plain(result.to_dict(), form, stream)


def print_plain(value: Any, form: str, stream: TextIO) -> None:
    """Writes plain data as JSON or YAML."""
    if form == "json":
        import orjson

        stream.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        from kcore.traces.yaml_text import lines

        stream.writelines(f"{line}\n" for line in lines(value))


def _write_table(result: Result, form: str, target: Any) -> None:
    from kcore.traces.write import write_table

    table = result.placements
    if form == "csv":
        table = flat(table)
    write_table(table, target, form)


def flat(table: pa.Table) -> pa.Table:
    """Lists as texts with ; between, because CSV has none."""
    import pyarrow as pa

    for index, field in enumerate(table.schema):
        if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
            texts = [
                None if value is None else ";".join(map(str, value))
                for value in table[field.name].to_pylist()
            ]
            table = table.set_column(index, field.name, pa.array(texts, pa.string()))
    return table


def text_lines(result: Result, *, wide: bool) -> Iterator[str]:
    """The result for people: summary, placements, what did not fit and why, explanations."""
    yield from summary_lines(result.summary)
    if wide:
        yield from _wide_lines(result.placements)
    else:
        yield from _compact_lines(result.placements)
    for explanation in result.explanations:
        yield ""
        yield from explanation_lines(explanation, wide=wide)


def summary_lines(summary: dict[str, Any]) -> Iterator[str]:
    """The summary as aligned names and values."""
    seconds, rate = summary.get("seconds"), summary.get("pods_per_second")
    shown: list[tuple[str, str]] = []
    for name, value in summary.items():
        if name == "pods_per_second":
            continue
        if name == "seconds" and seconds is not None:
            speed = f" ({rate:,.0f} pods/s)" if rate else ""
            shown.append(("scheduling time", f"{seconds:,.3f} s{speed}"))
        elif name == "utilisation" and isinstance(value, dict):
            parts = [f"{resource} {_percent(part)}" for resource, part in value.items()]
            shown.append((name, "  ".join(parts) or "-"))
        else:
            shown.append((name.replace("_", " "), _value(value)))
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        yield f"{name:<{width}}  {text}"


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3f}"
    if isinstance(value, dict):
        return "  ".join(f"{name} {_value(part)}" for name, part in value.items()) or "-"
    if isinstance(value, list | tuple):
        return "; ".join(_value(part) for part in value) or "-"
    return str(value)


def _percent(part: Any) -> str:
    return f"{part * 100:.1f} %" if isinstance(part, int | float) else _value(part)


def _wide_lines(placements: pa.Table) -> Iterator[str]:
    header = ["NAMESPACE", "NAME", "NODE", "SCORE", "NOMINATED NODE", "VICTIMS", "REASON"]
    rows = (
        [
            row["namespace"],
            row["name"],
            row["node"] or "<none>",
            "-" if row["score"] is None or row["node"] is None else str(row["score"]),
            row.get("nominated_node") or "<none>",
            ",".join(row.get("victims") or ()) or "<none>",
            row["reason"] or "",
        ]
        for row in placements.to_pylist()
    )
    yield ""
    yield from table_lines(header, rows)


def _compact_lines(placements: pa.Table) -> Iterator[str]:
    import pyarrow.compute as pc

    placed = placements.filter(pc.is_valid(placements["node"]))
    failed = placements.filter(pc.is_null(placements["node"]))
    if len(placed):
        yield ""
        rows = placed.slice(0, ROWS_SHOWN_MAX).to_pylist()
        yield from table_lines(
            ["NAMESPACE", "NAME", "NODE"], ([row["namespace"], row["name"], row["node"]] for row in rows)
        )
        yield from _left_out(len(placed) - ROWS_SHOWN_MAX, "placed pod", "placed pods")
    if len(failed):
        yield ""
        rows = failed.slice(0, UNSCHEDULABLE_SHOWN_MAX).to_pylist()
        yield from table_lines(
            ["NAMESPACE", "NAME", "NOT PLACED BECAUSE"],
            ([row["namespace"], row["name"], _failure(row)] for row in rows),
        )
        yield from _left_out(
            len(failed) - UNSCHEDULABLE_SHOWN_MAX, "pod that was not placed", "pods that were not placed"
        )
        if len(failed) > UNSCHEDULABLE_SHOWN_MAX:
            yield ""
            yield from _reason_lines(failed["reason"].to_pylist())


def _failure(row: dict[str, Any]) -> str:
    reason = row["reason"] or "no reason given"
    nominated = row.get("nominated_node")
    if not nominated:
        return str(reason)
    victims = row.get("victims") or ()
    return f"nominated to {nominated}, evicting {plural(len(victims), 'pod')}; {reason}"


def _reason_lines(reasons: Iterable[str | None]) -> Iterator[str]:
    counts = Counter(map(reason_kinds, reasons))
    rows = [[f"{count:,}", reason] for reason, count in counts.most_common(REASONS_SHOWN_MAX)]
    yield from table_lines(["PODS", "NODES HAD"], rows)
    yield from _left_out(len(counts) - REASONS_SHOWN_MAX, "reason", "reasons")


def _left_out(count: int, singular: str, plural_form: str) -> Iterator[str]:
    if count > 0:
        yield f"... and {count:,} more {singular if count == 1 else plural_form} (-o wide shows all)"
