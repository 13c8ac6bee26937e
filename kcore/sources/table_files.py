"""Table files become Arrow tables: Parquet, Arrow IPC (file or stream), Feather, CSV."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kcore.api.errors import InputError
from kcore.sources.arrow_columns import place
from kcore.sources.files import Content
from kcore.sources.tables import AMOUNT_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

FEW_VALUES = ("namespace", "node", "labels", "spec", "scheduler_name")  # read as dictionaries
TEXT_COLUMNS = ("name", "namespace", "node", "labels", "spec", "scheduler_name", "taints", "images")
_CSV_CELL = re.compile(
    r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to ([\w\[\]]+): (.*)", re.DOTALL
)


def table_of(content: Content) -> pa.Table:
    """The table in the file; InputError where it is damaged or ends early."""
    import pyarrow as pa

    buffer = pa.py_buffer(content.data)
    try:
        if content.format == "parquet":
            table = _parquet(buffer)
        elif content.format == "csv":
            table = _csv(buffer, content)
        else:
            table = _arrow(buffer)
        table.validate(full=True)  # offsets and indices stay within their buffers, text is UTF-8
        if any("\n" in name for name in table.column_names):
            raise ValueError("a column name holds a line break")
        return table
    except (pa.ArrowException, OSError, UnicodeError, ValueError) as error:
        cell = _CSV_CELL.search(str(error))
        if cell is not None:
            raise _csv_error(cell, content) from None
        problem = " ".join(str(error).split())[:200]
        raise InputError(f"the {content.format} table is damaged: {problem}", file=content.name) from None


def _parquet(buffer: pa.Buffer) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(pa.BufferReader(buffer))
    few = [
        name
        for name in FEW_VALUES
        if schema.names.count(name) == 1 and schema.field(name).type == pa.string()
    ]
    return pq.ParquetFile(pa.BufferReader(buffer), read_dictionary=few).read()


def _arrow(buffer: pa.Buffer) -> pa.Table:
    import pyarrow as pa
    import pyarrow.feather as feather

    if buffer[:4].to_pybytes() == b"FEA1":
        return feather.read_table(pa.BufferReader(buffer))
    if buffer[:6].to_pybytes() == b"ARROW1":
        return pa.ipc.open_file(buffer).read_all()
    return pa.ipc.open_stream(buffer).read_all()


def _csv(buffer: pa.Buffer, content: Content) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    types: dict[str, Any] = dict.fromkeys(TEXT_COLUMNS, pa.string())
    types |= dict.fromkeys((*AMOUNT_COLUMNS, "priority", "pods"), pa.int64())
    types["unschedulable"] = pa.bool_()
    header = bytes(content.data[:65_536]).split(b"\n", 1)[0].decode("utf-8", "replace")
    for name in (each.strip('" \r') for each in header.split(",")):
        if name.startswith(("request:", "allocatable:")):
            types[name] = pa.int64()
    return csv.read_csv(
        pa.BufferReader(buffer),
        read_options=csv.ReadOptions(use_threads=False),  # so that errors can count rows
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""]),
    )


def _csv_error(cell: re.Match[str], content: Content) -> InputError:
    header = bytes(content.data[:65_536]).split(b"\n", 1)[0].decode("utf-8", "replace")
    names = [each.strip('" \r') for each in header.split(",")]
    column = int(cell[1])
    name = names[column] if column < len(names) else str(column)
    row = int(cell[2]) - 2 if cell[2] else None  # the header is row 1 to the reader
    return InputError(
        " ".join(cell[4].split()),
        file=content.name,
        document=place(name, row) if row is not None else f"column {name!r}",
        expected=cell[3],
    )
