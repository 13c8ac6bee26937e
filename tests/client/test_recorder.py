"""Events: counted, aggregated, bounded, in series, and never waited for."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.recorder import EventRecorder
from kcore.client.series import SeriesRecorder
from tests.client.world import Object, World, in_world

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "namespace": "default", "uid": "u-1"}}


async def events(world: World, api_version: str = "v1") -> list[Object]:
    found = await world.client.list("events", "default", api_version=api_version)
    items: list[Object] = found["items"]
    return sorted(items, key=lambda event: int(event["metadata"]["resourceVersion"]))


async def are(world: World, *reasons: str) -> None:
    """These are the events that come to be, by reason."""

    async def there() -> bool:
        return [event["reason"] for event in await events(world)] == [*reasons]

    await world.comes(there)


def test_equal_events_are_counted_in_one() -> None:
    async def test(world: World) -> None:
        async with EventRecorder(world.client, "replicaset-controller", clock=world.clock) as recorder:
            for _ in range(3):
                recorder.event(POD, "Normal", "SuccessfulCreate", "Created pod: web-0")
                await world.clock.advance(2)
        [event] = await events(world)
        assert event["count"] == 3
        assert event["firstTimestamp"] < event["lastTimestamp"]
        assert event["source"] == {"component": "replicaset-controller"}
        assert event["reportingComponent"] == "replicaset-controller"
        assert event["involvedObject"] == {
            "kind": "Pod", "namespace": "default", "name": "web-0", "uid": "u-1", "apiVersion": "v1",
        }  # fmt: skip
        assert event["metadata"]["name"].startswith("web-0.")

    in_world(test)


def test_events_that_differ_in_their_message_alone_are_combined_from_the_tenth_on() -> None:
    async def test(world: World) -> None:
        async with EventRecorder(world.client, "c", clock=world.clock) as recorder:
            for number in range(14):
                recorder.event(POD, "Warning", "Failed", f"message {number}")
                await world.clock.advance(0.1)
        found = await events(world)
        assert [event["message"] for event in found[:9]] == [f"message {number}" for number in range(9)]
        [combined] = found[9:]
        assert combined["message"] == "(combined from similar events): message 13"
        assert combined["count"] == 5

    in_world(test)


def test_a_source_may_say_only_so_much_about_an_object() -> None:
    async def test(world: World) -> None:
        async with EventRecorder(world.client, "c", clock=world.clock, queued_max=100) as recorder:
            for number in range(40):
                recorder.event(POD, "Normal", f"Reason{number}", "much")
            first = [f"Reason{number}" for number in range(25)]
            await are(world, *first)
            await world.clock.advance(301)
            recorder.event(POD, "Normal", "Later", "one more")
            recorder.event(
                {**POD, "metadata": {**POD["metadata"], "uid": "u-2"}}, "Normal", "Other", "another pod"
            )  # type: ignore[dict-item]
            await are(world, *first, "Later", "Other")

    in_world(test)


def test_an_event_that_is_gone_is_made_anew() -> None:
    async def test(world: World) -> None:
        async with EventRecorder(world.client, "c", clock=world.clock) as recorder:
            recorder.event(POD, "Normal", "Again", "here")
            await world.clock.advance(1)
            [event] = await events(world)
            await world.client.delete("events", event["metadata"]["name"])
            recorder.event(POD, "Normal", "Again", "here")
            await world.clock.advance(1)
        [event] = await events(world)
        assert event["count"] == 2

    in_world(test)


def test_a_server_that_is_away_is_waited_for_and_too_much_is_dropped() -> None:
    async def test(world: World) -> None:
        client = AsyncClient(world.calls)
        await client.row("events", "v1")
        world.calls.is_away = True
        async with EventRecorder(client, "c", clock=world.clock, queued_max=5) as recorder:
            for number in range(10):
                recorder.event(POD, "Normal", f"R{number}", "x")
            await world.clock.advance(1)
            assert recorder.dropped_count == 5
            world.calls.is_away = False
            first = [f"R{number}" for number in range(5)]
            await are(world, *first)
            world.calls.failures.append(ApiError(403, "Forbidden", "no"))
            recorder.event(POD, "Normal", "Refused", "x")
            recorder.event(POD, "Normal", "Next", "x")
            await are(world, *first, "Next")

    in_world(test)


def test_a_series_is_written_as_it_begins_and_ends() -> None:
    async def test(world: World) -> None:
        async with SeriesRecorder(
            world.client, "default-scheduler", instance="here", clock=world.clock
        ) as recorder:
            for _ in range(4):
                recorder.event(POD, "Warning", "FailedScheduling", "Scheduling", "0/3 nodes are available")
                await world.clock.advance(1)
            [event] = await events(world, "events.k8s.io/v1")
            assert event["series"]["count"] == 2
            assert (event["reportingController"], event["reportingInstance"]) == ("default-scheduler", "here")
            assert (event["action"], event["note"]) == ("Scheduling", "0/3 nodes are available")
            await world.clock.advance(1000)
            [event] = await events(world, "events.k8s.io/v1")
            assert event["series"]["count"] == 4
            recorder.event(POD, "Warning", "FailedScheduling", "Scheduling", "0/3 nodes are available")
            await world.clock.advance(1)
            assert len(await events(world, "events.k8s.io/v1")) == 2

    in_world(test)


def test_a_long_series_is_kept_fresh() -> None:
    async def test(world: World) -> None:
        async with SeriesRecorder(world.client, "s", clock=world.clock) as recorder:
            for _ in range(10):
                recorder.event(POD, "Normal", "R", "A", "n", related=POD)
                await world.clock.advance(200)
            [event] = await events(world, "events.k8s.io/v1")
            assert event["series"]["count"] >= 9
            assert event["related"]["name"] == "web-0"

    in_world(test)


@pytest.mark.parametrize("made", [EventRecorder, SeriesRecorder])
def test_what_is_no_event_is_refused(made: Any) -> None:
    recorder = made(AsyncClient(None), "c")  # type: ignore[arg-type]
    words = ("Scheduling",) if made is SeriesRecorder else ()
    with pytest.raises(ValueError, match="Normal, Warning"):
        recorder.event(POD, "Error", "R", *words, "m")
    with pytest.raises(ValueError, match="apiVersion and kind"):
        recorder.event({"metadata": {"name": "x"}}, "Normal", "R", *words, "m")
