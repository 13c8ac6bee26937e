"""Ordinary HTTP/2: streams beside each other, flow control, cancellation, limits, going away."""

import asyncio
from collections.abc import Awaitable, Callable

import zttp

from kcore.http.frames import CANCELLED_MAX
from kcore.http.http1 import Limits
from kcore.http.message import Outlet, Pieces, Request, Response
from tests.http.ports import Http2Client, Port, open_port


async def echo(request: Request) -> Response:
    """Tells the path and the body; waits where asked to."""
    if request.path.startswith(b"/wait"):
        await asyncio.sleep(0.05)
    return Response(200, [(b"connection", b"x")], request.path + b"|" + request.body)


def run(
    work: Callable[[Port, Http2Client], Awaitable[None]], handler: object = echo, **options: object
) -> None:
    async def main() -> None:
        async with open_port(handler, **options) as port:  # type: ignore[arg-type]
            client = await Http2Client.open(port.port)
            try:
                await work(port, client)
            finally:
                client.writer.close()

    asyncio.run(main())


def test_streams_are_answered_as_their_answers_come() -> None:
    async def work(port: Port, client: Http2Client) -> None:
        slow, fast = client.request(b"GET", b"/wait"), client.request(b"POST", b"/fast", b"body")
        order = []
        async for event in client.events():
            if type(event) is zttp.EndOfMessage:
                order.append(event.stream_id)
                if len(order) == 2:
                    break
        assert order == [fast.stream_id, slow.stream_id]

    run(work)


def test_a_body_passes_flow_control_both_ways() -> None:
    async def work(port: Port, client: Http2Client) -> None:
        body = bytes(range(256)) * 4096
        status, answer = await client.answer(client.request(b"POST", b"/p", body))
        assert (status, answer) == (200, b"/p|" + body)

    run(work)


def test_a_stream_of_pieces_comes_whole() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [], Pieces(b"%06d" % number * 1000 for number in range(500)))

    async def work(port: Port, client: Http2Client) -> None:
        _, answer = await client.answer(client.request(b"GET", b"/"))
        assert answer == b"".join(b"%06d" % number * 1000 for number in range(500))

    run(work, handler)


def test_a_reset_cancels_what_was_asked() -> None:
    ended = asyncio.Event()

    async def handler(request: Request) -> Response:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        raise AssertionError

    async def work(port: Port, client: Http2Client) -> None:
        stream = client.request(b"GET", b"/")
        await asyncio.sleep(0.05)
        stream.reset(8)
        client.flush()
        await asyncio.wait_for(ended.wait(), 5)

    run(work, handler)


def test_a_stream_stops_with_its_client() -> None:
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

    async def work(port: Port, client: Http2Client) -> None:
        client.request(b"GET", b"/")
        async for event in client.events():
            if type(event) is zttp.Data:
                break
        client.writer.close()
        await asyncio.wait_for(stopped.wait(), 5)

    run(work, handler)


def test_a_body_too_large_is_413() -> None:
    async def work(port: Port, client: Http2Client) -> None:
        status, answer = await client.answer(client.request(b"POST", b"/", b"x" * 200))
        assert status == 413
        assert b"limit is 100" in answer
        assert (await client.answer(client.request(b"GET", b"/a")))[0] == 200, "the connection goes on"

    run(work, limits=Limits(body_bytes_max=100))


def test_a_server_that_stops_finishes_what_it_owes() -> None:
    begun = asyncio.Event()

    async def handler(request: Request) -> Response:
        begun.set()
        return await echo(request)

    async def main() -> None:
        async with open_port(handler) as port:
            client = await Http2Client.open(port.port)
            stream = client.request(b"GET", b"/wait")
            await begun.wait()
            stopping = asyncio.ensure_future(port.listener.stop(2.0))
            assert (await client.answer(stream))[0] == 200
            await stopping
            client.writer.close()

    asyncio.run(main())


def test_after_many_resets_a_client_is_asked_to_open_another_connection_and_loses_nothing() -> None:
    async def work(port: Port, client: Http2Client) -> None:
        running = client.request(b"GET", b"/wait")
        for _ in range(CANCELLED_MAX):
            client.request(b"GET", b"/wait").reset(8)
            client.flush()
        asked = False
        async for event in client.events():
            asked = asked or type(event) is zttp.GoAway
            if type(event) is zttp.EndOfMessage and event.stream_id == running.stream_id:
                break
        assert asked

    run(work)
