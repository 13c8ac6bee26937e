"""Replicas on a real disk and on loopback: restarts, three members over TLS, a full disk, strangers on the port."""

import asyncio
import errno
import logging
from pathlib import Path

import pytest
import trustme

from kcore.store.embedded import Embedded
from kcore.store.errors import StoreError
from kcore.store.refusals import DataError
from kcore.store.replica import Replica
from kcore.store.transport import HELLO, MAGIC, PACKETS, VERSION, describe
from tests.store.loopback import Loopback, certificates, free_ports, until

QUICK = {"heartbeat_ms": 20, "election_ms": 200}


def test_what_was_answered_survives_every_restart(tmp_path: Path) -> None:
    async def main() -> None:
        for round_ in range(8):
            store = await Embedded.open(str(tmp_path), **QUICK)
            found = await store.range(b"k", b"l")
            assert found.count == round_ * 50
            await asyncio.gather(*(store.put(b"k%d-%d" % (round_, i), b"v" * 100) for i in range(50)))
            await store.close()

    asyncio.run(main())


def test_nothing_is_kept_without_a_directory() -> None:
    async def main() -> None:
        store = await Embedded.open()
        assert (await store.put(b"a", b"1")).revision == 2
        kv = await store.get(b"a")
        assert kv is not None and kv.value == b"1"
        await store.close()

    asyncio.run(main())


def test_snapshots_on_disk_bound_the_log(tmp_path: Path) -> None:
    async def main() -> None:
        store = await Embedded.open(str(tmp_path), snapshot_log_bytes=200_000, **QUICK)
        for i in range(20):
            await asyncio.gather(*(store.put(b"k%d" % j, bytes([i]) * 1000) for j in range(50)))
        await until(lambda: list((tmp_path / "member" / "snap").glob("*.snap")))
        await store.close()
        store = await Embedded.open(str(tmp_path), **QUICK)
        assert store.revision == 1001
        kv = await store.get(b"k7")
        assert kv is not None and kv.value == bytes([19]) * 1000
        await store.close()

    asyncio.run(main())


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        store = await Embedded.open(str(tmp_path), **QUICK)
        with pytest.raises(DataError, match="in use"):
            await Embedded.open(str(tmp_path), **QUICK)
        await store.close()

    asyncio.run(main())


def test_three_members_over_tls(tmp_path: Path) -> None:
    tls = certificates(tmp_path / "tls", trustme.CA(), "127.0.0.1")

    async def main() -> None:
        cluster = Loopback(tmp_path, 3, tls)
        await cluster.start()
        await cluster.ready()
        stores = [cluster.store(name) for name in cluster.urls]
        await asyncio.gather(
            *(stores[i % 3].put(b"k%d" % i, b"v%d" % i) for i in range(300))
        )  # two of three pass on
        for store in stores:
            assert (await store.range(b"k", b"l")).count == 300
        led = cluster.leader()
        await cluster.stop(led)
        left = [cluster.store(name) for name in cluster.replicas]
        await until(cluster.leader)
        await asyncio.gather(*(left[i % 2].put(b"m%d" % i, b"v") for i in range(100)))
        await cluster.start(led)
        await cluster.ready([led])
        assert (await cluster.store(led).range(b"m", b"n")).count == 100
        hashes = {(await cluster.store(name).hash_kv(401)).hash for name in cluster.urls}
        assert len(hashes) == 1
        peer = next(iter(cluster.replicas[led].transport.peers.values()))
        await until(lambda: peer.round_trip is not None)
        await cluster.stop()

    asyncio.run(main())


