"""Flipped bits, cut files, missing files: refused or repaired, and never served."""

from __future__ import annotations

import pytest

from kcore.store.disk import Disk
from kcore.store.refusals import CorruptData, DataError, ForeignData, LockedData, NewerData
from kcore_native.raft import Entry, HardState
from tests.simulation.disk import MemoryFiles
from tests.store.disk.histories import DIRECTORY, Life, entries, found, live, metadata, open_disk

LOG = f"{DIRECTORY}/member/wal"
SNAPSHOTS = f"{DIRECTORY}/member/snap"


def copy_of(files: MemoryFiles) -> MemoryFiles:
    """Another disk with the same files, all durable."""
    other = MemoryFiles(1)
    for directory in (LOG, SNAPSHOTS):
        other.make_directory(directory)
    for path in files.paths():
        other.replace(path, files.content(path))
    return other


def small_log(*, closed: bool) -> MemoryFiles:
    """Two synced batches; ``closed``: orderly, else by kill -9."""
    life = Life(MemoryFiles())
    life.open()
    life.append(HardState(1, 2, 0), entries(1, 2, 1, 20))
    life.sync()
    life.append(HardState(1, 2, 1), entries(3, 3, 1, 20))
    life.sync()
    if closed:
        life.disk.close()
    else:
        life.files.crash_process()
    return life.files


def segments(files: MemoryFiles) -> list[str]:
    """Paths of the log's segments."""
    return [path for path in files.paths() if path.endswith(".wal")]


@pytest.mark.parametrize("closed", [False, True])
def test_no_flipped_bit_is_ever_served(closed: bool) -> None:
    files = small_log(closed=closed)
    (path,) = segments(files)
    used = len(files.content(path).rstrip(b"\0"))
    for bit in range(used * 8):
        other = copy_of(files)
        other.flip(path, bit)
        with pytest.raises((CorruptData, NewerData)) as refusal:
            open_disk(other)
        assert str(refusal.value).startswith(path), bit
        assert other.content(path) == flipped(files.content(path), bit), "nothing is changed"


