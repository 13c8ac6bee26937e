"""``kcore scheduler``: from settings to a process that schedules while it leads, and to its graceful end.

Source: cmd/kube-scheduler/app/server.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from kcore.client.asynchronous import AsyncClient
from kcore.client.leases import LeaderElector
from kcore.client.series import SeriesRecorder
from kcore.http.http1 import Http1Connection
from kcore.http.http2 import Http2Connection
from kcore.http.listener import Listener
from kcore.http.message import Peer
from kcore.online.configz import shown
from kcore.online.driver import Scheduler
from kcore.online.pages import Certificates, Check, Pages
from kcore.online.settings import ProcessSettings
from kcore.scheduler.profile import SchedulerConfiguration

STOP_SECONDS_MAX: Final = 5.0
DONE, LOST = 0, 1

log: Final = logging.getLogger("kcore.scheduler")


class Service:
    """One scheduler's process, without its sockets and signals."""

    def __init__(
        self,
        client: AsyncClient,
        configuration: SchedulerConfiguration,
        settings: ProcessSettings,
        *,
        identity: str,
        random: Any = None,
        document: Mapping[str, Any] | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        """``document``: the file that the configuration is from; ``certificates``: how clients of the port are known."""
        self._client = client
        self._shown = shown(document, settings)
        self._certificates = certificates
        self.scheduler = Scheduler(
            client, configuration=configuration, random=random,
            recorder=lambda name: SeriesRecorder(client, name, instance=f"{name}-{identity.partition('_')[0]}"),
            initial_backoff_ms=settings.initial_backoff_seconds * 1000,
            max_backoff_ms=settings.max_backoff_seconds * 1000,
        )  # fmt: skip
        election = settings.election
        self._election_name = election.name
        self.elector = (
            LeaderElector(
                client, election.namespace, election.name, identity, lease_seconds=election.lease_seconds,
                renew_deadline_seconds=election.renew_deadline_seconds, retry_seconds=election.retry_seconds,
            )
            if election.is_on
            else None
        )  # fmt: skip
        self.is_ready = False

    @property
    def checks(self) -> dict[str, dict[str, Check]]:
        """What is asked behind each path of health."""
        alive: dict[str, Check] = {"ping": lambda: "", "leaderElection": self._election}
        ready: dict[str, Check] = {
            "ping": lambda: "",
            "sched-handler-sync": lambda: "" if self.is_ready or not self._leads else "handlers are not fully synchronized",
        }  # fmt: skip
        return {"/healthz": alive, "/livez": alive, "/readyz": ready}

    @property
    def _leads(self) -> bool:
        return self.elector is None or self.elector.is_leader

    def _election(self) -> str:
        healthy = self.elector is None or self.elector.is_healthy()
        return "" if healthy else "failed election to renew leadership on lease"

    async def run(self) -> None:
        """It schedules, as soon as it leads, until it is cancelled or leads no more."""
        if self.elector is None:
            await self._schedule()
        else:
            await self.elector.run(self._schedule)

    async def _schedule(self) -> None:
        try:
            await self.scheduler.start()
            self.is_ready = True
            await self.scheduler.ended()
        finally:
            self.is_ready = False
            await self.scheduler.stop()

    def debug(self) -> None:
        """The cache is compared with the cluster and written to the log."""
        if not self.is_ready:
            return
        for line in (*self.scheduler.compare(), *self.scheduler.dump()):
            log.warning("%s", line)

    def pages(self, open_paths: tuple[str, ...]) -> Pages:
        """What its port answers."""
        return Pages(
            self._client, self.checks, self._metrics, open_paths, configz=lambda: self._shown,
            certificates=self._certificates,
        )  # fmt: skip

    def _metrics(self) -> bytes:
        if self.elector is None:
            return self.scheduler.metrics_page()
        leads: dict[tuple[str, ...], float] = {(self._election_name,): self.elector.is_leader}
        return self.scheduler.metrics_page({"leader_election_master_status": leads})


class Led(Protocol):
    """A component that works while it leads."""

    async def run(self) -> None:
        """It works, as soon as it leads, until it is cancelled or leads no more."""

    def debug(self) -> None:
        """What it knows is written to the log."""

    def pages(self, open_paths: tuple[str, ...]) -> Pages:
        """What its port answers."""


async def serve(
    service: Led,
    bound: socket.socket | None,
    tls: ssl.SSLContext | None,
    open_paths: tuple[str, ...],
    said: Callable[[], None],
) -> int:
    """Runs until a signal says stop, or leadership is lost; the process' exit code."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR2, service.debug)
    listener = None
    if bound is not None:
        listener = Listener(log=log)
        answer = service.pages(open_paths).answer

        def http1(peer: Peer, transport: Any, port: Any) -> Http1Connection:
            return Http1Connection(answer, peer, transport, port)

        def http2(peer: Peer, transport: Any, port: Any) -> Http2Connection:
            return Http2Connection(answer, peer, transport, port)

        await listener.listen(bound, tls, http1=http1, http2=http2)
    said()
    work = asyncio.ensure_future(service.run())
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
            logging.getLogger("kcore.client").error("leaderelection lost")
            return LOST
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return DONE
    finally:
        stopped.cancel()
        if listener is not None:
            listener.stop_accepting()
            await listener.stop(STOP_SECONDS_MAX)
