"""Events about objects as controllers write them (core/v1): nothing waits for them, and what is too much is dropped.

Equal events are counted in one; ten of an object that differ in their message alone become one that says so; and a
source may say only so much about an object. ``kcore.client.series`` has the events of the scheduler.

Source: client-go tools/record (event.go, events_cache.go).
"""

from __future__ import annotations

import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.calls import Object
from kcore.client.lanes import QUEUED_MAX, Lanes
from kcore.client.rate import TokenBucket
from kcore.client.references import EventNames, reference
from kcore.client.stamps import second_time
from kcore.clock import REAL, Clock

TYPES: Final = ("Normal", "Warning")
CACHED_MAX: Final = 4096
AGGREGATE_EVENTS_MAX: Final = 10  # that differ by their message alone, before they are one
AGGREGATE_SECONDS: Final = 600.0
SPAM_BURST: Final = 25  # of one source about one object
SPAM_QPS: Final = 1.0 / 300.0
TRIES_MAX: Final = 12
RETRY_SECONDS: Final = 10.0
AGGREGATED: Final = "(combined from similar events): "

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

log: Final = logging.getLogger("kcore.client")


class Recent(Generic[K, V]):
    """The entries used last, CACHED_MAX at most."""

    def __init__(self, size_max: int = CACHED_MAX) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._size_max = size_max

    def get(self, key: K) -> V | None:
        """The entry, which is thereby used."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: K, value: V) -> None:
        """It is the entry used last."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._size_max:
            self._entries.popitem(last=False)


class Observed(NamedTuple):
    """What is known of an event that was written."""

    times: int
    first: str
    name: str
    version: str


class Correlated(NamedTuple):
    """An event to be written: anew, or (``is_update``) as a further one of those that were."""

    event: Object
    key: tuple[Any, ...]
    is_update: bool


class Correlator:
    """Which events are one, and which are too many (EventCorrelator)."""

    def __init__(self, clock: Clock, names: EventNames) -> None:
        self._clock = clock
        self._names = names
        self._aggregates: Recent[tuple[Any, ...], tuple[set[str], float]] = Recent()
        self._observed: Recent[tuple[Any, ...], Observed] = Recent()
        self._buckets: Recent[tuple[Any, ...], TokenBucket] = Recent()

    def correlated(self, event: Object) -> Correlated | None:
        """What is to be written of it, None: nothing."""
        event, key = self._aggregated(event)
        known = self._observed.get(key)
        if known is not None:
            metadata = {**event["metadata"], "name": known.name}
            if known.version:
                metadata["resourceVersion"] = known.version
            event = {**event, "metadata": metadata, "firstTimestamp": known.first, "count": known.times + 1}
        self._note(key, event)
        if self._is_spam(event):
            return None
        return Correlated(event, key, known is not None)

    def written(self, event: Object) -> None:
        """The server's answer: what a later one goes by (UpdateState)."""
        self._note(_full_key(event), event)

    def _note(self, key: tuple[Any, ...], event: Object) -> None:
        metadata = event["metadata"]
        self._observed.put(
            key,
            Observed(
                event.get("count") or 0, event.get("firstTimestamp") or "", metadata["name"],
                metadata.get("resourceVersion") or "",
            ),
        )  # fmt: skip

    def _aggregated(self, event: Object) -> tuple[Object, tuple[Any, ...]]:
        now_s = self._clock.monotonic_s()
        group = (*_spam_key(event), event["reason"], event["reportingComponent"], event["reportingInstance"])
        found = self._aggregates.get(group)
        messages = found[0] if found is not None and now_s - found[1] <= AGGREGATE_SECONDS else set()
        messages.add(event["message"])
        self._aggregates.put(group, (messages, now_s))
        if len(messages) < AGGREGATE_EVENTS_MAX:
            return event, _full_key(event)
        messages.pop()
        time_s = self._clock.time_s()
        now = second_time(time_s)
        involved = event["involvedObject"]
        made = {
            "apiVersion": "v1", "kind": "Event",
            "metadata": {
                "name": self._names.name(involved.get("name", ""), time_s), "namespace": event["metadata"]["namespace"],
            },
            "involvedObject": involved, "reason": event["reason"], "message": AGGREGATED + event["message"],
            "source": event["source"], "firstTimestamp": now, "lastTimestamp": now, "count": 1, "type": event["type"],
            "reportingComponent": "", "reportingInstance": "",
        }  # fmt: skip
        return made, group

    def _is_spam(self, event: Object) -> bool:
        key = _spam_key(event)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = TokenBucket(SPAM_QPS, SPAM_BURST, self._clock)
        self._buckets.put(key, bucket)
        return not bucket.try_take()


