"""A full disk refuses an append whole, and takes it later; a failed sync ends the log. In memory and for real."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kcore.store.disk import Disk
from kcore.store.files import OsFiles, is_full
from kcore.store.refusals import LockedData
from kcore_native.raft import Entry, HardState
from tests.naive.disk import Journal
from tests.simulation.disk import MemoryFiles, Survival
from tests.store.disk.histories import Life, chunks, entries, found, metadata, open_disk

pytestmark = pytest.mark.differential


def refusal(disk: Disk, hard_state: HardState | None, new: list[Entry]) -> OSError | None:
    """Why the append was refused; None where it was done."""
    try:
        disk.append(hard_state, new)
    except OSError as error:
        return error
    return None


@pytest.mark.parametrize("room", range(0, 3000, 137))
def test_an_append_to_a_full_disk_is_refused_whole(room: int) -> None:
    life = Life(MemoryFiles(room))
    life.open()
    life.append(HardState(1, 1, 0), entries(1, 2, 1, 1000))
    life.sync()
    files = life.files
    files.faults.capacity_bytes = sum(len(files.content(path)) for path in files.paths()) + room
    index = 2
    refused = 0
    for _ in range(8):
        state, new = HardState(1, 1, index), entries(index + 1, index + 1, 1, 500)
        if error := refusal(life.disk, state, new):
            assert is_full(error)
            refused += 1
            continue
        life.journal.append(state, new)
        life.sync()
        index += 1
    assert refused
    other = MemoryFiles()
    other.make_directory("/data/member/wal")
    for path in files.paths():
        other.replace(path, files.content(path))
    assert found(open_disk(other)[1]) == life.journal.possible()[-1], "reads go on"
    files.faults.capacity_bytes = None
    life.append(HardState(2, 1, index), entries(index + 1, index + 9, 2, 700))
    life.sync()
    files.crash(Survival.NOTHING)
    assert found(open_disk(files)[1]) == life.journal.possible()[-1]


@pytest.mark.parametrize("survival", list(Survival))
def test_a_write_that_fails_half_way_is_undone_durably(survival: Survival) -> None:
    # as where the file system could not reserve the space
    life = Life(MemoryFiles(5))
    life.open()
    life.append(HardState(1, 1, 0), entries(1, 1, 1))
    life.sync()
    tail = life.disk._log._tail
    write_at = tail.write_at

    def half(offset: int, data: bytes) -> None:
        write_at(offset, data[: len(data) * 2 // 3])
        raise OSError(errno.ENOSPC, "No space left on device")

    tail.write_at = half  # type: ignore[method-assign]
    error = refusal(life.disk, None, entries(2, 9, 1, 300))
    assert error is not None
    assert is_full(error)
    tail.write_at = write_at  # type: ignore[method-assign]
    life.append(None, entries(2, 3, 2, 90))
    life.files.crash(survival)
    assert found(open_disk(life.files)[1]) in life.journal.possible()


def test_after_a_failed_sync_nothing_is_written_any_more() -> None:
    life = Life(MemoryFiles())
    life.open()
    life.append(HardState(1, 1, 0), entries(1, 1, 1))
    life.files.faults.sync_fails = True
    with pytest.raises(OSError, match="Input/output error"):
        life.disk.sync()
    life.files.faults.sync_fails = False
    for refused in (lambda: life.disk.append(None, entries(2, 2, 1)), life.disk.sync):
        with pytest.raises(OSError, match="takes no more: a sync failed") as error:
            refused()
        assert error.value.errno == errno.EIO
    life.disk.close()
    open_disk(life.files)


def test_a_snapshot_on_a_full_disk_leaves_the_older_one() -> None:
    life = Life(MemoryFiles())
    life.open()
    life.append(HardState(1, 1, 9), entries(1, 9, 1))
    life.snapshot(4, 1)
    life.sync()
    files = life.files
    files.faults.capacity_bytes = sum(len(files.content(path)) for path in files.paths()) + 900
    with life.disk.begin_snapshot(metadata(8, 1)) as writer:
        writer.write(chunks(8, 1)[0])
        with pytest.raises(OSError, match="No space"):
            writer.write(bytes(2000))
    life.disk.close()
    assert open_disk(files)[1].snapshot_metadata == metadata(4, 1)
    assert not [path for path in files.paths() if path.endswith(".tmp")]


def test_what_is_appended_while_a_sync_runs_is_synced_before_a_new_segment_begins() -> None:
    # the sync vouches for what came before it only; the cut behind it must not leave the rest
    life = Life(MemoryFiles(2))
    life.open()
    life.append(HardState(1, 1, 0), entries(1, 3, 1, 1200))
    inode_sync = life.disk._log._tail.sync_data

    def sync_and_append() -> None:
        inode_sync()
        life.disk._log._tail.sync_data = inode_sync  # type: ignore[method-assign]
        life.append(None, entries(4, 4, 1, 100))

    life.disk._log._tail.sync_data = sync_and_append  # type: ignore[method-assign]
    life.disk.sync()
    assert len([path for path in life.files.paths() if path.endswith(".wal")]) == 2
    life.files.crash(Survival.NOTHING)
    assert open_disk(life.files)[1].entries == [*entries(1, 3, 1, 1200), *entries(4, 4, 1, 100)]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_real_limit_of_a_files_size(tmp_path: Path) -> None:
    journal = Journal()
    disk, _ = Disk.open(str(tmp_path), cluster_id=1, member_id=2, segment_bytes=64 * 1024)
    with file_size_limit(1024 * 1024):
        for index in range(1, 40):
            state, new = HardState(1, 2, index - 1), entries(index, index, 1, 50_000)
            disk.append(state, new)
            disk.sync()  # begins new segments in time
            journal.append(state, new)
    with file_size_limit(30_000):  # less than any segment: no new one can be made either
        for index in range(40, 44):
            with pytest.raises(OSError, match="too large") as error:
                disk.append(None, entries(index, index, 1, 2_000_000))
            assert is_full(error.value)
    disk.append(HardState(2, 2, 39), entries(40, 40, 2))
    journal.append(HardState(2, 2, 39), entries(40, 40, 2))
    disk.close()
    with Disk.open(str(tmp_path))[0]:
        pass
    _, recovered = (opened := Disk.open(str(tmp_path)))
    assert found(recovered) == journal.possible()[-1]
    opened[0].close()


def test_a_directory_in_use_is_refused_until_its_process_ends(tmp_path: Path) -> None:
    program = (
        "import sys; from kcore.store.disk import Disk; from kcore_native.raft import Entry, HardState\n"
        "disk, _ = Disk.open(sys.argv[1], cluster_id=1, member_id=2, segment_bytes=65536)\n"
        "disk.append(HardState(1, 2, 0), [Entry(1, 1, 0, b'x')]); disk.sync()\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    with pytest.raises(LockedData, match=f"in use by process {process.pid}: stop it"):
        Disk.open(str(tmp_path))
    process.kill()
    process.communicate()
    disk, recovered = Disk.open(str(tmp_path))
    assert [each.data for each in recovered.entries] == [b"x"]
    disk.close()


def test_the_systems_files(tmp_path: Path) -> None:
    files = OsFiles()
    directory = str(tmp_path / "a" / "b")
    files.make_directory(directory)
    assert os.stat(directory).st_mode & 0o777 == 0o700
    assert files.list_directory(directory + "/none") == []
    file = files.open(f"{directory}/f", create=True)
    file.allocate(100)
    file.allocate(10)
    file.write_at(98, b"abcd")
    file.sync_data()
    assert (file.size(), file.read_at(96, 100)) == (102, b"\0\0abcd")
    file.truncate(99)
    assert file.read_at(98, 5) == b"a"
    file.close()
    files.rename(f"{directory}/f", f"{directory}/g")
    files.sync_directory(directory)
    assert files.list_directory(directory) == ["g"]
    assert files.exists(f"{directory}/g") and not files.exists(f"{directory}/f")
