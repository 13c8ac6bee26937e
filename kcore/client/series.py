"""Events as the scheduler writes them (events.k8s.io/v1): equal ones are a series, written as it begins and ends.

The first is written at once; the second makes it a series of two, which is written, too; of further ones only the
number is kept, and written every half hour and when none has come for six minutes.

Source: client-go tools/events (event_recorder.go, event_broadcaster.go); KEP-383.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.calls import Object
from kcore.client.lanes import QUEUED_MAX, Lanes
from kcore.client.recorder import RETRY_SECONDS, TRIES_MAX, TYPES
from kcore.client.references import EventNames, reference
from kcore.client.stamps import micro_time, time_of
from kcore.clock import REAL, Clock, Timed

FINISH_SECONDS: Final = 360.0
REFRESH_SECONDS: Final = 1800.0
JITTER: Final = 0.25
REGARDING: Final = 3  # places in a key
RELATED: Final = 4

Key = tuple[Any, ...]

log: Final = logging.getLogger("kcore.client")


class Single(NamedTuple):
    """An event that came once, as JSON without what it is about, which its key has: there are as many as pods were bound.

    Texts, as bytes of orjson take up the 4 KB that they were written into as long as they are kept.
    """

    time_s: float
    body: str

    def again(self, key: Key) -> Object:
        """The event."""
        event: Object = orjson.loads(self.body)
        event["regarding"] = orjson.loads(key[REGARDING])
        if (related := orjson.loads(key[RELATED])) is not None:
            event["related"] = related
        return event


class SeriesRecorder:
    """See the module; ``async with`` starts it, and stops it once what waits is written.

    ``controller`` is who speaks (``default-scheduler``), ``instance`` which of them (with the host's name, say).
    """

    def __init__(
        self,
        client: AsyncClient,
        controller: str,
        *,
        instance: str = "",
        queued_max: int = QUEUED_MAX,
        clock: Clock = REAL,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._controller = controller
        self._instance = instance or controller
        self._clock = clock
        self._chance = chance
        # by what makes it equal: one that is new, or the event with its series
        self._known: dict[Key, Single | Object] = {}
        self._timers: list[Timed] = []
        self._names = EventNames()
        self._lanes: Lanes[tuple[Key, Object]] = Lanes(self._record, queued_max=queued_max, clock=clock)

    async def __aenter__(self) -> SeriesRecorder:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start(self) -> None:
        """Events are written from now on, in the running loop."""
        self._lanes.start()
        self._every(FINISH_SECONDS, self._finish)
        self._every(REFRESH_SECONDS, self._refresh)

    def _every(self, seconds: float, call: Callable[[], None]) -> None:
        def tick() -> None:
            call()
            self._timers[index] = self._clock.call_later(seconds, tick)

        index = len(self._timers)
        self._timers.append(self._clock.call_later(seconds, tick))

    async def stop(self, seconds_max: float = 1.0) -> None:
        """No more are written; what waits has had that long."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        await self._lanes.stop(seconds_max)

    @property
    def dropped_count(self) -> int:
        """Events that there was no room for."""
        return self._lanes.dropped_count

    def event(
        self,
        regarding: Object,
        type: str,  # noqa: A002 - the field's name
        reason: str,
        action: str,
        note: str,
        *,
        related: Object | None = None,
    ) -> None:
        """An event is on its way. ``regarding`` and ``related``: objects, or ObjectReferences. ``type``: Normal or Warning."""
        if type not in TYPES:
            raise ValueError(f"an event is one of {', '.join(TYPES)}")
        time_s = self._clock.time_s()
        about = reference(regarding)
        other = reference(related) if related is not None else None
        key: Key = (type, action, reason, orjson.dumps(about).decode(), orjson.dumps(other).decode())
        known = self._known.get(key)
        if known is not None:
            now = micro_time(time_s)
            if not isinstance(known, Single):
                known["series"]["count"] += 1
                known["series"]["lastObservedTime"] = now
                return
            begun = self._known[key] = known.again(key)
            begun["series"] = {"count": 2, "lastObservedTime": now}
            self._put(key, begun)
            return
        made: Object = {
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": self._names.name(about.get("name", ""), time_s), "namespace": about.get("namespace") or "default"},
            "eventTime": micro_time(time_s), "reportingController": self._controller,
            "reportingInstance": self._instance, "action": action, "reason": reason, "note": note, "type": type,
        }  # fmt: skip
        single = Single(time_s, orjson.dumps(made).decode())
        made["regarding"] = about
        if other is not None:
            made["related"] = other
        if self._put(key, made):
            self._known[key] = single

    def _put(self, key: Key, event: Object) -> bool:
        copy = {**event, "series": dict(event["series"])} if "series" in event else dict(event)
        return self._lanes.put(key, (key, copy))

    def _refresh(self) -> None:
        """Every series is written as it stands, so that the server keeps it."""
        for key, event in self._known.items():
            if not isinstance(event, Single):
                self._put(key, event)

    def _finish(self) -> None:
        """What has not come for some time is forgotten, a series' last state written."""
        before_s = self._clock.time_s() - FINISH_SECONDS
        for key, event in [*self._known.items()]:
            if isinstance(event, Single):
                if event.time_s < before_s:
                    del self._known[key]
            elif time_of(event["series"]["lastObservedTime"]) < before_s and self._put(key, event):
                del self._known[key]

    async def _record(self, work: tuple[Key, Object]) -> None:
        """The event is written, or given up."""
        event = work[1]
        for tries in range(TRIES_MAX):
            if tries:
                await self._clock.sleep(RETRY_SECONDS * (1.0 + JITTER * self._chance()))
            try:
                await self._write(event)
            except ApiError as error:
                if error.code == 409 and error.reason == "AlreadyExists":
                    if "series" in event:
                        continue  # it came into being between the two
                    log.debug("server rejected event (will not retry): %s", error)
                else:
                    log.error("server rejected event (will not retry): %s", error)
                return
            except OSError as error:
                log.info("unable to write event (may retry after sleeping): %s", error)
            else:
                return
        log.error("unable to write event (retry limit exceeded): %s", event["note"])

    async def _write(self, event: Object) -> None:
        client, metadata = self._client, event["metadata"]
        if "series" in event:
            try:
                await client.patch(
                    "events", metadata["name"], {"series": event["series"]}, metadata["namespace"],
                    type="strategic", api_version="events.k8s.io/v1", answered=False,
                )  # fmt: skip
            except ApiError as error:
                if error.code != 404:
                    raise
            else:
                return
        await client.create(event, answered=False)
