"""Times as objects have them."""

from __future__ import annotations

from datetime import UTC, datetime


def micro_time(time_s: float) -> str:
    """``metav1.MicroTime``: 2026-01-02T03:04:05.000006Z."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def second_time(time_s: float) -> str:
    """``metav1.Time``: 2026-01-02T03:04:05Z."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_of(stamp: str) -> float:
    """Seconds since 1970 of either."""
    return datetime.fromisoformat(stamp).timestamp()
