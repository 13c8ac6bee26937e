"""Arrow columns become numpy arrays and small codes; every error names file, column and row.

Rows are counted from 1, the header of a CSV file not included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kcore.api.errors import InputError
from kcore.sources.limits import shown

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

INT64_MAX = (1 << 63) - 1


def place(column: str, row: int) -> str:
    """Where a cell is, for an error message."""
    return f"column {column!r}, row {row + 1}"


def _array(table: pa.Table, name: str) -> pa.Array:
    """The column as one array, dictionaries resolved to their values."""
    import pyarrow as pa

    column = table.column(name)
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    return array


def _no_nulls(array: pa.Array, name: str, file: str) -> None:
    if array.null_count:
        row = array.is_null().index(True).as_py()
        raise InputError("is null", file=file, document=place(name, row), expected="a value in every row")


def _is_text(type_: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_)
    )


def _wrong_type(array: pa.Array, name: str, file: str, expected: str) -> InputError:
    return InputError(f"the column {name!r} is of type {array.type}", file=file, expected=expected)


def names(table: pa.Table, file: str) -> pa.StringArray:
    """The names: text, none missing, none empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = _array(table, "name")
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not _is_text(array.type):
        raise _wrong_type(array, "name", file, "text")
    _no_nulls(array, "name", file)
    empty = pc.equal(pc.binary_length(array), 0)
    row = empty.index(True).as_py()
    if row >= 0:
        raise InputError("is empty", file=file, document=place("name", row), expected="a name in every row")
    if not pa.types.is_string(array.type):
        array = _cast(array, pa.string(), "name", file)
    return array


def _cast(array: pa.Array, type_: pa.DataType, name: str, file: str) -> pa.Array:
    import pyarrow as pa

    try:
        return array.cast(type_)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"the column {name!r} cannot be read: {error}"[:200], file=file) from None


