"""The garbage collector: its graph alone, and a cluster in which things lose their owners."""

import asyncio
import random
from typing import Any, cast

import pytest

from kcore.api.status import ApiError
from kcore.controllers.contract import Key, Later, Read, Served, View
from kcore.controllers.garbage_collector import GarbageCollector
from kcore.controllers.garbage_collector_graph import Graph, Identity
from tests.controllers.living import Living, living

Object = dict[str, Any]

MAPS = Served("configmaps", "", "v1", "configmaps", "ConfigMap", True, ())
NODES = Served("nodes", "", "v1", "nodes", "Node", False, ())


def meta(name: str, *owners: Object, namespace: str = "a", **more: Any) -> Object:
    metadata = {"name": name, "uid": f"u-{name}", "resourceVersion": "1", **more}
    if namespace:
        metadata["namespace"] = namespace
    if owners:
        metadata["ownerReferences"] = list(owners)
    return {"metadata": metadata}


def owned_by(name: str, kind: str = "ConfigMap", **more: Any) -> Object:
    return {"apiVersion": "v1", "kind": kind, "name": name, "uid": f"u-{name}", **more}


def deletes(*names: str) -> list[Key]:
    return [Key("delete", f"u-{name}") for name in names]


def test_an_owner_that_nobody_has_seen_is_asked_for_until_it_is_seen() -> None:
    graph = Graph()
    child = meta("child", owned_by("owner"))
    assert [*graph.seen(MAPS, None, child)] == deletes("owner")
    assert [node.virtual for node in graph.nodes.values()] == [False, True]
    assert [*graph.seen(MAPS, None, meta("owner"))] == []
    assert [node.virtual for node in graph.nodes.values()] == [False, False]
    assert [*graph.seen(MAPS, meta("owner"), None)] == deletes("child")
    assert Identity("v1", "ConfigMap", "owner", "u-owner", "a") in graph.absent
    assert [*graph.seen(MAPS, child, None)] == []
    assert not graph.nodes


def test_a_reference_across_namespaces_is_complained_of_whoever_is_seen_first() -> None:
    for owner_first in (True, False):
        graph = Graph()
        child = meta("child", owned_by("owner"), namespace="b")
        if owner_first:
            assert [*graph.seen(MAPS, None, meta("owner"))] == []
            assert [*graph.seen(MAPS, None, child)] == deletes("child")
        else:
            assert [*graph.seen(MAPS, None, child)] == deletes("owner")
            assert [*graph.seen(MAPS, None, meta("owner"))] == deletes("child")
        (told,) = graph.complaints("u-child")
        assert (told.reason, told.message) == (
            "OwnerRefInvalidNamespace",
            'ownerRef [v1/ConfigMap, namespace: b, name: owner, uid: u-owner] does not exist in namespace "b"',
        )
        assert not graph.complaints("u-child")


def test_dependents_that_disagree_on_their_owner_are_each_asked_about() -> None:
    graph = Graph()
    [*graph.seen(MAPS, None, meta("one", owned_by("owner")))]
    [*graph.seen(MAPS, None, meta("two", {**owned_by("owner"), "name": "other"}))]
    absent = graph.nodes["u-owner"].identity
    keys = [*graph.absent_says_server(absent)]
    assert keys == [*deletes("one"), Later(Key("delete", "u-owner"), 5)]
    assert graph.nodes["u-owner"].identity.name == "other", "the other identity is tried"


def test_a_deletion_in_the_foreground_and_references_that_stop_blocking() -> None:
    graph = Graph()
    [*graph.seen(MAPS, None, meta("owner"))]
    child = meta("child", owned_by("owner", blockOwnerDeletion=True))
    [*graph.seen(MAPS, None, child)]
    dying = meta("owner", deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["foregroundDeletion"])
    assert [*graph.seen(MAPS, meta("owner"), dying)] == deletes("child", "owner")
    assert [each.identity.name for each in graph.nodes["u-owner"].blocking_dependents()] == ["child"]
    assert [*graph.seen(MAPS, child, meta("child", owned_by("owner")))] == deletes("owner")
    assert not graph.nodes["u-owner"].blocking_dependents()
    assert [*graph.seen(MAPS, child, meta("child"))] == []
    assert graph.nodes["u-owner"].dependents is None


async def make(it: Living, name: str, *owners: Object, **more: Any) -> Object:
    references = [
        {
            "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"], "blockOwnerDeletion": True,
        }
        for owner in owners
    ]  # fmt: skip
    metadata = {"name": name, "namespace": "default", "ownerReferences": references, **more}
    return await it.client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


async def gone(it: Living, *names: str) -> None:
    async with asyncio.timeout(20):
        while True:
            there = {each["metadata"]["name"] for each in (await it.client.list("configmaps"))["items"]}
            if not there.intersection(names):
                return
            await asyncio.sleep(0.01)


