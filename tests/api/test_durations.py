"""Durations as Go reads them; those of its own tests (time/time_test.go), and what it says of texts that are none."""

from __future__ import annotations

import pytest

from kcore.api.durations import NoDuration, duration_ns, read_duration_ns

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0", 0), ("-0", 0), ("5s", 5 * SECOND), ("30s", 30 * SECOND), ("1478s", 1478 * SECOND), ("-5s", -5 * SECOND),
        ("+5s", 5 * SECOND), ("5.0s", 5 * SECOND), ("5.6s", 5_600_000_000), ("5.s", 5 * SECOND), (".5s", SECOND // 2),
        ("1.0040s", 1_004_000_000), ("100.00100s", 100_001_000_000), ("10ns", 10), ("11us", 11_000), ("12µs", 12_000),
        ("12μs", 12_000), ("13ms", 13_000_000), ("3h30m", 12600 * SECOND), ("10.5s4m", 250_500_000_000),
        ("-2m3.4s", -123_400_000_000), ("1h2m3s4ms5us6ns", 3_723_004_005_006), ("39h9m14.425s", 140_954_425_000_000),
        ("52763797000ns", 52_763_797_000), ("0.3333333333333333333h", 1200 * SECOND),
        ("9007199254740993ns", (1 << 53) + 1), ("9223372036854775807ns", (1 << 63) - 1),
        ("9223372036854775.807us", (1 << 63) - 1), ("-9223372036854775808ns", -(1 << 63)),
        ("0.100000000000000000000h", 360 * SECOND), ("0.830103483285477580700h", 2_988_372_539_827),
    ],
)  # fmt: skip
def test_durations(text: str, wanted: int) -> None:
    assert read_duration_ns(text) == duration_ns(text) == wanted


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", 'time: invalid duration ""'),
        ("invalid", 'time: invalid duration "invalid"'),
        ("-", 'time: invalid duration "-"'),
        (".", 'time: invalid duration "."'),
        (".s", 'time: invalid duration ".s"'),
        ("+.s", 'time: invalid duration "+.s"'),
        ("3", 'time: missing unit in duration "3"'),
        ("1h30", 'time: missing unit in duration "1h30"'),
        ("5d", 'time: unknown unit "d" in duration "5d"'),
        ("5s ", 'time: unknown unit "s " in duration "5s "'),
        ("2562048h", 'time: invalid duration "2562048h"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("-9223372036854775809ns", 'time: invalid duration "-9223372036854775809ns"'),
    ],
)
def test_what_is_none(text: str, wrong: str) -> None:
    with pytest.raises(NoDuration) as caught:
        read_duration_ns(text)
    assert str(caught.value) == wrong
    assert duration_ns(text) is None
