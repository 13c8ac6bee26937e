"""The write-ahead log on a real disk: durable entries, appends, opening, snapshots; the floor beside it.

The floor of a round is the same bytes by bare ``os.pwrite`` and ``os.fdatasync`` into a preallocated file.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from bench.figures import Figures, stopwatch
from kcore.store.disk import Disk
from kcore_native.raft import ConfState, Entry, HardState, SnapshotMetadata
from kcore_native.wal import crc32c, crc32c_by_table

ROUNDS = 5
ENTRY_BYTES = 300
BATCH_TARGET = 1_000  # entries in the batch that the target is set for
CHUNK_BYTES = 256 * 1024


def batch(first: int, count: int) -> list[Entry]:
    """So many entries from an index on."""
    return [Entry(1, first + number, 0, bytes(ENTRY_BYTES)) for number in range(count)]


def write(disk: Disk, batches: list[list[Entry]]) -> float:
    """Every batch appended and synced; seconds in appends alone."""
    appends = 0.0
    for entries in batches:
        seconds, _ = stopwatch(disk.append, HardState(1, 1, entries[0].index - 1), entries)
        appends += seconds
        disk.sync()
    return appends


def floor(path: Path, batches: int, length: int) -> None:
    """The same bytes without records."""
    data = bytes(length)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.posix_fallocate(descriptor, 0, batches * length)
    os.fsync(descriptor)
    for number in range(batches):
        os.pwrite(descriptor, data, number * length)
        os.fdatasync(descriptor)
    os.close(descriptor)


def test_group_commit(benchmark: BenchmarkFixture, figures: Figures, tmp_path: Path) -> None:
    """Entries made durable one at a time and in batches, and the floor of the same round."""
    sizes = {1: 300, 32: 200, BATCH_TARGET: 100} if figures.enabled else {1: 2, 32: 2}
    benchmark.group = "log"
    for count, batches in sizes.items():
        seconds, appends, floors = [], [], []
        for number in range(ROUNDS if figures.enabled else 1):
            directory = tmp_path / f"{count}-{number}"
            disk, _ = Disk.open(str(directory), cluster_id=1, member_id=1)
            work = [batch(1 + number * count, count) for number in range(batches)]
            floors.append(stopwatch(floor, tmp_path / "floor", batches, count * (ENTRY_BYTES + 36))[0])
            taken, appending = stopwatch(write, disk, work)
            seconds.append(taken)
            appends.append(appending)
            disk.close()
            assert len(Disk.read(str(directory)).entries) == batches * count
            shutil.rmtree(directory)
        of = {"batch": count, "batches": batches, "entry_bytes": ENTRY_BYTES}
        target = 100_000 if count == BATCH_TARGET else None
        figures.rates(
            f"durable entries, batches of {count}",
            seconds,
            batches * count,
            "entries/s",
            target=target,
            work=of,
        )
        figures.ratio(f"batches of {count}: log / bare writes", seconds, floors, work=of)
        if count == BATCH_TARGET:
            each = [one / (batches * count) * 1e6 for one in appends]
            figures.add("append with its write, an entry", each, "us", target=1, work=of)
    disk, _ = Disk.open(str(tmp_path / "last"), cluster_id=1, member_id=1)
    benchmark.pedantic(write, (disk, [batch(1, 32)]), rounds=3)
    disk.close()


def test_opening(benchmark: BenchmarkFixture, figures: Figures, tmp_path: Path) -> None:
    """A log of 200,000 entries, in the page cache, read to Raft's entries."""
    count = 200_000 if figures.enabled else 100
    disk, _ = Disk.open(str(tmp_path), cluster_id=1, member_id=1)
    for first in range(1, count + 1, 1_000):
        disk.append(HardState(1, 1, 0), batch(first, min(1_000, count)))
        disk.sync()
    disk.close()
    benchmark.group = "opening"
    recovered = benchmark.pedantic(Disk.read, (str(tmp_path),), rounds=ROUNDS if figures.enabled else 1)
    assert len(recovered.entries) == count
    if figures.enabled:
        figures.rates("entries read at opening", list(benchmark.stats.stats.data), count, "entries/s")


def test_snapshot(benchmark: BenchmarkFixture, figures: Figures, tmp_path: Path) -> None:
    """A snapshot of 256 MiB written durably, and read with every checksum."""
    count = 1_024 if figures.enabled else 2
    disk, _ = Disk.open(str(tmp_path), cluster_id=1, member_id=1)
    disk.append(HardState(1, 1, 1), batch(1, 1))
    chunk = os.urandom(CHUNK_BYTES)
    metadata = SnapshotMetadata(ConfState((1,)), 1, 1)

    def snapshot() -> None:
        with disk.begin_snapshot(metadata) as writer:
            for _ in range(count):
                writer.write(chunk)
            writer.commit()

    benchmark.group = "snapshot"
    benchmark.pedantic(snapshot, rounds=3 if figures.enabled else 1)
    reads = [stopwatch(lambda: sum(map(len, disk.snapshot_chunks(metadata)))) for _ in range(3)]
    assert {length for _, length in reads} == {count * CHUNK_BYTES}
    disk.close()
    if figures.enabled:
        megabytes = count * CHUNK_BYTES / 1e6
        for what, seconds in (
            ("written", list(benchmark.stats.stats.data)),
            ("read", [one for one, _ in reads]),
        ):
            rates = [megabytes / one for one in seconds]
            figures.add(f"snapshot {what}", rates, "MB/s", more_is_better=True, target=100)


def test_checksum(benchmark: BenchmarkFixture, figures: Figures) -> None:
    """CRC32C of 64 MiB by instruction, and by table."""
    data = os.urandom(64 * 1024 * 1024 if figures.enabled else 1024)
    tables = [stopwatch(crc32c_by_table, data) for _ in range(ROUNDS)]
    benchmark.group = "checksum"
    assert benchmark.pedantic(crc32c, (data,), rounds=ROUNDS) == tables[0][1]
    if figures.enabled:
        figures.rates("CRC32C", list(benchmark.stats.stats.data), len(data) // 1_000_000, "MB/s")
        figures.rates("CRC32C by table", [one for one, _ in tables], len(data) // 1_000_000, "MB/s")
