"""A member's life with its disk, written so that it can be cut off anywhere and judged by what is there afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kcore.store.disk import Disk
from kcore.store.recovery import Recovered
from kcore_native.raft import ConfState, Entry, HardState, SnapshotMetadata
from tests.naive.disk import Journal
from tests.simulation.disk import MemoryFiles

CLUSTER, MEMBER = 0xC1, 0x3E
DIRECTORY = "/data"
SEGMENT_BYTES = 3072  # so that a few entries fill one


def open_disk(files: MemoryFiles, **options: Any) -> tuple[Disk, Recovered]:
    """The data directory of the one member of these tests."""
    return Disk.open(
        DIRECTORY, files, cluster_id=CLUSTER, member_id=MEMBER, segment_bytes=SEGMENT_BYTES, **options
    )


def entry(index: int, term: int, size: int = 40) -> Entry:
    """An entry whose data tells it from all others; every third is mostly zeros."""
    word = f"{index}/{term}.".encode()
    data = word + bytes(size) if index % 3 == 0 else word * (size // len(word) + 1)
    return Entry(term, index, index % 3, data)


def entries(first: int, last: int, term: int, size: int = 40) -> list[Entry]:
    """Those entries, both ends included."""
    return [entry(index, term, size) for index in range(first, last + 1)]


def metadata(index: int, term: int) -> SnapshotMetadata:
    """Of a snapshot at that entry."""
    return SnapshotMetadata(ConfState((1, 2, MEMBER), (9,), (1, 2), (), index % 2 == 0), index, term)


def chunks(index: int, term: int) -> list[bytes]:
    """The content of the snapshot at that entry."""
    return [f"state at {index} of {term}".encode(), bytes(700), bytes(range(256)) * 3]


class Life:
    """The disk and the journal beside it."""

    def __init__(self, files: MemoryFiles) -> None:
        self.files = files
        self.journal = Journal()
        self.disk: Disk

    def open(self) -> None:
        """The disk is open."""
        self.disk, _ = open_disk(self.files)

    def append(self, hard_state: HardState | None, new: Iterable[Entry] = ()) -> None:
        """Both are in the journal and, if nothing happens, in the log."""
        new = list(new)
        self.journal.append(hard_state, new)
        self.disk.append(hard_state, new)

    def sync(self) -> None:
        """What was appended is acknowledged."""
        count = len(self.journal.records)
        self.disk.sync()
        self.journal.acknowledged = count

    def snapshot(self, index: int, term: int) -> None:
        """A snapshot's file is committed."""
        with self.disk.begin_snapshot(metadata(index, term)) as writer:
            for chunk in chunks(index, term):
                writer.write(chunk)
            self.journal.offer(metadata(index, term))
            writer.commit()

    def release(self, index: int) -> None:
        """What the newest snapshot makes up for is gone."""
        self.disk.release(index)


def live(life: Life) -> None:
    """Everything a member does with its disk: elections, conflicts, full segments, snapshots made and received, restarts."""
    life.open()
    life.append(HardState(1, MEMBER, 0))
    life.sync()
    life.append(HardState(1, MEMBER, 1), entries(1, 3, 1))
    life.append(None, entries(4, 6, 1))
    life.sync()
    life.append(HardState(2, 0, 4), entries(5, 8, 2))  # in place of 5 and 6
    life.append(HardState(2, 0, 6), entries(9, 10, 2, 900))
    life.sync()
    life.append(HardState(2, 0, 9), entries(11, 13, 2, 1300))
    life.sync()
    life.snapshot(9, 2)
    life.release(9)
    life.append(HardState(3, 1, 10), entries(12, 14, 3, 300))
    life.sync()
    life.disk.close()
    life.journal.acknowledged = len(life.journal.records)
    life.open()
    life.snapshot(13, 3)  # of what is not committed yet: it counts with the next hard state
    life.append(None, entries(15, 16, 3))
    life.sync()
    life.append(HardState(3, 1, 14), entries(17, 17, 3, 2000))
    life.sync()
    life.release(13)
    life.snapshot(40, 5)  # from the leader, in place of the log
    life.append(HardState(5, 0, 14))
    life.sync()
    life.append(HardState(5, 0, 40))
    life.sync()
    life.append(HardState(5, 0, 41), entries(41, 43, 5, 1100))
    life.sync()
    life.release(40)
    life.append(HardState(5, 0, 43), entries(44, 45, 5, 1700))
    life.append(HardState(6, 2, 43), entries(45, 46, 6))
    life.sync()
    life.snapshot(43, 5)
    life.release(43)
    life.append(None, entries(47, 47, 6))


def found(recovered: Recovered) -> dict[str, Any]:
    """What was recovered, as the journal says it; the snapshot's content is what was written."""
    of = recovered.snapshot_metadata
    got = list(recovered.open_snapshot())
    assert got == ([] if of is None else chunks(of.index, of.term))
    return {"hard_state": recovered.hard_state, "snapshot": of, "entries": recovered.entries}
