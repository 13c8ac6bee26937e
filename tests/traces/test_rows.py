"""Cells are numbers, times and names, or are named by file, row and column."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore.api.errors import InputError
from kcore.traces.csv_rows import read_csv
from kcore.traces.rows import AMOUNT_MAX, Rows


def rows(values: list[object], on_bad: str = "error", **more: object) -> Rows:
    return Rows(pa.table({"x": values}), "f.csv", on_bad=on_bad, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["1", " 2 ", "3.0", "1e2"], [1, 2, 3, 100]),
        ([1, 2], [1, 2]),
        ([1.0, 2.0], [1, 2]),
        (["9007199254740993", "1"], [9007199254740993, 1]),
        (pa.array([2**62 + 1], pa.uint64()), [2**62 + 1]),
    ],
)
def test_whole_numbers_are_read_exactly(values: list[object], found: list[int]) -> None:
    assert rows(values).integers("x", most=2**63 - 1).tolist() == found


def test_empty_cells_take_the_stated_value() -> None:
    assert rows(["1", "", "  "]).integers("x", missing=-1).tolist() == [1, -1, -1]
    assert rows([1.5, None]).reals("x", missing=-1).tolist() == [1.5, -1]
    assert rows(["1.0", ""]).integers("x", missing=-1).tolist() == [1, -1]
    assert rows(["1.5", ""]).times_ms("x", missing=-1).tolist() == [1500, -1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "two"], "f.csv: row 2: column 'x': is \"two\" (expected a number)"),
        (["1", ""], "f.csv: row 2: column 'x': is empty (expected a number)"),
        (["1", "-1"], "row 2: column 'x': is -1 (expected zero or more"),
        (["1", "nan"], "row 2: column 'x': is"),
        (["1", "inf"], "row 2: column 'x': is"),
        ([1.0, float("nan")], "row 2: column 'x': is nan"),
        (["1", "1.5"], "row 2: column 'x': is 1.5 (expected a whole number)"),
        ([1, AMOUNT_MAX + 1], "row 2: column 'x': is 1099511627777"),
        (["1", "99999999999999999999999"], "row 2: column 'x': is 1e+23"),
    ],
)
def test_a_wrong_cell_is_named_or_its_row_left_out(values: list[object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        rows(values).integers("x")
    assert message in str(caught.value)
    kept = rows(values, "skip")
    found = kept.integers("x")
    assert kept.kept(found).tolist() == [1]
    assert kept.skipped == 1


def test_lists_are_no_numbers() -> None:
    with pytest.raises(InputError, match="the column 'x' is of type list"):
        rows([[1]]).integers("x")


def test_the_later_of_two_names_is_refused() -> None:
    with pytest.raises(InputError, match=r'row 3: column \'x\': "a" is there twice'):
        rows(["a", "b", "a"]).unique(pa.array(["a", "b", "a"]), "x")
    both = rows(["a", "b", "a", "a"], "skip")
    both.good[0] = False  # a bad row takes no name
    both.unique(pa.array(["a", "b", "a", "a"]), "x")
    assert both.good.tolist() == [False, True, True, False]


@given(st.lists(st.integers(0, 10**9), min_size=1))
def test_seconds_become_milliseconds_as_they_are_written(milliseconds: list[int]) -> None:
    texts = [f"{number // 1000}.{number % 1000:03d}" for number in milliseconds]
    assert rows(texts).times_ms("x").tolist() == milliseconds


def test_rows_of_another_width_and_blank_lines_keep_the_count(tmp_path: Path) -> None:
    file = tmp_path / "t.csv.gz"
    with gzip.open(file, "wt") as stream:
        stream.write("a,b\n1,2\n\n3\nx,4\n5,6\n")
    with pytest.raises(InputError) as caught:
        read_csv(file, ("a",), on_bad="error")
    assert str(caught.value) == f"{file}: row 4: has 1 cells (expected 2: a, b)"
    found = read_csv(file, ("a",), on_bad="skip")
    assert found.skipped == 1
    assert found.array("a").to_pylist() == ["1", "x", "5"]
    assert [found.place(row) for row in range(3)] == ["row 2", "row 5", "row 6"]
    assert found.kept(found.integers("a")).tolist() == [1, 5]
    assert found.skipped == 2


def test_a_file_without_header_may_have_one(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("1,2\n")
    (tmp_path / "headed.csv").write_text("a,b\n1,2\n")
    for name, row in (("plain.csv", "row 1"), ("headed.csv", "row 2")):
        found = read_csv(tmp_path / name, ("b",), names=("a", "b"), on_bad="error")
        assert found.integers("b").tolist() == [2]
        assert found.place(0) == row


def test_missing_columns_and_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="there is no column 'c', only a, b"):
        read_csv(tmp_path / "t.csv", ("c",), on_bad="error")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_csv(tmp_path / "u.csv", ("c",), on_bad="error")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1000)[:-20])
    with pytest.raises(InputError, match=r"cut\.csv\.gz"):
        read_csv(tmp_path / "cut.csv.gz", ("a",), on_bad="error")
    (tmp_path / "bytes.csv").write_bytes(b"a,b\n\xff,2\n")
    with pytest.raises(InputError, match="invalid UTF8"):
        read_csv(tmp_path / "bytes.csv", ("a",), on_bad="error")


def test_kept_follows_the_mask() -> None:
    found = rows(["1", "2"], "skip")
    found.good[0] = False
    assert found.kept(np.array([7, 8])).tolist() == [8]
    assert found.kept(pa.array(["a", "b"])).to_pylist() == ["b"]
