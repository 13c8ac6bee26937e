"""Logs, exec, attach, port-forward and proxies: the client's bytes to a node, pod or service, and what comes back.

The request is sent on over HTTP/1.1 with its headers; an answer of 101 makes both connections one tunnel of raw bytes
(SPDY or websocket, whatever the two ends speak). Source: apimachinery pkg/util/proxy/upgradeaware.go, Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import zttp

from kcore.api import status
from kcore.api.rows import Row
from kcore.apiserver.operation import Operation, Options
from kcore.apiserver.registry.connecting import TARGETS, Target, proxy_target
from kcore.apiserver.request import Query, RequestInfo
from kcore.apiserver.user import UserInfo
from kcore.http.http1 import HEAD_END
from kcore.http.message import Header, Outlet, Request, Response

CONNECT_SECONDS_MAX: Final = 10.0
HEAD_SECONDS_MAX: Final = 30.0
READ_BYTES: Final = 64 << 10
HEAD_BYTES_MAX: Final = 64 << 10
PATH_CHARACTERS: Final = "/:@!$&'()*+,;=~%-._"
# RFC 9110 7.6.1: of one connection only; credentials of ours are not the kubelet's
NOT_PASSED: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
    b"transfer-encoding", b"content-length", b"host", b"authorization", b"expect",
})  # fmt: skip
NOT_RETURNED: Final = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"date"}
)

log = logging.getLogger("kcore.apiserver")


class Kubelets:
    """Where subresources that connect are answered. ``tls`` is for kubelets: the server's certificate as a client's."""

    def __init__(self, core: Any, tls: Callable[[], ssl.SSLContext | None]) -> None:
        self._core = core
        self._tls = tls

    async def connect(
        self, request: Request, info: RequestInfo, query: Query, user: UserInfo, row: Row
    ) -> Response:
        """The target's answer; ApiError where there is none, 503 where it is not reached."""
        op = Operation(
            row,
            info.namespace if row.namespaced else "",
            info.name,
            info.subresource,
            "CONNECT",
            user,
            Options(),
        )
        await self._core.admission.connect(op, None)
        if info.subresource == "proxy":
            target: Target | None = await proxy_target(self._core, op)
        else:
            make = TARGETS.get(info.subresource)
            if make is None:
                raise status.no_such_path()
            target = await make(self._core, op, query)
        if target is None:
            return Response(200, [(b"content-type", b"text/plain")])
        path = target.path
        if info.subresource == "proxy":
            path = (
                "/" + "/".join(info.parts[3:]) + ("/" if info.path.endswith("/") and info.parts[3:] else "")
            )
        text = target.query if info.subresource != "proxy" else request.query.decode("latin-1")
        return await self.forwarded(request, target, path, text, is_log=info.subresource == "log")

    async def forwarded(
        self, request: Request, target: Target, path: str, query: str, *, is_log: bool = False
    ) -> Response:
        """The target's answer to the request; ApiError 503 where it is not reached, 500 for logs and upgrades."""
        await asyncio.sleep(
            0
        )  # in a task from here on, which timeouts need: the door runs a request without one
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                reader, writer = await asyncio.open_connection(
                    target.host,
                    target.port or (443 if target.scheme == "https" else 80),
                    ssl=self._context(target),
                )
        except (OSError, TimeoutError) as error:
            told = _dialled(target, error)
            if is_log:
                place = quote(path, safe=PATH_CHARACTERS) + (f"?{query}" if query else "")
                raise status.ApiError(
                    500, "", f'Get "{target.scheme}://{target.authority}{place}": {told}'
                ) from None
            if request.upgrade is not None:
                raise status.ApiError(500, "", f"error dialing backend: {told}") from None
            raise status.unavailable(f"error trying to reach service: {told}") from None
        try:
            writer.write(_head(request, target, path, query) + request.body)
            async with asyncio.timeout(HEAD_SECONDS_MAX):
                return await _answer(request, reader, writer)
        except BaseException as error:
            writer.close()
            if isinstance(error, OSError | TimeoutError | zttp.ProtocolError | asyncio.IncompleteReadError):
                raise status.unavailable(f"error trying to reach service: {error}") from None
            raise

    def _context(self, target: Target) -> ssl.SSLContext | None:
        if target.scheme != "https":
            return None
        context = self._tls() if target.kubelet and not target.insecure else None
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # as upstream without --kubelet-certificate-authority
        return context


