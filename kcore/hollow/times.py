"""Go's times as text: what a stage's delay may be given as, and what a template prints."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TEXTS_KEPT: Final = 64  # of times: all that happens in one step happens at the same


def time_ns(text: str) -> int | None:
    """Nanoseconds since 1970 of an RFC 3339 time; None where the text is none."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    try:
        at = datetime(*map(int, found.groups()[:6]), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        return None
    seconds = (at - _EPOCH) // timedelta(seconds=1)
    if found[8]:
        seconds -= int(f"{found[8]}1") * (int(found[9]) * 3600 + int(found[10]) * 60)
    return seconds * 1_000_000_000 + int(((found[7] or "") + "0" * 9)[:9])


@lru_cache(TEXTS_KEPT)
def time_text(now_ms: int) -> str:
    """RFC 3339 with as many digits as needed, as time.RFC3339Nano prints it in UTC."""
    seconds, rest = divmod(now_ms, 1000)
    at = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{at}.{rest:03d}".rstrip("0") + "Z" if rest else at + "Z"


def micro_time_text(now_ms: int) -> str:
    """metav1.MicroTime's form: six digits always."""
    seconds, rest = divmod(now_ms, 1000)
    at = _EPOCH + timedelta(seconds=seconds)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{rest:03d}000Z"