def test_dependents_go_in_the_background_and_before_their_owner_and_stay_as_orphans() -> None:
    async def run() -> None:
        collector = GarbageCollector()
        async with living(collector) as it:
            top = await make(it, "top")
            middle = await make(it, "middle", top)
            await make(it, "low", middle)
            shared = await make(it, "shared", top, await make(it, "second"))
            await it.client.delete("configmaps", "top", "default", propagation_policy="Background")
            await gone(it, "top", "middle", "low")
            kept = await it.until_there(
                "configmaps", "shared", lambda obj: len(obj["metadata"]["ownerReferences"]) == 1
            )
            assert kept["metadata"]["uid"] == shared["metadata"]["uid"]

            top = await make(it, "top")
            await make(it, "held", top, finalizers=["example.com/hold"])
            await it.client.delete("configmaps", "top", "default", propagation_policy="Foreground")
            await it.until_there("configmaps", "held", lambda obj: "deletionTimestamp" in obj["metadata"])
            top = await it.client.get("configmaps", "top", "default")
            assert top["metadata"]["finalizers"] == ["foregroundDeletion"], "it waits for what is held"
            await it.client.patch("configmaps", "held", {"metadata": {"finalizers": None}}, "default")
            await gone(it, "top", "held")

            top = await make(it, "top")
            await make(it, "freed", top)
            await it.client.delete("configmaps", "top", "default", propagation_policy="Orphan")
            await gone(it, "top")
            freed = await it.client.get("configmaps", "freed", "default")
            assert not freed["metadata"].get("ownerReferences")

            nobody = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "nobody", "uid": "no-such"},
            }
            await make(it, "child-of-nobody", nobody)
            await gone(it, "child-of-nobody")

    asyncio.run(run())


def test_a_custom_resource_is_let_go_by_a_merge_patch() -> None:
    collector, nobody = GarbageCollector(), cast(View, None)
    thing = Served(
        "things.example.com", "example.com", "v1", "things", "Thing", True, ("delete", "list", "watch")
    )
    assert [*collector.serves([thing])] == [thing]
    stays, goes = owned_by("stays"), owned_by("goes")
    child = meta("child", stays, goes)
    [*collector.followed(MAPS, None, meta("stays"), nobody)]
    [*collector.followed(thing, None, child, nobody)]
    collector.serves([thing, MAPS])
    steps: Any = collector.reconcile(Key("delete", "u-child"), nobody, 0)
    assert next(steps) == [Read("things.example.com", "a", "child")]
    assert steps.send([child]) == [Read("configmaps", "a", "stays")]
    assert steps.send([meta("stays")]) == [Read("configmaps", "a", "goes")]
    (strategic,) = steps.send([ApiError(404, "NotFound", "")])
    references = [{"$patch": "delete", "uid": "u-goes"}]
    assert strategic.body == {"metadata": {"uid": "u-child", "ownerReferences": references}}
    assert steps.send([ApiError(415, "UnsupportedMediaType", "")]) == [
        Read("things.example.com", "a", "child")
    ]
    (merge,) = steps.send([child])
    assert (merge.kind, merge.body) == (
        "merge",
        {"metadata": {"resourceVersion": "1", "ownerReferences": [stays]}},
    )
    with pytest.raises(StopIteration):
        steps.send([child])


def survivors(owners: dict[str, set[str]], name: str, policy: str) -> dict[str, set[str]]:
    """Who is left, and by whom each is owned, once ``name`` is deleted: the slow, obvious way."""
    left = {each: set(of) for each, of in owners.items() if each != name}
    if policy == "Orphan":
        for of in left.values():
            of.discard(name)
    while True:
        dead = {each for each, of in left.items() if of and not of & left.keys()}
        if not dead:
            return {each: of & left.keys() for each, of in left.items()}
        for each in dead:
            del left[each]


@pytest.mark.parametrize("seed", range(4))
def test_random_families_are_left_as_the_obvious_way_leaves_them(seed: int) -> None:
    rng = random.Random(seed)

    async def there(it: Living) -> dict[str, set[str]]:
        return {
            each["metadata"]["name"]: {of["name"] for of in each["metadata"].get("ownerReferences") or ()}
            for each in (await it.client.list("configmaps", "default"))["items"]
        }

    async def run() -> None:
        async with living(GarbageCollector()) as it:
            made: list[Object] = []
            for number in range(24):
                owners = rng.sample(made, min(len(made), rng.choice((0, 1, 1, 1, 2, 3))))
                made.append(await make(it, f"m{number}", *owners))
            expected = await there(it)
            while expected:
                name = rng.choice(sorted(expected))
                policy = rng.choice(("Background", "Foreground", "Orphan"))
                expected = survivors(expected, name, policy)
                await it.client.delete("configmaps", name, "default", propagation_policy=policy)
                async with asyncio.timeout(10):
                    while await there(it) != expected:
                        await asyncio.sleep(0.005)

    asyncio.run(run())
