"""Lists and watches from memory say what upstream's say: versions, pages, events, bookmarks, refusals."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from kcore.api.status import ApiError
from kcore.apiserver import list_page, watch_stream
from kcore.apiserver.cache_view import CacheView
from kcore.apiserver.cacher import Cacher
from kcore.apiserver.list_options import ListOptions, from_query
from kcore.apiserver.list_page import ListPage
from kcore.apiserver.storage import Storage, Stored
from kcore.apiserver.watch_stream import WatchStream
from tests.apiserver.stores import NODE, POD, SERVICE, create, with_cacher


def query(text: str, *, watch: bool = False) -> ListOptions:
    parts = (part.partition("=") for part in text.split("&") if part)
    return from_query(POD, [(key, value) for key, _, value in parts], watch=watch)


def names(page: ListPage) -> list[str]:
    return [orjson.loads(item)["metadata"]["name"] for item in page.items]


async def read(stream: WatchStream, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        piece = await asyncio.wait_for(anext(stream), 10)
        found += [orjson.loads(line) for line in piece.splitlines()]
    assert len(found) == count
    return found


def seen(events: list[dict[str, Any]]) -> list[tuple[str, str | None, int]]:
    return [
        (
            event["type"],
            event["object"]["metadata"].get("name"),
            int(event["object"]["metadata"]["resourceVersion"]),
        )
        for event in events
    ]


async def change(storage: Storage, name: str, **more: Any) -> int:
    def update(obj: dict[str, Any] | None, _: int) -> dict[str, Any] | None:
        assert obj is not None
        return obj | more

    return (await storage.guaranteed_update(POD, "default", name, update)).revision


def test_a_list_is_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        for name in ("b", "a"):
            await create(storage, POD, name, labels={"app": name}, spec={"nodeName": f"n{name}"})
        await create(storage, POD, "a", "other")
        page = await cacher.list(POD, "default", query(""))
        document = orjson.loads(page.body("v1", "PodList"))
        assert document["metadata"] == {"resourceVersion": "4"}
        assert [list(item) for item in document["items"]] == [["metadata", "spec"]] * 2
        whole = orjson.loads(page.body("v1", "PodList", bare=False))
        assert [item["kind"] for item in whole["items"]] == ["Pod", "Pod"]
        assert [orjson.loads(item) for item in page.items] == whole["items"]
        monkeypatch.setattr(list_page, "PIECE_ITEMS", 1)
        assert b"".join(page.pieces("v1", "PodList")) == page.body("v1", "PodList")
        none = await cacher.list(POD, "none", query(""))
        assert b"".join(none.pieces("v1", "PodList")) == none.body("v1", "PodList")
        assert names(await cacher.list(POD, "", query(""))) == ["a", "b", "a"]
        assert names(await cacher.list(POD, "", query("labelSelector=app=b"))) == ["b"]
        assert names(await cacher.list(POD, "", query("fieldSelector=spec.nodeName=na"))) == ["a"]
        assert names(await cacher.list(POD, "", query("fieldSelector=spec.nodeName!=na"))) == ["b", "a"]
        assert names(await cacher.list(POD, "", query("fieldSelector=spec.hostNetwork=false"))) == [
            "a",
            "b",
            "a",
        ]
        assert names(await cacher.list(POD, "", query("fieldSelector=metadata.namespace=other"))) == ["a"]
        assert names(await cacher.list(POD, "", query("fieldSelector=metadata.name=a"))) == ["a", "a"]
        assert names(await cacher.list(POD, "default", query("fieldSelector=metadata.name=a"))) == ["a"]
        assert orjson.loads((await cacher.list(NODE, "", query(""))).body("v1", "NodeList"))["items"] == []

    with_cacher(test)


def test_rows_whose_folders_have_two_parts_are_kept_apart() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        await cacher.start(SERVICE, NODE)
        await create(storage, SERVICE, "s")
        await create(storage, NODE, "n", "")
        assert names(await cacher.list(SERVICE, "default", query(""))) == ["s"]
        assert names(await cacher.list(NODE, "", query("fieldSelector=metadata.name=n"))) == ["n"]

    with_cacher(test)


def test_pages_are_of_one_revision() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        for index in range(7):
            await create(storage, POD, f"p{index}")
        first = await cacher.list(POD, "", query("limit=3"))
        assert (names(first), first.remaining) == (["p0", "p1", "p2"], 4)
        await storage.delete(POD, "default", "p4")
        await create(storage, POD, "p9")
        second = await cacher.list(POD, "", query(f"limit=3&continue={first.continue_token}"))
        assert (names(second), second.remaining) == (["p3", "p4", "p5"], 1)
        assert second.resource_version == first.resource_version == "8"
        third = await cacher.list(POD, "", query(f"limit=3&continue={second.continue_token}"))
        assert (names(third), third.continue_token, third.remaining) == (["p6"], "", None)
        with pytest.raises(ApiError, match="specifying resource version is not allowed when using continue"):
            await cacher.list(POD, "", query(f"resourceVersion=8&continue={first.continue_token}"))
        # the token is too old: another comes with the refusal, which goes on with what is there now
        await storage.kv.compact(await storage.current_revision(POD))
        with pytest.raises(ApiError) as caught:
            await cacher.list(POD, "", query(f"limit=3&continue={first.continue_token}"))
        refused = caught.value.status()
        assert (refused["code"], refused["reason"]) == (410, "Expired")
        assert refused["message"].startswith("The provided continue parameter is too old to display")
        rest = await cacher.list(POD, "", query(f"limit=9&continue={refused['metadata']['continue']}"))
        assert (names(rest), rest.resource_version) == (["p3", "p5", "p6", "p9"], "10")

    with_cacher(test)


def test_versions_are_exact_not_older_or_any() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        await cacher.start(POD)
        first = await create(storage, POD, "a")
        second = await create(storage, POD, "b")
        for text, wanted, version in (
            (f"resourceVersion={first}&resourceVersionMatch=Exact", ["a"], first),
            (f"resourceVersion={second}&resourceVersionMatch=Exact", ["a", "b"], second),
            (f"resourceVersion={first}&limit=5", ["a"], first),
            (f"resourceVersion={first}&resourceVersionMatch=NotOlderThan", ["a", "b"], second),
            (f"resourceVersion={first}", ["a", "b"], second),
            ("resourceVersion=0&limit=1", ["a", "b"], second),
        ):
            page = await cacher.list(POD, "", query(text))
            assert (names(page), page.resource_version) == (wanted, str(version)), text
        await storage.kv.compact(second)
        with pytest.raises(ApiError, match=r"The resourceVersion for the provided list is too old."):
            await cacher.list(POD, "", query(f"resourceVersion={first}&resourceVersionMatch=Exact"))

    with_cacher(test)


def test_a_version_that_is_not_reached_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kcore.apiserver.cacher.FRESH_SECONDS_MAX", 0.01)

    async def test(storage: Storage, cacher: Cacher) -> None:
        revision = await create(storage, POD, "a")
        told = f"Timeout: Too large resource version: 100, current: {revision}"
        for text in ("resourceVersion=100", "resourceVersion=100&resourceVersionMatch=Exact"):
            with pytest.raises(ApiError) as caught:
                await cacher.list(POD, "", query(text))
            assert (caught.value.code, caught.value.message) == (504, told)
        with pytest.raises(ApiError, match="Too large resource version"):
            await cacher.get(POD, "default", "a", "100")
        options = query(
            "resourceVersion=100&resourceVersionMatch=NotOlderThan&sendInitialEvents=1", watch=True
        )
        [event] = await read(await cacher.watch(POD, "", options), 1)
        assert (event["type"], event["object"]["message"]) == ("ERROR", told)

    with_cacher(test)


def test_a_read_outside_any_task_waits_for_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The door runs a request as far as it goes without a task, where asyncio's own timeouts may not begin."""

    async def test(storage: Storage, cacher: Cacher) -> None:
        await create(storage, POD, "a")
        work = cacher._feed.reach(cacher._feed.revision + 1, 5)
        monkeypatch.setattr(asyncio.tasks, "current_task", lambda loop=None: None)
        waits_for = work.send(None)
        monkeypatch.undo()
        assert waits_for is not None
        waits_for._asyncio_future_blocking = False
        await create(storage, POD, "b")
        await asyncio.wait_for(waits_for, 5)
        with pytest.raises(StopIteration) as end:
            work.send(None)
        assert end.value.value is True

    with_cacher(test)


