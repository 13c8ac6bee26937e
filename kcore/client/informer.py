"""What there is of a resource, kept up to date in memory, and who wants to hear of changes.

``Informer`` follows one resource by ``kcore.client.reflector`` and tells its listeners, in order and on its event loop, of
every step in every object's life. ``SharedInformers`` has one informer for each resource and selectors, whoever asks.

Source: client-go tools/cache (shared_informer.go, controller.go), informers/factory.go.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final

from kcore.client.asynchronous import AsyncClient
from kcore.client.calls import Object
from kcore.client.reflector import Reflector, Transform
from kcore.client.store import Change, IndexFunction, Store
from kcore.clock import REAL, Clock, Timed
from kcore_native.collector import Sharing

SETTLED_SECONDS: Final = 2.0  # after which an object is taken for one that stays
SETTLED_COUNT: Final = 50  # of those that share their parts in one turn
SETTLING_SECONDS: Final = 0.05  # from turn to turn
BUSY_COUNT: Final = 20  # of events between two turns, from which on sharing waits for a quieter time,
UNSETTLED_MAX: Final = 20_000  # but not beyond that many objects that wait for it

Listener = Callable[[Object | None, Object | None], None]
BatchListener = Callable[[Sequence[Change]], None]

log: Final = logging.getLogger("kcore.client")


class Registration:
    """A listener that can leave."""

    def __init__(self, informer: Informer, call: BatchListener) -> None:
        self._informer = informer
        self.call = call

    def remove(self) -> None:
        """It is told nothing any more."""
        if self in self._informer._listeners:
            self._informer._listeners.remove(self)


class Informer:
    """See the module; ``async with`` starts and stops it.

    ``transform`` is given each object before it is kept and returns what is to be kept (client-go's SetTransform).
    ``resync_seconds``: listeners are told of every object again that often, old and new being the same; 0: never.
    ``sharing``: objects that stay have their equal parts in common by it, which leaves a quarter of a pod in memory.
    Reading is for the event loop that it was started in.
    """

    def __init__(
        self,
        client: AsyncClient,
        resource: str,
        *,
        api_version: str = "",
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        indexers: Mapping[str, IndexFunction] | None = None,
        resync_seconds: float = 0.0,
        transform: Transform | None = None,
        sharing: Sharing | None = None,
        clock: Clock = REAL,
    ) -> None:
        self.resource = resource
        self._sharing = sharing
        self._unsettled: OrderedDict[str, float] = OrderedDict()  # keys, and since when, the oldest first
        self._settling: Timed | None = None
        self._events_since_turn = 0
        self._store = Store(indexers)
        self._reflector = Reflector(
            client, resource, self, api_version=api_version, namespace=namespace,
            label_selector=label_selector, field_selector=field_selector, transform=transform, clock=clock,
        )  # fmt: skip
        self._listeners: list[Registration] = []
        self._resync_seconds = resync_seconds
        self._clock = clock
        self._resync: Timed | None = None
        self._task: asyncio.Task[None] | None = None
        self._synced = asyncio.Event()

    async def __aenter__(self) -> Informer:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # -- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """It lists and watches from now on, in the running loop; a second time changes nothing."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(
                self._reflector.run(), name=f"informer {self.resource}"
            )
            self._set_resync()

    async def stop(self) -> None:
        """It watches no more; what it knows stays readable."""
        task, self._task = self._task, None
        for timer in (self._resync, self._settling):
            if timer is not None:
                timer.cancel()
        self._resync = self._settling = None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def synced(self) -> None:
        """Everything that the first list has is there, and the listeners have been told."""
        await self._synced.wait()

    @property
    def is_synced(self) -> bool:
        """Whether the first list is there."""
        return self._synced.is_set()

    # -- reading ----------------------------------------------------------------------------------------------------

    @property
    def resource_version(self) -> str:
        """Up to where the server's history is known."""
        return self._reflector.resource_version

    def __len__(self) -> int:
        return len(self._store.objects)

    def __contains__(self, key: str) -> bool:
        return key in self._store.objects

    def get(self, key: str) -> Object | None:
        """The object of that key (``namespace/name``, or the name), which must not be changed; None where there is none."""
        return self._store.objects.get(key)

    def list(self) -> list[Object]:
        """All objects, which must not be changed."""
        return [*self._store.objects.values()]

    def keys(self) -> Iterable[str]:
        """All keys."""
        return self._store.objects.keys()

    def by_index(self, name: str, value: str) -> Sequence[Object]:
        """The objects that the index has under that value; KeyError where there is no such index."""
        return self._store.by_index(name, value)

    def keys_by_index(self, name: str, value: str) -> Sequence[str]:
        """Their keys."""
        return self._store.keys_by_index(name, value)

    def add_index(self, name: str, function: IndexFunction) -> None:
        """A further index; ValueError where that name has another function."""
        self._store.add_index(name, function)

    # -- listeners --------------------------------------------------------------------------------------------------

    def add_listener(self, on_change: Listener) -> Registration:
        """Called ``(old, new)`` for each step (see ``Change``), first for all that is there already."""

        def each(changes: Sequence[Change]) -> None:
            for change in changes:
                try:
                    on_change(change.old, change.new)
                except Exception:
                    log.exception("a listener to %s failed", self.resource)

        return self.add_batch_listener(each)

    def add_batch_listener(self, on_changes: BatchListener) -> Registration:
        """Called with the steps that came together, first with all that is there already."""
        registration = Registration(self, on_changes)
        self._listeners.append(registration)
        if self._store.objects:
            self._tell(registration, [Change(None, obj) for obj in self._store.objects.values()])
        return registration

    def _tell(self, registration: Registration, changes: Sequence[Change]) -> None:
        try:
            registration.call(changes)
        except Exception:
            log.exception("a listener to %s failed", self.resource)

    def _told(self, changes: Sequence[Change]) -> None:
        if changes:
            for registration in tuple(self._listeners):
                self._tell(registration, changes)

    # -- the reflector's side ---------------------------------------------------------------------------------------

    def replace(self, objects: Mapping[str, Object]) -> None:
        """What there is now, from a list."""
        self._told(self._store.replace(objects))
        self._synced.set()
        self._settle_later(objects)

    def apply(self, events: Sequence[tuple[str, str, Object]]) -> None:
        """Events of a watch, in order, as (type, key, object)."""
        store, changes = self._store, list[Change]()
        for kind, key, obj in events:
            if kind == "DELETED":
                store.delete(key, obj, changes)
            else:
                store.put(key, obj, changes)
        self._told(changes)
        self._settle_later(key for kind, key, _ in events if kind != "DELETED")

    def _settle_later(self, keys: Iterable[str]) -> None:
        if self._sharing is None:
            return
        now_s, unsettled = self._clock.monotonic_s(), self._unsettled
        for key in keys:
            unsettled[key] = now_s
            unsettled.move_to_end(key)
            self._events_since_turn += 1
        if self._settling is None and unsettled:
            self._settling = self._clock.call_later(SETTLED_SECONDS, self._settle)

    def _settle(self) -> None:
        """Some objects that have stayed for a while share what they have in common with others."""
        unsettled, objects = self._unsettled, self._store.objects
        assert self._sharing is not None
        is_busy, self._events_since_turn = self._events_since_turn > BUSY_COUNT, 0
        if is_busy and len(unsettled) < UNSETTLED_MAX:
            self._settling = self._clock.call_later(SETTLING_SECONDS, self._settle)
            return
        before_s = self._clock.monotonic_s() - SETTLED_SECONDS
        for key, since_s in [*itertools.islice(unsettled.items(), SETTLED_COUNT)]:
            if since_s > before_s:
                break
            del unsettled[key]
            obj = objects.get(key)
            if obj is not None:
                self._sharing.shared(obj)
        self._settling = self._clock.call_later(SETTLING_SECONDS, self._settle) if unsettled else None

    def _set_resync(self) -> None:
        if self._resync_seconds > 0:
            self._resync = self._clock.call_later(self._resync_seconds, self._resynced)

    def _resynced(self) -> None:
        self._told([Change(obj, obj) for obj in self._store.objects.values()])
        self._set_resync()


