"""Whatever comes on the client port: the member goes on, and says no where it can."""

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcore.http.frames import PREFACE
from kcore.store.etcd import messages as pb
from tests.store.etcd.ports import Client, Port, connect, open_port, refused

ROUNDS = 60
SETTINGS = b"\0\0\0\4\0\0\0\0\0"


async def send(port: Port, *parts: bytes, seconds: float = 0.5) -> bytes:
    """What comes back before the connection ends, or within that time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0)
        return await asyncio.wait_for(reader.read(1 << 20), seconds)
    except (TimeoutError, ConnectionError):
        return b""
    finally:
        writer.close()


async def is_well(client: Client) -> None:
    answer = await client.call("etcdserverpb.KV/Put", pb.PutRequest(key=b"k", value=b"v"), timeout=10)
    assert answer.header.revision > 1


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


def test_bytes_that_are_no_protocol() -> None:
    async def run() -> None:
        chance = random.Random(5)
        async with open_port() as port, connect(port) as client:
            for first in (
                b"\0",
                b"\x16\x03\x01\x02\0",
                b"SSH-2.0-x\r\n",
                b"GET / HTTP/9\r\n\r\n",
                b"\xff" * 4000,
                b"PRI * HTTP/2.0\r\n\r\nXX",
            ):
                answer = await send(port, first)
                assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), first
            for _ in range(ROUNDS):
                await send(port, chance.randbytes(chance.randrange(1, 300)), seconds=0.02)
            await is_well(client)

    asyncio.run(run())


def test_frames_that_are_none() -> None:
    async def run() -> None:
        chance = random.Random(6)
        async with open_port() as port, connect(port) as client:
            for _ in range(ROUNDS):
                frames = b"".join(
                    frame(
                        chance.randrange(12),
                        chance.randrange(256),
                        chance.choice((0, 1, 2, 3, 2**31)),
                        chance.randbytes(chance.randrange(40)),
                    )
                    for _ in range(chance.randrange(1, 8))
                )
                await send(port, PREFACE + SETTINGS + frames)
            await is_well(client)

    asyncio.run(run())


def test_a_valid_conversation_with_one_byte_changed() -> None:
    async def run() -> None:
        chance = random.Random(7)
        async with open_port() as port, connect(port) as client:
            recorded: list[bytes] = []

            async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                recorded.append(await reader.read(4096))
                writer.close()

            listener = await asyncio.start_server(listen, "127.0.0.1", 0)
            fake = Port(port.store, port.server, listener.sockets[0].getsockname()[1])
            async with connect(fake) as victim:
                await refused(victim.call("etcdserverpb.KV/Put", pb.PutRequest(key=b"k"), timeout=2))
            listener.close()
            for _ in range(ROUNDS):
                data = bytearray(max(recorded, key=len))
                data[chance.randrange(24, len(data))] ^= 1 << chance.randrange(8)
                await send(port, bytes(data))
            await is_well(client)

    asyncio.run(run())


def test_every_method_with_random_bodies() -> None:
    async def run() -> None:
        chance = random.Random(8)
        async with open_port() as port, connect(port) as client:
            for path, method in port.server.methods.items():
                if method.streaming or b"AuthEnable" in path or b"Health" in path:
                    continue
                call = client.channel.unary_unary(path.decode())
                for _ in range(6):
                    body = chance.randbytes(chance.randrange(60))
                    ended = await asyncio.gather(call(body, timeout=2), return_exceptions=True)
                    allowed = isinstance(ended[0], bytes) or ended[0].code().name not in (
                        "UNKNOWN",
                        "DATA_LOSS",
                    )
                    assert allowed or b"v3" in path, (path, body, ended)
            await is_well(client)

    asyncio.run(run())


fields = st.fixed_dictionaries(
    {},
    optional={
        "key": st.binary(max_size=4),
        "range_end": st.binary(max_size=4),
        "limit": st.integers(-(2**63), 2**63 - 1),
        "revision": st.integers(-(2**63), 2**63 - 1),
        "sort_order": st.integers(-5, 5),
        "sort_target": st.integers(-7, 7),
        "min_mod_revision": st.integers(-(2**63), 2**63 - 1),
        "max_create_revision": st.integers(-(2**63), 2**63 - 1),
        "serializable": st.booleans(),
        "keys_only": st.booleans(),
        "count_only": st.booleans(),
    },
)


def test_ranges_of_any_fields_are_answered_or_refused() -> None:
    loop = asyncio.new_event_loop()

    async def begin() -> tuple[object, Port, object, Client]:
        opened = open_port()
        port = await opened.__aenter__()
        connected = connect(port)
        return opened, port, connected, await connected.__aenter__()

    opened, _, connected, client = loop.run_until_complete(begin())

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(fields)
    def ask(given_fields: dict[str, object]) -> None:
        async def one() -> None:
            call = client.call("etcdserverpb.KV/Range", pb.RangeRequest(**given_fields), timeout=10)
            (ended,) = await asyncio.gather(call, return_exceptions=True)
            if isinstance(ended, Exception):
                assert ended.code().name in ("INVALID_ARGUMENT", "OUT_OF_RANGE"), ended  # type: ignore[attr-defined]

        loop.run_until_complete(one())

    ask()
    loop.run_until_complete(connected.__aexit__(None, None, None))  # type: ignore[attr-defined]
    loop.run_until_complete(opened.__aexit__(None, None, None))  # type: ignore[attr-defined]
    loop.close()


@pytest.mark.parametrize("path", ["/", "//", "/a", "etcdserverpb.KV/Put", "/etcdserverpb.KV/", "/x" * 400])
def test_paths_that_are_none(path: str) -> None:
    async def run() -> None:
        async with open_port() as port, connect(port) as client:
            assert (await refused(client.channel.unary_unary(path)(b"", timeout=5)))[0] == "UNIMPLEMENTED"

    asyncio.run(run())
