"""Pods that have been given a node come to be bound there, many at a time; where one is not, all is as before.

Source: pkg/scheduler/schedule_one.go (runBindingCycle, handleBindingCycleError, bind) of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.series import SeriesRecorder
from kcore.clock import Clock
from kcore.online.binding import BindingCycle, BindingPlugins, NotBound
from kcore.online.events import Event
from kcore.online.extenders import Extender, ExtenderError, bound_by_one
from kcore.online.metrics import ERROR, SCHEDULED, UNSCHEDULABLE, Metrics
from kcore.online.mirror import Mirror
from kcore.online.permits import WaitingPods
from kcore.online.queue import SchedulingQueue, Waiting
from kcore.online.statuses import Statuses
from kcore.online.writing import PAUSES_S, bound_note, is_unsure, nominated_of

TOGETHER: Final = 100  # bindings that one task sees through

Object = dict[str, Any]

log: Final = logging.getLogger("kcore.scheduler")


class Placed(NamedTuple):
    """A pod that has been given a node. ``began_s``: when its try began, on the clock that only grows."""

    known: Waiting
    node: str
    began_s: float


class Host(Protocol):
    """What of the scheduler it takes part in."""

    client: AsyncClient
    clock: Clock
    metrics: Metrics
    mirror: Mirror
    queue: SchedulingQueue
    statuses: Statuses

    def name_of(self, pod: Object) -> str:
        """The scheduler of that name is to schedule the pod."""

    def recorder_of(self, pod: Object) -> SeriesRecorder:
        """Who notes what becomes of pods of that profile."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """The work is under way; the scheduler does not stop before it has ended."""

    def woken(self, event: Event, *, besides: str = "") -> None:
        """What happened may help pods that wait, but for one of that key: they are looked at."""


class Binder:
    """The bindings of one scheduler. ``plugins`` by profile; ``cycles`` are pods on their way through some, by uid."""

    def __init__(
        self, host: Host, plugins: Mapping[str, BindingPlugins], extenders: Sequence[Extender], waiting_pods: WaitingPods
    ) -> None:  # fmt: skip
        self._host = host
        self._plugins = plugins
        self._extenders = extenders
        self._waiting_pods = waiting_pods
        self.asks = bool(extenders) or any(one.decides for one in plugins.values())
        self.cycles: dict[str, tuple[BindingCycle, asyncio.Task[Any]]] = {}

    def cancel(self) -> None:
        """Pods on their way through plugins go no further."""
        for _, writing in tuple(self.cycles.values()):
            writing.cancel()

    def interested(self, pod: Object) -> list[Extender]:
        """The extenders that are to be asked about the pod."""
        return [one for one in self._extenders if one.is_interested(pod)]

    def is_alone(self, pod: Object) -> bool:
        """Whether others are asked about the pod before the next is decided."""
        return self.asks and (
            bool(self.interested(pod)) or self._plugins[self._host.name_of(pod)].decide(pod)
        )

    def _cycle(self, pod: Object, node: str) -> BindingCycle | None:
        """The pod's way to the node, where a plugin has a part in it."""
        host, plugins = self._host, self._plugins[self._host.name_of(pod)]
        if not plugins or not plugins.concern(pod):
            return None
        return BindingCycle(
            plugins, pod, node, self._waiting_pods, host.clock, host.statuses.nominate, host.metrics
        )

    # -- they set out -----------------------------------------------------------------------------------------------
    async def enter(self, placed: Placed) -> None:
        """What the pod needs there is reserved and it may go, or is about to be told; or it is not to go."""
        host, known = self._host, placed.known
        cycle = self._cycle(known.obj, placed.node)
        if cycle is not None:
            try:
                await cycle.enter()
            except NotBound as error:
                host.mirror.forget(known.key, known.obj)
                self._attempted(placed, UNSCHEDULABLE if error.is_rejected else ERROR)
                if self._returned(known, error):
                    host.spawn(host.statuses.failed(known.obj, str(error), is_rejected=error.is_rejected))
                return
            if host.queue.get(known.key) is not known:  # it went meanwhile
                self._waiting_pods.remove(known.obj["metadata"]["uid"])
                await cycle.unreserve()
                return
        self._send(placed, cycle)

    def send_all(self, placed: Sequence[Placed]) -> None:
        """The pods are on their way: straight, or through what plugins have to do before."""
        straight = []
        for one in placed:
            cycle = self._cycle(one.known.obj, one.node)
            if cycle is not None or self._extenders:
                self._send(one, cycle)
            else:
                self._host.queue.done(one.known)
                straight.append(self._bind(one))
        for first in range(0, len(straight), TOGETHER):
            self._host.spawn(self._bind_all(straight[first : first + TOGETHER]))

    def _send(self, placed: Placed, cycle: BindingCycle | None) -> None:
        if cycle is None:
            self._host.queue.done(placed.known)
            self._host.spawn(self._bind(placed))
            return
        uid = placed.known.obj["metadata"]["uid"]
        task = self._host.spawn(self._bind_through(placed, cycle))
        self.cycles[uid] = (cycle, task)
        task.add_done_callback(lambda _: self.cycles.pop(uid, None))

    async def _bind_all(self, works: Sequence[Coroutine[Any, Any, bool]]) -> None:
        """Many pods are bound at the same time."""
        for outcome in await self._host.client.together(works):
            if isinstance(outcome, BaseException):
                log.error("a binding failed", exc_info=outcome)

    async def _bind_through(self, placed: Placed, cycle: BindingCycle) -> None:
        """The pod is bound once its plugins have let it go, and they hear of it; or all is as before."""
        try:
            await cycle.prepare(lambda: self._host.queue.done(placed.known))
            is_bound = await self._bind(placed, cycle)
        except NotBound as error:
            await cycle.unreserve()
            await self._not_bound(placed, error, cycle)
            return
        except asyncio.CancelledError:
            await cycle.unreserve()
            raise
        if is_bound:
            await cycle.post_bind()

    # -- and arrive, or not -----------------------------------------------------------------------------------------
    async def _bind(self, placed: Placed, cycle: BindingCycle | None = None) -> bool:
        """Whether the pod is bound; where not, it has been told and is tried again."""
        host, known, node = self._host, placed.known, placed.node
        obj = known.obj
        metadata = obj["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        binding = {
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": metadata["uid"]},
            "target": {"kind": "Node", "name": node},
        }  # fmt: skip
        started_s, profile = host.clock.monotonic_s(), host.name_of(obj)
        try:
            if not (self._extenders and await bound_by_one(self.interested(obj), obj, node)):
                await host.client.create(
                    binding, resource="pods", name=name, subresource="binding", answered=False
                )
        except Exception as error:
            if not isinstance(error, ApiError | OSError | ExtenderError):
                log.exception("binding %s failed", known.key)
            if not (is_unsure(error) and await self._has_arrived(placed)):
                host.metrics.ran("Bind", profile, "Error", host.clock.monotonic_s() - started_s)
                if cycle is not None:
                    await cycle.unreserve()
                await self._not_bound(placed, error, cycle)
                return False
        now_s = host.clock.monotonic_s()
        host.metrics.ran("Bind", profile, "Success", now_s - started_s)
        host.metrics.attempted(SCHEDULED, profile, now_s - placed.began_s)
        host.metrics.bound(known.attempts, now_s - known.first_ms / 1000, was_flushed=known.was_flushed)
        host.queue.delete(known.key)
        host.recorder_of(obj).event(obj, "Normal", "Scheduled", "Binding", bound_note(namespace, name, node))
        return True

    async def _has_arrived(self, placed: Placed) -> bool:
        """Whether the pod is on its node though nobody said so. It is asked for until the server answers, and counts there.

        Upstream forgets it, and may give its place away before the watch shows the binding.
        """
        metadata = placed.known.obj["metadata"]
        for pause_s in PAUSES_S:
            if pause_s:
                await self._host.clock.sleep(pause_s)
            try:
                found = await self._host.client.get("pods", metadata["name"], metadata["namespace"])
            except (ApiError, OSError) as error:
                if is_unsure(error):
                    continue
                return False
            return bool(
                found["metadata"]["uid"] == metadata["uid"] and found["spec"].get("nodeName") == placed.node
            )
        return False

    async def _not_bound(self, placed: Placed, error: Exception, cycle: BindingCycle | None) -> None:
        """The node is free of the pod again; it is told, and waits or is tried again, unless it is gone."""
        host, known = self._host, placed.known
        host.mirror.forget(known.key, known.obj)
        is_rejected = isinstance(error, NotBound) and error.is_rejected
        self._attempted(placed, UNSCHEDULABLE if is_rejected else ERROR)
        if host.queue.get(known.key) is known and isinstance(error, ApiError) and error.code == 404:
            host.queue.delete(known.key)
        is_ours = self._returned(known, error)
        if is_ours and nominated_of(known.obj):
            host.mirror.pending(known.key, known.obj)  # what it was promised is still its own
        # Others may take the place; a pod that was rejected waits for something else than its own leaving.
        host.woken(Event.POD_GONE, besides=known.key)
        if not is_ours:
            return
        text = str(error)
        if not isinstance(error, NotBound | ExtenderError):
            text = f'running Bind plugin "DefaultBinder": {error}'
        node = cycle.node if cycle is not None and cycle.is_nominated else ""
        await host.statuses.failed(known.obj, text, is_rejected=is_rejected, nominated=node)

    def _returned(self, known: Waiting, error: Exception) -> bool:
        """The pod waits for who rejected it, or is tried again after a pause; False where it is gone."""
        queue, now_ms = self._host.queue, int(self._host.clock.monotonic_s() * 1000)
        if queue.get(known.key) is not known:
            return False
        if isinstance(error, NotBound) and error.plugin:
            queue.unschedulable(known, (error.plugin,), now_ms)
        else:
            queue.failed(known, now_ms)
        return True

    def _attempted(self, placed: Placed, result: str) -> None:
        host = self._host
        host.metrics.attempted(
            result, host.name_of(placed.known.obj), host.clock.monotonic_s() - placed.began_s
        )
