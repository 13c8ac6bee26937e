"""gRPC over HTTP/2 as gRPC's own client sees it: errors, deadlines, sizes, compression, flow control, many streams."""

import asyncio
from typing import Any

import grpc
import pytest

from kcore.store.errors import Code, StoreError
from kcore.store.etcd import http2
from kcore.store.etcd import messages as pb
from kcore.store.etcd.http2 import inflated, percent_encoded, timeout_seconds
from tests.store.etcd.ports import connect, open_port, refused

PUT = "etcdserverpb.KV/Put"
RANGE = "etcdserverpb.KV/Range"
WATCH = "etcdserverpb.Watch/Watch"


def test_unary_calls_are_answered() -> None:
    async def run() -> None:
        async with open_port() as port, connect(port) as client:
            put = await client.call(PUT, pb.PutRequest(key=b"k", value=b"v"))
            assert put.header.member_id == port.store.member_id
            assert put.header.cluster_id == port.store.cluster_id
            assert put.header.raft_term == port.store.raft_term
            found = await client.call(RANGE, pb.RangeRequest(key=b"k"))
            assert [kv.value for kv in found.kvs] == [b"v"]
            assert found.header.revision == put.header.revision == found.kvs[0].mod_revision

    asyncio.run(run())


def test_what_is_unknown_is_unimplemented() -> None:
    async def run() -> None:
        async with open_port() as port, connect(port) as client:
            for path, text in (
                ("/etcdserverpb.KV/Nothing", "unknown method Nothing for service etcdserverpb.KV"),
                ("/nothing.Nobody/Put", "unknown service nothing.Nobody"),
            ):
                assert await refused(client.channel.unary_unary(path)(b"")) == ("UNIMPLEMENTED", text)

    asyncio.run(run())


def test_a_message_that_is_none_is_refused() -> None:
    async def run() -> None:
        async with open_port() as port, connect(port) as client:
            code, text = await refused(client.channel.unary_unary(f"/{PUT}")(b"\xff\xff\xff"))
            assert code == "INTERNAL"
            assert text.startswith("grpc: error unmarshalling request")

    asyncio.run(run())


def test_messages_are_bounded_first_by_the_request_then_by_grpc() -> None:
    async def run() -> None:
        async with open_port(request_bytes_max=1 << 20) as port, connect(port) as client:
            too_large = pb.PutRequest(key=b"k", value=bytes(5 << 18))
            assert await refused(client.call(PUT, too_large)) == (
                "INVALID_ARGUMENT",
                "etcdserver: request is too large",
            )
            code, text = await refused(client.call(PUT, pb.PutRequest(key=b"k", value=bytes(3 << 20))))
            assert code == "RESOURCE_EXHAUSTED"
            assert text == f"grpc: received message larger than max ({(3 << 20) + 8} vs. {3 << 19})"

    asyncio.run(run())


def test_large_answers_pass_flow_control() -> None:
    async def run() -> None:
        async with open_port() as port, connect(port) as client:
            for number in range(16):
                await client.call(PUT, pb.PutRequest(key=b"%02d" % number, value=bytes([number]) * (1 << 20)))
            found = await client.call(RANGE, pb.RangeRequest(key=b"\0", range_end=b"\0"))
            assert [(len(kv.value), kv.value[0]) for kv in found.kvs] == [(1 << 20, n) for n in range(16)]

    asyncio.run(run())


def test_gzip_is_understood_and_bounded() -> None:
    async def run() -> None:
        async with open_port() as port, connect(port) as client:
            put = client.method(PUT)
            await put(pb.PutRequest(key=b"k", value=b"v" * 10_000), compression=grpc.Compression.Gzip)
            found = await client.call(RANGE, pb.RangeRequest(key=b"k"))
            assert found.kvs[0].value == b"v" * 10_000
            bomb = pb.PutRequest(key=b"k", value=bytes(30 << 20))
            code, _ = await refused(put(bomb, compression=grpc.Compression.Gzip))
            assert code == "RESOURCE_EXHAUSTED"
            code, text = await refused(put(pb.PutRequest(key=b"k"), compression=grpc.Compression.Deflate))
            assert (code, text) == (
                "UNIMPLEMENTED",
                'grpc: Decompressor is not installed for grpc-encoding "deflate"',
            )

    asyncio.run(run())


@pytest.mark.parametrize("body", [b"", b"not gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\3"])
def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(StoreError) as caught:
        inflated(body, 100)
    assert caught.value.code == Code.INTERNAL