def test_a_member_joins_by_snapshot_and_becomes_a_voter(tmp_path: Path) -> None:
    async def main() -> None:
        cluster = Loopback(tmp_path, 1, snapshot_count=50, catch_up_entries=10)
        await cluster.start()
        await cluster.ready()
        store = cluster.store("m0")
        for i in range(200):
            await store.put(b"k%d" % i, bytes(5000))
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        cluster.urls["m1"] = url
        with pytest.raises(ValueError, match="add the member to the cluster first"):
            await cluster.start("m1", initial_cluster_state="existing")
        info, members = await store.member_add((url,), is_learner=True)
        assert info.is_learner and len(members) == 2
        await cluster.start("m1", initial_cluster_state="existing")
        await cluster.ready(["m1"])
        await until(lambda: cluster.replicas["m1"].machine.revision == 201)
        assert cluster.replicas["m1"].member_id == info.id
        promoted = await cluster.store("m1").member_promote(info.id)
        assert not any(m.is_learner for m in promoted)
        await cluster.store("m1").put(b"a", b"1")
        await store.move_leader(info.id)
        await until(lambda: cluster.leader() == "m1")
        assert len(await cluster.store("m1").member_remove(cluster.replicas["m0"].member_id)) == 1
        await asyncio.wait_for(cluster.replicas["m0"].stopped.wait(), 60)
        assert (await cluster.store("m1").put(b"b", b"1")).revision == 203
        await cluster.stop()

    asyncio.run(main())


def test_a_full_disk_refuses_writes_and_loses_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        store = await Embedded.open(str(tmp_path), **QUICK)
        await store.put(b"a", b"1")
        disk = store.replica.disk
        assert disk is not None
        append = disk.append

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no space left on device")

        disk.append = full  # type: ignore[method-assign]
        waits = asyncio.ensure_future(store.put(b"a", b"2"))
        await until(lambda: store.replica.disk_full)
        with pytest.raises(StoreError, match="database space exceeded"):
            await store.put(b"a", b"3")
        kv = await store.get(b"a")
        assert kv is not None and kv.value == b"1"
        disk.append = append  # type: ignore[method-assign]
        assert (await waits).revision == 3
        await until(lambda: store.replica.machine.alarms)
        assert [alarm.type for alarm in await store.alarm(0)] == [1]  # an operator must look at it
        with pytest.raises(StoreError, match="database space exceeded"):
            await store.put(b"a", b"4")
        await store.alarm(2, store.member_id, 1)
        await store.put(b"a", b"5")
        await store.close()

    asyncio.run(main())


def test_a_failing_disk_stops_the_member_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        store = await Embedded.open(str(tmp_path), **QUICK)
        disk = store.replica.disk
        assert disk is not None

        def broken() -> None:
            raise OSError(errno.EIO, "input/output error")

        disk.begin_sync = lambda: -1  # type: ignore[method-assign]
        disk.sync = broken  # type: ignore[method-assign]
        with pytest.raises(StoreError, match="server stopped"):
            await store.put(b"a", b"1")
        await asyncio.wait_for(store.replica.stopped.wait(), 60)
        assert "input/output error" in store.replica.failure
        with pytest.raises(StoreError, match="server stopped"):
            await store.put(b"a", b"1")

    with caplog.at_level(logging.CRITICAL, "kcore.store"):
        asyncio.run(main())
    assert len(caplog.records) == 1


