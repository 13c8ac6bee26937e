"""Waiting for the disk: plain syncs without Python, others with it, failures told."""

import asyncio
import errno
import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from kcore.store.disk import Disk
from kcore.store.disk_thread import DiskThread
from kcore_native.raft import Entry, HardState
from kcore_native.wal import Syncer


def test_a_sync_is_told_through_the_pipe(tmp_path: Path) -> None:
    syncer = Syncer()
    with (tmp_path / "file").open("wb") as file:
        for _ in range(100):
            file.write(b"x" * 1000)
            file.flush()
            syncer.ask(file.fileno())
            with pytest.raises(ValueError, match="under way"):
                syncer.ask(file.fileno())
            select.select([syncer], [], [], 30)
            seconds, failure = syncer.take()
            assert seconds >= 0 and failure == 0
    with pytest.raises(ValueError, match="no sync"):
        syncer.take()
    syncer.close()
    syncer.close()
    with pytest.raises(ValueError, match="closed"):
        syncer.ask(0)


def test_a_failed_sync_has_its_errno() -> None:
    syncer = Syncer()
    reading, writing = os.pipe()
    syncer.ask(reading)  # a pipe cannot be synced
    assert syncer.take()[1] == errno.EINVAL
    os.close(reading)
    os.close(writing)
    syncer.close()


def test_both_ways_of_syncing_are_durable(tmp_path: Path) -> None:
    async def main() -> None:
        disk, _ = Disk.open(str(tmp_path), cluster_id=1, member_id=2, segment_bytes=20_000)
        thread = DiskThread(disk, asyncio.get_running_loop())
        for index in range(1, 101):  # some end a segment, which takes more than a plain sync
            disk.append(HardState(1, 0, index), [Entry(1, index, 0, bytes(1000))])
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            thread.sync(lambda seconds, error, done=done: done.set_result(error))  # type: ignore[misc]
            assert await asyncio.wait_for(done, 30) is None
        await thread.stop()
        disk.close()

    asyncio.run(main())
    assert len(list((tmp_path / "member" / "wal").glob("*.wal"))) > 3
    disk, recovered = Disk.open(str(tmp_path))
    assert len(recovered.entries) == 100 and recovered.hard_state.commit == 100
    disk.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_stop_waits_for_the_sync_under_way(run: Callable[[Any], None], tmp_path: Path) -> None:
    async def main() -> None:
        disk, _ = Disk.open(str(tmp_path), cluster_id=1, member_id=2)
        thread = DiskThread(disk, asyncio.get_running_loop())
        await asyncio.sleep(0)  # the loop has taken the pipe; uvloop makes it one that does not wait
        for index in range(1, 200):
            disk.append(HardState(1, 0, index), [Entry(1, index, 0, bytes(100_000))])
        thread.sync(lambda seconds, error: None)
        await thread.stop()
        disk.close()

    run(main())
    Disk.open(str(tmp_path))[0].close()  # nobody holds it


def test_a_failed_plain_sync_ends_the_log(tmp_path: Path) -> None:
    disk, _ = Disk.open(str(tmp_path), cluster_id=1, member_id=2)
    disk.append(HardState(1, 0, 0), [Entry(1, 1, 0, b"x")])
    assert disk.begin_sync() >= 0
    assert disk.begin_sync() == -1  # one at a time
    with pytest.raises(OSError, match="error"):
        disk.end_sync(errno.EIO)
    with pytest.raises(OSError, match="takes no more"):
        disk.append(None, [Entry(1, 2, 0, b"y")])
    assert disk.begin_sync() == -1
    disk.close()
