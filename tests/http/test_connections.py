"""Clients that are slow, silent, gone or speak something else, over real sockets and TLS; limits are short here."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from kcore.apiserver.pki import Pki
from kcore.http.accepting import PLAIN_HTTP
from kcore.http.http1 import DEFAULTS, Limits
from kcore.http.message import Pieces, Request, Response
from tests.http.ports import Port, open_port

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b"x" * (64 << 10)


class Large(Pieces):
    """Says when nobody takes it any more."""

    __slots__ = ()

    def stop(self) -> None:
        stopped.append(1)
        super().stop()


stopped: list[int] = []


async def answer(request: Request) -> Response:
    if request.path == b"/large":
        return Response(200, [], Large(LARGE for _ in range(1000)))
    return Response(200, [], b"hello")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder: Path = tmp_path_factory.mktemp("pki")
    pki = Pki(folder)
    pki.server("server", pki.authority("ca", "kubernetes"), ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    return context


def run(
    work: Callable[[Port], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
    limits: Limits = DEFAULTS,
    **options: Any,
) -> None:
    async def all_of_it() -> None:
        async with open_port(answer, limits=limits, tls=tls, **options) as port:
            await work(port)

    uvloop.run(all_of_it())


async def over_tls(port: Port, sent: bytes) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port, ssl=context)
    writer.write(sent)
    found = await reader.readuntil(b"hello")
    writer.close()
    return found


@pytest.mark.parametrize("pieces", [[GET], [GET[:3], GET[3:]], [b"POST / HTTP/1.1\r\n\r\n"]])
def test_plain_http_on_a_tls_port_is_told_so_as_go_does(tls: ssl.SSLContext, pieces: list[bytes]) -> None:
    async def work(port: Port) -> None:
        assert await port.send(*pieces) == PLAIN_HTTP
        assert (await over_tls(port, GET)).startswith(b"HTTP/1.1 200 OK\r\n")

    run(work, tls)


@pytest.mark.parametrize(
    "garbage",
    [b"\0", b"SSH-2.0-OpenSSH\r\n", b"PATCH / HTTP/1.1\r\n", b"\x16\x03\x01\0\x05hello", b"\x16" * 300],
)
def test_garbage_on_a_tls_port_is_no_answer_s_worth(tls: ssl.SSLContext, garbage: bytes) -> None:
    async def work(port: Port) -> None:
        said = await port.send(garbage)
        assert said == b"" or said[0] == 0x15  # a TLS alert
        assert (await over_tls(port, GET)).endswith(b"hello")
        assert len(port.listener.connections) <= 1

    run(work, tls)


@pytest.mark.parametrize("first", [b"", b"G", b"\x16", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"])
def test_a_handshake_that_does_not_end_is_cut_off(tls: ssl.SSLContext, first: bytes) -> None:
    async def work(port: Port) -> None:
        began = asyncio.get_running_loop().time()
        said = await port.send(*([first] if first else []), seconds=20)
        assert said == b"" or said[0] == 0x15
        assert asyncio.get_running_loop().time() - began < 15
        assert not port.listener.connections

    run(work, tls, silent_seconds_max=0.2)


def test_connections_that_only_begin_count(tls: ssl.SSLContext) -> None:
    async def work(port: Port) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", port.port) for _ in range(2)]
        assert await port.send(GET) == b""  # the third
        for _, writer in silent:
            writer.close()
            await writer.wait_closed()
        while (said := await port.send(GET)) == b"":  # when the server has seen them go
            await asyncio.sleep(0.01)
        assert said == PLAIN_HTTP

    run(work, tls, connections_max=2)


def test_a_head_that_comes_byte_by_byte_gets_no_more_time() -> None:
    async def work(port: Port) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
        writer.write(GET)
        await reader.readuntil(b"hello")

        async def drip() -> None:
            writer.write(b"GET / HTTP/1.1\r\nX: ")
            while True:
                writer.write(b"y")
                await asyncio.sleep(0.02)

        dripping = asyncio.ensure_future(drip())
        with contextlib.suppress(ConnectionResetError):  # a byte may come behind the end
            assert await asyncio.wait_for(reader.read(), 10) == b""
        dripping.cancel()
        writer.close()

    run(work, limits=DEFAULTS._replace(header_seconds_max=0.3), sweep_seconds=0.05)


def test_heads_over_the_limits_are_431() -> None:
    async def work(port: Port) -> None:
        for head in (b"X: " + b"y" * 70_000, b"\r\n".join(b"X-%d: y" % number for number in range(200))):
            said = await port.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
            assert said.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
            assert said.endswith(b"\r\n\r\n431 Request Header Fields Too Large")

    run(work)


def test_an_answer_that_its_client_does_not_take_is_cut_off() -> None:
    async def work(port: Port) -> None:
        with socket.create_connection(("127.0.0.1", port.port)) as client:
            client.sendall(GET.replace(b"/ ", b"/large ", 1))
            while not port.listener.connections:
                await asyncio.sleep(0.01)
            while port.listener.connections:
                await asyncio.sleep(0.02)
        assert stopped == [1]

    run(work, limits=DEFAULTS._replace(answer_seconds_max=0.2), sweep_seconds=0.05)


def test_a_client_that_breaks_off_leaves_nothing(tls: ssl.SSLContext) -> None:
    async def work(port: Port) -> None:
        for first in (b"", b"\x16\x03"):
            client = socket.create_connection(("127.0.0.1", port.port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(first)
            await asyncio.sleep(0.02)
            client.close()  # with a reset
        assert (await over_tls(port, GET)).endswith(b"hello")
        while port.listener.connections:
            await asyncio.sleep(0.01)

    run(work, tls)
