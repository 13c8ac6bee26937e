"""The power fails at every write, sync, rename and removal of a member's life: what was acknowledged is always there."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from kcore_native.raft import HardState
from tests.naive.disk import Journal
from tests.simulation.disk import MemoryFiles, PowerLoss, Survival
from tests.store.disk.histories import Life, entries, found, live, open_disk

pytestmark = pytest.mark.differential

# Each survival, and how often with other dice.
WAYS = [(Survival.NOTHING, 1), (Survival.EVERYTHING, 1), (Survival.PREFIX, 2), (Survival.SECTORS, 2)]


def whole_life() -> Life:
    """A life without a crash, its operations recorded."""
    life = Life(MemoryFiles())
    life.files.recording = True
    live(life)
    return life


STEPS = whole_life().files.steps


def crashed(step: int, survival: Survival, seed: int) -> tuple[MemoryFiles, Journal]:
    """The disk after a life that ended at that step."""
    life = Life(MemoryFiles(seed))
    life.files.power_fails_at = step
    with pytest.raises(PowerLoss):
        live(life)
    life.files.crash(survival)
    return life.files, life.journal


def ways() -> Iterator[tuple[Survival, int]]:
    """Every survival with its seeds."""
    for survival, seeds in WAYS:
        for seed in range(seeds):
            yield survival, seed


def test_the_life_touches_everything() -> None:
    operations = " ".join(whole_life().files.operations)
    for word in (
        "create",
        "write",
        "allocate",
        "sync",
        "rename",
        "remove",
        "sync directory",
        ".snap",
        ".wal",
        "meta.json",
    ):
        assert word in operations
    assert operations.count(".wal.tmp") > 12
    assert operations.count("remove /data/member/wal") >= 2
    assert STEPS > 100


def test_without_a_crash_all_is_there() -> None:
    life = whole_life()
    life.disk.close()
    _, recovered = open_disk(life.files)
    assert found(recovered) == life.journal.possible()[-1]


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_after_a_crash_at_any_step_what_was_acknowledged_is_there(step: int) -> None:
    for survival, seed in ways():
        files, journal = crashed(step, survival, seed * 1000 + step)
        disk, recovered = open_disk(files)
        assert found(recovered) in journal.possible(), (step, survival, seed)
        # and the member goes on from there
        last = recovered.entries[-1].index if recovered.entries else 0
        if recovered.snapshot_metadata is not None:
            last = max(last, recovered.snapshot_metadata.index)
        more = entries(last + 1, last + 3, 9, 900)
        disk.append(HardState(9, 1, last), more)
        disk.sync()
        files.crash(Survival.SECTORS)
        _, again = open_disk(files)
        assert again.entries == [*recovered.entries, *more]
        assert again.hard_state == HardState(9, 1, last)


@pytest.mark.parametrize("step", range(1, STEPS + 1, 6))
def test_a_crash_while_recovering_from_a_crash_loses_nothing_either(step: int) -> None:
    draw = random.Random(step)
    for survival in Survival:
        again = 0
        while True:
            again += 1
            files, journal = crashed(step, survival, step)
            files.power_fails_at = files.steps + again
            try:
                _, recovered = open_disk(files)
                break
            except PowerLoss:
                files.crash(draw.choice(list(Survival)))
                _, recovered = open_disk(files)
            assert found(recovered) in journal.possible(), (step, survival, again)
        assert found(recovered) in journal.possible()


@pytest.mark.parametrize("step", range(2, STEPS + 1, 5))
def test_what_was_read_back_is_durable(step: int) -> None:
    # a killed process leaves unsynced bytes in the system's memory; once recovered they count, so they must be synced
    life = Life(MemoryFiles(step))
    life.files.power_fails_at = step
    with pytest.raises(PowerLoss):
        live(life)
    life.files.crash_process()
    _, recovered = open_disk(life.files)
    life.files.crash(Survival.NOTHING)
    _, again = open_disk(life.files)
    assert found(again) == found(recovered)
    assert found(again) in life.journal.possible()


def test_a_disk_that_lies_is_seen_to_lose() -> None:
    # so these tests can fail
    lost = 0
    for step in range(3):
        life = Life(MemoryFiles(step))
        life.open()
        life.files.faults.lying = True
        life.append(HardState(1, 1, 0), entries(1, 3, 1))
        life.sync()
        life.files.crash(Survival.NOTHING)
        _, recovered = open_disk(life.files)
        lost += found(recovered) not in life.journal.possible()
    assert lost
