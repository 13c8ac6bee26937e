"""The metadata of all that a server serves, for controllers that are about every resource there is.

A resource that some controller's view shows is followed there; of the others an informer of its own keeps the metadata.
What is served is asked again every half minute, and when a custom resource or another server comes or goes.

Source: pkg/controller/garbagecollector (Sync, GraphBuilder.syncMonitors) of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.informer import Informer, Registration
from kcore.client.store import Change
from kcore.clock import Clock, within
from kcore.controllers.contract import FollowsAll, Key, Later, Object, Served
from kcore.controllers.view import InformerView

DISCOVERY_SECONDS: Final = 30.0  # upstream's --min-resync-period of discovery
SYNC_SECONDS_MAX: Final = (
    30.0  # for a first list: one resource that cannot be listed must not keep all others waiting
)
RETRY_SECONDS: Final = 1.0  # at the start, of a server that does not answer
SETTLE_SECONDS: Final = 0.2  # from a change of what is served to the question
DEFINING: Final = (
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "apiservices"),
)
KEPT: Final = (
    "name", "namespace", "uid", "resourceVersion", "ownerReferences", "finalizers", "deletionTimestamp", "labels",
)  # fmt: skip

Add = Callable[
    [Callable[[Object | None, Object | None], Iterable[Key | Later]], Sequence[Change]], None
]  # has the keys of changes looked at

log: Final = logging.getLogger("kcore.controllers")


def served(client: AsyncClient) -> list[Served]:
    """Every resource in every version."""
    return [
        Served(
            f"{row.plural}.{row.group}" if row.group else row.plural, row.group, row.version, row.plural, row.kind,
            row.namespaced, tuple(row.verbs), row.version == row.storage_version, row.subresource("scale") is not None,
        )
        for row in client.rows
    ]  # fmt: skip


def metadata_only(obj: Object) -> Object:
    """What is kept of an object that nobody else needs."""
    metadata = obj["metadata"]
    return {"metadata": {name: metadata[name] for name in KEPT if name in metadata}}


class Everything:
    """What the controllers follow, from ``start`` to ``stop``."""

    def __init__(self, client: AsyncClient, view: InformerView, clock: Clock) -> None:
        self._client = client
        self._view = view
        self._clock = clock
        self._followers: list[tuple[FollowsAll, Add]] = []
        self._own: dict[Served, Informer] = {}
        self._registrations: dict[tuple[Served, str], Registration] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def follow(self, controller: FollowsAll, add: Add) -> None:
        """The controller is told of all it asks for, once this is started."""
        self._followers.append((controller, add))

    async def start(self) -> None:
        """What there is has been told."""
        if not self._followers:
            return
        while not await self._refreshed():
            await self._clock.sleep(RETRY_SECONDS)
        try:
            await within(self._clock, SYNC_SECONDS_MAX, self._synced())
        except TimeoutError:
            late = [each.named for each, informer in self._own.items() if not informer.is_synced]
            log.warning("%s cannot be listed yet; controllers start without", ", ".join(late))
        self._task = asyncio.get_running_loop().create_task(self._run(), name="what is served")

    async def stop(self) -> None:
        """Nothing is followed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        for registration in self._registrations.values():
            registration.remove()
        self._registrations.clear()
        for informer in self._own.values():
            await informer.stop()
        self._own.clear()

    async def _synced(self) -> None:
        for informer in tuple(self._own.values()):
            await informer.synced()

    async def _run(self) -> None:
        while True:
            try:
                await within(self._clock, DISCOVERY_SECONDS, self._changed.wait())
                await self._clock.sleep(SETTLE_SECONDS)
            except TimeoutError:
                pass
            self._changed.clear()
            await self._refreshed()

    async def _refreshed(self) -> bool:
        """Whether the server has said what it serves; one that is away is asked again."""
        try:
            await self._refresh()
        except (ApiError, OSError) as error:
            log.info("what is served cannot be asked: %s", error)
            return False
        return True

    async def _refresh(self) -> None:
        """Every controller follows what it asks for of what is served now."""
        await self._client.discover()
        resources = served(self._client)
        seen = {
            (row.group, row.plural): named
            for named in self._view.resources
            for row in [await self._client.row(named)]
        }
        wanted = {
            (each, controller.name): (controller, add)
            for controller, add in self._followers
            for each in controller.serves(resources)
        }
        for key in [key for key in self._registrations if key not in wanted]:
            self._registrations.pop(key).remove()
        for gone in [each for each in self._own if not any(each == of for of, _ in wanted)]:
            await self._own.pop(gone).stop()
        for (each, name), (controller, add) in wanted.items():
            if (each, name) in self._registrations:
                continue
            informer = self._view.informer(seen.get((each.group, each.plural), ""))
            if informer is None:
                informer = self._of(each)
            tell = functools.partial(add, functools.partial(controller.followed, each, view=self._view))
            if (each.group, each.plural) in DEFINING:
                tell = functools.partial(self._told, tell)
            self._registrations[each, name] = informer.add_batch_listener(tell)

    def _told(self, tell: Callable[[Sequence[Change]], None], changes: Sequence[Change]) -> None:
        tell(changes)
        self._changed.set()

    def _of(self, each: Served) -> Informer:
        found = self._own.get(each)
        if found is None:
            found = self._own[each] = Informer(
                self._client, each.named, transform=metadata_only, clock=self._clock
            )
            found.start()
        return found
