"""Simulated nodes put together: configuration, core, driver and the kubelets' port, over one client."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kcore.api.errors import InputError
from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.informer import SharedInformers
from kcore.client.recorder import EventRecorder
from kcore.clock import REAL, Clock
from kcore.hollow import builtin_stages
from kcore.hollow.configuration import Configuration, load
from kcore.hollow.core import Core
from kcore.hollow.driver import Driver, Statistics
from kcore.hollow.kubelet.certificate import server_context
from kcore.hollow.kubelet.resource_metrics import ResourceMetrics
from kcore.hollow.kubelet.server import Kubelet
from kcore.hollow.lifecycle import by_resource
from kcore.hollow.node_template import NodeTemplate
from kcore.hollow.nodes import EVERY, Managed, Nodes
from kcore.hollow.stage import NODE, POD

CIDR: Final = "10.128.0.0/9"
NODE_IP: Final = "127.0.0.1"
LEASE_SECONDS: Final = 40
COMPONENT: Final = "kubelet"
PAGE_OBJECTS: Final = 500


@dataclass(frozen=True)
class Settings:
    """How simulated nodes are run; kwok's flags by the same names.

    ``node_count`` nodes of ``template`` are registered at the start. ``server_port`` 0: a free one; None: no kubelet.
    ``node_port`` is said of every node's kubelet, 0: the server's own. ``lease_seconds`` 0: no leases.
    """

    configuration: Configuration = field(default_factory=lambda: load(builtin_stages.DEFAULT))
    managed: Managed = EVERY
    node_count: int = 0
    template: NodeTemplate = field(default_factory=NodeTemplate)
    cidr: str = CIDR
    node_ip: str = NODE_IP
    node_port: int = 0
    server_host: str = NODE_IP
    server_port: int | None = 0
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    lease_seconds: int = LEASE_SECONDS
    seed: int = 0


class HollowNodes:
    """Simulated nodes from ``start`` to ``stop``, or inside ``async with``, in the running loop."""

    def __init__(
        self,
        client: AsyncClient,
        settings: Settings,
        *,
        impersonate: Callable[[str], AsyncClient] | None = None,
        informers: SharedInformers | None = None,
        clock: Clock = REAL,
    ) -> None:
        self._client = client
        self._settings = settings
        self._port = 0
        chosen = settings.configuration
        self.nodes = Nodes(settings.managed, settings.node_ip, self._kubelet_port, settings.cidr)
        lifecycles = by_resource(chosen.stages)
        started_ms = int(clock.time_s() * 1000)
        self.core = Core(
            lifecycles,
            self.nodes,
            seed=settings.seed,
            started_ms=started_ms,
            lease_seconds=settings.lease_seconds,
            says_ready_again=chosen.are_pods_ours,
        )
        self._recorder = EventRecorder(client, COMPONENT, clock=clock)
        self.driver = Driver(
            client, self.core, others=[each for each in lifecycles if each not in (NODE, POD)], impersonate=impersonate,
            recorder=self._recorder, informers=informers, lease_seconds=settings.lease_seconds, clock=clock,
        )  # fmt: skip
        self.kubelet = Kubelet(self._pod_of, chosen.answers, ResourceMetrics(self._list_all, chosen.usages))

    async def __aenter__(self) -> HollowNodes:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self) -> int:
        """The nodes are there and live from now on; returns how many were registered that were not there before."""
        await self._check_kinds()
        await self._listen()
        self._recorder.start()
        self.driver.start()
        await self.driver.synced()
        template = self._settings.template
        try:
            return await self.driver.register(template.nodes(self._settings.node_count))
        except ApiError as error:
            if error.code not in (400, 422):
                raise
            raise template.refused(error.message) from None

    async def stop(self) -> None:
        """Nothing moves any more; nodes and pods stay in the cluster as they are."""
        await self.driver.stop()
        await self._recorder.stop()
        await self.kubelet.stop()

    @property
    def statistics(self) -> Statistics:
        """What was done so far."""
        return self.driver.statistics

    @property
    def port(self) -> int:
        """Of the kubelets; 0 where there is none."""
        return self._port

    def _kubelet_port(self) -> int:
        return self._settings.node_port or self._port

    async def _check_kinds(self) -> None:
        """The server has every kind that there are stages for; InputError where it has not."""
        for stage in self._settings.configuration.stages:
            group, kind = stage.resource
            if stage.resource in (NODE, POD):
                continue
            try:
                served = (await self._client.row(kind, group)).kind
                await self._client.list(kind, api_version=group, limit=1)
            except ApiError as error:
                if error.code != 404:
                    raise
                served = ""
            if served != kind:  # it may be known by another name
                raise InputError(
                    f"the server has no {kind} of {group}", document=f"stage {stage.name}",
                    field="spec.resourceRef", expected=served or "a kind that the server has",
                )  # fmt: skip

    async def _listen(self) -> None:
        settings = self._settings
        if settings.server_port is None:
            return
        try:
            bound = socket.create_server((settings.server_host, settings.server_port))
        except OSError as error:
            where = f"{settings.server_host}:{settings.server_port}"
            raise InputError(
                f"cannot listen on {where}: {error.strerror or error}", field="--server-address"
            ) from None
        self._port = bound.getsockname()[1]
        hosts = list(dict.fromkeys((settings.node_ip, settings.server_host, "localhost")))
        tls = server_context(hosts, settings.cert_file, settings.key_file, settings.client_ca_file)
        await self.kubelet.listen(bound, tls)

    async def _pod_of(self, namespace: str, name: str) -> dict[str, Any]:
        return await self._client.get("pods", name, namespace)

    async def _list_all(self, resource: str, namespace: str) -> Sequence[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        following = ""
        while True:
            page = await self._client.list(resource, namespace, limit=PAGE_OBJECTS, continue_token=following)
            found += page["items"]
            following = page["metadata"].get("continue", "")
            if not following:
                return found
