"""An informer knows what the server has, whatever happens in between, and tells each object's life in order."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.informer import Informer, SharedInformers
from kcore.client.store import Change, Store
from tests.client.world import Lives, Object, World, configmap, in_world

OPERATIONS = (
    "create",
    "relabel",
    "write",
    "delete",
    "cut",
    "cut soon",
    "restart",
    "forget",
    "away",
    "back",
    "time",
)


def informer(world: World, **options: Any) -> Informer:
    return Informer(AsyncClient(world.calls), "configmaps", namespace="default", clock=world.clock, **options)


async def equal(world: World, followed: Informer, selector: str = "") -> bool:
    """Whether it knows what the server has."""
    answer = await world.client.list("configmaps", "default", label_selector=selector)
    there = {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for obj in answer["items"]}
    return there == {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for obj in followed.list()}


async def operate(world: World, operation: str, chance: random.Random) -> None:
    """One thing happens."""
    name = chance.choice("abcdef")
    with contextlib.suppress(ApiError):  # there already, or not there
        if operation == "create":
            await world.client.create(configmap(name, app=chance.choice("xy")))
        elif operation == "relabel":
            labels = {"metadata": {"labels": {"app": chance.choice("xy")}}}
            await world.client.patch("configmaps", name, labels)
        elif operation == "write":
            await world.client.patch("configmaps", name, {"data": {"at": str(chance.random())}})
        elif operation == "delete":
            await world.client.delete("configmaps", name)
    if operation == "cut":
        world.calls.cut()
    elif operation == "cut soon":
        world.calls.cuts.append(chance.randrange(4))
    elif operation == "restart":
        await world.restart()
    elif operation == "forget":
        await world.forget()
    elif operation in ("away", "back"):
        world.calls.is_away = operation == "away"
        world.calls.cut()
    elif operation == "time":
        await world.clock.advance(chance.choice((0.1, 3.0, 700.0)))


@given(
    st.lists(st.sampled_from(OPERATIONS), min_size=5, max_size=40),
    st.integers(0, 1 << 30), st.sampled_from(["", "app=x"]), st.sampled_from([True, False, None]),
)  # fmt: skip
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_it_converges_and_lives_are_consistent(
    operations: list[str], seed: int, selector: str, has_watch_list: bool | None
) -> None:
    async def test(world: World) -> None:
        chance = random.Random(seed)
        world.calls.has_watch_list = has_watch_list
        lives, late = Lives(), Lives()
        indexers = {"app": lambda obj: [obj["metadata"].get("labels", {}).get("app", "")]}
        followed = informer(world, label_selector=selector, indexers=indexers)
        followed.add_listener(lives)
        async with followed:
            for index, operation in enumerate(operations):
                await operate(world, operation, chance)
                if index == len(operations) // 2:
                    followed.add_listener(late)
                if chance.random() < 0.5:
                    await world.clock.advance(chance.choice((0.0, 0.5)))
            world.calls.is_away = False
            world.calls.cuts.clear()
            await world.comes(lambda: followed.is_synced)
            await world.comes(lambda: equal(world, followed, selector))
        known = {obj["metadata"]["name"]: obj for obj in followed.list()}
        assert lives.now == known
        assert late.now == known
        for value in "xy":
            wanted = [obj for obj in known.values() if obj["metadata"].get("labels", {}).get("app") == value]
            assert sorted(map(str, followed.by_index("app", value))) == sorted(map(str, wanted))

    in_world(test)


def test_with_watch_list_one_stream_does_it_all() -> None:
    async def test(world: World) -> None:
        await world.client.create(configmap("a"))
        async with informer(world) as followed:
            await world.comes(lambda: followed.is_synced)
            await world.client.create(configmap("b"))
            await world.comes(lambda: "default/b" in followed)
        assert [kind for kind, _ in world.calls.asked] == ["watch"]
        assert world.calls.asked[0][1]["sendInitialEvents"] == "true"

    in_world(test)


@pytest.mark.parametrize("has_watch_list", [False, None])
def test_a_server_without_watch_list_is_listed(has_watch_list: bool | None) -> None:
    async def test(world: World) -> None:
        world.calls.has_watch_list = has_watch_list
        await world.client.create(configmap("a"))
        async with informer(world) as followed:
            await world.comes(lambda: followed.is_synced)
            obj = followed.get("default/a")
            assert obj is not None
            assert (obj["apiVersion"], obj["kind"]) == ("v1", "ConfigMap")
            await world.client.delete("configmaps", "a")
            await world.comes(lambda: "default/a" not in followed)
        assert [kind for kind, _ in world.calls.asked] == ["watch", "list", "watch"]
        assert world.calls.asked[1][1]["resourceVersion"] == "0"

    in_world(test)


def test_a_restart_is_watched_through_without_a_list() -> None:
    async def test(world: World) -> None:
        lives = Lives()
        async with informer(world) as followed:
            followed.add_listener(lives)
            await world.client.create(configmap("a"))
            await world.comes(lambda: "default/a" in followed)
            asked = len(world.calls.asked)
            await world.restart()
            await world.client.create(configmap("b"))
            await world.comes(lambda: "default/b" in followed)
            watches = world.calls.asked[asked:]
            assert all(kind == "watch" and "sendInitialEvents" not in query for kind, query in watches)

    in_world(test)


def test_what_went_unseen_is_told_with_the_last_state_known() -> None:
    async def test(world: World) -> None:
        changes: list[Change] = []
        async with informer(world) as followed:
            for name in "abc":
                await world.client.create(configmap(name))
            await world.comes(lambda: all(f"default/{name}" in followed for name in "abc"))
            last = followed.get("default/a")
            followed.add_batch_listener(changes.extend)
            changes.clear()
            world.calls.is_away = True
            world.calls.cut()
            await world.client.delete("configmaps", "a")
            await world.client.delete("configmaps", "b")
            await world.client.create(configmap("b"))
            await world.forget()
            await world.comes(lambda: "default/a" not in followed)
            await world.comes(lambda: equal(world, followed))
        assert changes[0] == (last, None, True)
        again = [change for change in changes if "b" in str((change.old or change.new)["metadata"]["name"])]  # type: ignore[index]
        assert [(change.old is None, change.new is None, change.is_guess) for change in again] == [
            (False, True, True), (True, False, False),
        ]  # fmt: skip

    in_world(test)


def test_failures_wait_longer_each_time() -> None:
    async def test(world: World) -> None:
        world.calls.is_away = True
        async with informer(world) as followed:
            await world.clock.advance(600)
            assert not followed.is_synced
            assert 10 < len(world.calls.asked) < 40
            world.calls.is_away = False
            await world.comes(lambda: followed.is_synced)

    in_world(test)


def test_a_watch_that_breaks_goes_on_at_once_and_waits_only_for_a_server_that_is_away() -> None:
    async def test(world: World) -> None:
        async with informer(world) as followed:
            await world.comes(lambda: followed.is_synced)
            await world.clock.advance(10)
            asked = len(world.calls.asked)
            world.calls.cut()
            await world.clock.advance(0.01)
            assert len(world.calls.asked) == asked + 1, "it has not waited"
            world.calls.cut()
            await world.clock.advance(0.5)
            assert len(world.calls.asked) == asked + 1, "nor has the next one been answered for a second"
            await world.clock.advance(2)
            assert len(world.calls.asked) == asked + 2
            world.calls.is_away = True
            await world.client.create(configmap("a"))
            await world.comes(lambda: "default/a" in followed)
            await world.clock.advance(10)
            world.calls.cut()
            await world.clock.advance(0.01)
            assert len(world.calls.asked) == asked + 3
            await world.clock.advance(4)
            assert asked + 3 < len(world.calls.asked) < asked + 6

    in_world(test)


def test_a_resync_tells_of_everything_again() -> None:
    async def test(world: World) -> None:
        lives = Lives()
        await world.client.create(configmap("a"))
        async with informer(world, resync_seconds=60, label_selector="!none") as followed:
            followed.add_listener(lives)
            await world.comes(lambda: "a" in lives.now)
            await world.clock.advance(125)
            assert lives.steps.count(("same", "a")) == 2

    in_world(test)


def test_a_listener_that_fails_stops_nobody() -> None:
    async def test(world: World) -> None:
        lives = Lives()

        def fail(old: Object | None, new: Object | None) -> None:
            raise KeyError("mine")

        async with informer(world) as followed:
            followed.add_listener(fail)
            registration = followed.add_listener(lives)
            await world.client.create(configmap("a"))
            await world.comes(lambda: "a" in lives.now)
            registration.remove()
            await world.client.create(configmap("b"))
            await world.comes(lambda: "default/b" in followed)
            assert "b" not in lives.now

    in_world(test)


def test_shared_informers_are_one_for_each_selection() -> None:
    async def test(world: World) -> None:
        await world.client.create(configmap("a", app="x"))
        async with SharedInformers(AsyncClient(world.calls), clock=world.clock) as shared:
            first = shared.informer("configmaps", namespace="default")
            second = shared.informer("configmaps", namespace="default", indexers={"all": lambda obj: ["yes"]})
            other = shared.informer("configmaps", namespace="default", label_selector="app=y")
            assert first is second
            assert first is not other
            await shared.synced()
            assert "default/a" in [*first.keys()]
            assert first.by_index("all", "yes") == first.list()
            assert len(other) == 0

    in_world(test)


def test_an_index_that_fails_has_no_values() -> None:
    store = Store({"bad": lambda obj: [obj["spec"]["none"]]})
    changes: list[Change] = []
    store.put("a", {"metadata": {"name": "a", "resourceVersion": "1"}}, changes)
    assert len(changes) == 1
    assert store.index_values("bad") == []


def test_a_transform_decides_what_is_kept() -> None:
    async def test(world: World) -> None:
        def slim(obj: Object) -> Object:
            return {
                "metadata": {
                    name: obj["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")
                }
            }

        await world.client.create(configmap("a"))
        async with informer(world, transform=slim) as followed:
            await world.comes(lambda: followed.is_synced)
            await world.client.create(configmap("b"))
            await world.comes(lambda: "default/b" in followed)
            assert all(obj.keys() == {"metadata"} for obj in followed.list())

    in_world(test)