def test_a_watch_tells_what_happens() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        old = await create(storage, POD, "old")
        stream = await cacher.watch(POD, "", query(f"resourceVersion={old}", watch=True))
        first = await create(storage, POD, "a", labels={"app": "x"})
        second = await change(storage, "a", spec={"nodeName": "n"})
        third = (await storage.delete(POD, "default", "a")).revision
        events = await read(stream, 3)
        assert seen(events) == [("ADDED", "a", first), ("MODIFIED", "a", second), ("DELETED", "a", third)]
        assert events[2]["object"]["spec"] == {"nodeName": "n"}
        # one who comes late is told the same
        late = await cacher.watch(POD, "default", query(f"resourceVersion={old}", watch=True))
        assert await read(late, 3) == events
        for each in (stream, late):
            each.close()
            with pytest.raises(StopAsyncIteration):
                await anext(each)
        assert cacher.stream_count(POD) == 0

    with_cacher(test)


def test_an_object_enters_and_leaves_a_selector() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        old = await create(storage, POD, "a")
        narrow = await cacher.watch(
            POD, "", query(f"resourceVersion={old}&fieldSelector=spec.nodeName=n", watch=True)
        )
        named = await cacher.watch(
            POD, "default", query(f"resourceVersion={old}&fieldSelector=metadata.name=b", watch=True)
        )
        elsewhere = await cacher.watch(POD, "other", query(f"resourceVersion={old}", watch=True))
        entered = await change(storage, "a", spec={"nodeName": "n"})
        stayed = await change(storage, "a", spec={"nodeName": "n"}, status={"phase": "Running"})
        left = await change(storage, "a", spec={"nodeName": "m"})
        await change(storage, "a", spec={"nodeName": "o"})
        made = await create(storage, POD, "b")
        events = await read(narrow, 3)
        assert seen(events) == [("ADDED", "a", entered), ("MODIFIED", "a", stayed), ("DELETED", "a", left)]
        assert events[2]["object"]["spec"] == {"nodeName": "n"}
        assert seen(await read(named, 1)) == [("ADDED", "b", made)]
        for stream in (narrow, named, elsewhere):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.01)

    with_cacher(test)