def flipped(content: bytes, bit: int) -> bytes:
    """The content with that bit another."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_log_cut_in_its_last_record_is_repaired_and_the_piece_kept() -> None:
    files = small_log(closed=False)
    (path,) = segments(files)
    used = len(files.content(path).rstrip(b"\0"))
    whole = found(Disk.read(DIRECTORY, copy_of(files)))
    for cut in range(used - 40, used):
        other = copy_of(files)
        content = files.content(path)[:cut]
        other.replace(path, content)
        disk, recovered = open_disk(other)
        assert recovered.entries == whole["entries"]
        assert recovered.hard_state.term == 1
        (broken,) = [name for name in other.paths() if name.endswith(".broken")] or [None]
        if broken is not None:
            assert content.rstrip(b"\0").endswith(other.content(broken))
        disk.append(HardState(2, 1, 3), entries(4, 4, 2))
        disk.close()
        _, again = open_disk(other)
        assert again.entries == [*whole["entries"], *entries(4, 4, 2)]


def test_a_log_closed_in_order_cannot_be_cut_unseen_but_in_its_last_words() -> None:
    files = small_log(closed=True)
    (path,) = segments(files)
    used = len(files.content(path).rstrip(b"\0"))
    other = copy_of(files)
    content = files.content(path)
    other.replace(path, content[: used - 80] + bytes(48) + content[used - 32 :])
    with pytest.raises(CorruptData, match="though it had been written durably"):
        open_disk(other)


def test_reading_changes_nothing() -> None:
    files = small_log(closed=False)
    (path,) = segments(files)
    files.replace(path, files.content(path)[: len(files.content(path).rstrip(b"\0")) - 3])
    before = {name: files.content(name) for name in files.paths()}
    steps = files.steps
    assert found(Disk.read(DIRECTORY, files))["entries"] == entries(1, 3, 1, 20)
    assert {name: files.content(name) for name in files.paths()} == before
    assert files.steps == steps
    assert files.locked == set()


def full_life() -> MemoryFiles:
    """The disk after a life that was closed."""
    life = Life(MemoryFiles())
    live(life)
    life.disk.close()
    return life.files


def test_a_flipped_bit_in_any_file_of_a_long_life_is_refused_or_made_up_for() -> None:
    files = full_life()
    whole = found(Disk.read(DIRECTORY, copy_of(files)))
    for path in files.paths():
        if path.endswith("lock"):
            continue
        used = len(files.content(path).rstrip(b"\0"))
        for bit in range(0, used * 8, 13):
            other = copy_of(files)
            other.flip(path, bit)
            try:
                _, recovered = open_disk(other)
                got = found(recovered)
            except DataError:
                continue
            assert got["hard_state"] == whole["hard_state"]
            assert got["entries"][-3:] == whole["entries"][-3:]
            assert path.endswith((".snap", ".json")), f"{path} bit {bit}"


def test_an_older_snapshot_stands_in_where_the_log_reaches_back_to_it() -> None:
    life = Life(MemoryFiles())
    life.open()
    life.append(HardState(1, 1, 8), entries(1, 8, 1))
    life.snapshot(3, 1)
    life.snapshot(7, 1)
    life.disk.close()
    path = f"{SNAPSHOTS}/{1:016x}-{7:016x}.snap"
    life.files.flip(path, 3000)
    disk, recovered = open_disk(life.files)
    assert recovered.snapshot_metadata == metadata(3, 1)
    assert recovered.entries == entries(4, 8, 1)
    assert recovered.hard_state == HardState(1, 1, 8)
    assert path + ".broken" in life.files.paths()
    disk.close()
    assert open_disk(life.files)[1].snapshot_metadata == metadata(3, 1)


def test_a_damaged_snapshot_is_refused_where_the_log_does_not_reach_back() -> None:
    life = Life(MemoryFiles())
    life.open()
    life.append(HardState(1, 1, 3), entries(1, 3, 1))
    life.snapshot(3, 1)
    life.snapshot(50, 2)
    life.append(HardState(2, 0, 50))
    life.disk.close()
    path = f"{SNAPSHOTS}/{2:016x}-{50:016x}.snap"
    other = copy_of(life.files)
    other.flip(path, 9000)
    with pytest.raises(CorruptData, match="checksum") as refusal:
        open_disk(other)
    assert refusal.value.file == path
    other = copy_of(life.files)
    other.remove(path)
    with pytest.raises(CorruptData, match="gone"):
        open_disk(other)


def test_a_missing_segment_is_seen() -> None:
    life = Life(MemoryFiles())
    life.open()
    for first in range(1, 13, 3):
        life.append(HardState(1, 1, first), entries(first, first + 2, 1, 1200))
        life.sync()
    life.disk.close()
    paths = segments(life.files)
    assert len(paths) >= 4
    for lost in paths[:-1]:
        other = copy_of(life.files)
        other.remove(lost)
        with pytest.raises(CorruptData, match="no snapshot reaches so far"):
            open_disk(other)
    other = copy_of(life.files)
    for path in paths:
        other.remove(path)
    with pytest.raises(CorruptData, match="the log is gone"):
        open_disk(other)


def test_what_a_released_segment_said_is_said_by_the_next_one() -> None:
    # hard state and snapshots known stand at the head of each segment
    life = Life(MemoryFiles())
    life.open()
    life.append(HardState(7, 5, 0), entries(1, 3, 7, 1300))
    life.append(HardState(7, 5, 3))
    life.snapshot(3, 7)
    life.sync()
    assert life.disk.release(99) == 1
    life.append(None, entries(4, 5, 7, 1600))
    life.sync()
    assert life.disk.release(99) == 0, "the snapshot does not make up for entries 4 and 5"
    life.files.crash_process()
    disk, recovered = open_disk(life.files)
    assert found(recovered) == {
        "hard_state": HardState(7, 5, 3), "snapshot": metadata(3, 7), "entries": entries(4, 5, 7, 1600),
    }  # fmt: skip
    assert disk.release(99) == 0


def test_a_snapshot_that_raft_never_accepted_is_forgotten() -> None:
    life = Life(MemoryFiles())
    life.open()
    life.append(HardState(1, 1, 2), entries(1, 3, 1))
    life.snapshot(30, 1)
    life.disk.close()
    disk, recovered = open_disk(life.files)
    assert recovered.snapshot_metadata is None
    assert recovered.entries == entries(1, 3, 1)
    assert not [path for path in life.files.paths() if path.endswith(".snap")]
    disk.close()


def test_foreign_newer_and_locked_directories_are_refused_in_one_line() -> None:
    files = small_log(closed=True)
    for words, options in (
        ("cluster c1, not to cluster 5", {"cluster_id": 5}),
        ("member 3e, not to", {"member_id": 5}),
    ):
        with pytest.raises(ForeignData, match=words):
            Disk.open(DIRECTORY, files, **options)  # type: ignore[arg-type]
    disk, _ = open_disk(files)
    with pytest.raises(LockedData, match="in use by process 1: stop it"):
        open_disk(files)
    with pytest.raises(LockedData):
        Disk.read(DIRECTORY, files)
    disk.close()
    meta = f"{DIRECTORY}/member/meta.json"
    other = copy_of(files)
    other.replace(meta, files.content(meta).replace(b'"format":1', b'"format":2'))
    with pytest.raises(NewerData, match="format 2, newer than format 1"):
        open_disk(other)
    other.replace(meta, b"{}")
    with pytest.raises(CorruptData, match=r"meta\.json"):
        open_disk(other)
    other.remove(meta)
    assert open_disk(other)[1].entries == entries(1, 3, 1, 20)
    assert other.content(meta) == files.content(meta)
    with pytest.raises(ValueError, match="holds no data"):
        Disk.open("/empty", MemoryFiles())
    with pytest.raises(CorruptData, match="no such directory"):
        Disk.read("/empty", MemoryFiles())


def test_whose_directory_it_is() -> None:
    files = MemoryFiles()
    assert Disk.identity(DIRECTORY, files) is None
    disk, _ = open_disk(files)
    assert Disk.identity(DIRECTORY, files) is None  # nothing was appended: it may be begun anew
    disk.append(HardState(1, 1, 0), [Entry(1, 1)])
    disk.sync()
    assert Disk.identity(DIRECTORY, files) == (0xC1, 0x3E)