def test_a_deadline_ends_a_call() -> None:
    async def run() -> None:
        async with open_port() as port, connect(port) as client:
            lock = pb.LockRequest(name=b"l")
            await client.call("v3lockpb.Lock/Lock", lock)
            waits = client.call("v3lockpb.Lock/Lock", pb.LockRequest(name=b"l"), timeout=0.3)
            assert (await refused(waits))[0] == "DEADLINE_EXCEEDED"
            await asyncio.sleep(0.1)
            count = (await port.store.range(b"l/", b"l0", count_only=True)).count
            assert count == 1, "the one who gave up left the queue"

    asyncio.run(run())


def test_a_cancelled_call_stops_its_work() -> None:
    async def run() -> None:
        async with open_port() as port, connect(port) as client:
            await client.call("v3lockpb.Lock/Lock", pb.LockRequest(name=b"l"))
            waits = asyncio.ensure_future(client.call("v3lockpb.Lock/Lock", pb.LockRequest(name=b"l")))
            while (await port.store.range(b"l/", b"l0", count_only=True)).count < 2:
                await asyncio.sleep(0.01)
            waits.cancel()
            while (await port.store.range(b"l/", b"l0", count_only=True)).count > 1:
                await asyncio.sleep(0.01)

    asyncio.run(run())


def test_more_long_streams_than_a_connection_takes() -> None:
    # the engine's limit is 128: the client is told to open further connections, and no stream is lost
    async def run() -> None:
        async with open_port() as port, connect(port) as client:
            streams = []
            for number in range(300):
                stream = client.stream(WATCH)
                key = b"k%d" % number
                await stream.write(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=key)))
                assert (await stream.read()).created
                streams.append((key, stream))
            assert len(port.server.listener.connections) >= 3
            for key, _ in streams:
                await client.call(PUT, pb.PutRequest(key=key, value=b"v"))
            for key, stream in streams:
                told = await stream.read()
                assert [event.kv.key for event in told.events] == [key]

    asyncio.run(run())


def test_a_client_that_does_not_read_holds_up_nobody() -> None:
    async def run() -> None:
        async with open_port() as port, connect(port) as slow, connect(port) as client:
            stream = slow.stream(WATCH)
            await stream.write(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"k")))
            assert (await stream.read()).created
            for number in range(40):
                await client.call(PUT, pb.PutRequest(key=b"k", value=bytes([number]) * (1 << 20)))
            connections = [each.spoken for each in port.server.listener.connections]
            parked = [
                one.engine.stream(call.id).pending_bytes or 0
                for one in connections
                if isinstance(one, http2.Http2Connection)
                for call in one.calls.values()
            ]
            assert max(parked) <= http2.SEND_PENDING_BYTES_MAX + (3 << 20)
            seen = 0
            while seen < 40:
                seen += len((await stream.read()).events)

    asyncio.run(run())


def test_silent_connections_are_asked_and_the_dead_cut_off() -> None:
    async def run() -> None:
        async with open_port(access={"ping_seconds": 0.2}) as port, connect(port) as client:
            await client.call(RANGE, pb.RangeRequest(key=b"k"))
            await asyncio.sleep(1.0)
            assert len(port.server.listener.connections) == 1, "it answered the pings"
            reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            await reader.read(10)
            for _ in range(100):
                if len(port.server.listener.connections) == 1:
                    break
                await asyncio.sleep(0.05)
            assert len(port.server.listener.connections) == 1, "the dead one is gone"
            writer.close()

    asyncio.run(run())


def test_stopping_lets_calls_finish() -> None:
    async def run() -> None:
        async with open_port() as port, connect(port) as client:
            stream = client.stream(WATCH)
            await stream.write(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"k")))
            await stream.read()
            calls = [client.call(PUT, pb.PutRequest(key=b"k", value=b"v")) for _ in range(20)]
            done = asyncio.gather(*calls, return_exceptions=True)
            await asyncio.sleep(0)
            await port.server.stop(2.0)
            answers: list[Any] = await done
            lost = [one for one in answers if isinstance(one, grpc.aio.AioRpcError)]
            assert {one.code().name for one in lost} <= {"UNAVAILABLE"}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("plain text", b"plain text"),
        ("100%", b"100%25"),
        ("a\nb", b"a%0Ab"),
        ("ü", b"%C3%BC"),
        ("\ud800", b"?"),
    ],
)
def test_status_texts_are_percent_encoded(text: str, encoded: bytes) -> None:
    assert percent_encoded(text) == encoded


@pytest.mark.parametrize(
    ("value", "seconds"), [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"5m", 0.005), (b"7u", 7e-6)]
)
def test_timeouts(value: bytes, seconds: float) -> None:
    assert timeout_seconds(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"S", b"5", b"-5S", b"5x", b"123456789S"])
def test_malformed_timeouts_are_refused(value: bytes) -> None:
    with pytest.raises(StoreError, match="malformed grpc-timeout"):
        timeout_seconds(value)
