"""HTTP/1.1 as a client on a socket sees it: keep-alive, pipelines, chunks, upgrades, limits."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kcore.http.http1 import Limits, after_head, framed, head_of
from kcore.http.message import Outlet, Pieces, Request, Response
from tests.http.ports import Port, open_port

GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def echo(request: Request) -> Response:
    """Tells the path and the body; waits where asked to."""
    if request.path.startswith(b"/wait"):
        await asyncio.sleep(0.05)
    return Response(200, [(b"x-path", request.path)], request.path + b"|" + request.body)


def run(work: Callable[[Port], Awaitable[None]], handler: object = echo, **options: object) -> None:
    async def main() -> None:
        async with open_port(handler, **options) as port:  # type: ignore[arg-type]
            await work(port)

    asyncio.run(main())


def test_a_pipeline_is_answered_in_order_whether_or_not_answers_wait() -> None:
    async def work(port: Port) -> None:
        text = await port.send(GET % b"a" + GET % b"wait1" + GET % b"b" + GET % b"wait2" + LAST % b"c")
        paths = [line[8:] for line in text.split(b"\r\n") if line.startswith(b"x-path: ")]
        assert paths == [b"/a", b"/wait1", b"/b", b"/wait2", b"/c"]
        assert text.count(b"HTTP/1.1 200 OK") == 5

    run(work)


def test_bodies_come_whole_however_they_are_cut() -> None:
    async def work(port: Port) -> None:
        head = b"POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        for parts in (
            (head + b"Content-Length: 5\r\n\r\nhello",),
            (head[:20], head[20:] + b"Content-Length: 5\r\n\r", b"\nhe", b"llo"),
            (head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n"),
        ):
            assert (await port.send(*parts)).endswith(b"\r\n\r\n/p|hello")

    run(work)


def test_a_client_that_asks_is_told_to_go_on() -> None:
    async def work(port: Port) -> None:
        head = b"POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        text = await port.send(head, b"ok")
        assert text.startswith(b"HTTP/1.1 100 ")
        assert text.endswith(b"/p|ok")

    run(work)


def test_a_head_request_has_the_length_and_no_body() -> None:
    async def work(port: Port) -> None:
        text = await port.send((LAST % b"h").replace(b"GET", b"HEAD"))
        assert b"content-length: 3\r\n" in text
        assert text.endswith(b"\r\n\r\n")

    run(work)


def test_a_stream_is_chunked_and_the_connection_goes_on() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [], Pieces(iter([b"one", b"two"])))

    async def work(port: Port) -> None:
        text = await port.send(GET % b"a" + LAST % b"b")
        assert text.count(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n") == 2
        old = await port.send(b"GET / HTTP/1.0\r\n\r\n")
        assert b"chunked" not in old
        assert old.endswith(b"\r\n\r\nonetwo")

    run(work, handler)


def test_a_long_stream_waits_for_its_client() -> None:
    made = []

    async def handler(request: Request) -> Response:
        def pieces():  # type: ignore[no-untyped-def]
            for number in range(64):
                made.append(number)
                yield b"x" * (1 << 18)

        return Response(200, [], Pieces(pieces()))

    async def work(port: Port) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port, limit=1 << 12)
        writer.write(LAST % b"a")
        await asyncio.sleep(0.2)
        assert len(made) < 60, "it is not made ahead of a client that does not read"
        whole = await reader.read(-1)
        assert whole.count(b"x") == 64 << 18
        writer.close()

    run(work, handler)


class Loud:
    """A tunnel that answers in capitals."""

    def __init__(self) -> None:
        self.outlet: Outlet | None = None
        self.stopped = False

    def start(self, outlet: Outlet) -> None:
        self.outlet = outlet

    def receive(self, data: bytes) -> None:
        assert self.outlet is not None
        self.outlet.write(data.upper())
        if data.endswith(b"."):
            self.outlet.end()

    def resume(self) -> None:
        """Nothing waits."""

    def stop(self) -> None:
        self.stopped = True


def test_an_upgrade_becomes_a_tunnel_that_loses_no_byte() -> None:
    tunnels = []

    async def handler(request: Request) -> Response:
        assert request.upgrade == b"SPDY/3.1"
        tunnels.append(Loud())
        return Response(101, [(b"connection", b"Upgrade"), (b"upgrade", b"SPDY/3.1")], tunnels[-1])

    async def work(port: Port) -> None:
        head = b"POST /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
        for parts in ((head + b"early ", b"late."), (head[:-2], head[-2:] + b"early ", b"late.")):
            text = await port.send(*parts)
            assert text.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
            assert text.endswith(b"\r\n\r\nEARLY LATE.")

    run(work, handler)


def test_a_client_that_goes_stops_its_stream() -> None:
    stopped = asyncio.Event()

    class Endless:
        def start(self, outlet: Outlet) -> None:
            outlet.write(b"first")

        def resume(self) -> None:
            """Nothing waits."""

        def stop(self) -> None:
            stopped.set()

    async def handler(request: Request) -> Response:
        return Response(200, [], Endless())

    async def work(port: Port) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
        writer.write(GET % b"a")
        await reader.readuntil(b"first\r\n")
        writer.close()
        await asyncio.wait_for(stopped.wait(), 5)

    run(work, handler)


def test_what_is_too_large_or_no_http_is_refused() -> None:
    async def work(port: Port) -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n"
        text = await port.send(head + b"x" * 200)
        assert text.startswith(b"HTTP/1.1 413 Request Entity Too Large\r\n")
        assert b'"message":"Request entity too large: limit is 100"' in text
        for bad in (
            b"nonsense\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ):
            assert (await port.send(bad)).startswith(b"HTTP/1.1 400 Bad Request\r\n")

    run(work, limits=Limits(body_bytes_max=100))


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"]
)
def test_a_request_that_does_not_come_to_its_end_is_cut_off(first: bytes) -> None:
    async def work(port: Port) -> None:
        assert await port.send(first, seconds=4) == b""
        assert not port.listener.connections

    run(work, limits=Limits(header_seconds_max=0.1, body_seconds_max=0.1, idle_seconds_max=0.1))


def test_an_answer_that_takes_too_long_is_504() -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(60)
        raise AssertionError

    async def work(port: Port) -> None:
        text = await port.send(LAST % b"a")
        assert text.startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
        assert b"request did not complete within the allotted timeout" in text

    run(work, handler, limits=Limits(answer_seconds_max=0.1))


def test_no_more_connections_than_allowed_are_open() -> None:
    async def work(port: Port) -> None:
        first = await asyncio.open_connection("127.0.0.1", port.port)
        first[1].write(GET % b"a")
        await first[0].readuntil(b"/a|")
        assert await port.send(LAST % b"b") == b""
        first[1].close()

    run(work, connections_max=1)


def test_a_header_cannot_break_out_of_its_line() -> None:
    with pytest.raises(ValueError, match="line break"):
        head_of(200, [(b"x", b"a\r\nset-cookie: b")])


def test_bytes_behind_a_head() -> None:
    assert after_head(b"a: b\r\n\r\nrest") == b"rest"
    assert after_head(b"a: b\r\n") == b""


def test_one_chunk_is_framed_once_for_all() -> None:
    data = b"x" * 300
    assert framed(data) == b"12c\r\n" + data + b"\r\n"
    assert framed(data) is framed(data)
