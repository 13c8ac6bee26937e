"""Times of objects in milliseconds since 1970, and back."""

from __future__ import annotations

from functools import lru_cache

from kcore.client.stamps import second_time
from kcore_native.rfc3339 import seconds_of


def ms_of(text: str | None) -> int | None:
    """The time that ``metav1.Time`` or ``MicroTime`` wrote; None where there is none."""
    seconds = seconds_of(text) if text else None
    return None if seconds is None else round(seconds * 1000)


def text_of(now_ms: int) -> str:
    """As ``metav1.Time`` writes it: to the second."""
    return _text(now_ms // 1000)


@lru_cache(maxsize=64)
def _text(seconds: int) -> str:
    return second_time(seconds)
