"""The log's records, in order, make what Raft had on disk: hard state, entries, and which snapshots count. Pure.

An entry replaces the one of its index and all after it. A SNAPSHOT record says that the machine's state up to its index
is in a snapshot's file. Where the log holds the entry at that index with that term, the log stays; else the snapshot
came from the leader in place of the log, and all entries before the record are void (etcd keeps those after the index,
see ReadAll in server/storage/wal/wal.go; they could then follow an entry of a later term).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from struct import Struct

from kcore.store.refusals import CorruptData
from kcore.store.segments import HARD_STATE, POSITION, Position, SegmentContent
from kcore_native.raft import Entry, HardState
from kcore_native.wal import DURABLE, ENTRY, KNOWN_SNAPSHOT, METADATA, SNAPSHOT, STATE


@dataclass(slots=True)
class Replay:
    """What the log says.

    ``entries`` follow one another, the first of index ``base + 1``; ``base`` is None as long as nothing fixes it.
    ``snapshots``: put in place at some time. Invariant: entries[i].index == base + 1 + i.
    """

    hard_state: HardState = field(default_factory=HardState)
    base: int | None = None
    entries: list[Entry] = field(default_factory=list)
    snapshots: list[Position] = field(default_factory=list)

    @property
    def last_index(self) -> int:
        """Index of the last entry, or of the last snapshot where it is further."""
        return max(
            self.entries[-1].index if self.entries else self.base or 0,
            max((position.index for position in self.snapshots), default=0),
        )

    def add_entry(self, entry: Entry) -> bool:
        """The entry is the last one; False, and nothing done, where entries before it are missing."""
        entries = self.entries
        if self.base is None or entry.index <= self.base:
            self.base = entry.index - 1
            entries.clear()
        place = entry.index - self.base - 1
        if place > len(entries):
            return False
        if place < len(entries):
            del entries[place:]
        entries.append(entry)
        return True

    def add_snapshot(self, position: Position) -> None:
        """The snapshot counts, and the log begins after it unless it holds the entry the snapshot ends with."""
        self.snapshots.append(position)
        if self.base is None or position.index <= self.base:
            return  # that entry was in a segment released since; Raft never goes back behind a snapshot
        place = position.index - self.base - 1
        if place < len(self.entries) and self.entries[place].term == position.term:
            return
        self.base = position.index
        self.entries.clear()


def replay(contents: Iterable[SegmentContent]) -> Replay:
    """The outcome of all records of the segments; CorruptData where they cannot follow one another."""
    state = Replay()
    for content in contents:
        path = content.segment.path
        for kind, offset, payload in content.scan.records:
            if kind == ENTRY:
                if not state.add_entry(payload):
                    before = state.entries[-1].index if state.entries else state.base
                    raise CorruptData(path, offset, f"entry {payload.index} follows entry {before}")
            elif kind == STATE:
                state.hard_state = HardState(*_fields(HARD_STATE, payload, path, offset))
            elif kind == SNAPSHOT:
                state.add_snapshot(Position(*_fields(POSITION, payload, path, offset)))
            elif kind == KNOWN_SNAPSHOT:
                position = Position(*_fields(POSITION, payload, path, offset))
                if position not in state.snapshots:
                    state.snapshots.append(position)
            elif kind == METADATA:
                raise CorruptData(path, offset, "a second first record")
            elif kind != DURABLE:
                raise CorruptData(path, offset, f"a record of unknown kind {kind}")
    return state


def _fields(layout: Struct, payload: bytes, path: str, offset: int) -> tuple[int, ...]:
    if len(payload) != layout.size:
        raise CorruptData(path, offset, f"a record of {len(payload)} bytes where {layout.size} belong")
    return layout.unpack(payload)
