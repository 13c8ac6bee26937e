"""Events about objects, written by the way: nothing waits for them, and what is too much is dropped.

``EventRecorder`` writes core/v1 events as controllers do: equal ones are counted in one, many that differ in their
message alone are aggregated, and one source may say only so much about an object. ``SeriesRecorder`` writes
events.k8s.io/v1 as the scheduler does: equal ones become a series, written at its beginning and its end.

Source: client-go tools/record (event.go, events_cache.go), tools/events (event_recorder.go, event_broadcaster.go).
"""

from __future__ import annotations
from typing import Final, Mapping
from kcore.client.asynchronous import AsyncClient
from kcore.client.calls import Object
from kcore.clock import REAL, Clock

QUEUED_MAX: Final = 1000


class EventRecorder:
    def __init__(
        self,
        client: AsyncClient,
        component: str,
        *,
        host: str = "",
        queued_max: int = QUEUED_MAX,
        clock: Clock = REAL,
    ) -> None: ...
    def start(self) -> None: ...
    async def stop(self) -> None: ...
    def event(
        self, obj: Object, type_: str, reason: str, message: str, annotations: Mapping[str, str] | None = None
    ) -> None: ...


class SeriesRecorder:
    def __init__(
        self,
        client: AsyncClient,
        controller: str,
        *,
        instance: str = "",
        queued_max: int = QUEUED_MAX,
        clock: Clock = REAL,
    ) -> None: ...
    def start(self) -> None: ...
    async def stop(self) -> None: ...
    def event(
        self,
        regarding: Object,
        type_: str,
        reason: str,
        action: str,
        note: str,
        *,
        related: Object | None = None,
    ) -> None: ...
