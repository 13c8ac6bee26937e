"""One leads: candidates in virtual time over one server, cut off, slow, stopped, and with clocks that disagree."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kcore.client.asynchronous import AsyncClient
from kcore.client.leases import LeaderElector
from kcore.clock import settle
from tests.client.world import World, in_world


class Candidate:
    """An elector, whether it leads, and its task."""

    def __init__(self, world: World, name: str, *, client: AsyncClient | None = None, **options: Any) -> None:
        self.name = name
        self.leads = False
        self.seen: list[str] = []
        self.elector = LeaderElector(
            client or world.client, "kube-system", "controller", name, clock=world.clock, chance=lambda: 0.5,
            on_new_leader=self.seen.append, **options,
        )  # fmt: skip
        self.task = asyncio.ensure_future(self.elector.run(self.lead))

    async def lead(self) -> None:
        self.leads = True
        try:
            await asyncio.Event().wait()
        finally:
            self.leads = False

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def lease(world: World) -> dict[str, Any]:
    found = await world.client.get("leases", "controller", "kube-system")
    spec: dict[str, Any] = found["spec"]
    return spec


def with_two(test: Callable[[World, Candidate, Candidate], Awaitable[None]], **options: Any) -> None:
    async def run(world: World) -> None:
        first = Candidate(world, "first", client=AsyncClient(world.calls), **options)
        await world.clock.advance(0.1)
        second = Candidate(world, "second")
        await world.clock.advance(5)
        assert (first.leads, second.leads) == (True, False)
        try:
            await test(world, first, second)
        finally:
            await first.stop()
            await second.stop()

    in_world(run)


def test_one_leads_and_renews() -> None:
    async def test(world: World, first: Candidate, second: Candidate) -> None:
        before = await lease(world)
        await world.clock.advance(100)
        after = await lease(world)
        assert (first.leads, second.leads) == (True, False)
        assert after["holderIdentity"] == "first"
        assert after["leaseTransitions"] == 0
        assert after["leaseDurationSeconds"] == 15
        assert after["acquireTime"] == before["acquireTime"]
        assert after["renewTime"] > before["renewTime"]
        assert first.elector.is_healthy()
        assert second.elector.leader == "first"
        assert second.seen == ["first"]

    with_two(test)


def test_who_stops_gives_the_lease_back() -> None:
    async def test(world: World, first: Candidate, second: Candidate) -> None:
        await first.stop()
        assert (await lease(world))["holderIdentity"] == ""
        await world.clock.advance(5)
        assert second.leads
        spec = await lease(world)
        assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("second", 1)

    with_two(test)


def test_without_release_the_lease_runs_out() -> None:
    async def test(world: World, first: Candidate, second: Candidate) -> None:
        await first.stop()
        await world.clock.advance(10)
        assert not second.leads
        await world.clock.advance(10)
        assert second.leads

    with_two(test, release_on_cancel=False)


def test_who_cannot_renew_stops_before_another_begins() -> None:
    async def test(world: World, first: Candidate, second: Candidate) -> None:
        world.calls.is_away = True
        for _ in range(250):
            await world.clock.advance(0.1)
            assert not (first.leads and second.leads)
            if second.leads:
                break
        assert not first.leads
        assert second.leads
        assert first.task.done()

    with_two(test)


def test_a_short_outage_is_renewed_through() -> None:
    async def test(world: World, first: Candidate, second: Candidate) -> None:
        world.calls.is_away = True
        await world.clock.advance(7)
        world.calls.is_away = False
        await world.clock.advance(30)
        assert (first.leads, second.leads) == (True, False)
        assert (await lease(world))["leaseTransitions"] == 0

    with_two(test)


def test_what_others_write_as_time_does_not_count() -> None:
    async def test(world: World, first: Candidate, second: Candidate) -> None:
        world.clock.set_wall(10.0)  # the leader's clock was set back by decades
        await world.clock.advance(60)
        assert (first.leads, second.leads) == (True, False)
        world.clock.set_wall(4e9)
        await world.clock.advance(60)
        assert (first.leads, second.leads) == (True, False)

    with_two(test)


def test_a_lease_that_another_took_is_given_up() -> None:
    async def test(world: World, first: Candidate, second: Candidate) -> None:
        spec = {"holderIdentity": "third", "leaseDurationSeconds": 3600}
        await world.client.patch("leases", "controller", {"spec": spec}, "kube-system")
        await world.clock.advance(30)
        assert (first.leads, second.leads) == (False, False)
        assert (await lease(world))["holderIdentity"] == "third"

    with_two(test)


def test_what_is_led_may_end_and_its_error_is_raised() -> None:
    async def test(world: World) -> None:
        async def fail() -> None:
            raise KeyError("mine")

        elector = LeaderElector(world.client, "default", "x", "me", clock=world.clock)
        with pytest.raises(KeyError, match="mine"):
            await elector.run(fail)
        await settle()
        found = await world.client.get("leases", "x", "default")
        assert found["spec"]["holderIdentity"] == ""

    in_world(test)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lease_seconds": 10}, "leaseDuration must be greater than renewDeadline"),
        ({"retry_seconds": 9}, "renewDeadline must be greater than"),
        ({"retry_seconds": 0}, "retryPeriod must be greater than zero"),
    ],
)
def test_times_that_make_no_sense_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LeaderElector(AsyncClient(None), "default", "x", "me", **options)  # type: ignore[arg-type]
