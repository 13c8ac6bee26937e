"""The rows of one file while they are checked: a bad one is an error with file, row and column, or is left out.

Columns are looked at whole. What a check refuses is remembered in a mask; the loader asks for what is left at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kcore.api.errors import InputError
from kcore.sources.limits import shown

ERROR, SKIP = "error", "skip"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
AMOUNT_MAX = (
    1 << 40
)  # of a cell that is no time and no id: cores, GPUs, instances; products stay within int64
TIME_MAX_MS = 1 << 53  # some 285,000 years; differences and sums stay exact


class Rows:
    """A table with the numbers of its rows in the file, and which of them are good so far."""

    def __init__(
        self,
        table: pa.Table,
        file: str,
        *,
        on_bad: str,
        numbers: np.ndarray | None = None,
        first: int = 1,
        noun: str = "row",
        skipped: int = 0,
    ) -> None:
        self.table = table
        self.file = file
        self.count = table.num_rows
        self.good = np.ones(self.count, bool)
        self._on_bad = on_bad
        self._numbers = numbers  # int64[row]; None where they follow each other from ``first``
        self._first = first
        self._noun = noun
        self._unread = skipped  # bad rows that are not in the table any more

    @property
    def skipped(self) -> int:
        """Bad rows so far."""
        return self._unread + int(self.count - np.count_nonzero(self.good))

    def has(self, column: str) -> bool:
        """Whether the file has such a column."""
        return column in self.table.column_names

    def place(self, row: int) -> str:
        """Where the row is, for an error message."""
        number = int(self._numbers[row]) if self._numbers is not None else self._first + row
        return f"{self._noun} {number}"

    def kept(self, values: Any) -> Any:
        """The items of the good rows; values is an array of NumPy or Arrow."""
        if self.good.all():
            return values
        return values[self.good] if isinstance(values, np.ndarray) else values.filter(pa.array(self.good))

    def refuse(
        self, bad: np.ndarray, column: str, problem: str | Callable[[int], str], expected: str | None = None
    ) -> None:
        """Rows where ``bad`` is set are wrong in ``column``: the first becomes the error, or all are left out."""
        bad = bad & self.good
        if not bad.any():
            return
        if self._on_bad == ERROR:
            row = int(bad.argmax())
            text = problem if isinstance(problem, str) else problem(row)
            raise InputError(
                text, file=self.file, document=self.place(row), field=f"column {column!r}", expected=expected
            )
        self.good &= ~bad

    def array(self, column: str) -> pa.Array:
        """The column in one piece."""
        array = self.table.column(column).combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
        if pa.types.is_null(array.type):
            return array.cast(pa.string())
        return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array

    def texts(self, column: str, *, required: bool = True) -> pa.StringArray:
        """The column as text, null as the empty text; empty ones are refused where ``required``."""
        array = self.array(column)
        if not pa.types.is_string(array.type):
            if pa.types.is_nested(array.type) or pa.types.is_binary(array.type):
                raise InputError(
                    f"the column {column!r} is of type {array.type}", file=self.file, expected="text"
                )
            array = array.cast(pa.string())
        array = pc.fill_null(array, "")
        if required:
            empty = pc.equal(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
            self.refuse(empty, column, "is empty", "a text")
        return array

    def unique(self, names: pa.StringArray, column: str, among: np.ndarray | None = None) -> None:
        """No two good rows (of those in the mask ``among``) have one name; the later of two is refused."""
        encoded = names.dictionary_encode()
        if len(encoded.dictionary) == len(names):
            return
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        bad = self.good.copy() if among is None else self.good & among
        where = np.flatnonzero(bad)
        _, first = np.unique(codes[where], return_index=True)
        bad[where[first]] = False
        self.refuse(bad, column, lambda row: f"{shown(names[row].as_py())} is there twice", "each name once")

    def reals(
        self, column: str, *, missing: float | None = None, least: float = 0, most: float = AMOUNT_MAX
    ) -> np.ndarray:
        """The column as float64 within the bounds; ``missing`` stands for empty cells, None refuses them."""
        array = self.array(column)
        empty = self._empty(array, column, missing is None)
        if _is_text(array):
            array = self._parsed(array, empty, column, NUMBER, pa.float64(), "a number")
        elif not _is_number(array):
            raise self._wrong_type(array, column)
        values = pc.fill_null(array.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False)
        values = np.array(values)
        self._bounded(values, empty, column, least, most)
        values[empty] = 0 if missing is None else missing
        return np.where(self.good, values, 0)

    def integers(
        self, column: str, *, missing: int | None = None, least: int = 0, most: int = AMOUNT_MAX
    ) -> np.ndarray:
        """The column as int64 within the bounds, exact; ``1.0`` counts as 1; ``missing`` as for reals."""
        array = self.array(column)
        empty = self._empty(array, column, missing is None)
        if _is_text(array):
            try:
                array = pc.if_else(pa.array(empty), None, pc.utf8_trim_whitespace(array)).cast(pa.int64())
            except pa.ArrowInvalid:
                return self._whole(column, missing, least, most)
        elif pa.types.is_floating(array.type):
            return self._whole(column, missing, least, most)
        elif not _is_number(array):
            raise self._wrong_type(array, column)
        try:
            array = array.cast(pa.int64())
        except pa.ArrowInvalid:  # unsigned and beyond 63 bits
            return self._whole(column, missing, least, most)
        values = np.array(pc.fill_null(array, 0).to_numpy(zero_copy_only=False))
        self._bounded(values, empty, column, least, most)
        values[empty] = 0 if missing is None else missing
        return np.where(self.good, values, 0)

    def times_ms(
        self,
        column: str,
        *,
        unit_ms: float = 1000,
        missing: int | None = None,
        least: float = 0,
    ) -> np.ndarray:
        """The column, in units of so many ms, as int64 milliseconds, rounded; ``missing`` in ms as for reals."""
        most = TIME_MAX_MS / unit_ms
        nothing = None if missing is None else np.nan
        values = self.reals(column, missing=nothing, least=least, most=most)
        gone = np.isnan(values)
        result = np.rint(np.where(gone, 0, values) * unit_ms).astype(np.int64)
        result[gone] = 0 if missing is None else missing
        return result

    def _whole(self, column: str, missing: int | None, least: int, most: int) -> np.ndarray:
        """Numbers that are written with a fraction or an exponent, or are no numbers at all."""
        bound = float(1 << 62)
        values = self.reals(column, missing=None if missing is None else np.nan, least=-bound, most=bound)
        gone = np.isnan(values)
        fraction = ~gone & (values != np.floor(values))
        self.refuse(fraction, column, lambda row: f"is {values[row]:g}", "a whole number")
        result = np.where(gone | fraction, 0, values).astype(np.int64)
        self._bounded(result, gone, column, least, most)
        result[gone] = 0 if missing is None else missing
        return np.where(self.good, result, 0)

    def _empty(self, array: pa.Array, column: str, refused: bool) -> np.ndarray:
        """Which cells hold nothing; refused where nothing may not be."""
        empty = np.array(array.is_null().to_numpy(zero_copy_only=False))
        if _is_text(array):
            blank = pc.fill_null(pc.equal(pc.binary_length(pc.utf8_trim_whitespace(array)), 0), True)
            empty |= blank.to_numpy(zero_copy_only=False)
        if refused:
            self.refuse(empty, column, "is empty", "a number")
        return empty

    def _parsed(
        self, array: pa.Array, empty: np.ndarray, column: str, pattern: str, kind: pa.DataType, noun: str
    ) -> pa.Array:
        """Texts as numbers, the empty ones and what is none as null."""
        array = pc.if_else(pa.array(empty), None, pc.utf8_trim_whitespace(array))
        try:
            return array.cast(kind)
        except pa.ArrowInvalid:
            fits = pc.fill_null(pc.match_substring_regex(array, pattern), False)
            bad = ~fits.to_numpy(zero_copy_only=False) & ~empty
            self.refuse(bad, column, lambda row: f"is {shown(array[row].as_py())}", noun)
            return pc.if_else(fits, array, None).cast(kind)

    def _bounded(self, values: np.ndarray, empty: np.ndarray, column: str, least: float, most: float) -> None:
        """Values outside the bounds, and those that are not finite, are refused."""
        with np.errstate(invalid="ignore"):
            bad = ~((values >= least) & (values <= most)) & ~empty
        expected = f"from {least:.15g} to {most:.15g}" if least else f"zero or more, at most {most:.15g}"
        self.refuse(bad, column, lambda row: f"is {values[row]:.15g}", expected)

    def _wrong_type(self, array: pa.Array, column: str) -> InputError:
        return InputError(
            f"the column {column!r} is of type {array.type}", file=self.file, expected="numbers"
        )


def _is_text(array: pa.Array) -> bool:
    kind = array.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(array: pa.Array) -> bool:
    return bool(pa.types.is_integer(array.type) or pa.types.is_floating(array.type))
