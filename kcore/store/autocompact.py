"""Old revisions are compacted without anyone asking: by age or by number, as etcd's ``v3compactor``. Pure.

``due`` names the revision to compact, ``done`` says that it was. Only the leader compacts, but every member records
revisions, so that a new leader knows what was current a period ago.
"""

from collections import deque
from typing import Final

HOUR_MS: Final = 3_600_000
RECORDS_IN_INTERVAL: Final = 10  # a revision is recorded that many times in an interval
REVISION_INTERVAL_MS: Final = 300_000  # by number: every 5 minutes


class Periodic:
    """Keeps what was current within ``period_ms``: compacts every period, every hour where that is longer."""

    def __init__(self, period_ms: int, now_ms: int) -> None:
        self.period_ms = period_ms
        self.interval_ms = min(period_ms, HOUR_MS)
        self._record_ms = max(self.interval_ms // RECORDS_IN_INTERVAL, 1)
        self._records: deque[int] = deque(maxlen=period_ms // self._record_ms + 1)
        self._next_ms = now_ms
        self._wait_until_ms = now_ms + period_ms
        self._last_revision = 0

    def due(self, now_ms: int, revision: int) -> int:
        """The revision that was current a period ago, where it is time to compact it; else 0."""
        if now_ms < self._next_ms:
            return 0
        self._next_ms = now_ms + self._record_ms
        oldest = self._records[0] if self._records else 0
        self._records.append(revision)
        if now_ms < self._wait_until_ms or oldest in (0, self._last_revision):
            return 0
        return oldest

    def done(self, revision: int, now_ms: int) -> None:
        """The revision is compacted."""
        self._last_revision = revision
        self._wait_until_ms = now_ms + self.interval_ms


class ByRevision:
    """Keeps the last ``retention`` revisions: looks every five minutes."""

    def __init__(self, retention: int, now_ms: int) -> None:
        self.retention = retention
        self._next_ms = now_ms + REVISION_INTERVAL_MS
        self._last_revision = 0

    def due(self, now_ms: int, revision: int) -> int:
        """The revision below which nothing need be kept, where it is time to compact it; else 0."""
        if now_ms < self._next_ms:
            return 0
        self._next_ms = now_ms + REVISION_INTERVAL_MS
        wanted = revision - self.retention
        return wanted if wanted > 0 and wanted != self._last_revision else 0

    def done(self, revision: int, now_ms: int) -> None:
        """The revision is compacted."""
        self._last_revision = revision


def from_flags(mode: str, retention: int, now_ms: int) -> Periodic | ByRevision | None:
    """The compactor of etcd's ``--auto-compaction-mode`` and ``-retention`` (milliseconds, or revisions); 0 is none."""
    if retention <= 0:
        return None
    if mode == "periodic":
        return Periodic(retention, now_ms)
    if mode == "revision":
        return ByRevision(retention, now_ms)
    raise ValueError(f"auto-compaction-mode {mode!r} is neither periodic nor revision")
