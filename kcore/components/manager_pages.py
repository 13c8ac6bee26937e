"""``/healthz`` and ``/metrics`` of the controller manager, over TLS.

Who asks for what not everybody may is found out as upstream does it: the API server reviews the token, then whether its
user may. Source: controller-manager app/serve.go, pkg/healthz, apiserver pkg/authentication/authenticatorfactory and
pkg/authorization/authorizerfactory of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import orjson

from kcore.api.status import ApiError
from kcore.apiserver.health import Check, Health, well
from kcore.client.asynchronous import AsyncClient
from kcore.hollow.kubelet.certificate import server_context
from kcore.http.http1 import Http1Connection
from kcore.http.listener import Listener
from kcore.http.message import Peer, Request, Response

if TYPE_CHECKING:
    from kcore.components.controller_manager import Manager

STOP_SECONDS_MAX: Final = 2.0
TEXT: Final = [
    (b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff"),
]  # fmt: skip
METRICS: Final = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
BEARER: Final = b"bearer "
ANONYMOUS: Final[Mapping[str, Any]] = {"username": "system:anonymous", "groups": ["system:unauthenticated"]}

log: Final = logging.getLogger("kcore.controllers")


class ManagerHealth(Health):
    """The checks of a controller manager: that its lease is in order, and each controller by name."""

    def __init__(self, manager: Manager) -> None:
        super().__init__(well)
        self._manager = manager

    def checks(self, path: str) -> dict[str, Check]:
        """The checks behind that path, by name."""
        found: dict[str, Check] = {"leaderElection": self._leads} if self._manager.elector else {}
        running = self._manager.names if self._manager.driver is not None else ()
        return found | dict.fromkeys(running, well)

    async def _leads(self) -> str:
        return "" if self._manager.is_healthy() else "failed election to renew leadership on lease"


class Pages:
    """Answers from ``listen`` to ``stop``; ``open_paths`` are anybody's, a ``*`` at the end standing for more."""

    def __init__(self, manager: Manager, client: AsyncClient, open_paths: Collection[str]) -> None:
        self._manager = manager
        self._client = client
        self._open = frozenset(open_paths)
        self._health = ManagerHealth(manager)
        self._listener: Listener | None = None
        self._started_s = time.time()

    async def listen(self, bound: socket.socket, certificate: str, key: str) -> None:
        """It answers on the bound socket."""
        tls = server_context([socket.gethostname(), "localhost", "127.0.0.1"], certificate, key)
        listener = self._listener = Listener(log=log)

        def http1(peer: Peer, transport: Any, port: Any) -> Http1Connection:
            return Http1Connection(self.answer, peer, transport, port)

        await listener.listen(bound, tls, http1=http1)

    async def stop(self) -> None:
        """It answers no more."""
        if self._listener is not None:
            await self._listener.stop(STOP_SECONDS_MAX)

    async def answer(self, request: Request) -> Response:
        """The answer to one request."""
        await asyncio.sleep(0)  # in a task from here on, as it may wait
        path = request.path.decode("latin-1")
        if not self._is_open(path):
            refusal = await self._refusal(request, path)
            if refusal is not None:
                return refusal
        if path == "/metrics":
            return Response(200, METRICS, "".join(f"{line}\n" for line in self._lines()).encode())
        found = await self._health.page(
            path, parse_qs(request.query.decode("latin-1"), keep_blank_values=True)
        )
        return found if found is not None else Response(404, TEXT, b"404 page not found\n")

    # -- who may --------------------------------------------------------------------------------------------------------
    def _is_open(self, path: str) -> bool:
        return path in self._open or any(
            each.endswith("*") and path.startswith(each[:-1]) for each in self._open
        )

    async def _refusal(self, request: Request, path: str) -> Response | None:
        """401 or 403, None where the asker may."""
        given = next((value for name, value in request.headers if name.lower() == b"authorization"), b"")
        user: Mapping[str, Any] = ANONYMOUS
        try:
            if given.lower().startswith(BEARER):
                review = await self._review("authentication.k8s.io/v1", "TokenReview", {
                    "token": given[len(BEARER) :].strip().decode("latin-1"),
                })  # fmt: skip
                if not review.get("authenticated"):
                    return _status(401, "Unauthorized", "Unauthorized")
                user = review["user"]
            verb = request.method.decode("latin-1").lower()
            attributes = {"path": path, "verb": verb}
            asked = {
                "user": user["username"],
                "groups": user.get("groups") or [],
                "nonResourceAttributes": attributes,
            }
            if (await self._review("authorization.k8s.io/v1", "SubjectAccessReview", asked)).get("allowed"):
                return None
        except (ApiError, OSError) as error:
            log.warning("who asks for %s could not be found out: %s", path, error)
            return _status(500, "InternalError", f"Internal Server Error: {path!r}")
        message = f"forbidden: User {orjson.dumps(user['username']).decode()} cannot {verb} path {orjson.dumps(path).decode()}"
        return _status(403, "Forbidden", message)

    async def _review(self, version: str, kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        made = await self._client.create(
            {"apiVersion": version, "kind": kind, "metadata": {}, "spec": {**spec}}
        )
        status: Mapping[str, Any] = made.get("status") or {}
        return status

    # -- metrics --------------------------------------------------------------------------------------------------------
    def _lines(self) -> Iterator[str]:
        manager = self._manager
        if manager.elector is not None:
            name = "leader_election_master_status"
            yield f"# HELP {name} [ALPHA] Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master. 'name' is the string used to identify the lease. Please make sure to group by name."
            yield f"# TYPE {name} gauge"
            yield f'{name}{{name="kube-controller-manager"}} {int(manager.elector.is_leader)}'
        if manager.driver is not None:
            yield "# HELP running_managed_controllers [ALPHA] Indicates where instances of a controller are currently running"
            yield "# TYPE running_managed_controllers gauge"
            for each in manager.names:
                yield f'running_managed_controllers{{manager="kube-controller-manager",name="{each}"}} 1'
            yield "# HELP workqueue_depth [ALPHA] Current depth of workqueue"
            yield "# TYPE workqueue_depth gauge"
            for loop in manager.driver.loops:
                yield f'workqueue_depth{{name="{loop.controller.name}"}} {len(loop.queue)}'
        yield from _process(self._started_s)


def _process(started_s: float) -> Iterator[str]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures: Sequence[tuple[str, str, str, float]] = (
        ("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", usage.ru_utime + usage.ru_stime),
        ("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", _resident()),
        ("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", started_s),
    )  # fmt: skip
    for name, kind, text, value in figures:
        yield f"# HELP {name} {text}"
        yield f"# TYPE {name} {kind}"
        yield f"{name} {value:.15g}"


def _resident() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _status(code: int, reason: str, message: str) -> Response:
    body = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code,
    }  # fmt: skip
    if code == 403:
        body["details"] = {}
    return Response(code, [(b"content-type", b"application/json")], orjson.dumps(body) + b"\n")
