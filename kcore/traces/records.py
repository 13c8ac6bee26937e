"""Files of records (JSON lines, Parquet) become Rows; nested fields are columns like ``capacity.cpus``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json
import pyarrow.parquet as pq

from kcore.api.errors import InputError
from kcore.sources.files import PARQUET_MAGIC
from kcore.traces.csv_rows import head, opened
from kcore.traces.rows import Rows

BLOCK_BYTES = 8 << 20  # of JSON parsed at once; a record must fit
HEAD_RECORDS = 200  # looked at to tell numbers from texts


def read_records(path: Path, wanted: Sequence[str], optional: Sequence[str], *, on_bad: str) -> Rows:
    """The fields ``wanted``, and those of ``optional`` that are there; a field that some records lack is null there.

    InputError where the file is damaged, or where no record has a wanted field.
    """
    tops = sorted({name.partition(".")[0] for name in (*wanted, *optional)})
    try:
        if head(path, 4) == PARQUET_MAGIC:
            with opened(path) as stream:
                source = pa.BufferReader(stream.read()) if not isinstance(stream, pa.OSFile) else stream
                names = pq.read_schema(source).names
                source.seek(0)
                columns = [name for name in names if name in (*wanted, *optional) or name in tops]
                table = pq.read_table(source, columns=columns)
        else:
            table = _json(path, {*wanted, *optional, *tops})
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(" ".join(str(error).split())[:200], file=str(path)) from None
    found: dict[str, pa.ChunkedArray] = {}
    for name in (*wanted, *optional):
        column = _field(table, name)
        if column is not None:
            found[name] = column
        elif name in wanted:
            raise InputError(
                f"there is no field {name!r}, only {', '.join(table.column_names)}"[:300],
                file=str(path),
                expected="records with " + ", ".join(wanted),
            )
    return Rows(pa.table(found), str(path), on_bad=on_bad)


def _field(table: pa.Table, name: str) -> pa.ChunkedArray | None:
    """A column, or a field of a column of records; None where there is none."""
    if name in table.column_names:
        return table.column(name)
    top, _, inner = name.partition(".")
    if not inner or top not in table.column_names:
        return None
    column = table.column(top)
    if pa.types.is_null(column.type):
        return pa.chunked_array([pa.nulls(len(column), pa.float64())])
    if not pa.types.is_struct(column.type) or column.type.get_field_index(inner) < 0:
        return None
    return pc.struct_field(column, inner)


def _json(path: Path, names: set[str]) -> pa.Table:
    schema = pa.schema([(name, kind) for name, kind in _kinds(path).items() if name in names])
    with opened(path) as stream:
        return pa_json.read_json(
            stream,
            read_options=pa_json.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )


def _kinds(path: Path) -> dict[str, pa.DataType]:
    """The Arrow type of each field, as the first records have it: text, number, or records of those."""
    found: dict[str, pa.DataType] = {}
    lines = head(path).splitlines()
    for line in lines[: HEAD_RECORDS if len(lines) > 1 else 1]:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the last line of the head is cut; what is really wrong the reader says
        if isinstance(record, dict):
            for name, value in record.items():
                kind = _kind(value)
                if kind is not None and (name not in found or pa.types.is_struct(kind)):
                    found[name] = _united(found.get(name), kind)
    return found


def _united(known: pa.DataType | None, new: pa.DataType) -> pa.DataType:
    """A record type with the fields of both; the newer type otherwise."""
    if known is None or not (pa.types.is_struct(known) and pa.types.is_struct(new)):
        return new
    fields = {field.name: field.type for field in (*new, *known)}
    return pa.struct(list(fields.items()))


def _kind(value: Any) -> pa.DataType | None:
    if isinstance(value, str):
        return pa.string()
    if isinstance(value, bool | list) or value is None:
        return None
    if isinstance(value, dict):
        fields = {name: _kind(inner) for name, inner in value.items()}
        # amounts may be whole by chance in the first records
        fields |= {name: pa.float64() for name, kind in fields.items() if kind == pa.int64()}
        return pa.struct([(name, kind) for name, kind in fields.items() if kind is not None])
    return pa.int64() if isinstance(value, int) else pa.float64()
