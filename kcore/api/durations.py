"""Go's durations as text, ``1h30m`` or ``1.5s``, in nanoseconds.

Source: time.ParseDuration of Go 1.26.
"""

from __future__ import annotations

import re
from typing import Final

UNITS_NS: Final = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}  # fmt: skip
NS_PER_SECOND: Final = 1_000_000_000
NS_MAX: Final = (1 << 63) - 1
_part = re.compile(r"(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?(?P<unit>[^.0-9]*)").match


class NoDuration(ValueError):
    """The text is no duration; said in Go's words."""


def read_duration_ns(text: str) -> int:
    """The nanoseconds; NoDuration where the text is none, or more than 292 years."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    invalid = NoDuration(f"time: invalid duration {_quoted(text)}")
    total = 0
    while True:
        found = _part(rest)
        assert found is not None  # it may be empty
        whole, fraction, unit = found["whole"], found["fraction"] or "", found["unit"]
        if not whole and not fraction:
            raise invalid
        if not unit:
            raise NoDuration(f"time: missing unit in duration {_quoted(text)}")
        if unit not in UNITS_NS:
            raise NoDuration(f"time: unknown unit {_quoted(unit)} in duration {_quoted(text)}")
        total += int(whole or 0) * UNITS_NS[unit] + _fraction_ns(fraction, UNITS_NS[unit])
        rest = rest[found.end() :]
        if total > NS_MAX + (text[0] == "-"):
            raise invalid
        if not rest:
            return -total if text[0] == "-" else total


def _fraction_ns(digits: str, unit_ns: int) -> int:
    """In floating point, and of so many digits as 63 bits hold, as Go has it."""
    value, scale = 0, 1.0
    for digit in digits:
        more = value * 10 + int(digit)
        if value > NS_MAX // 10 or more > NS_MAX:
            break
        value, scale = more, scale * 10
    return int(value * (unit_ns / scale))


def duration_ns(text: str) -> int | None:
    """The same; None where the text is no duration."""
    try:
        return read_duration_ns(text)
    except NoDuration:
        return None


def _quoted(text: str) -> str:
    from kcore.api.field import (
        quoted,  # not sooner: every command of kcore reads this file, and few have a wrong duration
    )

    return quoted(text)
