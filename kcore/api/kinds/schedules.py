"""What is wrong with the schedule of a CronJob, in the words of the parser that upstream uses.

Sources: github.com/robfig/cron v3 (ParseStandard), Kubernetes 1.36 pkg/util/parsers and
pkg/apis/batch/validation/validation.go (time zones).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from kcore.api.durations import NS_PER_SECOND, NoDuration, read_duration_ns
from kcore.api.field import FieldError, invalid, quoted
from kcore.api.kinds.names import CACHED_COUNT_MAX

DESCRIPTORS: Final = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_EVERY: Final = "@every "
_MONTHS: Final = {
    name: index
    for index, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_DAYS: Final = {name: index for index, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
# lowest, highest, names of minute, hour, day of month, month, day of week
_FIELDS: Final[tuple[tuple[int, int, dict[str, int]], ...]] = (
    (0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS), (0, 6, _DAYS),
)  # fmt: skip
_match_number = re.compile("[+-]?[0-9]+").fullmatch
_match_zone_part = re.compile(r"[A-Za-z.\-_0-9+]{1,14}").fullmatch


_STAR: Final = 1 << 63  # beside the bits of a field that says "any"


class Times(NamedTuple):
    """What a schedule says: a time zone, and a bit for each value of the five fields; or a period."""

    zone: str = ""
    minutes: int = 0
    hours: int = 0
    days: int = 0
    months: int = 0
    weekdays: int = 0
    any_day: bool = False  # a field of days is a star: the other alone says which
    period_seconds: int = 0


class _Wrong(ValueError):
    """The schedule is wrong; the text says why."""


@lru_cache(maxsize=CACHED_COUNT_MAX)
def schedule_problem(schedule: str) -> str:
    """Why the parser refuses the schedule; empty where it does not."""
    try:
        _parse(schedule)
    except _Wrong as wrong:
        return str(wrong)
    return ""


def times_of(schedule: str) -> Times | None:
    """What the schedule says; None where the parser refuses it."""
    try:
        return _parse(schedule)
    except _Wrong:
        return None


def _parse(schedule: str) -> Times:
    zone = ""
    if not schedule:
        raise _Wrong("empty spec string")
    if schedule.startswith(("TZ=", "CRON_TZ=")):
        space = schedule.find(" ")
        if space < 0:
            raise _Wrong("invalid schedule format: runtime error: slice bounds out of range [:-1]")
        zone = schedule[schedule.index("=") + 1 : space]
        if not is_zone(zone):
            raise _Wrong(f"provided bad location {zone}: unknown time zone {zone}")
        schedule = schedule[space:].strip()
    if schedule.startswith("@"):
        period = _period(schedule)
        if period:
            return Times(zone, period_seconds=period)
        schedule = DESCRIPTORS[schedule]
    fields = schedule.split()
    if len(fields) != len(_FIELDS):
        raise _Wrong(f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: [{' '.join(fields)}]")
    bits = []
    for text, (lowest, highest, names) in zip(fields, _FIELDS, strict=True):
        found = 0
        for expression in text.split(","):
            if expression:
                found |= _range(expression, lowest, highest, names)
        bits.append(found)
    any_day = bool((bits[2] | bits[4]) & _STAR)
    minutes, hours, days, months, weekdays = (found & ~_STAR for found in bits)
    return Times(zone, minutes, hours, days, months, weekdays, any_day)


def _period(descriptor: str) -> int:
    """The seconds of ``@every``; 0 for one of the other descriptors."""
    if descriptor in DESCRIPTORS:
        return 0
    if not descriptor.startswith(_EVERY):
        raise _Wrong(f"unrecognized descriptor: {descriptor}")
    duration = descriptor.removeprefix(_EVERY)
    try:
        return max(1, read_duration_ns(duration) // NS_PER_SECOND)
    except NoDuration as wrong:
        raise _Wrong(f"failed to parse duration {descriptor}: {wrong}") from None


def _range(expression: str, lowest: int, highest: int, names: dict[str, int]) -> int:
    """The bits of the values that it names."""
    parts = expression.split("/")
    bounds = parts[0].split("-")
    star = 0
    if bounds[0] in ("*", "?"):
        start, end, star = lowest, highest, _STAR
    else:
        start = end = _number(bounds[0], names)
        if len(bounds) == 2:
            end = _number(bounds[1], names)
        elif len(bounds) > 2:
            raise _Wrong(f"too many hyphens: {expression}")
    step = 1
    if len(parts) == 2:
        step = _number(parts[1], {})
        if len(bounds) == 1:
            end = highest
        if step > 1:
            star = 0
    elif len(parts) > 2:
        raise _Wrong(f"too many slashes: {expression}")
    if start < lowest:
        raise _Wrong(f"beginning of range ({start}) below minimum ({lowest}): {expression}")
    if end > highest:
        raise _Wrong(f"end of range ({end}) above maximum ({highest}): {expression}")
    if start > end:
        raise _Wrong(f"beginning of range ({start}) beyond end of range ({end}): {expression}")
    if step == 0:
        raise _Wrong(f"step of range should be a positive number: {expression}")
    return star | sum(1 << value for value in range(start, end + 1, step))


def _number(text: str, names: dict[str, int]) -> int:
    if (named := names.get(text.lower())) is not None:
        return named
    if not _match_number(text):
        raise _Wrong(f"failed to parse int from {text}: strconv.Atoi: parsing {quoted(text)}: invalid syntax")
    if len(text) > 19:
        raise _Wrong(
            f"failed to parse int from {text}: strconv.Atoi: parsing {quoted(text)}: value out of range"
        )
    if (number := int(text)) < 0:
        raise _Wrong(f"negative number ({number}) not allowed: {text}")
    return number


@lru_cache(maxsize=CACHED_COUNT_MAX)
def is_zone(name: str) -> bool:
    """True for a time zone that there is; for any where this machine knows none at all."""
    if name in ("", "UTC", "Local"):
        return True
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        try:
            zoneinfo.ZoneInfo("Europe/Berlin")
        except (zoneinfo.ZoneInfoNotFoundError, OSError):
            return True
        return False
    return True


def validate_schedule(
    schedule: str, zone: str | None, allow_zone_in_schedule: bool, path: str
) -> list[FieldError]:
    """validateScheduleFormat."""
    errors = [invalid(path, schedule, problem)] if (problem := schedule_problem(schedule)) else []
    if "TZ" in schedule:
        if not allow_zone_in_schedule:
            detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            errors.append(invalid(path, schedule, detail))
        elif zone is not None:
            detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
            errors.append(invalid(path, schedule, detail))
    return errors


def validate_zone(zone: str | None, path: str) -> list[FieldError]:
    """validateTimeZone."""
    if zone is None:
        return []
    if not zone:
        return [invalid(path, zone, "timeZone must be nil or non-empty string")]
    for part in zone.split("/"):
        if part in (".", "..") or part.startswith("-") or not _match_zone_part(part):
            return [invalid(path, zone, f"unknown time zone {zone}")]
    errors = []
    if zone.lower() == "local":
        detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        errors.append(invalid(path, zone, detail))
    if not is_zone(zone):
        errors.append(invalid(path, zone, f"unknown time zone {zone}"))
    return errors
