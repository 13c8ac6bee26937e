from collections.abc import Callable
from typing import Final

from kcore_native.mvcc.values import WatchBatch

BATCH_REVISIONS_MAX: Final[int]
BATCH_BYTES_MAX: Final[int]
BACKLOG_EVENTS_MAX: Final[int]
BACKLOG_BYTES_MAX: Final[int]
EVENTS_SHARED_MAX: Final[int]
EVENTS_SHARED_BYTES_MAX: Final[int]
EMPTY_RANGE: Final[str]

class Watcher:
    on_ready: Callable[[Watcher], object] | None
    @property
    def done(self) -> bool: ...
    @property
    def next_revision(self) -> int: ...
    def pending(self) -> WatchBatch | None: ...
    def request_progress(self) -> None: ...
    def cancel(self, reason: str = "") -> None: ...
