"""How much of the log stays in memory for slow followers, and when the log on disk calls for a snapshot. Pure."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from kcore_native.raft import ConfState, Entry, MemoryStorage

LOG_BYTES_MAX: Final = (
    96 << 20
)  # of log in memory; more is cut down to LOG_BYTES_KEPT, as far as it is applied
LOG_BYTES_KEPT: Final = 48 << 20
ALONE_BYTES_MAX: Final = 4 << 20  # of a member that nobody follows: who joins later is sent a snapshot
ALONE_BYTES_KEPT: Final = 1 << 20
ENTRY_OVERHEAD_BYTES: Final = 32  # of an entry beside its data


class Retention:
    """The log in memory is cut every ``snapshot_count`` applied entries, or when it holds too many bytes."""

    def __init__(self, storage: MemoryStorage, snapshot_count: int, catch_up_entries: int) -> None:
        self.storage: Final = storage
        self.snapshot_count: Final = snapshot_count
        self.catch_up_entries: Final = catch_up_entries
        self.disk_bytes = 0  # of log on disk since its last snapshot
        self.cut_index = storage.first_index() - 1  # what was applied when the log was last cut
        self._runs: deque[tuple[int, int]] = deque()  # (last index, bytes) of runs of entries in memory
        self._bytes = 0  # Invariant: of all runs

    def appended(self, entries: Sequence[Entry]) -> None:
        """Those entries are in memory and on disk."""
        size = sum(len(entry.data) + ENTRY_OVERHEAD_BYTES for entry in entries)
        self.disk_bytes += size
        self._runs.append((entries[-1].index, size))
        self._bytes += size

    def cut(self, applied: int, conf_state: ConfState) -> None:
        """What followers need not ask for any more is gone from memory; nothing that is not applied."""
        keep_from = 0
        if applied - self.cut_index >= self.snapshot_count:
            keep_from = applied - self.catch_up_entries
        elif self._bytes > ALONE_BYTES_MAX:
            keep_from = self._surplus(applied, conf_state)
        if keep_from < self.storage.first_index():
            return
        self.cut_index = applied
        self.storage.create_snapshot(applied, conf_state, b"")
        self.storage.compact(keep_from)
        while self._runs and self._runs[0][0] <= keep_from:
            self._bytes -= self._runs.popleft()[1]

    def _surplus(self, applied: int, conf_state: ConfState) -> int:
        """The last of the applied entries that are too many bytes; 0 where none are."""
        is_alone = len(conf_state.voters) == 1 and not conf_state.learners and not conf_state.voters_outgoing
        left, last_surplus = self._bytes, 0
        if not is_alone and left <= LOG_BYTES_MAX:
            return 0
        for last, size in self._runs:
            if left <= (ALONE_BYTES_KEPT if is_alone else LOG_BYTES_KEPT) or last > applied:
                break
            last_surplus, left = last, left - size
        return last_surplus

    def restored(self, index: int) -> None:
        """A leader's snapshot has taken the place of the log."""
        self.cut_index = index
        self.disk_bytes = 0
        self._runs.clear()
        self._bytes = 0