def without_managed_fields(obj: Object) -> Object:
    """The object without what is half of a running pod in memory; an update that says nothing of them leaves them."""
    obj["metadata"].pop("managedFields", None)
    return obj


class SharedInformers:
    """One informer for each resource, namespace and selectors of a process; ``async with`` starts and stops them all.

    ``transform`` is that of every informer that is asked for without one. ``is_sparing``: objects share their equal parts.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        transform: Transform | None = None,
        is_sparing: bool = False,
        clock: Clock = REAL,
        resync_seconds: float = 0.0,
    ) -> None:
        self.client = client
        self._sharing = Sharing() if is_sparing else None
        self._transform = transform
        self._clock = clock
        self._resync_seconds = resync_seconds
        self._informers: dict[tuple[str, ...], Informer] = {}
        self._is_started = False

    async def __aenter__(self) -> SharedInformers:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def informer(
        self,
        resource: str,
        *,
        api_version: str = "",
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        indexers: Mapping[str, IndexFunction] | None = None,
        transform: Transform | None = None,
    ) -> Informer:
        """The one for these, made where nobody has asked before; it runs where ``start`` was called.

        ``resource`` should be named the same way by all: ``pods`` and ``po`` are two. ``transform`` is the first
        asker's; ``indexers`` are added.
        """
        key = (resource, api_version, namespace, label_selector, field_selector)
        found = self._informers.get(key)
        if found is None:
            found = self._informers[key] = Informer(
                self.client, resource, api_version=api_version, namespace=namespace,
                label_selector=label_selector, field_selector=field_selector, indexers=indexers,
                transform=transform if transform is not None else self._transform,
                sharing=self._sharing, resync_seconds=self._resync_seconds, clock=self._clock,
            )  # fmt: skip
            if self._is_started:
                found.start()
        else:
            for name, function in (indexers or {}).items():
                found.add_index(name, function)
        return found

    def start(self) -> None:
        """Every informer, also one that is asked for later, runs."""
        self._is_started = True
        for informer in self._informers.values():
            informer.start()

    async def synced(self) -> None:
        """Every informer asked for up to now has its first list."""
        for informer in tuple(self._informers.values()):
            await informer.synced()

    async def stop(self) -> None:
        """None runs."""
        self._is_started = False
        for informer in tuple(self._informers.values()):
            await informer.stop()


def sparing(client: AsyncClient, clock: Clock = REAL) -> SharedInformers:
    """Informers of a component of the control plane, which may see every object there is: they keep what is needed, once."""
    return SharedInformers(client, transform=without_managed_fields, is_sparing=True, clock=clock)
