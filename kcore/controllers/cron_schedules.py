"""When a cron schedule is due.

Local time is walked by month, day, hour and minute, as by github.com/robfig/cron v3, which upstream uses: an hour that
a change of clocks leaves out is not due, and one that it repeats is due twice.

Source: github.com/robfig/cron v3 spec.go, constantdelay.go; Go's time.Date.
"""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

from kcore.api.kinds.schedules import Times, is_zone, times_of

YEARS_MAX: Final = 5  # that a due time is looked for
REMEMBERED: Final = 4096  # distinct schedules
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Schedule(NamedTuple):
    """Times in a zone."""

    times: Times
    zone: tzinfo

    def after(self, seconds: int) -> int | None:
        """The first due time later than that; None where there is none for five years. In seconds since 1970."""
        if self.times.period_seconds:
            return seconds + self.times.period_seconds
        return _Walk(self, seconds + 1).found()

    def is_day(self, when: datetime) -> bool:
        """The day is one of the schedule's."""
        by_month = bool(self.times.days >> when.day & 1)
        by_week = bool(self.times.weekdays >> (when.isoweekday() % 7) & 1)
        return (by_month and by_week) if self.times.any_day else (by_month or by_week)


@lru_cache(maxsize=REMEMBERED)
def schedule_of(text: str, zone: str = "") -> Schedule | None:
    """The schedule in that zone, or in that which it names itself; None where it is not valid."""
    times = times_of(text)
    return None if times is None else Schedule(times, zone_of(times.zone or zone) or UTC)


def zone_of(name: str) -> tzinfo | None:
    """The time zone; None where there is none of that name."""
    if name in ("", "UTC", "Local"):
        return UTC
    if not is_zone(name):
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


class _Walk:
    """Forward in time to the first moment whose fields all fit."""

    def __init__(self, schedule: Schedule, seconds: int) -> None:
        self.schedule = schedule
        self.at = seconds
        self.is_whole = False  # what is smaller than the field that is walked is at its lowest

    @property
    def local(self) -> datetime:
        return datetime.fromtimestamp(self.at, self.schedule.zone)

    def found(self) -> int | None:
        last_year = self.local.year + YEARS_MAX
        while self.local.year <= last_year:
            if self._months() and self._days() and self._hours() and self._minutes() and self._seconds():
                return self.at
        return None

    def _begin(self, year: int, month: int, day: int, hour: int = 0) -> None:
        if not self.is_whole:
            self.is_whole = True
            self.at = self._date(year, month, day, hour)

    def _date(self, year: int, month: int, day: int, hour: int) -> int:
        """The moment of that local time; of one that there is not, as Go says, in one of the two offsets."""
        naive = int((datetime(year, month, day, hour, tzinfo=UTC) - EPOCH).total_seconds())
        offset = self._offset(naive)
        return naive - (self._offset(naive - offset) if offset else 0)

    def _offset(self, at: int) -> int:
        offset = datetime.fromtimestamp(at, self.schedule.zone).utcoffset()
        assert offset is not None
        return int(offset.total_seconds())

    def _months(self) -> bool:
        """False where a new year has begun: all is to be looked at again."""
        while not self.schedule.times.months >> self.local.month & 1:
            now = self.local
            self._begin(now.year, now.month, 1)
            now = self.local
            year, month = (now.year, now.month + 1) if now.month < 12 else (now.year + 1, 1)
            self.at = self._date(year, month, 1, now.hour)
            if month == 1:
                return False
        return True

    def _days(self) -> bool:
        while not self.schedule.is_day(self.local):
            now = self.local
            self._begin(now.year, now.month, now.day)
            now = self.local
            following = datetime.fromordinal(now.toordinal() + 1)
            self.at = self._date(following.year, following.month, following.day, now.hour)
            hour = self.local.hour
            if hour:  # midnight is left out or repeated on that day
                self.at += (24 - hour) * 3600 if hour > 12 else -hour * 3600
            if self.local.day == 1:
                return False
        return True

    def _hours(self) -> bool:
        while not self.schedule.times.hours >> self.local.hour & 1:
            now = self.local
            self._begin(now.year, now.month, now.day, now.hour)
            self.at += 3600
            if self.local.hour == 0:
                return False
        return True

    def _minutes(self) -> bool:
        while not self.schedule.times.minutes >> self.local.minute & 1:
            if not self.is_whole:
                self.is_whole = True
                self.at -= self.at % 60
            self.at += 60
            if self.local.minute == 0:
                return False
        return True

    def _seconds(self) -> bool:
        """Seconds are 0: due times are whole minutes."""
        left = -self.local.second % 60
        self.at += left
        self.is_whole = True
        return not left