def test_initial_events_end_with_a_bookmark() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        revisions = [await create(storage, POD, f"p{index}") for index in range(3)]
        options = query(
            "allowWatchBookmarks=1&sendInitialEvents=1&resourceVersionMatch=NotOlderThan", watch=True
        )
        stream = await cacher.watch(POD, "", options)
        later = await create(storage, POD, "x")
        events = await read(stream, 5)
        assert seen(events) == [
            *(("ADDED", f"p{index}", revision) for index, revision in enumerate(revisions)),
            ("BOOKMARK", None, revisions[-1]),
            ("ADDED", "x", later),
        ]
        assert events[3]["object"] == {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "resourceVersion": str(revisions[-1]),
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        }

    with_cacher(test)


def test_bookmarks_tell_how_far_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_stream, "BOOKMARK_SECONDS", 0.02)

    async def test(storage: Storage, cacher: Cacher) -> None:
        old = await create(storage, POD, "a")
        options = query(f"resourceVersion={old}&allowWatchBookmarks=1&timeoutSeconds=100", watch=True)
        stream = await cacher.watch(NODE, "", options)
        now = await create(storage, POD, "b")
        events = seen(await read(stream, 2))
        assert {each[0] for each in events} == {"BOOKMARK"}
        assert events[-1][2] == now
        stream.close()

    with_cacher(test)


def test_a_watch_ends_in_time() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        await create(storage, POD, "a")
        stream = await cacher.watch(POD, "", query("timeoutSeconds=1", watch=True))
        assert len([piece async for piece in stream]) == 1
        assert stream.ended == "timeout"

    with_cacher(test)


