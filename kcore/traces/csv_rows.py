"""CSV files, with a header or without one, become Rows: columns of text that are checked afterwards.

``.gz`` and ``.zst`` are told by their first bytes and undone while reading.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from kcore.api.errors import InputError
from kcore.sources.files import GZIP_MAGIC, UTF8_MARK, ZSTD_MAGIC
from kcore.traces.rows import ERROR, Rows

HEAD_BYTES = 65_536
BLOCK_BYTES = 16 << 20


def opened(path: Path) -> Any:
    """The file as a stream of its decompressed bytes; InputError where it cannot be opened."""
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
        source = pa.OSFile(str(path), "rb")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=str(path)) from None
    if magic[:2] == GZIP_MAGIC:
        return pa.CompressedInputStream(source, "gzip")
    if magic == ZSTD_MAGIC:
        return pa.CompressedInputStream(source, "zstd")
    return source


def head(path: Path, size: int = HEAD_BYTES) -> bytes:
    """The first bytes of the decompressed file; InputError where it cannot be read."""
    with opened(path) as stream:
        try:
            found = bytearray()
            while len(found) < size and (piece := stream.read(size - len(found))):
                found += piece
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"cannot be read: {error}", file=str(path)) from None
    return bytes(found).removeprefix(UTF8_MARK)


def first_row(path: Path) -> list[str]:
    """The cells of the first line, blanks around them taken off."""
    line = head(path).split(b"\n", 1)[0].decode("utf-8", "replace")
    return [cell.strip() for cell in next(csv.reader([line]), [])]


def read_csv(
    path: Path,
    wanted: Sequence[str],
    *,
    on_bad: str,
    names: Sequence[str] | None = None,
    optional: Sequence[str] = (),
    count_header: bool = True,
) -> Rows:
    """The columns ``wanted``, and those of ``optional`` that are there, as text.

    ``names`` are the columns of a file without a header, in order; a header that repeats them is passed over. Rows
    are numbered as lines are, a header included unless ``count_header`` is False.
    """
    cells = first_row(path)
    given = list(names) if names is not None else cells
    headed = names is None or cells == given
    for name in wanted:
        if name not in given:
            raise InputError(
                f"there is no column {name!r}, only {', '.join(given)}"[:300],
                file=str(path),
                expected="a header with " + ", ".join(wanted),
            )
    if len(set(given)) < len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise InputError(f"the column {twice!r} is there twice", file=str(path), expected="each column once")
    columns = [name for name in given if name in (*wanted, *optional)]
    table, wrong = _table(path, given, columns, headed, on_bad)
    first = 2 if headed else 1
    numbers = np.delete(
        np.arange(first, first + table.num_rows + len(wrong)), np.array(wrong, np.int64) - first
    )
    if headed and not count_header:
        numbers -= 1
    blank = _blank(table)
    if blank.any():
        table, numbers = table.filter(pa.array(~blank)), numbers[~blank]
    return Rows(table, str(path), on_bad=on_bad, numbers=numbers, skipped=len(wrong))


def _table(
    path: Path, given: list[str], columns: list[str], headed: bool, on_bad: str
) -> tuple[pa.Table, list[int]]:
    """The columns as text, and the numbers of the rows that have another number of cells."""
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "error" if on_bad == ERROR else "skip"

    try:
        with opened(path) as stream:
            table = pa_csv.read_csv(
                stream,
                # one thread, so that rows are counted
                read_options=pa_csv.ReadOptions(
                    use_threads=False, column_names=given, skip_rows=int(headed), block_size=BLOCK_BYTES
                ),
                parse_options=pa_csv.ParseOptions(invalid_row_handler=refuse, ignore_empty_lines=False),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    include_columns=columns,
                    strings_can_be_null=False,
                ),
            )
    except (pa.ArrowException, OSError) as error:
        if wrong:
            row = wrong[-1]
            raise InputError(
                f"has {row.actual_columns} cells",
                file=str(path),
                document=f"row {row.number}",
                expected=f"{row.expected_columns}: {', '.join(given)}"[:200],
            ) from None
        raise InputError(" ".join(str(error).split())[:200], file=str(path)) from None
    return table, [row.number for row in wrong]


def _blank(table: pa.Table) -> np.ndarray:
    """Rows that came from empty lines: nothing in any column."""
    blank = np.ones(table.num_rows, bool)
    for column in table.columns:
        if not blank.any():
            break
        blank &= pc.equal(pc.binary_length(column), 0).to_numpy()
    return blank
