"""The Watch service: what a client is told, in which order, as etcd's ``v3rpc/watch.go`` has it."""

import asyncio
from typing import Any

import pytest

from kcore.store.etcd import messages as pb
from kcore.store.etcd.watches import fragments
from tests.store.etcd.ports import Client, connect, open_port
from tests.store.etcd.test_services import put, served

WATCH = "etcdserverpb.Watch/Watch"


def create(**fields: Any) -> Any:
    return pb.WatchRequest(create_request=pb.WatchCreateRequest(**fields))


def told(answer: Any) -> list[tuple[int, bytes, bytes]]:
    return [(event.type, event.kv.key, event.kv.value) for event in answer.events]


@served
async def test_events_follow_the_creation(port: Any, client: Client) -> None:
    await put(client, b"a", b"1")
    stream = client.stream(WATCH)
    await stream.write(create(key=b"a", start_revision=2, prev_kv=True))
    created = await stream.read()
    assert (created.created, created.watch_id, created.header.revision) == (True, 0, 2)
    assert told(await stream.read()) == [(0, b"a", b"1")]
    await put(client, b"a", b"2")
    await client.call("etcdserverpb.KV/DeleteRange", pb.DeleteRangeRequest(key=b"a"))
    answer = await stream.read()
    assert told(answer) == [(0, b"a", b"2")]
    assert answer.events[0].prev_kv.value == b"1"
    answer = await stream.read()
    assert told(answer) == [(1, b"a", b"")]
    assert answer.events[0].prev_kv.value == b"2"
    assert answer.header.revision == answer.events[0].kv.mod_revision == 4


@served
async def test_many_watches_share_a_stream(port: Any, client: Client) -> None:
    stream = client.stream(WATCH)
    for key, wanted, got in ((b"a", 0, 0), (b"b", 0, 1), (b"c", 7, 7), (b"d", 2, 2), (b"e", 0, 3)):
        await stream.write(create(key=key, watch_id=wanted))
        assert (await stream.read()).watch_id == got
    await stream.write(create(key=b"x", watch_id=7))
    again = await stream.read()
    assert (again.watch_id, again.created, again.canceled) == (-1, True, True)
    assert again.cancel_reason == "mvcc: duplicate watch ID provided on the WatchStream"
    await stream.write(create(key=b"b", range_end=b"a"))
    assert (await stream.read()).cancel_reason == "mvcc: watcher range is empty"
    await put(client, b"c")
    assert (await stream.read()).watch_id == 7
    await stream.write(pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=7)))
    canceled = await stream.read()
    assert (canceled.watch_id, canceled.canceled, canceled.cancel_reason) == (7, True, "")
    await put(client, b"c")
    await put(client, b"e")
    assert (await stream.read()).watch_id == 3
    assert port.server.pages.services.watches.watch_count == 4
    await stream.done_writing()
    assert not await stream.read(), "it ends"
    while port.server.pages.services.watches.watch_count:
        await asyncio.sleep(0.01)


@served
async def test_filters(port: Any, client: Client) -> None:
    stream = client.stream(WATCH)
    await stream.write(create(key=b"a", filters=[pb.WatchCreateRequest.NOPUT]))
    await stream.read()
    await put(client, b"a")
    await client.call("etcdserverpb.KV/DeleteRange", pb.DeleteRangeRequest(key=b"a"))
    assert told(await stream.read()) == [(1, b"a", b"")]


@served
async def test_what_is_compacted_cannot_be_watched(port: Any, client: Client) -> None:
    for _ in range(5):
        await put(client, b"a")
    await client.call("etcdserverpb.KV/Compact", pb.CompactionRequest(revision=4))
    stream = client.stream(WATCH)
    await stream.write(create(key=b"a", start_revision=2))
    assert (await stream.read()).created
    answer = await stream.read()
    assert (answer.canceled, answer.compact_revision, answer.header.revision) == (True, 4, 0)
    await stream.write(create(key=b"a", start_revision=-1))
    answer = await stream.read()
    assert (answer.watch_id, answer.created, answer.canceled) == (-1, True, True)
    assert answer.cancel_reason == "etcdserver: mvcc: required revision has been compacted"


@served
async def test_progress_is_told_for_all_at_once(port: Any, client: Client) -> None:
    stream = client.stream(WATCH)
    for key in (b"a", b"b"):
        await stream.write(create(key=key))
        await stream.read()
    await put(client, b"c")
    await stream.write(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
    answer = await stream.read()
    assert (answer.watch_id, answer.header.revision, len(answer.events)) == (-1, 2, 0)


def test_progress_is_told_to_the_quiet_now_and_then() -> None:
    async def run() -> None:
        async with open_port(progress_seconds=0.2) as port, connect(port) as client:
            stream = client.stream(WATCH)
            await stream.write(create(key=b"a", progress_notify=True))
            await stream.read()
            await put(client, b"z")
            answer = await stream.read()
            assert (answer.watch_id, answer.header.revision, len(answer.events)) == (0, 2, 0)

    asyncio.run(run())


def test_fragments() -> None:
    async def run() -> None:
        async with open_port(request_bytes_max=1 << 16) as port, connect(port) as client:
            ops = [
                pb.RequestOp(request_put=pb.PutRequest(key=b"k%02d" % number, value=bytes(600)))
                for number in range(100)
            ]
            for _ in range(12):
                await client.call("etcdserverpb.KV/Txn", pb.TxnRequest(success=ops))
            stream = client.stream(WATCH)
            await stream.write(create(key=b"k", range_end=b"l", start_revision=2, fragment=True))
            await stream.read()
            limit = (1 << 16) + (512 << 10)
            seen: list[tuple[int, bytes]] = []
            fragmented = 0
            while len(seen) < 1200:
                answer = await stream.read()
                assert answer.ByteSize() < limit
                fragmented += answer.fragment
                seen += [(event.kv.mod_revision, event.kv.key) for event in answer.events]
            assert seen == sorted(seen)
            assert not answer.fragment
            assert fragmented

    asyncio.run(run())


@pytest.mark.parametrize(
    ("sizes", "limit", "parts"), [([10], 5, 1), ([10, 10, 10], 1000, 1), ([400, 400, 400], 500, 3)]
)
def test_responses_are_cut_between_events(sizes: list[int], limit: int, parts: int) -> None:
    whole = pb.WatchResponse(
        watch_id=3, events=[pb.Event(kv=pb.KeyValue(value=bytes(size))) for size in sizes]
    )

    async def cut() -> list[Any]:
        return [part async for part in fragments(whole, limit)]

    made = asyncio.run(cut())
    assert len(made) == parts
    assert [part.fragment for part in made] == [True] * (parts - 1) + [False]
    assert [event for part in made for event in part.events] == list(whole.events)
    assert {part.watch_id for part in made} == {3}
