"""Snapshot files: written, read, damaged, restored."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kcore.api.errors import InputError
from kcore.cli.app import main
from kcore.store.embedded import Embedded
from kcore.store.etcd.saved import (
    BLOCK_BYTES,
    DIGEST_BYTES,
    DamagedFile,
    Target,
    body,
    has_digest,
    load,
    padding,
    restore,
    status,
    stored,
    write,
)
from kcore.store.face import AlarmAction, AlarmType

PEER = ("http://localhost:2380",)


def filled(directory: Path, keys: int = 20) -> None:
    """A data directory whose member was stopped; key 3 is deleted, and there is a lease with one key."""

    async def run() -> None:
        store = await Embedded.open(str(directory))
        for number in range(keys):
            await store.put(b"k%d" % number, b"v%d" % number * 50)
        await store.delete_range(b"k3")
        await store.lease_grant(1000, 7)
        await store.put(b"leased", b"v", lease=7)
        await store.alarm(AlarmAction.ACTIVATE, store.member_id, AlarmType.CORRUPT)
        await store.close()

    asyncio.run(run())


def saved(directory: Path, file: Path) -> None:
    machine = stored(str(directory))
    write(machine.snapshot(), file)


def target(folder: Path, **changed: Any) -> Target:
    return Target(str(folder), "default", {"default": PEER}, "token", PEER)._replace(**changed)


@pytest.mark.parametrize("size", [0, 1, 2, 509, 510, 511, 512, 513, 1022, 1024])
def test_padding_says_how_long_it_is(size: int) -> None:
    added = padding(size)
    assert (size + len(added)) % BLOCK_BYTES == 0
    assert int.from_bytes(added[-2:], "little") == len(added)
    assert has_digest(size + len(added) + DIGEST_BYTES)


def test_what_is_saved_can_be_restored_into_a_new_cluster(tmp_path: Path) -> None:
    filled(tmp_path / "a")
    file = tmp_path / "snapshot.db"
    saved(tmp_path / "a", file)
    assert has_digest(file.stat().st_size)
    machine = load(body(file, check=True), str(file))
    before = status(machine, 0)
    restore(machine, target(tmp_path / "b"))

    async def run() -> None:
        store = await Embedded.open(str(tmp_path / "b"), initial_cluster_token="token")
        found = await store.range(b"k", b"l")
        assert found.count == 19
        assert found.revision == before.revision
        assert await store.alarm(AlarmAction.GET) == []
        assert await store.leases() == [7]
        assert [each.name for each in await store.members()] == ["default"]
        await store.lease_revoke(7)
        assert await store.get(b"leased") is None
        history = await store.range(b"k3", revision=before.revision - 2)
        assert history.kvs[0].value == b"v3" * 50
        await store.put(b"more", b"v")
        await store.close()
        store = await Embedded.open(str(tmp_path / "b"))
        assert (await store.range(b"k", b"l")).count == 19
        assert await store.get(b"more") is not None
        await store.close()

    asyncio.run(run())


def test_a_bumped_revision_makes_old_watches_begin_anew(tmp_path: Path) -> None:
    filled(tmp_path / "a")
    machine = stored(str(tmp_path / "a"))
    revision = machine.revision
    restore(machine, target(tmp_path / "b"), bump_revision=1_000_000)

    async def run() -> None:
        store = await Embedded.open(str(tmp_path / "b"))
        assert store.revision == revision + 1_000_000
        batch = await anext(aiter(store.watch(b"k1", start_revision=revision)))
        assert batch.compact_revision == revision + 1_000_000
        assert (await store.range(b"k", b"l")).count == 19
        assert (await store.put(b"k1", b"x")).revision == revision + 1_000_001
        await store.close()

    asyncio.run(run())


def test_damage_is_found(tmp_path: Path) -> None:
    filled(tmp_path / "a", keys=5)
    file = tmp_path / "snapshot.db"
    saved(tmp_path / "a", file)
    whole = file.read_bytes()
    for damaged in (
        whole[:-1],
        whole[:-BLOCK_BYTES],
        whole[: BLOCK_BYTES // 2],
        whole + b"x",
        b"",
        bytes(len(whole)),
    ):
        file.write_bytes(damaged)
        with pytest.raises(DamagedFile):
            load(body(file, check=True), str(file))
    for at in range(0, len(whole), 37):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DamagedFile):
            load(body(file, check=True), str(file))
    file.write_bytes(whole[:-DIGEST_BYTES])
    with pytest.raises(DamagedFile, match="missing hash"):
        load(body(file, check=True), str(file))
    load(body(file, check=False), str(file))


def test_a_restore_that_cannot_be(tmp_path: Path) -> None:
    filled(tmp_path / "a", keys=1)
    machine = stored(str(tmp_path / "a"))
    for wrong, problem in (
        ({"name": "other"}, "has no member 'other'"),
        ({"peer_urls": ("http://h:1",)}, "is not what --initial-cluster has"),
        ({"directory": str(tmp_path / "a")}, "is not empty"),
    ):
        with pytest.raises(InputError, match=problem):
            restore(machine, target(tmp_path / "b", **wrong))
    assert not (tmp_path / "b").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path / "a")
    file = str(tmp_path / "snapshot.db")
    assert main(["snapshot", "save", file, "--data-dir", str(tmp_path / "a")]) == 0
    assert main(["snapshot", "status", file, "-o", "json"]) == 0
    assert '"totalKey": 22' in capsys.readouterr().out
    assert main(["snapshot", "restore", file, "--data-dir", str(tmp_path / "b")]) == 0
    assert main(["snapshot", "restore", file, "--data-dir", str(tmp_path / "b")]) == 2
    assert main(["snapshot", "restore", file, "--data-dir", str(tmp_path / "c"), "--bump-revision", "5"]) == 2
    assert main(["snapshot", "status", file, "--data-dir", str(tmp_path / "a")]) == 2
    assert main(["snapshot", "status", str(tmp_path / "nothing")]) == 2
    assert main(["snapshot", "status", "--data-dir", str(tmp_path / "nothing")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 5
    assert all(line.startswith("kcore: error: ") for line in errors)