def _spam_key(event: Object) -> tuple[Any, ...]:
    source, involved = event["source"], event["involvedObject"]
    return (
        source.get("component"), source.get("host"), involved.get("kind"), involved.get("namespace"),
        involved.get("name"), involved.get("uid"), involved.get("apiVersion"), event["type"],
    )  # fmt: skip


def _full_key(event: Object) -> tuple[Any, ...]:
    return (*_spam_key(event), event["involvedObject"].get("fieldPath"), event["reason"], event["message"])


class EventRecorder:
    """See the module; ``async with`` starts it, and stops it once what waits is written.

    ``component`` is who speaks, ``host`` from where. ``event`` never waits: what ``queued_max`` does not hold is dropped,
    and one line in the log says so.
    """

    def __init__(
        self,
        client: AsyncClient,
        component: str,
        *,
        host: str = "",
        queued_max: int = QUEUED_MAX,
        clock: Clock = REAL,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._source = {"component": component, **({"host": host} if host else {})}
        self._clock = clock
        self._chance = chance
        self._names = EventNames()
        self._correlator = Correlator(clock, self._names)
        self._lanes: Lanes[Object] = Lanes(self._record, queued_max=queued_max, clock=clock)

    async def __aenter__(self) -> EventRecorder:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start(self) -> None:
        """Events are written from now on, in the running loop; those recorded before have waited."""
        self._lanes.start()

    async def stop(self, seconds_max: float = 1.0) -> None:
        """No more are written; what waits has had that long."""
        await self._lanes.stop(seconds_max)

    @property
    def dropped_count(self) -> int:
        """Events that there was no room for."""
        return self._lanes.dropped_count

    def event(
        self,
        obj: Object,
        type: str,  # noqa: A002 - the field's name
        reason: str,
        message: str,
        *,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """An event about the object, or about what an ObjectReference names, is on its way. ``type``: Normal or Warning."""
        if type not in TYPES:
            raise ValueError(f"an event is one of {', '.join(TYPES)}")
        time_s = self._clock.time_s()
        now = second_time(time_s)
        involved = reference(obj)
        metadata: Object = {
            "name": self._names.name(involved.get("name", ""), time_s), "namespace": involved.get("namespace") or "default",
        }  # fmt: skip
        if annotations:
            metadata["annotations"] = dict(annotations)
        made = {
            "apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": involved, "reason": reason,
            "message": message, "source": self._source, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
            "type": type, "reportingComponent": self._source["component"],
            "reportingInstance": self._source.get("host", ""),
        }  # fmt: skip
        self._lanes.put(_spam_key(made)[:-1], made)

    async def _record(self, event: Object) -> None:
        """The event is written, or given up."""
        correlated = self._correlator.correlated(event)
        if correlated is None:
            return
        for tries in range(TRIES_MAX):
            if tries:
                await self._clock.sleep(RETRY_SECONDS * (self._chance() if tries == 1 else 1.0))
            try:
                self._correlator.written(await self._write(correlated))
            except ApiError as error:
                level = logging.DEBUG if error.code == 409 or _is_terminating(error) else logging.ERROR
                log.log(level, "server rejected event (will not retry): %s", error)
                return
            except OSError as error:
                log.info("unable to write event (may retry after sleeping): %s", error)
            else:
                return
        log.error("unable to write event (retry limit exceeded): %s", correlated.event["message"])

    async def _write(self, correlated: Correlated) -> Object:
        event, client = correlated.event, self._client
        metadata = event["metadata"]
        if correlated.is_update:
            # the fields in which a further one differs (eventObserve)
            patch = {name: event[name] for name in ("count", "lastTimestamp", "message")}
            try:
                return await client.patch(
                    "events",
                    metadata["name"],
                    patch,
                    metadata["namespace"],
                    type="strategic",
                    api_version="v1",
                )
            except ApiError as error:
                if error.code != 404:
                    raise
            event = {**event, "metadata": {k: v for k, v in metadata.items() if k != "resourceVersion"}}
        return await client.create(event)


def _is_terminating(error: ApiError) -> bool:
    causes = (error.details or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
