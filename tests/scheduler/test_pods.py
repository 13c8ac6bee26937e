"""The pod table and the table of requests: rows, names in chunks, growth, start times."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from kcore.api.errors import InputError
from kcore.scheduler.pods import START_UNKNOWN, PodTable, RequestTable, parse_start
from kcore.scheduler.requests import PodRequest
from kcore.scheduler.vocab import Vocab

MICRO = 1_000_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-01T00:00:00Z", datetime(2026, 6, 1, tzinfo=UTC)),
        ("2026-06-01T02:00:00+02:00", datetime(2026, 6, 1, tzinfo=UTC)),
        ("1969-12-31T23:59:59Z", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2026-06-01T00:00:00.000001Z", datetime(2026, 6, 1, 0, 0, 0, 1, tzinfo=UTC)),
        ("2026-06-01T00:00:00.999999Z", datetime(2026, 6, 1, 0, 0, 0, 999_999, tzinfo=UTC)),
    ],
)
def test_a_start_time_is_microseconds_since_the_epoch(text: str, moment: datetime) -> None:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert parse_start(text) == since.days * 86_400 * MICRO + since.seconds * MICRO + since.microseconds


def test_a_pod_without_a_start_time_is_the_youngest() -> None:
    assert parse_start(None) == START_UNKNOWN > parse_start("9999-12-31T23:59:59Z")


@pytest.mark.parametrize("text", ["", "now", "2026-13-01T00:00:00Z", "2026-06-01T25:00:00Z", "1780272000"])
def test_what_is_not_a_time_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(InputError, match="is not a time") as caught:
        parse_start(text)
    assert caught.value.field == "status.startTime"


def test_rows_keep_their_values_as_the_table_grows() -> None:
    pods = PodTable()
    for number in range(300):
        assert pods.add(f"p{number}", number % 7, number % 5, -number, number) == number
    assert len(pods) == 300
    assert [pods.name(row) for row in (0, 150, 299)] == ["p0", "p150", "p299"]
    assert pods.spec_class[:300].tolist() == [number % 7 for number in range(300)]
    assert pods.priority[:300].tolist() == [-number for number in range(300)]
    assert (pods.node[:300] == -1).all()
    assert (pods.nominated[:300] == -1).all()
    assert (pods.demand[:300] == -1).all()
    assert not pods.gone[:300].any()


def test_names_come_in_chunks_that_are_not_copied() -> None:
    pods = PodTable()
    pods.add("first", 0, 0, 0, 0)
    names = pa.array(["x", "y"])
    two = np.zeros(2, dtype=np.int32)
    assert pods.extend(names, two, two, two, two.astype(np.int64)) == range(1, 3)
    pods.add("last", 0, 0, 0, 0)
    assert pods.extend(["z", "w"], two, two, two, two.astype(np.int64)) == range(4, 6)
    assert [pods.name(row) for row in range(6)] == ["first", "x", "y", "last", "z", "w"]
    assert any(chunk is names for chunk in pods.chunks())
    assert [str(name) for chunk in pods.chunks() for name in chunk] == ["first", "x", "y", "last", "z", "w"]


def test_equal_requests_share_a_row_and_others_do_not() -> None:
    table, resources = RequestTable(), Vocab[str]()
    for name in ("cpu", "memory", "ephemeral-storage"):
        resources.intern(name)
    first = table.add(("a",), PodRequest((("cpu", 5), ("gpu", 2)), (5, 9)), resources.intern)
    second = table.add(("b",), PodRequest((("memory", 7),), (100, 7), (("cpu", 3),)), resources.intern)
    assert table.find(("a",)) == first
    assert table.find(("b",)) == second
    assert table.find(("c",)) is None
    view = table.columns(len(resources))
    assert view.amount.tolist() == [[5, 0, 0, 2], [0, 7, 0, 0]]
    assert view.nonzero.tolist() == [[5, 9], [100, 7]]
    assert view.exception.tolist() == [-1, 0]
    assert view.score.tolist() == [[3, 0, 0, 0]]


def test_requests_grow_in_rows_and_resources() -> None:
    table, resources = RequestTable(), Vocab[str]()
    for number in range(40):
        table.add((number,), PodRequest(((f"r{number}", number + 1),), (number, 0)), resources.intern)
    rows = table.extend(np.array([[9, 8]]), np.array([[7, 6]]))
    assert rows == range(40, 41)
    view = table.columns(50)
    assert view.amount.shape == (41, 50)
    assert np.array_equal(view.amount[:40, :40], np.diag(np.arange(1, 41)))
    assert view.amount[40, :3].tolist() == [9, 8, 0]
    assert view.nonzero[40].tolist() == [7, 6]