def test_what_is_too_old_is_told_as_an_event() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        for index in range(3):
            await create(storage, POD, f"p{index}")
        await cacher.start(POD)
        [event] = await read(await cacher.watch(POD, "", query("resourceVersion=1", watch=True)), 1)
        assert event == {
            "type": "ERROR",
            "object": {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Failure",
                "message": "too old resource version: 1 (4)",
                "reason": "Expired",
                "code": 410,
            },
        }

    with_cacher(test)


def test_a_compaction_that_was_announced_loses_nothing() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        await cacher.start(POD)
        start = await create(storage, POD, "a")
        await change(storage, "a", spec={"nodeName": "n"})
        await storage.delete(POD, "default", "a")
        now = await create(storage, POD, "b")
        before = await read(await cacher.watch(POD, "", query(f"resourceVersion={start}", watch=True)), 3)
        cacher.before_compaction(now)
        await storage.kv.compact(now)
        assert (
            await read(await cacher.watch(POD, "", query(f"resourceVersion={start}", watch=True)), 3)
            == before
        )

    with_cacher(test)


def test_a_compaction_that_was_not_announced_makes_a_watch_too_old() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        await cacher.start(POD)
        start = await create(storage, POD, "a")
        await change(storage, "a", spec={"nodeName": "n"})
        now = await change(storage, "a", spec={"nodeName": "m"})
        await storage.kv.compact(now)
        [event] = await read(await cacher.watch(POD, "", query(f"resourceVersion={start}", watch=True)), 1)
        assert event["object"]["message"] == f"too old resource version: {start} ({now})"
        assert names(await cacher.list(POD, "", query(""))) == ["a"]

    with_cacher(test)


def test_a_slow_watch_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_stream, "EVENTS_WAITING_MAX", 5)

    async def test(storage: Storage, cacher: Cacher) -> None:
        old = await create(storage, POD, "a")
        slow = await cacher.watch(POD, "", query(f"resourceVersion={old}", watch=True))
        paused = await cacher.watch(POD, "", query(f"resourceVersion={old}", watch=True))
        pieces: list[bytes] = []
        ends: list[str] = []

        def sink(piece: bytes) -> bool:
            pieces.append(piece)
            return len(pieces) < 2

        paused.connect(sink, lambda: ends.append(paused.ended))
        for index in range(10):
            await create(storage, POD, f"p{index}")
        await asyncio.sleep(0.01)
        assert (slow.ended, paused.ended, ends, len(pieces)) == ("slow", "slow", ["slow"], 2)
        with pytest.raises(StopAsyncIteration):
            await anext(slow)
        assert cacher.stream_count(POD) == 0

    with_cacher(test)


def test_a_sink_takes_pieces_until_it_pauses() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        await create(storage, POD, "a")
        stream = await cacher.watch(POD, "", query("resourceVersion=0", watch=True))
        pieces: list[bytes] = []
        can = True

        def sink(piece: bytes) -> bool:
            pieces.append(piece)
            return can

        stream.connect(sink)
        await create(storage, POD, "b")
        await asyncio.sleep(0.01)
        assert len(pieces) == 2
        can = False
        for name in ("c", "d", "e"):
            await create(storage, POD, name)
        await asyncio.sleep(0.01)
        assert len(pieces) == 3
        can = True
        stream.resume()
        lines = [orjson.loads(line) for line in b"".join(pieces).splitlines()]
        assert [event["object"]["metadata"]["name"] for event in lines] == ["a", "b", "c", "d", "e"]
        stream.close()

    with_cacher(test)


def test_events_are_written_once_for_a_representation() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        calls = []

        def encode(kind: str, body: bytes) -> bytes:
            calls.append(kind)
            return f"{kind} {orjson.loads(body)['metadata'].get('name')}\n".encode()

        options = query("sendInitialEvents=0&resourceVersionMatch=NotOlderThan", watch=True)
        streams = [await cacher.watch(POD, "", options, encode=encode, representation="t") for _ in range(3)]
        await create(storage, POD, "a")
        assert [await anext(stream) for stream in streams] == [b"ADDED a\n"] * 3
        assert calls == ["ADDED"]

    with_cacher(test)


