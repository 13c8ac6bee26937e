"""One HTTPS port that is the kubelet of every simulated node.

Routes are the kubelet's (pkg/kubelet/server/server.go of Kubernetes 1.36) and, for usage, metrics-server's: requests for
logs, exec, attach and port-forward name the pod in their path, so that nothing needs to know which node is meant.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from kcore.api.status import ApiError
from kcore.hollow.kubelet.answers import Answers
from kcore.hollow.kubelet.logs import BadOption, Line, Wanted, chosen, simulated, wanted
from kcore.hollow.kubelet.programs import Echo, Follow, run
from kcore.hollow.kubelet.resource_metrics import ResourceMetrics
from kcore.hollow.kubelet.sessions import Asked, Program
from kcore.hollow.kubelet.spdy_streams import (
    COMMAND_PROTOCOLS,
    FORWARD_PROTOCOL,
    TUNNEL_PROTOCOL,
    Connect,
    Dialled,
    Page,
    Port,
    SpdyCommand,
    SpdyForward,
    TunnelledForward,
)
from kcore.hollow.kubelet.websocket import PROTOCOLS, Channels, accept_key
from kcore.http.http1 import Http1Connection
from kcore.http.listener import Listener
from kcore.http.message import Header, Outlet, Peer, Request, Response, Tunnel

FOLLOW_SECONDS: Final = 0.5  # between looks whether a log that is followed has grown
STOP_SECONDS_MAX: Final = 2.0
START_SECONDS: Final = 0.05  # kubectl drops what comes before it has made its streams
Pod = dict[str, Any]
PodOf = Callable[[str, str], Awaitable[Pod]]  # ApiError 404 where there is none

log: Final = logging.getLogger("kcore.hollow")


class Kubelet:
    """See the module. ``pod_of`` gets a pod by namespace and name."""

    def __init__(self, pod_of: PodOf, answers: Answers, metrics: ResourceMetrics) -> None:
        self._pod_of = pod_of
        self._answers = answers
        self._metrics = metrics
        self._listener: Listener | None = None

    async def listen(self, bound: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Answers on the bound socket from now on."""
        bound.setblocking(False)
        listener = self._listener = Listener(log=log)

        def http1(peer: Peer, transport: Any, port: Any) -> Http1Connection:
            return Http1Connection(self.answer, peer, transport, port)

        await listener.listen(bound, tls, http1=http1)

    async def stop(self) -> None:
        """Nothing is answered any more."""
        if self._listener is not None:
            await self._listener.stop(STOP_SECONDS_MAX)

    async def answer(self, request: Request) -> Response:
        """The answer to one request."""
        await asyncio.sleep(0)  # in a task from here on, as what it asks for may wait
        parts = [unquote(part) for part in request.path.decode("latin-1").split("/")[1:]]
        try:
            make = _ROUTES.get(parts[0])
            if make is not None:
                return await make(self, request, parts[1:])
            found = await self._metrics.answer(parts, request.query.decode("latin-1"))
            return found if found is not None else text(404, "404 page not found\n")
        except ApiError as error:
            return text(error.code, f"{error.message}\n")
        except BadOption as error:
            return text(400, f"{error}\n")

    # -- routes

    async def _health(self, request: Request, parts: list[str]) -> Response:
        return text(200, "ok")

    async def _logs(self, request: Request, parts: list[str]) -> Response:
        if len(parts) != 3:
            return text(404, "404 page not found\n")
        namespace, name, container = parts
        options = wanted(dict(parse_qsl(request.query.decode("latin-1"))), time.time_ns())
        pod = await self._pod(namespace, name, container)
        if options.follow and not options.previous:
            follow = self._followed(pod, container, options)
            return Response(200, [(b"content-type", b"text/plain")], Poured(follow))
        return text(200, chosen(self._lines(pod, container, options.previous), options))

    def _lines(self, pod: Pod, container: str, previous: bool) -> list[Line]:
        kept = self._answers.log(pod["metadata"].get("namespace", ""), pod["metadata"]["name"], container)
        return simulated(pod, container, previous) if kept is None else kept.lines(previous)

    async def _followed(self, pod: Pod, container: str, options: Wanted) -> AsyncIterator[bytes]:
        """The log, and what is added to it, as long as the container runs."""
        namespace, name = pod["metadata"].get("namespace", ""), pod["metadata"]["name"]
        kept = self._answers.log(namespace, name, container)
        lines = self._lines(pod, container, False)
        if first := chosen(lines, options):
            yield first
        if kept is not None and not kept.follow:
            return
        seen, rest = len(lines), options._replace(tail=None, limit_bytes=None)
        while runs(pod, container):
            await asyncio.sleep(FOLLOW_SECONDS)
            try:
                pod = await self._pod_of(namespace, name)
            except (ApiError, OSError):
                return
            lines = self._lines(pod, container, False)
            if more := chosen(lines[seen:], rest):
                yield more
            seen = max(seen, len(lines))

    async def _exec(self, request: Request, parts: list[str]) -> Response:
        if len(parts) != 3:
            return text(404, "404 page not found\n")
        namespace, name, container = parts
        pod = await self._pod(namespace, name, container)
        if not runs(pod, container):
            raise ApiError(
                500, "InternalError", f"container not found ({container!r})".replace("'", '"'), None
            )
        query = parse_qsl(request.query.decode("latin-1"), keep_blank_values=True)
        command = [value for key, value in query if key == "command"]
        program = run(command, pod, container, self._answers.execs_of(namespace, name, container))
        return commanded(request, dict(query), program)

    async def _attach(self, request: Request, parts: list[str]) -> Response:
        if len(parts) != 3:
            return text(404, "404 page not found\n")
        namespace, name, container = parts
        pod = await self._pod(namespace, name, container)
        query = dict(parse_qsl(request.query.decode("latin-1")))
        if query.get("input") == "1" and self._answers.attach(namespace, name, container) is None:
            return commanded(request, query, Echo())
        return commanded(request, query, Follow(self._followed(pod, container, Wanted(tail=0))))

    async def _forward(self, request: Request, parts: list[str]) -> Response:
        if len(parts) not in (2, 3):
            return text(404, "404 page not found\n")
        namespace, name = parts[:2]
        await self._pod_of(namespace, name)
        connect = self._connect(namespace, name)
        offered = protocols(request, b"sec-websocket-protocol")
        if TUNNEL_PROTOCOL in offered:
            return websocket(request, TUNNEL_PROTOCOL, TunnelledForward(connect))
        if (request.upgrade or b"").lower() == b"spdy/3.1":
            return spdy(FORWARD_PROTOCOL, SpdyForward(connect))
        return text(400, f"unable to upgrade: one of {TUNNEL_PROTOCOL} or SPDY/3.1 is needed\n")

    def _connect(self, namespace: str, name: str) -> Connect:
        def connect(
            port: int, data: Callable[[bytes], None], end: Callable[[], None], fail: Callable[[str], None]
        ) -> Port:
            target = self._answers.forward(namespace, name, port)
            if target is not None:
                return Dialled(target.host, target.port, data, end, fail)
            return Page(f"port {port} of {namespace}/{name}: a pod that is not there\n", data, end)

        return connect

    async def _pod(self, namespace: str, name: str, container: str) -> Pod:
        pod = await self._pod_of(namespace, name)
        spec = pod.get("spec") or {}
        kinds = ("initContainers", "containers", "ephemeralContainers")
        if not any(each["name"] == container for kind in kinds for each in spec.get(kind) or ()):
            raise ApiError(404, "NotFound", f'container "{container}" not found in pod "{name}"', None)
        return pod


