"""Texts that stand for times and bytes, read and written again as Kubernetes' Go types do.

Each function gives the text that Go writes, and raises ValueError in Go's words where Go refuses the text. They are
the slow ways of ``node``, which knows the common forms at sight.

Sources: apimachinery pkg/apis/meta/v1/time.go and micro_time.go; Go's time.Parse and encoding/base64.
"""

from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta
from typing import Final

RFC3339: Final = "2006-01-02T15:04:05Z07:00"
RFC3339_MICRO: Final = "2006-01-02T15:04:05.000000Z07:00"
_PIECES: Final = (("2006", "-"), ("01", "-"), ("02", "T"), ("15", ":"), ("04", ":"), ("05", ""))
_RANGES: Final = {
    "01": (1, 12, "month"),
    "15": (0, 23, "hour"),
    "04": (0, 59, "minute"),
    "05": (0, 59, "second"),
}
_MONTH_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(
        char if " " <= char <= "~" else "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
        for char in escaped
    ) + '"'  # fmt: skip


class _Clock:
    """The text of one time, read from the left."""

    def __init__(self, text: str, layout: str) -> None:
        self.text = self.rest = text
        self.layout = layout

    def wrong(self, piece: str, rest: str | None = None) -> ValueError:
        """The text does not go on with that piece of the layout."""
        shown = self.rest if rest is None else rest
        return ValueError(
            f"parsing time {_quoted(self.text)} as {_quoted(self.layout)}: cannot parse {_quoted(shown)} as {_quoted(piece)}"
        )

    def outside(self, what: str) -> ValueError:
        """That part of the time is not in its range."""
        return ValueError(f"parsing time {_quoted(self.text)}: {what} out of range")

    def digits(self, piece: str, count: int, least: int) -> int:
        """The number of ``count`` digits, or of ``least`` where no more follow."""
        rest = self.rest
        for length in (count, least):
            if len(rest) >= length and rest[:length].isascii() and rest[:length].isdigit():
                self.rest = rest[length:]
                return int(rest[:length])
        raise self.wrong(piece)

    def literal(self, text: str) -> None:
        """The text stands here."""
        if text and not self.rest.startswith(text):
            raise self.wrong(text)
        self.rest = self.rest[len(text) :]


def _fraction(clock: _Clock, micro: bool) -> int:
    """Microseconds, what is finer dropped."""
    rest = clock.rest
    if micro:
        if len(rest) < 7 or rest[0] not in ".," or not (rest[1:7].isascii() and rest[1:7].isdigit()):
            raise clock.wrong(".000000")
        clock.rest = rest[7:]
        return int(rest[1:7])
    found = re.match(r"[.,][0-9]+", rest, re.ASCII)
    if found is None:
        return 0
    clock.rest = rest[found.end() :]
    return int(found[0][1:7].ljust(6, "0"))


def _offset(clock: _Clock) -> timedelta:
    rest = clock.rest
    if rest.startswith("Z"):
        clock.rest = rest[1:]
        return timedelta()
    numbers = rest[1:3] + rest[4:6]
    if (
        len(rest) < 6
        or rest[3] != ":"
        or rest[0] not in "+-"
        or not (numbers.isascii() and numbers.isdigit())
    ):
        raise clock.wrong("Z07:00")
    hours, minutes = int(rest[1:3]), int(rest[4:6])
    if hours > 24:
        raise clock.outside("time zone offset hour")
    if minutes > 60:
        raise clock.outside("time zone offset minute")
    clock.rest = rest[6:]
    return timedelta(hours=hours, minutes=minutes) * (-1 if rest[0] == "-" else 1)


def time(text: str, micro: bool = False) -> str | None:
    """The time in UTC, in whole seconds or with six places; None for Go's zero time."""
    clock = _Clock(text, RFC3339_MICRO if micro else RFC3339)
    parts = []
    for piece, literal in _PIECES:
        value = clock.digits(piece, 4 if piece == "2006" else 2, {"2006": 4, "15": 1}.get(piece, 2))
        if piece in _RANGES:
            least, most, name = _RANGES[piece]
            if not least <= value <= most:
                raise clock.outside(name)
        parts.append(value)
        clock.literal(literal)
    microseconds = _fraction(clock, micro)
    offset = _offset(clock)
    if clock.rest:
        raise ValueError(f"parsing time {_quoted(text)}: extra text: {_quoted(clock.rest)}")
    year, month, day, hour, minute, second = parts
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= (28 if month == 2 and not leap else _MONTH_DAYS[month - 1]):
        raise clock.outside("day")
    cycle = 400 if year < 2 else 0  # Go has a year 0, datetime has not; the calendar repeats after 400 years
    try:
        moment = datetime(year + cycle, month, day, hour, minute, second, microseconds) - offset  # noqa: DTZ001
    except (ValueError, OverflowError) as error:
        raise clock.outside("year") from error
    if moment == datetime(1 + cycle, 1, 1):  # noqa: DTZ001
        return None
    whole = f"{moment.year - cycle:04}{moment.isoformat(timespec='seconds')[4:]}"
    return f"{whole}.{moment.microsecond:06}Z" if micro else f"{whole}Z"


def base64_text(text: str) -> str:
    """The bytes of the text in base64 as Go writes them."""
    raw = text.encode("utf-8", "surrogatepass")
    place, length = 0, len(raw)
    kept = bytearray()
    while place < length:
        byte = raw[place]
        place += 1
        if byte in b"\r\n":
            continue
        if byte != 0x3D:
            if not (byte < 0x80 and (chr(byte).isalnum() or byte in b"+/")):
                raise ValueError(f"illegal base64 data at input byte {place - 1}")
            kept.append(byte)
            continue
        place = _after_padding(raw, place, len(kept) % 4)
        return base64.b64encode(base64.b64decode(bytes(kept) + b"=" * (-len(kept) % 4))).decode()
    if len(kept) % 4:
        raise ValueError(f"illegal base64 data at input byte {length - len(kept) % 4}")
    return kept.decode()


def _after_padding(raw: bytes, place: int, digits: int) -> int:
    """The place behind all padding, which must be the end."""

    def past_lines(at: int) -> int:
        while at < len(raw) and raw[at] in b"\r\n":
            at += 1
        return at

    if digits < 2:
        raise ValueError(f"illegal base64 data at input byte {place - 1}")
    if digits == 2:
        place = past_lines(place)
        if place == len(raw):
            raise ValueError(f"illegal base64 data at input byte {place}")
        if raw[place] != 0x3D:
            raise ValueError(f"illegal base64 data at input byte {place - 1}")
        place += 1
    place = past_lines(place)
    if place < len(raw):
        raise ValueError(f"illegal base64 data at input byte {place}")
    return place
