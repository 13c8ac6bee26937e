"""A cluster in this process for tests of controllers and of the scheduler: server, informers, and pods that become ready."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from kcore.api.status import ApiError
from kcore.apiserver.assembly import Assembly, Options
from kcore.apiserver.authz import Authorizer, Decision, RequestAttributes
from kcore.apiserver.authz.refusal import refusal
from kcore.apiserver.local import LocalCalls
from kcore.apiserver.user import UserInfo
from kcore.client.asynchronous import AsyncClient
from kcore.client.informer import SharedInformers
from kcore.components.local_accounts import local_accounts
from kcore.controllers.accounts import accounts_of
from kcore.controllers.contract import Controller
from kcore.controllers.driver import Driver
from kcore.controllers.service_account import ServiceAccount
from kcore.online.driver import Scheduler
from kcore.store.embedded import Embedded

Object = dict[str, Any]
SECONDS_MAX = 30.0


class Told:
    """A recorder that remembers: (kind, type, reason, message)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, str]] = []

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    def event(self, obj: Object, kind: str, reason: str, *rest: Any, **more: Any) -> None:
        """One more."""
        self.events.append((obj["kind"], kind, reason, rest[-1]))

    def said(self, kind: str) -> list[str]:
        """The messages about objects of a kind."""
        return [message for of, _, _, message in self.events if of == kind]


class Watchful:
    """An authorizer that remembers what it has refused."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self.refused: set[str] = set()

    def authorize(self, user: UserInfo, info: RequestAttributes) -> Decision:
        """As the other does."""
        decision = self._authorizer.authorize(user, info)
        if not decision.allowed:
            self.refused.add(refusal(user, info))
        return decision


class Living:
    """See the module."""

    def __init__(
        self, assembly: Assembly, client: AsyncClient, informers: SharedInformers, told: Told
    ) -> None:
        self.assembly = assembly
        self.client = client
        self.informers = informers
        self.told = told
        self.pods = informers.informer("pods")
        self.ready = True
        self.pods.add_batch_listener(self._changed)
        self._tasks: set[asyncio.Task[None]] = set()

    def _changed(self, changes: Sequence[Any]) -> None:
        for change in changes:
            if change.new is not None:
                task = asyncio.get_running_loop().create_task(self._kubelet(change.new))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _kubelet(self, pod: Object) -> None:
        """A pod that is there is ready, one that is being deleted goes."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        with contextlib.suppress(ApiError):
            if "deletionTimestamp" in pod["metadata"]:
                await self.client.delete("pods", name, namespace, grace_period_seconds=0)
            elif (
                self.ready
                and pod["status"]["phase"] == "Pending"
                and not pod["spec"].get("nodeName", "").startswith("still")
            ):
                condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                patch = {"status": {"phase": "Running", "conditions": [condition]}}
                await self.client.patch(
                    "pods", name, patch, namespace, type="strategic", subresource="status"
                )

    async def until(self, holds: Callable[[], Any]) -> Any:
        """What it says once that is true, as informers see the cluster."""
        async with asyncio.timeout(SECONDS_MAX):
            while not (found := holds()):
                await asyncio.sleep(0.01)
        return found

    async def until_there(
        self, resource: str, name: str, holds: Callable[[Object], Any], namespace: str = "default"
    ) -> Object:
        """The object once that holds of it."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                with contextlib.suppress(ApiError):
                    obj = await self.client.get(resource, name, namespace)
                    if holds(obj):
                        return obj
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def living(*controllers: Controller, schedules: bool = False) -> AsyncIterator[Living]:
    """Such a cluster."""
    kv = await Embedded.open(None)
    assembly = Assembly(kv, Options())
    await assembly.start()
    client = AsyncClient(LocalCalls(assembly.registry, assembly.cacher, assembly.catalog))
    told = Told()
    async with SharedInformers(client) as informers:
        it = Living(assembly, client, informers, told)
        assembly.authorizer = watchful = Watchful(assembly.authorizer)
        everyone = [ServiceAccount(), *controllers]
        accounts, _ = await local_accounts(assembly, client, "kcore", accounts_of(everyone))
        driver = Driver(
            client, everyone, informers=informers, recorder=lambda component: told, accounts=accounts
        )  # type: ignore[arg-type,return-value]
        await driver.start()
        scheduler = None
        if schedules:
            scheduler = Scheduler(client, informers=informers, recorder=lambda name: told)  # type: ignore[arg-type,return-value]
            await scheduler.start()
        await it.until_there("serviceaccounts", "default", lambda account: True)
        try:
            yield it
        finally:
            if scheduler is not None:
                await scheduler.stop()
            await driver.stop()
    await assembly.stop()
    await kv.close()
    assert not watchful.refused  # each controller acts as its own account, whose role is upstream's


def workload(kind: str, name: str, replicas: int, image: str = "web:1", **spec: Any) -> Object:
    """A ReplicaSet, Deployment, ..., of pods labelled ``app: NAME``."""
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": image}]},
            },
            **spec,
        },
    }  # fmt: skip