_ROUTES: Final[dict[str, Callable[[Kubelet, Request, list[str]], Awaitable[Response]]]] = {
    "healthz": Kubelet._health, "containerLogs": Kubelet._logs, "exec": Kubelet._exec, "attach": Kubelet._attach,
    "portForward": Kubelet._forward,
}  # fmt: skip


class Poured:
    """A body that comes in pieces over time."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._task: asyncio.Task[None] | None = None

    def start(self, outlet: Outlet) -> None:
        """Begins."""
        self._task = asyncio.ensure_future(self._pour(outlet))

    async def _pour(self, outlet: Outlet) -> None:
        async for piece in self._pieces:
            outlet.write(piece)
        outlet.end()

    def resume(self) -> None:
        """The client takes more: what comes is little."""

    def stop(self) -> None:
        """The client is gone."""
        if self._task is not None:
            self._task.cancel()


def runs(pod: Pod, container: str) -> bool:
    """Whether the container's status says so."""
    status = pod.get("status") or {}
    kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    every = (each for kind in kinds for each in status.get(kind) or ())
    return any(each["name"] == container and "running" in (each.get("state") or {}) for each in every)


def text(status: int, body: str | bytes) -> Response:
    """Plain text."""
    raw = body.encode() if isinstance(body, str) else body
    return Response(status, [(b"content-type", b"text/plain; charset=utf-8")], raw)


def protocols(request: Request, header: bytes) -> list[str]:
    """What the client offers to speak."""
    values = (each.decode("latin-1").split(",") for each in request.values(header))
    return [name.strip() for some in values for name in some]


def commanded(request: Request, query: dict[str, str], program: Program) -> Response:
    """The program attached to the client by WebSocket or SPDY; 400 where it offers neither."""
    asked = Asked(*(query.get(name) in ("1", "true") for name in ("input", "output", "error", "tty")))
    offered = protocols(request, b"sec-websocket-protocol")
    spoken = next((each for each in PROTOCOLS if each in offered), None)
    if spoken is not None:
        return websocket(request, spoken, Channels(program, START_SECONDS))
    if (request.upgrade or b"").lower() == b"spdy/3.1":
        offered = protocols(request, b"x-stream-protocol-version")
        spoken = next((each for each in COMMAND_PROTOCOLS if each in offered), None)
        if spoken is not None:
            return spdy(spoken, SpdyCommand(program, asked))
        return text(403, f"unable to upgrade: unable to negotiate protocol: client supports {offered}\n")
    return text(400, f"unable to upgrade: a WebSocket that speaks {PROTOCOLS[0]} or SPDY/3.1 is needed\n")


def websocket(request: Request, protocol: str, tunnel: Tunnel) -> Response:
    """The answer that begins a WebSocket; 400 without a key."""
    key = request.header(b"sec-websocket-key")
    if key is None or (request.upgrade or b"").lower() != b"websocket":
        return text(400, "no WebSocket request\n")
    headers: list[Header] = [
        (b"upgrade", b"websocket"), (b"connection", b"Upgrade"), (b"sec-websocket-accept", accept_key(key)),
        (b"sec-websocket-protocol", protocol.encode()),
    ]  # fmt: skip
    return Response(101, headers, tunnel)


def spdy(protocol: str, tunnel: Tunnel) -> Response:
    """The answer that begins SPDY."""
    headers: list[Header] = [
        (b"upgrade", b"SPDY/3.1"), (b"connection", b"Upgrade"), (b"x-stream-protocol-version", protocol.encode()),
    ]  # fmt: skip
    return Response(101, headers, tunnel)