def _dialled(target: Target, error: OSError) -> str:
    """Why there is no connection, as Go's net package says it."""
    if isinstance(error, socket.gaierror):
        return f"dial tcp: lookup {target.host}: no such host"
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"dial tcp {target.authority}: i/o timeout"
    if isinstance(error, ssl.SSLError) or error.errno is None:
        return str(error)
    return f"dial tcp {target.authority}: connect: {os.strerror(error.errno).lower()}"


def _head(request: Request, target: Target, path: str, query: str) -> bytes:
    method = request.method.decode("latin-1")
    place = quote(path, safe=PATH_CHARACTERS) + (f"?{query}" if query else "")
    line = f"{method} {place} HTTP/1.1\r\n"
    fields = [(b"Host", target.authority.encode())]
    fields += [(name, value) for name, value in request.headers if name.lower() not in NOT_PASSED]
    fields.append((b"X-Forwarded-For", request.peer.address.rpartition(":")[0].encode()))
    if request.upgrade is not None:
        fields.append((b"Connection", b"Upgrade"))
    else:
        fields.append((b"Connection", b"close"))
    if request.body or request.method in (b"POST", b"PUT", b"PATCH"):
        fields.append((b"Content-Length", b"%d" % len(request.body)))
    return line.encode() + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"


async def _answer(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Response:
    """The target's head, and its body or tunnel as a stream."""
    engine = zttp.Connection(zttp.CLIENT, zttp.HTTP1)
    engine.send_request(request.method, b"/", b"1.1", [(b"host", b"target")])
    received = bytearray()
    while HEAD_END not in received:
        data = await reader.read(READ_BYTES)
        if not data:
            raise OSError("the connection ended before an answer")
        received += data
        if len(received) > HEAD_BYTES_MAX:
            raise OSError("the answer's head is too long")
    head, _, rest = bytes(received).partition(HEAD_END)
    if head.split(b" ", 2)[1:2] == [b"101"]:
        headers = [
            (name, value)
            for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n")[1:])
            if name
        ]
        return Response(101, headers, Tunnelled(reader, writer, rest))
    engine.receive_data(bytes(received))
    event = engine.next_event()
    passed: list[Header] = [
        (name, value) for name, value in event.headers if name.lower() not in NOT_RETURNED
    ]
    return Response(event.status_code, passed, Forwarded(engine, reader, writer))


class Forwarded:
    """The body of a target's answer, passed on as it comes and as fast as the client takes it."""

    def __init__(self, engine: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._engine = engine
        self._reader = reader
        self._writer = writer
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, outlet: Outlet) -> None:
        """Begins to pass on."""
        self._room.set()
        self._task = asyncio.ensure_future(self._pass(outlet))

    async def _pass(self, outlet: Outlet) -> None:
        engine = self._engine
        try:
            while True:
                event = engine.next_event()
                kind = type(event)
                if kind is zttp.Data:
                    outlet.write(event.data)
                    if outlet.is_choked:
                        self._room.clear()
                        await self._room.wait()
                elif kind is zttp.EndOfMessage:
                    break
                elif kind is zttp.NeedData:
                    data = await self._reader.read(READ_BYTES)
                    engine.receive_data(data)
                    if not data and type(engine.next_event()) is not zttp.EndOfMessage:
                        break
                    if not data:
                        break
                else:
                    break
            outlet.end()
        except (OSError, zttp.ProtocolError):
            outlet.abort()
        finally:
            self._writer.close()

    def resume(self) -> None:
        """The client takes more."""
        self._room.set()

    def stop(self) -> None:
        """The client is gone."""
        if self._task is not None:
            self._task.cancel()
        self._writer.close()


class Tunnelled:
    """Raw bytes between client and target."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._first = first
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, outlet: Outlet) -> None:
        """Begins to pass on what the target sends."""
        self._room.set()
        if self._first:
            outlet.write(self._first)
        self._task = asyncio.ensure_future(self._pass(outlet))

    async def _pass(self, outlet: Outlet) -> None:
        try:
            while data := await self._reader.read(READ_BYTES):
                outlet.write(data)
                if outlet.is_choked:
                    self._room.clear()
                    await self._room.wait()
        except OSError:
            pass
        finally:
            outlet.end()
            self._writer.close()

    def receive(self, data: bytes) -> None:
        """What the client sends goes to the target."""
        if not self._writer.is_closing():
            self._writer.write(data)

    def resume(self) -> None:
        """The client takes more."""
        self._room.set()

    def stop(self) -> None:
        """The client is gone."""
        if self._task is not None:
            self._task.cancel()
        self._writer.close()