def test_guards_see_objects_and_changes() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        view = CacheView(cacher, (POD, NODE))
        await view.start(("", "pods"))
        told: list[tuple[str, str, bool]] = []
        await create(storage, POD, "a")
        await asyncio.sleep(0)
        view.follow("", "pods", lambda space, name, obj: told.append((space, name, obj is not None)))
        before = view.revision("", "pods")
        await create(storage, POD, "b", "other")
        await storage.delete(POD, "default", "a")
        await asyncio.sleep(0.01)
        assert told == [("default", "a", True), ("other", "b", True), ("default", "a", False)]
        found = view.get("", "pods", "other", "b")
        assert found is not None
        assert found is view.list("", "pods")[0]
        assert view.list("", "pods", "default") == []
        assert view.revision("", "pods") > before
        assert await view.live("", "pods", "default", "a") is None
        assert isinstance(cacher.peek(POD, "other", "b"), Stored)

    with_cacher(test)


def test_a_cache_that_lost_its_watch_begins_anew() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        told: list[tuple[str, bool]] = []
        start = await create(storage, POD, "a")
        await cacher.start(POD)
        cacher.follow(POD, lambda _, name, stored: told.append((name, stored is not None)))
        stream = await cacher.watch(POD, "", query(f"resourceVersion={start}", watch=True))
        cacher._feed._watch.cancel()  # as where it fell behind a compaction
        await storage.delete(POD, "default", "a")
        await create(storage, POD, "b")
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(stream), 10)
        assert names(await cacher.list(POD, "", query(""))) == ["b"]
        assert told == [("a", True), ("a", False), ("b", True)]
        [event] = await read(await cacher.watch(POD, "", query(f"resourceVersion={start}", watch=True)), 1)
        assert event["object"]["code"] == 410

    with_cacher(test)


def test_a_row_that_is_removed_ends_its_watches() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        await create(storage, POD, "a")
        stream = await cacher.watch(POD, "", query("", watch=True))
        await cacher.remove(POD)
        assert len([piece async for piece in stream]) == 1
        assert names(await cacher.list(POD, "", query(""))) == ["a"]

    with_cacher(test)


def test_a_value_that_cannot_be_read_is_left_out() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        await cacher.start(POD)
        await create(storage, POD, "a")
        await storage.kv.put(b"/registry/pods/default/b", b"garbage")
        await storage.kv.put(
            b"/registry/pods/default/c", b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"c"}}'
        )
        assert names(await cacher.list(POD, "", query(""))) == ["a", "c"]

    with_cacher(test)


def test_a_watch_from_a_version_to_come_is_told_of_what_follows_it() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        now = await create(storage, POD, "a")
        await cacher.start(POD)
        stream = await cacher.watch(POD, "", query(f"resourceVersion={now + 2}", watch=True))
        for name in ("b", "c", "d"):
            last = await create(storage, POD, name)
        assert seen(await read(stream, 1)) == [("ADDED", "d", last)]

    with_cacher(test)


def test_what_was_deleted_before_the_cache_began_is_listed_as_of_then() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        await create(storage, POD, "a")
        then = await create(storage, POD, "b")
        await storage.delete(POD, "default", "a")
        page = await cacher.list(POD, "", query(f"resourceVersion={then}&resourceVersionMatch=Exact"))
        assert names(page) == ["a", "b"]

    with_cacher(test)


def test_pages_of_the_past_skip_what_is_not_selected() -> None:
    async def test(storage: Storage, cacher: Cacher) -> None:
        for index in range(20):
            await create(storage, POD, f"p{index:02}", labels={"third": "no" if index % 3 else "yes"})
        page = await cacher.list(POD, "", query("labelSelector=third=yes&limit=2"))
        found = names(page)
        await create(storage, POD, "p00a", labels={"third": "yes"})
        while page.continue_token:
            page = await cacher.list(
                POD, "", query(f"labelSelector=third=yes&limit=2&continue={page.continue_token}")
            )
            assert page.remaining is None
            assert len(page) <= 2
            found += names(page)
        assert found == [f"p{index:02}" for index in range(0, 20, 3)]

    with_cacher(test)
