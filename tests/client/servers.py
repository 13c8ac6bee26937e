"""Servers and proxies that say what a test wants, for clients over HTTP."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import trustme

from kcore.client.kubeconfig import Access, Pem
from kcore.http.http1 import Http1Connection
from kcore.http.http2 import Http2Connection
from kcore.http.listener import Listener
from kcore.http.message import Outlet, Request, Response

Handler = Callable[[Request], Awaitable[Response]]
AUTHORITY = trustme.CA()
RESOURCES = [
    {"resource": "widgets", "responseKind": {"group": "example.com", "version": "v2", "kind": "Widget"},
     "scope": "Namespaced", "singularResource": "widget", "verbs": ["get", "list", "watch"], "shortNames": ["wd"],
     "subresources": [{"subresource": "scale", "verbs": ["get"],
                       "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}}]},
]  # fmt: skip
PODS = [{"resource": "pods", "responseKind": {"group": "", "version": "v1", "kind": "Pod"}, "scope": "Namespaced",
         "singularResource": "pod", "verbs": ["get", "list", "watch", "create", "delete"]}]  # fmt: skip


def answer(made: Any, code: int = 200, *headers: tuple[bytes, bytes]) -> Response:
    """A JSON answer."""
    return Response(code, [(b"content-type", b"application/json"), *headers], orjson.dumps(made))


def discovered(request: Request) -> Response | None:
    """Aggregated discovery of pods and widgets; None for other paths."""

    def groups(*items: Any) -> Response:
        return answer(
            {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": list(items)}
        )

    if request.path == b"/api":
        return groups({"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": PODS}]})
    if request.path == b"/apis":
        old = [{**RESOURCES[0], "responseKind": {"group": "example.com", "version": "v1", "kind": "Widget"}}]
        versions = [{"version": "v2", "resources": RESOURCES}, {"version": "v1", "resources": old}]
        return groups({"metadata": {"name": "example.com"}, "versions": versions})
    return None


class Lines:
    """A stream that the test writes."""

    def __init__(self) -> None:
        self.outlet: Outlet
        self.started = asyncio.Event()
        self.is_stopped = False

    def start(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.started.set()

    def resume(self) -> None:
        pass

    def stop(self) -> None:
        self.is_stopped = True


@asynccontextmanager
async def served(handler: Handler, *, tls: bool = True, http2: bool = True) -> AsyncIterator[Access]:
    """A server that answers by ``handler``, as a client is to reach it."""
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        AUTHORITY.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    listener = Listener(ping_seconds=0)
    second: Any = functools.partial(Http2Connection, handler) if http2 else None
    await listener.listen(bound, context, http1=functools.partial(Http1Connection, handler), http2=second)
    try:
        yield Access(
            server=f"{'https' if tls else 'http'}://127.0.0.1:{port}",
            authority=Pem(AUTHORITY.cert_pem.bytes()) if tls else Pem(),
        )
    finally:
        await listener.stop(0.0)


class Proxy:
    """A proxy for CONNECT or SOCKS5; ``asked`` is what clients wanted."""

    def __init__(self, *, socks: bool, user: bytes = b"", refuse: bool = False) -> None:
        self.socks = socks
        self.user = user
        self.refuse = refuse
        self.asked: list[bytes] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """It listens on that port of loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            port = await (self._shake_socks if self.socks else self._shake_http)(reader, writer)
            if port is None:
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _shake_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int | None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        if self.refuse:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return None
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return int(head.split(b" ")[1].rpartition(b":")[2])

    async def _shake_socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int | None:
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        if self.user:
            writer.write(b"\x05\x02")
            said = await reader.readexactly(2 + len(self.user))
            self.asked.append(said)
            writer.write(b"\x01\x00")
        else:
            writer.write(b"\x05\x00")
        await reader.readexactly(4)
        place = await reader.readexactly(6)
        self.asked.append(place)
        writer.write(b"\x05\x05\x00\x01" + bytes(6) if self.refuse else b"\x05\x00\x00\x01" + bytes(6))
        return None if self.refuse else int.from_bytes(place[4:], "big")


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()
