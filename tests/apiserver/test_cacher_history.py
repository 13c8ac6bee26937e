"""Random histories: whatever is written, compacted and lost, lists and watches say what the naive cache says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kcore.api.status import ApiError
from kcore.apiserver import watch_stream
from kcore.apiserver.cacher import Cacher
from kcore.apiserver.list_options import ListOptions, from_query
from kcore.apiserver.storage import Storage, encode
from kcore.apiserver.watch_stream import WatchStream
from kcore.store.embedded import Embedded
from kcore_native.cacher import events
from tests.apiserver.stores import POD, Turned, made
from tests.naive.watch_cache import Accepts, History, Object, Told

T = TypeVar("T")
NAMESPACES = st.sampled_from(["a", "b", "ab"])
NAMES = st.sampled_from(["x", "y", "z", "x-1"])
APPS = st.sampled_from(["one", "two", ""])
NODES = st.sampled_from(["n1", "n2", ""])


@dataclass(frozen=True)
class Selection:
    """What is asked for, as a query, and the same as a function."""

    namespace: str = ""
    app: str = ""
    app_is_not: str = ""
    node: str = ""
    name: str = ""

    def options(self, more: str = "", *, watch: bool = False) -> ListOptions:
        wanted = {"app=": self.app, "app!=": self.app_is_not}
        labels = ",".join(f"{key}{value}" for key, value in wanted.items() if value)
        terms = {"spec.nodeName=": self.node, "metadata.name=": self.name}
        selected = ",".join(f"{key}{value}" for key, value in terms.items() if value)
        query = [("labelSelector", labels), ("fieldSelector", selected)]
        query += [(key, value) for key, _, value in (part.partition("=") for part in more.split("&")) if key]
        return from_query(POD, query, watch=watch)

    @property
    def accepts(self) -> Accepts:
        def accepts(obj: Object) -> bool:
            metadata = obj["metadata"]
            labels = metadata.get("labels", {})
            return (
                (not self.namespace or metadata["namespace"] == self.namespace)
                and (not self.app or labels.get("app") == self.app)
                and (not self.app_is_not or labels.get("app") != self.app_is_not)
                and (not self.node or obj["spec"]["nodeName"] == self.node)
                and (not self.name or metadata["name"] == self.name)
            )

        return accepts


SELECTIONS = st.builds(
    Selection,
    namespace=st.sampled_from(["", "", "a", "ab"]),
    app=st.sampled_from(["", "", "one"]),
    app_is_not=st.sampled_from(["", "", "two"]),
    node=st.sampled_from(["", "", "n1"]),
    name=st.sampled_from(["", "", "", "x"]),
)


@dataclass
class Open:
    """A watch under way: what it was told must be a beginning of what the naive cache says after ``after``."""

    stream: WatchStream
    selection: Selection
    after: int
    first: list[Told] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)


def parsed(piece: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in piece.splitlines()]


def as_told(event: dict[str, Any]) -> Told:
    obj = event["object"]
    revision = int(obj["metadata"].pop("resourceVersion"))
    return Told(event["type"], f"{obj['metadata']['namespace']}/{obj['metadata']['name']}", revision, obj)


class Histories(RuleBasedStateMachine):
    """A store, its cache, and all that was ever written."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.history = History()
        self.open: list[Open] = []
        self.compacted = 0

    def run(self, awaited: Awaitable[T]) -> T:
        return self.loop.run_until_complete(awaited)

    @initialize(kept=st.booleans())
    def begin(self, kept: bool) -> None:
        """``kept``: the cache holds the values itself, as over a store elsewhere."""
        self.kv = self.run(Embedded.open(None))
        self.kv.replica.machine.store.packed_behind = 0  # nothing but newest versions is plain
        self.storage = Storage(self.kv, transformer=Turned() if kept else None)
        self.start()

    def start(self) -> None:
        async def begin() -> None:
            self.cacher = Cacher(self.storage)
            await self.cacher.start(POD)

        self.run(begin())

    @property
    def revision(self) -> int:
        return self.kv.revision

    def teardown(self) -> None:
        if hasattr(self, "kv"):
            self.run(self.cacher.close())
            self.run(self.kv.close())
        self.loop.close()

    @rule(namespace=NAMESPACES, name=NAMES, app=APPS, node=NODES)
    def put(self, namespace: str, name: str, app: str, node: str) -> None:
        obj = made(POD, name, namespace, labels={"app": app} if app else None, spec={"nodeName": node})

        def update(old: Object | None, revision: int) -> Object | None:
            obj["spec"]["from"] = revision  # every write is a change
            return obj

        written = self.run(self.storage.guaranteed_update(POD, namespace, name, update, create=True))
        self.history.wrote(written.revision, f"{namespace}/{name}", orjson.loads(encode(obj)))

    @rule(namespace=NAMESPACES, name=NAMES)
    def delete(self, namespace: str, name: str) -> None:
        if f"{namespace}/{name}" not in self.history.state(self.revision):
            with pytest.raises(ApiError, match="not found"):
                self.run(self.storage.delete(POD, namespace, name))
            return
        gone = self.run(self.storage.delete(POD, namespace, name))
        self.history.wrote(gone.revision, f"{namespace}/{name}", None)

    @rule()
    def delete_many(self) -> None:
        """Several objects in one revision, as only others do it."""
        done = self.run(self.kv.delete_range(b"/registry/pods/a/", b"/registry/pods/a0"))
        if done.deleted:
            for key in self.history.state(done.revision - 1):
                if key.startswith("a/"):
                    self.history.wrote(done.revision, key, None)

    @rule(selection=SELECTIONS)
    def list_now(self, selection: Selection) -> None:
        page = self.run(self.cacher.list(POD, selection.namespace, selection.options()))
        assert page.resource_version == str(self.revision)
        self.compare(page.items, selection, self.revision)

    def compare(self, items: list[bytes], selection: Selection, revision: int) -> None:
        found = [as_told({"type": "", "object": orjson.loads(item)}) for item in items]
        wanted = self.history.list(revision, selection.accepts)
        assert [(each.key, each.revision, each.obj) for each in found] == [
            (write.key, write.revision, write.obj) for write in wanted
        ]

    @rule(selection=SELECTIONS, back=st.integers(0, 6))
    def list_then(self, selection: Selection, back: int) -> None:
        revision = max(self.revision - back, 2)
        if revision > self.revision:
            return
        exact = selection.options(f"resourceVersion={revision}&resourceVersionMatch=Exact")
        try:
            page = self.run(self.cacher.list(POD, selection.namespace, exact))
        except ApiError:
            assert revision < self.compacted
            return
        self.compare(page.items, selection, revision)

    @rule(selection=SELECTIONS, limit=st.integers(1, 3), between=st.booleans())
    def list_pages(self, selection: Selection, limit: int, between: bool) -> None:
        options = selection.options(f"limit={limit}")
        page = self.run(self.cacher.list(POD, selection.namespace, options))
        revision, items = int(page.resource_version), page.items
        assert len(items) <= limit or selection.name
        while page.continue_token:
            if between:
                self.put("b", "x", "one", "n1")
            options = selection.options(f"limit={limit}&continue={page.continue_token}")
            page = self.run(self.cacher.list(POD, selection.namespace, options))
            assert page.resource_version == str(revision)
            items += page.items
        self.compare(items, selection, revision)

    @rule(selection=SELECTIONS, back=st.integers(0, 8))
    def watch_from(self, selection: Selection, back: int) -> None:
        after = max(self.revision - back, 1)
        options = selection.options(f"resourceVersion={after}&allowWatchBookmarks=1", watch=True)
        stream = self.run(self.cacher.watch(POD, selection.namespace, options))
        if stream.ended:
            [event] = parsed(self.run(anext(stream)))
            assert event["object"]["code"] == 410
            cache = self.cacher._resources["pods"].cache
            assert after < max(cache.oldest, self.compacted)
            return
        self.open.append(Open(stream, selection, after))

    @rule(selection=SELECTIONS)
    def watch_all(self, selection: Selection) -> None:
        stream = self.run(
            self.cacher.watch(
                POD, selection.namespace, selection.options("allowWatchBookmarks=1", watch=True)
            )
        )
        first = [
            Told("ADDED", write.key, write.revision, write.obj or {})
            for write in self.history.list(self.revision, selection.accepts)
        ]
        self.open.append(Open(stream, selection, self.revision, first))

    async def drain(self, each: Open) -> None:
        while True:
            try:
                async with asyncio.timeout(0):
                    piece = await anext(each.stream)
            except (TimeoutError, StopAsyncIteration):
                return
            for event in parsed(piece):
                if event["type"] == "BOOKMARK":
                    continue
                each.told.append(as_told(event))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 20))
    def take(self, which: int) -> None:
        """What the watch was told so far is right, and all of it where it is not over."""
        each = self.open[which % len(self.open)]
        self.run(asyncio.sleep(0))
        self.cacher._feed.pump()
        self.run(self.drain(each))
        wanted = [*each.first, *self.history.told(each.after, each.selection.accepts)]
        if not each.stream.ended:
            assert each.told == wanted
        else:
            assert each.told == wanted[: len(each.told)]
            self.open.remove(each)

    @rule(announced=st.booleans(), back=st.integers(0, 5))
    def compact(self, announced: bool, back: int) -> None:
        revision = self.revision - back
        if revision <= self.compacted or revision < 2:
            return
        if announced:
            self.cacher.before_compaction(revision)
        self.run(self.kv.compact(revision))
        self.compacted = revision

    @rule()
    def restart(self) -> None:
        """Another server takes over."""
        self.run(self.cacher.close())
        self.start()

    @rule()
    def idle(self) -> None:
        self.run(asyncio.sleep(0))

    @invariant()
    def nothing_is_kept_for_nobody(self) -> None:
        if hasattr(self, "cacher"):
            open_streams = [each for each in self.open if not each.stream.ended]
            assert self.cacher.stream_count(POD) == len(open_streams)


@pytest.mark.differential
def test_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    monkeypatch.setattr(watch_stream, "EVENTS_WAITING_MAX", 6)
    monkeypatch.setattr(watch_stream, "PIECE_EVENTS_MAX", 2)
    assert events.RING_MIN == 100
    run_state_machine_as_test(
        Histories, settings=settings(max_examples=25, stateful_step_count=30, deadline=None)
    )  # type: ignore[arg-type]
