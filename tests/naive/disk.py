"""What a member has on disk after so many records, kept in a dict. Source: the head of kcore/store/replay.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kcore_native.raft import Entry, HardState, SnapshotMetadata

# A record: an Entry, a HardState, or the SnapshotMetadata of a snapshot that counts from here on.
Record = Entry | HardState | SnapshotMetadata


def state_after(records: list[Record]) -> dict[str, Any]:
    """Hard state, snapshot, and the entries after it."""
    entries: dict[int, Entry] = {}
    hard = HardState()
    snapshot: SnapshotMetadata | None = None
    for record in records:
        if isinstance(record, Entry):
            entries = {index: entry for index, entry in entries.items() if index < record.index}
            entries[record.index] = record
        elif isinstance(record, HardState):
            hard = record
        elif snapshot is None or record.index > snapshot.index:
            same = entries.get(record.index)
            if same is None or same.term != record.term:
                entries = {}
            snapshot = record
    base = snapshot.index if snapshot else 0
    left = [entry for index, entry in sorted(entries.items()) if index > base]
    term = left[-1].term if left else snapshot.term if snapshot else 0
    commit = max(hard.commit, base)
    hard = HardState(term, 0, commit) if hard.term < term else HardState(hard.term, hard.vote, commit)
    return {"hard_state": hard, "snapshot": snapshot, "entries": left}


@dataclass
class Journal:
    """Every record that was asked for, in order, and how many of them were acknowledged by a sync."""

    records: list[Record] = field(default_factory=list)
    acknowledged: int = 0
    offered: list[SnapshotMetadata] = field(default_factory=list)

    @property
    def commit(self) -> int:
        """The last commit index written."""
        return next((r.commit for r in reversed(self.records) if isinstance(r, HardState)), 0)

    def append(self, hard_state: HardState | None, entries: list[Entry]) -> None:
        """What ``Disk.append`` writes."""
        commit = hard_state.commit if hard_state is not None else self.commit
        self.records += [each for each in self.offered if each.index <= commit]
        self.offered = [each for each in self.offered if each.index > commit]
        self.records += entries
        if hard_state is not None:
            self.records.append(hard_state)

    def offer(self, metadata: SnapshotMetadata) -> None:
        """What the commit of a snapshot's file writes."""
        if metadata.index <= self.commit:
            self.records.append(metadata)
        else:
            self.offered.append(metadata)

    def possible(self) -> list[dict[str, Any]]:
        """Every state that a crash now may leave: all that was acknowledged, and any number of records after it."""
        return [
            state_after(self.records[:count]) for count in range(self.acknowledged, len(self.records) + 1)
        ]