def test_strangers_on_the_port_are_closed_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def knock(port: int, first: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer

    async def main() -> None:
        cluster = Loopback(tmp_path, 1)
        await cluster.start()
        await cluster.ready()
        replica = cluster.replicas["m0"]
        port = replica.transport.ports[0]
        caplog.clear()
        assert await knock(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(20)) == b""
        foreign = HELLO.pack(MAGIC, VERSION, PACKETS, 1, 2, replica.member_id)
        assert b"cluster ID mismatch" in await knock(port, foreign)
        ours = HELLO.pack(MAGIC, VERSION, PACKETS, replica.cluster_id, 2, replica.member_id)
        await knock(port, ours + b"\xff" * 100)
        assert len([r for r in caplog.records if "closed a peer connection" in r.message]) == 3
        said = await describe(cluster.urls["m0"], None)
        assert said.cluster_id == replica.cluster_id and len(said.infos()) == 1
        assert (await cluster.store("m0").put(b"a", b"1")).revision == 2
        await cluster.stop()

    with caplog.at_level(logging.WARNING, "kcore.store"):
        asyncio.run(main())


def test_foreign_certificates_are_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    good = certificates(tmp_path / "good", authority, "127.0.0.1")
    elsewhere = certificates(tmp_path / "elsewhere", authority, "192.0.2.1")
    foreign = certificates(tmp_path / "foreign", trustme.CA(), "127.0.0.1")

    async def main() -> None:
        cluster = Loopback(tmp_path, 1, good)
        await cluster.start()
        url = cluster.urls["m0"]
        await describe(url, good)
        with pytest.raises(OSError):  # noqa: PT011 - whichever side notices first
            await describe(url, foreign)
        trusting = type(good)(
            elsewhere.cert_file, elsewhere.key_file, good.trusted_ca_file, client_cert_auth=True
        )
        with pytest.raises(OSError):  # noqa: PT011
            await describe(url, trusting)  # of our authority, but for another address
        await cluster.stop()

    asyncio.run(main())


def test_configurations_that_cannot_be_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        for options, why in (
            ({"heartbeat_ms": 100, "election_ms": 200}, "at least as 5 times"),
            ({"initial_cluster": {"other": ("http://x:1",)}}, "couldn't find local name"),
            ({"initial_cluster_state": "old"}, "neither new nor existing"),
            ({"initial_cluster": {"m0": ("http://x:1",)}}, "missing from --initial-advertise-peer-urls"),
        ):
            config = Loopback(tmp_path, 1).config("m0", **{"initial_cluster": {}, **options})
            with pytest.raises(ValueError, match=why):
                await Replica.start(config)

    asyncio.run(main())


def test_a_leader_that_stops_hands_over(tmp_path: Path) -> None:
    async def main() -> None:
        # an election would take longer than the test waits
        cluster = Loopback(tmp_path, 3)
        await cluster.start()
        await cluster.ready()
        led = cluster.leader()
        terms = {name: r.member.node.term for name, r in cluster.replicas.items()}
        await cluster.stop(led)
        assert any(r.member.is_leader for r in cluster.replicas.values())
        assert {r.member.node.term - terms[name] for name, r in cluster.replicas.items()} == {1}
        await cluster.stop()

    asyncio.run(main())


def test_a_member_with_other_data_does_not_become_ready(tmp_path: Path) -> None:
    async def main() -> None:
        cluster = Loopback(tmp_path, 3)
        await cluster.start()
        await cluster.ready()
        await cluster.store("m0").put(b"a", b"1")
        await until(lambda: all(r.machine.revision == 2 for r in cluster.replicas.values()))
        await cluster.stop("m2")
        await cluster.start("m2", initial_corrupt_check=True)
        await cluster.ready(["m2"])
        await cluster.stop("m2")
        for name in ("m0", "m1"):  # what is in no log
            cluster.replicas[name].machine.store.put(b"b", b"1")
        await cluster.start("m2", initial_corrupt_check=True)
        replica = cluster.replicas["m2"]
        replica.machine.store.put(b"b", b"2")
        await asyncio.wait_for(replica.stopped.wait(), 60)
        assert "data inconsistency" in replica.failure
        await cluster.stop()

    asyncio.run(main())


def test_a_watch_wakes_ends_and_is_not_held(tmp_path: Path) -> None:
    async def main() -> None:
        store = await Embedded.open(**QUICK)
        watch = store.watch(b"a", prev_kv=True)
        waits = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        await store.put(b"a", b"1")
        assert [event.kv.value for event in (await waits).events] == [b"1"]
        watch.request_progress()
        batch = await asyncio.wait_for(anext(watch), 60)
        assert (batch.revision, batch.events) == (2, [])
        waits = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        watch.cancel()
        with pytest.raises(StopAsyncIteration):
            await waits
        dropped = store.watch(b"a")
        watcher = dropped.watcher
        assert not watcher.done
        del dropped
        assert watcher.done
        await store.close()

    asyncio.run(main())