def integers(table: pa.Table, name: str, file: str, least: int, most: int) -> np.ndarray:
    """The column as int64 within the bounds; a view of the table's memory where it is int64 already."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    array = _array(table, name)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    _no_nulls(array, name, file)
    if pa.types.is_floating(array.type):
        whole = pc.equal(array, pc.floor(array))
        row = whole.index(False).as_py()
        if row >= 0:
            raise _bad_number(array, name, row, file, "a whole number")
        wide = pc.less(pc.abs(array), 2.0**63)
        row = wide.index(False).as_py()
        if row >= 0:
            raise _bad_number(array, name, row, file, "a number of 64 bits")
    elif not pa.types.is_integer(array.type):
        raise _wrong_type(array, name, file, "int64")
    elif pa.types.is_uint64(array.type):
        row = pc.less_equal(array, pa.scalar(INT64_MAX, pa.uint64())).index(False).as_py()
        if row >= 0:
            raise _bad_number(array, name, row, file, "a number of 63 bits")
    if not pa.types.is_int64(array.type):
        array = _cast(array, pa.int64(), name, file)
    values: np.ndarray = array.to_numpy(zero_copy_only=True)
    if len(values):
        for row, wrong in (
            (int(values.argmin()), values.min() < least),
            (int(values.argmax()), values.max() > most),
        ):
            if wrong:
                raise _bad_number(array, name, row, file, f"{least} to {most}" if least else "zero or more")
    return np.ascontiguousarray(values)


def _bad_number(array: pa.Array, name: str, row: int, file: str, expected: str) -> InputError:
    return InputError(f"is {array[row].as_py()}", file=file, document=place(name, row), expected=expected)


def amounts(table: pa.Table, name: str, file: str) -> np.ndarray:
    """The column as int64, none negative."""
    return integers(table, name, file, 0, INT64_MAX)


def booleans(table: pa.Table, name: str, file: str) -> list[bool]:
    """The column as truth values; null is false."""
    import pyarrow as pa

    array = _array(table, name)
    if pa.types.is_null(array.type):
        return [False] * len(array)
    if not pa.types.is_boolean(array.type):
        raise _wrong_type(array, name, file, "true or false")
    return [bool(value) for value in array.to_pylist()]


def times_ms(table: pa.Table, name: str, file: str, missing: int) -> np.ndarray:
    """Milliseconds since 1970 UTC of a timestamp column; null is ``missing``."""
    import pyarrow as pa

    array = _array(table, name)
    if pa.types.is_null(array.type):
        array = array.cast(pa.timestamp("ms"))
    if not (pa.types.is_timestamp(array.type) or pa.types.is_date(array.type)):
        raise _wrong_type(array, name, file, "a timestamp")
    try:
        array = array.cast(pa.timestamp("ms", tz=getattr(array.type, "tz", None)), safe=False).cast(
            pa.int64()
        )
    except pa.ArrowException as error:
        raise InputError(f"the column {name!r} cannot be read: {error}"[:200], file=file) from None
    result: np.ndarray = array.fill_null(missing).to_numpy(zero_copy_only=False)
    return result


def text_codes(table: pa.Table, name: str, file: str) -> tuple[np.ndarray, list[str]]:
    """For each row the number of its text, -1 for null; and the texts."""
    import numpy as np
    import pyarrow as pa

    array = _array(table, name)
    if pa.types.is_null(array.type):
        return np.full(len(array), -1, np.int32), []
    if not pa.types.is_dictionary(array.type):
        if not _is_text(array.type):
            raise _wrong_type(array, name, file, "text")
        array = array.dictionary_encode()
    if not _is_text(array.dictionary.type):
        raise _wrong_type(array, name, file, "text")
    if array.dictionary.null_count or len(array.dictionary.unique()) < len(array.dictionary):
        array = array.dictionary_decode().dictionary_encode()
    indices = array.indices.cast(pa.int32()).fill_null(-1)
    codes: np.ndarray = indices.to_numpy(zero_copy_only=False)
    return codes, array.dictionary.to_pylist()


def label_codes(table: pa.Table, file: str) -> tuple[np.ndarray, list[dict[str, str]]]:
    """For each row the number of its label set, -1 for null; and the label sets."""
    import pyarrow as pa

    array = _array(table, "labels")
    if pa.types.is_map(array.type):
        return _map_codes(array, file)
    codes, texts = text_codes(table, "labels", file)
    sets = []
    for code, text in enumerate(texts):
        sets.append(_label_set(text, codes, code, file))
    return codes, sets


def _label_set(text: str, codes: np.ndarray, code: int, file: str) -> dict[str, str]:
    import msgspec

    try:
        return msgspec.json.decode(text, type=dict[str, str]) if text else {}
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        row = int((codes == code).argmax())
        raise InputError(
            f"is {shown(text)}", file=file, document=place("labels", row), expected='JSON like {"app": "web"}'
        ) from None


def _map_codes(array: pa.MapArray, file: str) -> tuple[np.ndarray, list[dict[str, str]]]:
    """Label sets of a map column: keys and values become numbers, equal rows of numbers one code."""
    import numpy as np
    import pyarrow as pa

    offsets = array.offsets.to_numpy(zero_copy_only=False)
    if not (_is_text(array.type.key_type) and _is_text(array.type.item_type)):
        raise _wrong_type(array, "labels", file, "map<string, string> or JSON text")
    start, stop = (int(offsets[0]), int(offsets[-1])) if len(offsets) else (0, 0)
    keys = array.keys.slice(start, stop - start).dictionary_encode()
    items = array.items.slice(start, stop - start).dictionary_encode()
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    counts = np.where(valid, np.diff(offsets), -1)
    if items.null_count:
        entry = start + items.is_null().index(True).as_py()
        row = int(np.searchsorted(offsets, entry, side="right")) - 1
        raise InputError("a value is null", file=file, document=place("labels", row), expected="text")
    pairs = keys.indices.to_numpy(zero_copy_only=False).astype(np.int64) * (len(items.dictionary) + 1)
    pairs += items.indices.to_numpy(zero_copy_only=False)
    pair_codes = _factorised(pairs)[0]
    codes = np.full(len(array), -1, np.int32)
    sets: list[dict[str, str]] = []
    for count in np.unique(counts[counts >= 0]).tolist():
        rows = np.flatnonzero(counts == count)
        at = offsets[rows].astype(np.int64) - start
        group, first = combine([pair_codes[at + step] for step in range(count)], len(rows))
        codes[rows] = group + len(sets)
        firsts = rows[first]
        sets += [dict(each) for each in array.take(pa.array(firsts)).to_pylist()]
    return codes, sets


def _factorised(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers 0.. in place of distinct values, in order of appearance; and how many there are."""
    import pyarrow as pa

    encoded = pa.array(values).dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False), len(encoded.dictionary)


def combine(parts: Sequence[np.ndarray], row_count: int) -> tuple[np.ndarray, np.ndarray]:
    """For each row the number of its combination of codes (int32), and each combination's first row.

    Codes are -1 and up. Combinations are numbered as they first appear; pairs are folded one part at a time, and
    re-numbered each time so that the product of the counts stays within 64 bits.
    """
    import numpy as np

    if row_count == 0:
        return np.zeros(0, np.int32), np.zeros(0, np.int64)
    codes: Any = np.zeros(row_count, np.int32)
    count = 1
    for part in parts:
        width = int(part.max()) + 2
        if width > 1:
            mixed = codes.astype(np.int64)
            mixed *= width
            mixed += part
            mixed += 1
            codes, count = _factorised(mixed)
    codes = codes.astype(np.int32, copy=False)
    first = np.empty(count, np.int64)
    first[codes[::-1]] = np.arange(row_count - 1, -1, -1)
    return codes, first
