"""One resource followed by list and watch, through everything that may interrupt it.

With WatchList (``sendInitialEvents``) one stream gives what there is and then what happens; a server that does not have
it is listed. A watch that ends goes on from the last version seen; where that is no longer kept (410), all is asked
for anew and the ``Sink`` finds what has changed. Failures wait longer each time, with jitter.

Source: client-go tools/cache/reflector.go of Kubernetes 1.36; KEP-3157.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.calls import Object
from kcore.client.store import key_of
from kcore.clock import Clock, within
from kcore_native.collector import untracked

Transform = Callable[[Object], Object]
Chance = Callable[[], float]
Batch = tuple[tuple[str, Object], ...]

WATCH_SECONDS_MIN: Final = 300  # a watch is asked for this long to twice as long
BACKOFF_SECONDS_MIN: Final = 0.8
BACKOFF_SECONDS_MAX: Final = 30.0
BACKOFF_FORGOTTEN_SECONDS: Final = 120.0  # without a failure
SHORT_WATCH_SECONDS: Final = 1.0  # one that ends sooner, with nothing said, is a failure
QUIET_SECONDS_MAX: Final = (
    10.0  # of a stream that has yet to say that the first list is whole; then it is listed
)
PAGE_OBJECTS: Final = 500
INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"
PASSING: Final = frozenset({429, 500, 502, 503, 504})  # codes after which the same is asked again

log: Final = logging.getLogger("kcore.client")


class Sink(Protocol):
    """Who is told. Events are (ADDED | MODIFIED | DELETED, key, object)."""

    def replace(self, objects: Mapping[str, Object]) -> None: ...
    def apply(self, events: Sequence[tuple[str, str, Object]]) -> None: ...


class Backoff:
    """A delay that doubles from failure to failure, up to twice as long by chance."""

    def __init__(self, clock: Clock, chance: Chance) -> None:
        self._clock = clock
        self._chance = chance
        self._next_s = BACKOFF_SECONDS_MIN
        self._last_s = clock.monotonic_s()

    def delay_s(self) -> float:
        """How long to wait after this failure."""
        now_s = self._clock.monotonic_s()
        if now_s - self._last_s > BACKOFF_FORGOTTEN_SECONDS:
            self._next_s = BACKOFF_SECONDS_MIN
        self._last_s = now_s
        delay_s = self._next_s
        self._next_s = min(2 * delay_s, BACKOFF_SECONDS_MAX)
        return delay_s * (1.0 + self._chance())


class Reflector:
    """See the module. ``resource_version`` is up to where the server's history has been passed on."""

    def __init__(
        self,
        client: AsyncClient,
        resource: str,
        sink: Sink,
        *,
        clock: Clock,
        api_version: str = "",
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        transform: Transform | None = None,
        chance: Chance = random.random,
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._sink = sink
        self._selection = {
            "api_version": api_version, "label_selector": label_selector, "field_selector": field_selector,
        }  # fmt: skip
        self._transform = transform
        self._clock = clock
        self._chance = chance
        self._backoff = Backoff(clock, chance)
        self._is_version_gone = False  # the server does not know the version, or no longer
        self._has_watch_list = True
        self.resource_version = ""

    async def run(self) -> None:
        """Follows until it is cancelled; whatever fails is logged and tried again."""
        while True:
            try:
                await self._follow()
            except Exception as error:
                if not isinstance(error, ApiError | OSError):
                    log.exception("following %s failed", self._resource)
                else:
                    log.info("following %s: %s", self._resource, error or type(error).__name__)
                await self._clock.sleep(self._backoff.delay_s())

    async def _follow(self) -> None:
        """All there is, then what happens, until that cannot go on."""
        if self._has_watch_list:
            stream = self._stream(self._asked_version(""), send_initial_events=True)
            async with contextlib.aclosing(stream):
                begun_s = self._clock.monotonic_s()
                rest = await self._streamed(stream)
                if rest is not None:
                    ended = await self._watched(stream, begun_s, rest, is_answered=True)
                else:
                    ended = None
            if ended is not None:
                if await self._goes_on(ended):
                    await self._watch()
                return
        await self._list()
        await self._watch()

    def _asked_version(self, first: str) -> str:
        """From which version on it is listed: at least as new as what is known, unless the server cannot."""
        if self._is_version_gone:
            return ""
        return self.resource_version or first

    def _stream(self, version: str, *, send_initial_events: bool) -> AsyncGenerator[Batch, None]:
        seconds = WATCH_SECONDS_MIN + int(WATCH_SECONDS_MIN * self._chance())
        return self._client.batches(
            self._resource, self._namespace, resource_version=version, timeout_seconds=seconds, bookmarks=True,
            send_initial_events=True if send_initial_events else None, **self._selection,
        )  # fmt: skip

    # -- what there is ----------------------------------------------------------------------------------------------

    async def _streamed(self, stream: AsyncGenerator[Batch, None]) -> list[tuple[str, Object]] | None:
        """The first list is passed on from the stream; what came behind it. None where it is to be listed instead."""
        objects: dict[str, Object] = {}
        kept = self._kept
        while True:
            try:
                batch = await within(self._clock, QUIET_SECONDS_MAX, _next(stream))
            except TimeoutError:
                log.info("%s: no end of the first list is said; it is listed", self._resource)
                return None
            except ApiError as error:
                if self._is_unknown_version(error):
                    raise
                if error.code in (400, 405, 422):
                    self._has_watch_list = False
                    return None
                raise
            if batch is None:
                raise ConnectionError("the stream ended within the first list")
            for index, (kind, obj) in enumerate(batch):
                if kind == "BOOKMARK":
                    if obj["metadata"].get("annotations", {}).get(INITIAL_EVENTS_END) == "true":
                        self._is_version_gone = False
                        self._sink.replace(objects)
                        self.resource_version = obj["metadata"]["resourceVersion"]
                        return list(batch[index + 1 :])
                elif kind == "ERROR":
                    failure = _error_of(obj)
                    self._is_unknown_version(failure)
                    raise failure
                elif kind == "DELETED":
                    objects.pop(key_of(obj), None)
                else:
                    objects[key_of(obj)] = kept(obj)

    def _is_unknown_version(self, error: ApiError) -> bool:
        """Whether the version asked for is too old or too new for the server: then the next one asks without."""
        gone = error.code == 410 or is_too_large_version(error)
        if gone:
            self._is_version_gone = True
        return gone

    def _kept(self, obj: Object) -> Object:
        """What is passed on of the object; it stays long, and is not the garbage collector's business."""
        return untracked(obj if self._transform is None else self._transform(obj))

    async def _list(self) -> None:
        """The list is passed on."""
        try:
            objects, version = await self._pages(self._asked_version("0"))
        except ApiError as error:
            if not self._is_unknown_version(error):
                raise
            objects, version = await self._pages("")
        self._is_version_gone = False
        self._sink.replace(objects)
        self.resource_version = version

    async def _pages(self, version: str) -> tuple[dict[str, Object], str]:
        """All objects by key, and the list's version. In pages where the store is asked: a cache answers in one."""
        objects: dict[str, Object] = {}
        token = ""
        limit = PAGE_OBJECTS if version in ("", "0") else 0
        api_version, kind = "", ""
        while True:
            page = await self._client.list(
                self._resource, self._namespace, resource_version="" if token else version,
                limit=limit, continue_token=token, **self._selection,
            )  # fmt: skip
            if not kind:
                api_version, kind = page["apiVersion"], page["kind"].removesuffix("List")
            for obj in page.get("items") or ():
                named = {
                    "apiVersion": api_version,
                    "kind": kind,
                    **obj,
                }  # items of a list do not say what they are
                objects[key_of(obj)] = self._kept(named)
            token = page["metadata"].get("continue") or ""
            if not token:
                return objects, page["metadata"]["resourceVersion"]

    # -- what happens -----------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Watches, each from where the last one ended, until all is to be asked for anew."""
        while True:
            begun_s = self._clock.monotonic_s()
            stream = self._stream(self.resource_version, send_initial_events=False)
            async with contextlib.aclosing(stream):
                ended = await self._watched(stream, begun_s, (), is_answered=False)
            if not await self._goes_on(ended):
                return

    async def _watched(
        self,
        stream: AsyncGenerator[Batch, None],
        begun_s: float,
        first: Sequence[tuple[str, Object]],
        *,
        is_answered: bool,
    ) -> Exception | str:
        """Everything of the stream is passed on; why it ended, empty for in good order.

        The next watch does not wait where the connection broke that the server had answered on (``is_answered``: it has).
        """
        seen = 0
        try:
            if first:
                self._pass_on(first)
            async for batch in stream:
                seen += len(batch)
                is_answered = True
                self._pass_on(batch)
        except ApiError as error:
            return error
        except OSError as error:
            if not is_answered or self._clock.monotonic_s() - begun_s < SHORT_WATCH_SECONDS:
                return error
            log.debug("a watch of %s broke off: %s", self._resource, error)
        if not seen and self._clock.monotonic_s() - begun_s < SHORT_WATCH_SECONDS:
            return "a watch ended at once, with nothing said"
        return ""

    def _pass_on(self, batch: Sequence[tuple[str, Object]]) -> None:
        """The sink has the events; ApiError for one that is an error."""
        events: list[tuple[str, str, Object]] = []
        version = self.resource_version
        failure: Object | None = None
        kept = self._kept
        for kind, obj in batch:
            if kind == "BOOKMARK":
                version = obj["metadata"]["resourceVersion"]
                continue
            if kind == "ERROR":
                failure = obj
                break
            version = obj["metadata"]["resourceVersion"]
            events.append((kind, key_of(obj), kept(obj)))
        if events:
            self._sink.apply(events)
        self.resource_version = version
        if failure is not None:
            raise _error_of(failure)

    async def _goes_on(self, ended: Exception | str) -> bool:
        """Whether the next watch may go on from where this one ended; waits where it failed."""
        if not ended:
            return True
        log.debug("a watch of %s ended: %s", self._resource, ended)
        if isinstance(ended, ApiError):
            if ended.code == 410:
                return False
            if is_too_large_version(ended):
                self._is_version_gone = True
                return False
        await self._clock.sleep(self._backoff.delay_s())
        return not isinstance(ended, ApiError) or ended.code in PASSING


async def _next(stream: AsyncGenerator[Batch, None]) -> Batch | None:
    return await anext(stream, None)


def is_too_large_version(error: ApiError) -> bool:
    """Whether the server does not know that resource version yet (IsTooLargeResourceVersion)."""
    causes: Sequence[Mapping[str, Any]] = (error.details or {}).get("causes") or ()
    return error.code == 504 and (
        any(cause.get("reason") == "ResourceVersionTooLarge" for cause in causes)
        or "Too large resource version" in error.message
    )


def _error_of(status: Object) -> ApiError:
    """The error that a Status in a watch says."""
    return ApiError(
        int(status.get("code") or 500),
        status.get("reason", ""),
        status.get("message", ""),
        status.get("details"),
    )
