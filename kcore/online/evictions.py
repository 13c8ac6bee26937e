"""Room is made for a pod: those that preemption chose go, those that were promised the node look elsewhere.

Source: pkg/scheduler/framework/preemption/executor.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final, Protocol

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.series import SeriesRecorder
from kcore.clock import Clock
from kcore.online.binder import Binder
from kcore.online.events import Event
from kcore.online.metrics import Metrics
from kcore.online.mirror import Mirror
from kcore.online.queue import SchedulingQueue, Waiting
from kcore.online.statuses import Statuses
from kcore.online.writing import PAUSES_S, is_unsure, nominated_of, preempted_patch

PREEMPTOR: Final = "DefaultPreemption"
Object = dict[str, Any]

log: Final = logging.getLogger("kcore.scheduler")


class Host(Protocol):
    """What of the scheduler it takes part in."""

    client: AsyncClient
    clock: Clock
    metrics: Metrics
    mirror: Mirror
    queue: SchedulingQueue
    statuses: Statuses

    @property
    def binder(self) -> Binder:
        """Who has pods that are on their way to a node."""

    def name_of(self, pod: Object) -> str:
        """The scheduler of that name is to schedule the pod."""

    def recorder_of(self, pod: Object) -> SeriesRecorder:
        """Who notes what becomes of pods of that profile."""

    def woken(self, event: Event, *, besides: str = "") -> None:
        """What happened may help pods that wait, but for one of that key: they are looked at."""


class Evictions:
    """Those of one scheduler."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def make_room(self, known: Waiting, node: str, victims: Sequence[str]) -> None:
        """The victims go, and pods of lower priority are nominated to the node no more."""
        host = self._host
        started_s = host.clock.monotonic_s()
        await asyncio.gather(*(self._passed_over(key) for key in self._outranked(known, node)))
        left = await asyncio.gather(*(self._evict(key, known, node) for key in victims))
        stays = [key for key, has_gone in zip(victims, left, strict=True) if not has_gone]
        host.metrics.made_room(host.clock.monotonic_s() - started_s, is_whole=not stays)
        if stays:
            # Nothing will free the node: the pod looks for room anew.
            host.mirror.spared(stays)
            host.woken(Event.POD_GONE)

    def _outranked(self, known: Waiting, node: str) -> list[str]:
        """Pods of lower priority that were nominated to the node, as their status still says."""
        lesser = (each for each in self._host.queue.waiting() if each.priority < known.priority)
        return [each.key for each in lesser if nominated_of(each.obj) == node]

    async def _passed_over(self, key: str) -> None:
        known = self._host.queue.get(key)
        if known is not None:
            await self._host.statuses.patch(known.obj, {"status": {"nominatedNodeName": None}})

    async def _evict(self, key: str, known: Waiting, node: str) -> bool:
        """Whether the pod goes to make room; True, too, where it has gone by itself."""
        host = self._host
        victim = host.mirror.object_of(key)
        if victim is None or "deletionTimestamp" in victim["metadata"]:
            return True
        metadata = victim["metadata"]
        on_its_way = host.binder.cycles.get(metadata["uid"])
        if on_its_way is not None and on_its_way[0].preempt(PREEMPTOR):
            self._note(victim, known, node, " (in kube-scheduler memory).")
            return True
        await host.statuses.patch(
            victim, preempted_patch(victim, host.name_of(known.obj), host.clock.time_s())
        )
        error = await self._deleted(metadata)
        if error is not None:
            if isinstance(error, ApiError) and error.code == 404:
                return True
            log.error("preempting %s: %s", key, error)
            return False
        self._note(victim, known, node, "")
        return True

    async def _deleted(self, metadata: Object) -> Exception | None:
        """Why the pod is not deleted; None where it is.

        Where nobody knows, it is asked again: it may be gone, and another victim would be one too many.
        """
        unknown: ApiError | OSError | None = None
        for pause_s in PAUSES_S:
            if pause_s:
                await self._host.clock.sleep(pause_s)
            try:
                await self._host.client.delete(
                    "pods", metadata["name"], metadata["namespace"], preconditions={"uid": metadata["uid"]},
                    answered=False,
                )  # fmt: skip
            except OSError as error:
                unknown = error
            except ApiError as error:
                if not is_unsure(error):
                    return error
                unknown = error
            else:
                return None
        return unknown

    def _note(self, victim: Object, known: Waiting, node: str, where: str) -> None:
        note = f"Preempted by pod {known.obj['metadata']['uid']} on node {node}{where}"
        self._host.recorder_of(known.obj).event(
            victim, "Normal", "Preempted", "Preempting", note, related=known.obj
        )
