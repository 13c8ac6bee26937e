"""Scheduler, controllers and simulated nodes in the event loop of a running API server, over one set of informers.

Each asks the server without HTTP, under its own name: its user, and the manager of the fields that it writes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from kcore.api.errors import InputError, KcoreError
from kcore.api.status import ApiError
from kcore.apiserver.driver import Running
from kcore.apiserver.local import LocalCalls
from kcore.apiserver.pace import Pace
from kcore.apiserver.tokens import TokenKeys
from kcore.apiserver.user import UserInfo
from kcore.client.asynchronous import AsyncClient
from kcore.client.calls import Object
from kcore.client.informer import sparing
from kcore.clock import REAL
from kcore.components.account_tokens import legacy_tokens
from kcore.components.choice import CONTROLLER_MANAGER, NODES, SCHEDULER, Choice
from kcore.components.tally import Counts, Tally

if TYPE_CHECKING:
    from kcore.apiserver.local_groups import LocalGroup
    from kcore.hollow.assembly import Settings as HollowSettings

GROUPS: Final = ("system:masters", "system:authenticated")
KUBELETS: Final = "127.0.0.1:0"  # where logs, exec and the like are answered
CONTROLLERS: Final = ("*", "bootstrapsigner", "tokencleaner")  # kubeadm's choice
PATCHES_COUNT: Final = 64  # at once
AUTHORITY_FILE: Final = "ca.crt"  # in the server's folder of certificates

log: Final = logging.getLogger("kcore.components")


class Component(Protocol):
    """What can be stopped."""

    async def stop(self) -> None:
        """It does nothing any more."""


class Components:
    """Those of a choice, from ``start`` to ``stop``, beside a server that runs longer than they do."""

    def __init__(self, choice: Choice, running: Running) -> None:
        self._choice = choice
        self._running = running
        self._calls: list[LocalCalls] = []
        self._others: dict[str, AsyncClient] = {}
        self._informers = sparing(self._client("kcore", "kcore-admin"))
        self._hollow: HollowSettings | None = None
        self._metrics: LocalGroup | None = None
        self._tally = Tally(self._informers)
        self._started: list[tuple[str, Component]] = []

    async def start(self) -> None:
        """All of them work; KcoreError names the one that does not, with nothing left running."""
        starts: dict[str, Callable[[], Awaitable[Component]]] = {
            CONTROLLER_MANAGER: self._controllers, SCHEDULER: self._scheduler, NODES: self._nodes,
        }  # fmt: skip
        self._running.assembly.server.pace = Pace() if self._choice.names else None
        try:
            for name, start in starts.items():
                if name in self._choice.names:
                    self._started.append((name, await _started(name, start)))
                    log.info("started: %s", name)
            self._tally.start()
            self._informers.start()
            await self._informers.synced()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """None of them works; the last to start is the first to end. A second time changes nothing."""
        while self._started:
            name, component = self._started.pop()
            try:
                await component.stop()
            except Exception:  # the others are to stop all the same, and the server
                log.exception("%s did not stop as it should", name)
        if self._metrics is not None:
            await self._running.assembly.withdraw(self._metrics)
            self._metrics = None
        await self._informers.stop()
        self._running.assembly.server.pace = None
        for calls in self._calls:
            calls.end_watches()

    @property
    def counts(self) -> Counts:
        """Nodes and pods of this moment."""
        return self._tally.counts

    def _client(self, manager: str, user: str) -> AsyncClient:
        assembly = self._running.assembly
        calls = LocalCalls(
            assembly.registry, assembly.cacher, assembly.catalog, UserInfo(user, groups=GROUPS)
        )
        self._calls.append(calls)
        return AsyncClient(calls, field_manager=manager)

    async def _controllers(self) -> Component:
        from kcore.controllers import catalog
        from kcore.controllers.contract import Settings
        from kcore.controllers.driver import Driver

        authority = self._running.identity.authority
        settings = Settings(
            root_ca=authority.certificate.decode(), signing_certificate=authority.certificate,
            signing_key=authority.key, make_token=legacy_tokens(TokenKeys(self._running.identity.token_key)), is_alone=True,
        )  # fmt: skip
        client = self._client("kube-controller-manager", "system:kube-controller-manager")
        driver = Driver(client, catalog.make(settings, CONTROLLERS), informers=self._informers)
        await driver.start()
        self._running.assembly.leave_namespaces()
        return driver

    async def _scheduler(self) -> Component:
        import numpy as np

        from kcore.online.driver import Scheduler

        client = self._client("kube-scheduler", "system:kube-scheduler")
        scheduler = Scheduler(client, informers=self._informers, random=np.random.default_rng())
        await scheduler.start()
        return scheduler

    async def _nodes(self) -> Component:
        from kcore.components.resource_metrics import resource_metrics
        from kcore.hollow.assembly import HollowNodes

        settings = replace(
            self._hollow_settings(),
            client_ca_file=str(self._running.identity.folder / AUTHORITY_FILE),
        )
        client = self._client("kubelet", "system:node:kcore")
        hollow = HollowNodes(client, settings, impersonate=self._as, informers=self._informers)
        try:
            await hollow.start()
            await self._reachable(client, hollow.port)
            self._metrics = resource_metrics(
                self._informers, settings.configuration.usages, lambda: int(REAL.time_s() * 1000)
            )
            await self._running.assembly.serve(self._metrics)
        except BaseException:
            await hollow.stop()
            raise
        return hollow

    async def _reachable(self, client: AsyncClient, port: int) -> None:
        """Nodes that an earlier process registered say where their kubelet is now."""
        body = {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}}
        nodes = self._informers.informer("nodes")
        self._informers.start()
        await nodes.synced()
        stale = [node["metadata"]["name"] for node in nodes.list() if _port_of(node) not in (0, port)]
        for at in range(0, len(stale), PATCHES_COUNT):
            await asyncio.gather(
                *(
                    client.patch("nodes", name, body, subresource="status")
                    for name in stale[at : at + PATCHES_COUNT]
                )
            )

    def _hollow_settings(self) -> HollowSettings:
        if self._hollow is None:
            self._hollow = hollow_settings(self._choice)
        return self._hollow

    def _as(self, user: str) -> AsyncClient:
        """The client of a user that a stage writes as."""
        if user not in self._others:
            self._others[user] = self._client("kubelet", user)
        return self._others[user]


def _port_of(node: Object) -> int:
    endpoints = (node.get("status") or {}).get("daemonEndpoints") or {}
    port: int = (endpoints.get("kubeletEndpoint") or {}).get("Port") or 0
    return port


def hollow_settings(choice: Choice) -> HollowSettings:
    """How the nodes are simulated; InputError where a file of theirs is wrong."""
    from kcore.hollow.assembly import CIDR
    from kcore.hollow.nodes import Managed
    from kcore.hollow.service import settings_of

    return settings_of(
        choice.stages, managed=Managed(), nodes=choice.node_count, node_template=choice.node_template,
        server_address=KUBELETS, cidr=CIDR,
    )  # fmt: skip


async def _started(name: str, start: Callable[[], Awaitable[Component]]) -> Component:
    try:
        return await start()
    except InputError:
        raise
    except (ApiError, OSError, RuntimeError) as error:
        raise KcoreError(f"{name} does not start: {error}") from error
