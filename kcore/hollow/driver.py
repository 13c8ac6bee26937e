"""The core's hands: watches in, writes out, all in one event loop and with no task for any object.

Shared informers tell what changes, or where there are none to share one ``Reflector`` a kind; one loop steps the core; ``workers_count`` workers perform what it says, as
many writes at once and no more. What fails is the core's to try again.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.informer import SharedInformers
from kcore.client.recorder import EventRecorder
from kcore.client.reflector import Reflector
from kcore.client.store import Change as Step
from kcore.clock import REAL, Clock, SteadyTime
from kcore.hollow.actions import (
    Action,
    Change,
    Changed,
    Done,
    Failed,
    Gone,
    Listed,
    ListPods,
    Object,
    Play,
    Put,
    Refused,
    Remove,
    Renew,
    Send,
)
from kcore.hollow.core import Core
from kcore.hollow.leases import AGAIN, Leases
from kcore.hollow.stage import APPLY, JSON, NODE, POD, Event, ResourceRef

WORKERS_COUNT: Final = 64  # writes under way at once
CHANGES_MAX: Final = 256  # that one step takes, so that others in the loop have their turn
LEASES_MAX: Final = (
    4  # that one worker renews one after the other; the rest go at once, in the same turns of the store
)
LEASE_RETRY_SECONDS: Final = 2.0  # until a renewal that was lost is tried again
CREATES_COUNT: Final = 64  # nodes registered at once
BOUND: Final = "spec.nodeName!="  # the pods that have a node
SHARED: Final[Mapping[ResourceRef, str]] = {NODE: "nodes", POD: "pods"}  # as others name them
SERVER_TIMEOUT: Final = "ServerTimeout"

log: Final = logging.getLogger("kcore.hollow")


class Statistics(NamedTuple):
    """What was done so far."""

    plays: int
    writes: int
    deletes: int
    failures: int
    renewals: int


class _Feed:
    """What a reflector tells of one kind."""

    def __init__(self, driver: Driver, resource: ResourceRef) -> None:
        self._driver = driver
        self._resource = resource
        self.synced = asyncio.Event()

    def replace(self, objects: Mapping[str, Object]) -> None:
        """All there are."""
        self._driver.take([Listed(self._resource, [*objects.values()])])
        self.synced.set()

    def apply(self, events: Sequence[tuple[str, str, Object]]) -> None:
        """What happened."""
        resource = self._resource
        self._driver.take(
            Gone(resource, obj) if kind == "DELETED" else Changed(resource, obj) for kind, _, obj in events
        )


class Driver:
    """See the module; ``async with`` starts and stops it.

    ``others``: further kinds that have stages, by the name and apiVersion that the client knows them under.
    ``impersonate``: the client that writes as that user, for stages that ask for one. ``informers``: those of nodes and
    pods, where the process has them anyway.
    """

    def __init__(
        self,
        client: AsyncClient,
        core: Core,
        *,
        others: Iterable[ResourceRef] = (),
        impersonate: Callable[[str], AsyncClient] | None = None,
        recorder: EventRecorder | None = None,
        informers: SharedInformers | None = None,
        lease_seconds: int = 40,
        workers_count: int = WORKERS_COUNT,
        clock: Clock = REAL,
    ) -> None:
        self._client = client
        self._core = core
        self._impersonate = impersonate
        self._recorder = recorder
        self._informers = informers
        self._registrations: list[Callable[[], None]] = []
        self._clock = clock
        self._time = SteadyTime(clock)
        self._leases = Leases(client, lease_seconds)
        self._workers_count = workers_count
        self._kinds = (NODE, POD, *others)
        self._inbox: deque[Change] = deque()
        self._wake = asyncio.Event()
        self._work: asyncio.Queue[Play | Renew] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._feeds: list[_Feed] = []
        self.plays = self.writes = self.deletes = self.failures = 0

    async def __aenter__(self) -> Driver:
        self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    def start(self) -> None:
        """It watches and works from now on, in the running loop."""
        make = asyncio.get_running_loop().create_task
        for resource in self._kinds:
            if self._informers is not None and resource in SHARED:
                informer = self._informers.informer(SHARED[resource])
                hear = functools.partial(self._heard, resource)
                self._registrations.append(informer.add_batch_listener(hear).remove)
                self._informers.start()
                continue
            feed = _Feed(self, resource)
            self._feeds.append(feed)
            selector = BOUND if resource == POD else ""
            reflector = Reflector(
                self._client, resource.kind, feed, clock=self._clock, api_version=resource.api_group,
                field_selector=selector,
            )  # fmt: skip
            self._tasks.append(make(reflector.run(), name=f"hollow {resource.kind}"))
        self._tasks.append(make(self._step(), name="hollow core"))
        self._tasks += [make(self._perform(), name=f"hollow worker {i}") for i in range(self._workers_count)]

    async def stop(self) -> None:
        """It does nothing more; a write under way may or may not have happened."""
        for remove in self._registrations:
            remove()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def synced(self) -> None:
        """The first lists are there."""
        for feed in self._feeds:
            await feed.synced.wait()
        if self._informers is not None:
            for name in SHARED.values():
                await self._informers.informer(name).synced()

    @property
    def statistics(self) -> Statistics:
        """What was done so far."""
        return Statistics(self.plays, self.writes, self.deletes, self.failures, self._leases.renewals)

    def take(self, changes: Iterable[Change]) -> None:
        """They are the core's, soon."""
        self._inbox.extend(changes)
        self._wake.set()

    def _heard(self, resource: ResourceRef, steps: Sequence[Step]) -> None:
        """What shared informers tell."""
        is_pod = resource == POD
        for old, new, _ in steps:
            if new is None:
                assert old is not None
                self._inbox.append(Gone(resource, old))
            elif not is_pod or new["spec"].get("nodeName"):
                self._inbox.append(Changed(resource, new))
        self._wake.set()

    async def register(self, nodes: Iterable[Object]) -> int:
        """The nodes are there, in their first stage's state; returns how many were not before."""
        todo, made = deque(nodes), 0

        async def create() -> None:
            nonlocal made
            while todo:
                node = self._core.born(NODE, todo.popleft(), self._now_ms())
                try:
                    await self._client.create(node, answered=False)
                    made += 1
                except ApiError as error:
                    if error.code != 409:
                        raise

        await asyncio.gather(*(create() for _ in range(CREATES_COUNT)))
        return made

    def _now_ms(self) -> int:
        return int(self._time.time_s() * 1000)

    # -- the core

    async def _step(self) -> None:
        while True:
            await self._woken()
            self._wake.clear()
            while self._inbox or self._is_due():
                changes = [self._inbox.popleft() for _ in range(min(len(self._inbox), CHANGES_MAX))]
                try:
                    actions = self._core.step(self._now_ms(), changes)
                except Exception:
                    log.exception("a step failed")
                    actions = []
                for action in actions:
                    self._dispatch(action)
                await asyncio.sleep(0)

    def _is_due(self) -> bool:
        due_ms = self._core.next_ms
        return due_ms is not None and due_ms <= self._now_ms()

    async def _woken(self) -> None:
        """Something has changed, or is due."""
        due_ms = self._core.next_ms
        timer = None
        if due_ms is not None:
            timer = self._clock.call_later(max(0.0, (due_ms - self._now_ms()) / 1000), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _dispatch(self, action: Action) -> None:
        if isinstance(action, Play):
            self._work.put_nowait(action)
        elif isinstance(action, Renew):
            for at in range(0, len(action.names), LEASES_MAX):
                part = slice(at, at + LEASES_MAX)
                self._work.put_nowait(Renew(action.names[part], action.uids[part]))
        elif isinstance(action, ListPods):
            self._tasks.append(asyncio.ensure_future(self._list_pods(action.node)))
            self._tasks[-1].add_done_callback(self._forget_task)
        elif isinstance(action, Refused):
            self.failures += 1
            log.warning(
                "%s %s: stage %s: %s", action.key.resource.kind, _shown(action), action.stage, action.reason
            )

    def _forget_task(self, task: asyncio.Task[None]) -> None:
        if task in self._tasks:
            self._tasks.remove(task)

    async def _list_pods(self, node: str) -> None:
        try:
            found = await self._client.list("pods", field_selector=f"spec.nodeName={node}")
        except (ApiError, OSError) as error:
            log.warning("pods of %s: %s", node, error)
            return
        self.take(Changed(POD, {"apiVersion": "v1", "kind": "Pod", **pod}) for pod in found["items"])

    # -- the workers

    async def _perform(self) -> None:
        while True:
            action = await self._work.get()
            if isinstance(action, Renew):
                left = await self._leases.renew(action, self._now_ms())
                if left.names:  # a node must not be taken for dead because one renewal was lost
                    self._clock.call_later(
                        LEASE_RETRY_SECONDS, functools.partial(self._work.put_nowait, left)
                    )
            else:
                self.take((await self._played(action),))

    async def _played(self, play: Play) -> Done | Failed:
        self.plays += 1
        obj: Object | None = None
        for at, send in enumerate(play.sends):
            try:
                result = await self._sent(play, send)
            except ApiError as error:
                self.failures += 1
                if error.code not in (404, 409):
                    log.warning(
                        "%s %s: stage %s: %s", play.key.resource.kind, _shown(play), play.stage, error
                    )
                return Failed(play.key, at, error.code in AGAIN or error.reason == SERVER_TIMEOUT)
            except (OSError, TimeoutError) as error:
                self.failures += 1
                log.info("%s %s: stage %s: %s", play.key.resource.kind, _shown(play), play.stage, error)
                return Failed(play.key, at, True)
            except Exception:
                self.failures += 1
                log.exception("%s %s: stage %s", play.key.resource.kind, _shown(play), play.stage)
                return Failed(play.key, at, False)
            obj = obj if result is None else result
        return Done(play.key, obj)

    async def _sent(self, play: Play, send: Send) -> Object | None:
        resource, namespace, name = play.key
        if isinstance(send, Event):
            if self._recorder is not None:
                about = {"apiVersion": resource.api_group, "kind": resource.kind}
                metadata = {"name": name, "namespace": namespace, "uid": play.uid}
                self._recorder.event({**about, "metadata": metadata}, *send)
            return None
        if isinstance(send, Remove):
            self.deletes += 1
            uid = {"uid": play.uid} if play.uid else None
            await self._client.delete(
                resource.kind, name, namespace, api_version=resource.api_group, grace_period_seconds=0,
                preconditions=uid, answered=False,
            )  # fmt: skip
            return None
        self.writes += 1
        client = self._client_of(send.user)
        if isinstance(send, Put):
            await _put(client, send)
            return None
        body = send.body if send.type == JSON else with_uid(send.body, play.uid)
        return await client.patch(
            resource.kind, name, body, namespace, type=send.type, api_version=resource.api_group,
            subresource=send.subresource,
        )  # fmt: skip

    def _client_of(self, user: str) -> AsyncClient:
        if not user:
            return self._client
        if self._impersonate is None:
            raise ApiError(403, "Forbidden", f"nothing here writes as {user}", None)
        return self._impersonate(user)


async def _put(client: AsyncClient, put: Put) -> None:
    """The object is there as it should be: created, else patched."""
    obj, metadata = put.obj, put.obj["metadata"]
    if not put.subresource:
        with contextlib.suppress(_Exists):
            await _created(client, obj)
            return
    await client.patch(
        obj["kind"], metadata["name"], obj, metadata.get("namespace", ""), type=put.type,
        api_version=obj["apiVersion"], subresource=put.subresource, force=put.type == APPLY,
        answered=False,
    )  # fmt: skip


class _Exists(Exception):
    """The object that was to be created is there."""


async def _created(client: AsyncClient, obj: Object) -> None:
    try:
        await client.create(obj, answered=False)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        raise _Exists from None


def with_uid(body: bytes, uid: str) -> bytes:
    """The merge patch, refused where the object is by now another of the same name."""
    if not uid or body[:1] != b"{" or body[:11] == b'{"metadata"':
        return body
    return b'{"metadata":{"uid":' + orjson.dumps(uid) + b"}," + body[1:] if body != b"{}" else body


def _shown(action: Any) -> str:
    key = action.key
    return f"{key.namespace}/{key.name}" if key.namespace else str(key.name)
