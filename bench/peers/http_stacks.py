"""``kcore.http`` beside aiohttp's low-level server: the processor time that one answer costs, without TLS.

``python -m bench.peers.http_stacks [--rounds N]`` prints a line for each; aiohttp must be installed. Each server is a
process of its own and answers GETs of 50 keep-alive connections with the same 1.4 KB; they take turns. The servers'
processor time is what counts, so that it matters little what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import socket
import statistics
import subprocess
import sys
from pathlib import Path

import uvloop

CONNECTIONS, REQUESTS, WARM_UP = 50, 20_000, 2_000
BODY = b"x" * 1_400
REQUEST = b"GET /api/v1/namespaces/default/pods/web-0 HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\n\r\n"


async def serve_kcore(bound: socket.socket) -> None:
    """The listener of the API server with a handler that does nothing."""
    import logging

    from kcore.http.http1 import Http1Connection
    from kcore.http.listener import Listener
    from kcore.http.message import Request, Response

    async def answer(request: Request) -> Response:
        return Response(200, [(b"content-type", b"application/json")], BODY)

    listener = Listener(log=logging.getLogger())
    await listener.listen(bound, None, http1=lambda peer, transport, port: Http1Connection(answer, peer, transport, port))  # fmt: skip


async def serve_aiohttp(bound: socket.socket) -> None:
    """aiohttp's ``web.Server``, which has no router."""
    from aiohttp import web

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(body=BODY, content_type="application/json")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.SockSite(runner, bound).start()


async def serve(name: str) -> None:
    """Prints the port; on every line of standard input, the processor time so far in microseconds."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.setblocking(False)
    await (serve_kcore if name == "kcore" else serve_aiohttp)(bound)
    print(bound.getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(round((used.ru_utime + used.ru_stime) * 1e6), flush=True)


async def load(port: int, count: int) -> None:
    """``count`` requests over all connections."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count // CONNECTIONS):
            writer.write(REQUEST)
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(BODY))
        writer.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))


def main() -> None:
    """Both, in turns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", default="")
    given = parser.parse_args()
    if given.serve:
        uvloop.run(serve(given.serve))
        return
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])}  # fmt: skip
    command = [sys.executable, "-m", "bench.peers.http_stacks", "--serve"]
    servers = {
        name: subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=here)
        for name in ("kcore", "aiohttp")
    }  # fmt: skip

    def told(name: str, *, ask: bool = True) -> int:
        server = servers[name]
        assert server.stdin is not None
        assert server.stdout is not None
        if ask:
            server.stdin.write("\n")
            server.stdin.flush()
        return int(server.stdout.readline())

    ports = {name: told(name, ask=False) for name in servers}
    costs: dict[str, list[float]] = {name: [] for name in servers}
    for port in ports.values():
        uvloop.run(load(port, WARM_UP))
    for _ in range(given.rounds):
        for name, port in ports.items():
            before = told(name)
            uvloop.run(load(port, REQUESTS))
            costs[name].append((told(name) - before) / REQUESTS)
    for name, server in servers.items():
        server.terminate()
        best, median = min(costs[name]), statistics.median(costs[name])
        print(
            f"{name}: {best:.1f} us of CPU a request (median {median:.1f}), {1e6 / best:,.0f}/s of one core"
        )


if __name__ == "__main__":
    main()
