"""Objects are stored under upstream's keys, and no write is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from kcore.api.status import ApiError
from kcore.apiserver.compaction import KEY, Compactor
from kcore.apiserver.storage import Preconditions, Storage, Stored, encode
from tests.apiserver.stores import EVENT, NODE, POD, SERVICE, Turned, create, made, with_store


def refusal(caught: pytest.ExceptionInfo[ApiError]) -> tuple[int, str, str]:
    return caught.value.code, caught.value.reason, caught.value.message


def test_keys_are_as_upstreams() -> None:
    async def test(storage: Storage) -> None:
        assert storage.key(POD, "default", "a") == b"/registry/pods/default/a"
        assert storage.key(NODE, "", "n") == b"/registry/minions/n"
        assert storage.key(SERVICE, "x", "s") == b"/registry/services/specs/x/s"
        assert storage.root(POD) == b"/registry/pods/"
        assert storage.root(POD, "x") == b"/registry/pods/x/"
        assert storage.root(NODE, "x") == b"/registry/minions/"

    with_store(test)


def test_an_object_is_stored_without_and_read_with_its_version() -> None:
    async def test(storage: Storage) -> None:
        obj = {"spec": {}, **made(POD, "a", "default")}
        obj["metadata"]["resourceVersion"] = "7"
        revision = await storage.create(POD, "default", "a", encode(obj))
        assert obj["metadata"]["resourceVersion"] == "7"
        kv = await storage.kv.get(b"/registry/pods/default/a")
        assert kv is not None
        assert kv.value.startswith(b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"')
        stored = await storage.get(POD, "default", "a")
        assert stored is not None
        assert stored.revision == revision
        assert orjson.loads(stored.body()) == stored.object()
        assert stored.object()["metadata"]["resourceVersion"] == str(revision)
        assert await storage.get(POD, "default", "b") is None

    with_store(test)


def test_a_name_is_taken_once() -> None:
    async def test(storage: Storage) -> None:
        await create(storage, POD, "a")
        with pytest.raises(ApiError) as caught:
            await create(storage, POD, "a")
        assert refusal(caught) == (409, "AlreadyExists", 'pods "a" already exists')

    with_store(test)


def test_concurrent_updates_are_all_kept() -> None:
    async def test(storage: Storage) -> None:
        await create(storage, POD, "a", spec={"count": 0})

        async def add(obj: dict[str, Any] | None, _: int) -> dict[str, Any] | None:
            assert obj is not None
            await asyncio.sleep(0)
            obj["spec"]["count"] += 1
            return obj

        await asyncio.gather(*(storage.guaranteed_update(POD, "default", "a", add) for _ in range(10)))
        stored = await storage.get(POD, "default", "a")
        assert stored is not None
        assert stored.object()["spec"]["count"] == 10

    with_store(test)


def test_what_does_not_change_is_not_written() -> None:
    async def test(storage: Storage) -> None:
        revision = await create(storage, POD, "a")
        for known in (None, Stored(encode(made(POD, "a", "default")), revision)):
            after = await storage.guaranteed_update(POD, "default", "a", lambda obj, _: obj, known=known)
            assert after.revision == revision
            after = await storage.guaranteed_update(POD, "default", "a", lambda *_: None, known=known)
            assert after.revision == revision

    with_store(test)


def test_a_stale_belief_is_corrected() -> None:
    async def test(storage: Storage) -> None:
        revision = await create(storage, POD, "a", spec={"count": 1})
        stale = Stored(encode(made(POD, "a", "default", spec={"count": 0})), revision - 1)
        seen = []

        def update(obj: dict[str, Any] | None, at: int) -> dict[str, Any] | None:
            assert obj is not None
            seen.append((obj["spec"]["count"], at))
            obj["spec"]["count"] += 1
            return obj

        after = await storage.guaranteed_update(POD, "default", "a", update, known=stale)
        assert seen == [(0, revision - 1), (1, revision)]
        assert after.object()["spec"]["count"] == 2
        gone = await storage.delete(POD, "default", "a", known=stale)
        assert gone.object()["spec"]["count"] == 2
        assert gone.revision > after.revision

    with_store(test)


def test_preconditions_are_upstreams() -> None:
    async def test(storage: Storage) -> None:
        revision = await create(storage, POD, "a")
        why = (
            'Operation cannot be fulfilled on pods "a": StorageError: invalid object, Code: 4, Key: '
            "/registry/pods/default/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
        )
        with pytest.raises(ApiError) as caught:
            await storage.delete(POD, "default", "a", Preconditions(uid="x"))
        told = f"{why}UID in precondition: x, UID in object meta: uid-a"
        assert refusal(caught) == (409, "Conflict", told)
        with pytest.raises(ApiError) as caught:
            await storage.guaranteed_update(
                POD, "default", "a", lambda obj, _: obj, Preconditions(resource_version="1")
            )
        told = f"{why}ResourceVersion in precondition: 1, ResourceVersion in object meta: {revision}"
        assert refusal(caught) == (409, "Conflict", told)
        await storage.delete(POD, "default", "a", Preconditions("uid-a", str(revision)))
        with pytest.raises(ApiError) as caught:
            await storage.delete(POD, "default", "a")
        assert refusal(caught) == (404, "NotFound", 'pods "a" not found')

    with_store(test)


def test_an_update_may_create() -> None:
    async def test(storage: Storage) -> None:
        def update(obj: dict[str, Any] | None, revision: int) -> dict[str, Any] | None:
            assert (obj, revision) == (None, 0)
            return made(POD, "a", "default")

        with pytest.raises(ApiError, match="not found"):
            await storage.guaranteed_update(POD, "default", "a", update)
        assert (await storage.guaranteed_update(POD, "default", "a", update, create=True)).revision > 0

    with_store(test)


def test_events_share_leases() -> None:
    async def test(storage: Storage) -> None:
        for name in ("a", "b"):
            await create(storage, EVENT, name)
        first, second = (
            await storage.get(EVENT, "default", "a"),
            await storage.get(EVENT, "default", "b"),
        )
        assert first is not None
        assert second is not None
        assert first.lease == second.lease != 0
        assert (await storage.kv.lease_time_to_live(first.lease)).granted_ttl == 3660
        await create(storage, POD, "a")
        assert await storage.kv.leases() == [first.lease]

    with_store(test)


def test_values_of_other_shapes_are_read() -> None:
    async def test(storage: Storage) -> None:
        await storage.kv.put(
            b"/registry/pods/x/a", b'{"kind":"Pod","metadata":{"name":"a"},"apiVersion":"v1"}'
        )
        stored = await storage.get(POD, "x", "a")
        assert stored is not None
        assert stored.value == b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}'
        await storage.kv.put(b"/registry/pods/x/b", b"garbage")
        with pytest.raises(ApiError, match="unable to decode the object stored at /registry/pods/x/b"):
            await storage.get(POD, "x", "b")

    with_store(test)


def test_values_are_transformed_at_rest() -> None:
    async def test(plain: Storage) -> None:
        storage = Storage(plain.kv, transformer=Turned())
        await create(storage, POD, "a")
        kv = await plain.kv.get(storage.key(POD, "default", "a"))
        assert kv is not None
        assert kv.value.startswith(b"turned:}")
        stored = await storage.get(POD, "default", "a")
        assert stored is not None
        assert stored.object()["metadata"]["name"] == "a"

    with_store(test)


def test_one_of_two_compactors_compacts() -> None:
    async def test(storage: Storage) -> None:
        told: list[int] = []
        first, second = Compactor(storage.kv, told.append), Compactor(storage.kv, told.append)
        await first.compact()
        await second.compact()  # sees the other's, and takes its count
        assert told == []
        for _ in range(3):
            await create(storage, POD, f"p{await storage.current_revision(POD)}")
        await second.compact()
        assert len(told) == 1
        await first.compact()
        assert (first.compact_revision, len(told)) == (told[0], 1)
        kv = await storage.kv.get(KEY)
        assert kv is not None
        assert (kv.value, kv.version) == (str(told[0]).encode(), 2)

    with_store(test)
