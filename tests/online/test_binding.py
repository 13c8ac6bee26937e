"""The binding cycle: which plugin is asked when, and what becomes of a pod where one says no, fails, or waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.online.permits import go_duration
from kcore.scheduler.config import default_configuration
from kcore.scheduler.plugins.lifecycle import Reject, Wait
from kcore.scheduler.profile import SchedulerConfiguration
from tests.online.cluster import Cluster, refused
from tests.online.test_hints import node, pod, put

Object = dict[str, Any]
POINTS = ("reserve", "unreserve", "permit", "pre_bind", "post_bind")


class Noting:
    """A plugin that notes what it is asked; ``says`` is what it answers, by method."""

    def __init__(self, name: str, notes: list[str], **says: Any) -> None:
        self.name = name
        self.says = says
        self.notes = notes
        for point in POINTS:
            setattr(self, point, lambda pod, node, point=point: self._asked(point, pod, node))

    def _asked(self, point: str, pod: Object, node: str) -> Any:
        self.notes.append(f"{point} {self.name} {pod['metadata']['name']} {node}")
        answer = self.says.get(point)
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer


def configuration(*names: str) -> SchedulerConfiguration:
    """The default profile, with these plugins at every point of the cycle."""
    from dataclasses import replace

    made = default_configuration()
    profile = replace(made.profiles[0], reserves=names, permits=names, pre_binds=names, post_binds=names)
    return replace(made, profiles=(profile,))


def played(plugins: list[Any], play: Callable[[Cluster], Any]) -> Cluster:
    """The cluster of one node after the play, and after the scheduler has stopped."""

    async def run() -> Cluster:
        cluster = Cluster(configuration(*(one.name for one in plugins)), plugins)
        put(cluster, node("n", cpu="4"))
        await play(cluster)
        for _, task in tuple(cluster.scheduler.binder.cycles.values()):
            task.cancel()
        await asyncio.gather(*cluster.scheduler._writes, return_exceptions=True)
        return cluster

    return asyncio.run(run())


def condition(cluster: Cluster) -> tuple[str, str]:
    said = next(status for _, status in reversed(cluster.writes.patches) if "conditions" in status)
    return said["conditions"][0]["reason"], said["conditions"][0]["message"]


def test_plugins_are_asked_in_order_and_a_pod_that_none_concerns_goes_straight() -> None:
    notes: list[str] = []
    picky = Noting("Picky", notes)
    picky.concerns = lambda pod: pod["metadata"]["name"] != "b"  # type: ignore[attr-defined]

    async def play(cluster: Cluster) -> None:
        put(cluster, pod("a"), pod("b"))
        await cluster.turn()
        assert cluster.writes.bound == {"default/a": "n", "default/b": "n"}

    other = Noting("Other", notes)
    other.concerns = lambda pod: False  # type: ignore[attr-defined]
    cluster = played([picky, other], play)
    assert notes == [f"{point} Picky a n" for point in ("reserve", "permit", "pre_bind", "post_bind")]
    assert cluster.writes.patches == [("default/a", {"nominatedNodeName": "n"})]


@pytest.mark.parametrize(
    ("point", "answer", "reason", "message", "waits"),
    [
        ("reserve", Reject("no disk"), "Unschedulable", "0/1 nodes are available: 1 no disk.", "unschedulable"),
        ("permit", Reject("not now"), "Unschedulable", "0/1 nodes are available: 1 not now.", "unschedulable"),
        ("pre_bind", Reject("lost it"), "Unschedulable", "lost it", "backoff"),
        ("reserve", OSError("gone"), "SchedulerError", 'running Reserve plugin "Two": gone', "backoff"),
        ("permit", ValueError(), "SchedulerError", 'running Permit plugin "Two": ValueError', "backoff"),
        ("pre_bind", SystemExit("bye"), "SchedulerError", 'running PreBind plugin "Two": bye', "backoff"),
        ("reserve", Wait(1), "SchedulerError",
         'running Reserve plugin "Two": answered Wait(seconds=1) (expected None or Reject)', "backoff"),
        ("permit", 7, "SchedulerError",
         'running Permit plugin "Two": answered 7 (expected None, Wait or Reject)', "backoff"),
        ("pre_bind", asyncio.CancelledError(), "SchedulerError", 'running PreBind plugin "Two": cancelled', "backoff"),
    ],
)  # fmt: skip
def test_one_that_says_no_or_fails_leaves_all_as_before(
    point: str, answer: Any, reason: str, message: str, waits: str
) -> None:
    notes: list[str] = []

    async def play(cluster: Cluster) -> None:
        put(cluster, pod("a", cpu="3"))
        await cluster.turn()
        assert cluster.writes.bound == {}
        assert condition(cluster) == (reason, message)
        assert cluster.notes.last("a", "FailedScheduling") == message
        assert cluster.waits("default/a") == waits
        assert cluster.scheduler.mirror.assumed_count == 0

    cluster = played([Noting("One", notes), Noting("Two", notes, **{point: answer})], play)
    assert notes[-2:] == ["unreserve Two a n", "unreserve One a n"]
    assert "post_bind One a n" not in notes
    if point == "pre_bind":
        assert cluster.writes.patches[-1][1]["nominatedNodeName"] is None, "it was nominated before"


def test_a_binding_that_the_server_refuses_is_undone_and_others_get_the_place() -> None:
    notes: list[str] = []

    async def play(cluster: Cluster) -> None:
        put(cluster, pod("a", cpu="3"))
        cluster.writes.answer = refused("bind")
        await cluster.turn()
        assert condition(cluster)[1].startswith('running Bind plugin "DefaultBinder": ')
        assert notes[-1] == "unreserve One a n" and cluster.waits("default/a") == "backoff"
        cluster.writes.answer = lambda verb, key: None
        await cluster.later(2)
        await cluster.turn()
        assert cluster.writes.bound == {"default/a": "n"} and notes[-1] == "post_bind One a n"

    played([Noting("One", notes)], play)


def test_a_pod_waits_for_its_permits_and_its_place_is_taken_meanwhile() -> None:
    notes: list[str] = []

    async def play(cluster: Cluster) -> None:
        put(cluster, pod("a", cpu="3"), pod("b", cpu="3"))
        await cluster.turn()
        waiting = cluster.scheduler.waiting_pods.get("a")
        assert waiting is not None and waiting.pending == ("One", "Two") and waiting.node == "n"
        assert ("default/a", {"nominatedNodeName": "n"}) in cluster.writes.patches
        assert cluster.waits("default/b") == "unschedulable", "the place is taken"
        waiting.allow("One")
        await cluster.turn()
        assert cluster.writes.bound == {} and waiting.pending == ("Two",)
        waiting.allow("Two")
        assert not waiting.reject("Two", "too late")
        await cluster.turn()
        assert cluster.writes.bound == {"default/a": "n"} and len(cluster.scheduler.waiting_pods) == 0

    played([Noting("One", notes, permit=Wait(60)), Noting("Two", notes, permit=Wait(5))], play)


def test_a_permit_that_does_not_come_in_time_and_one_that_is_refused_are_rejections() -> None:
    notes: list[str] = []

    async def play(cluster: Cluster) -> None:
        put(cluster, pod("a", cpu="3"))
        await cluster.turn()
        await cluster.later(1.5)
        late = "rejected due to timeout after waiting 1.5s at plugin One"
        assert condition(cluster) == ("Unschedulable", f"0/1 nodes are available: 1 {late}.")
        assert cluster.waits("default/a") == "unschedulable"
        assert cluster.scheduler.queue.get("default/a").plugins == {"One"}  # type: ignore[union-attr]
        put(cluster, pod("b", cpu="3"))
        await cluster.turn()
        waiting = cluster.scheduler.waiting_pods.get("b")
        assert waiting is not None and waiting.reject("One", "the gang is off")
        await cluster.turn()
        assert condition(cluster) == ("Unschedulable", "0/1 nodes are available: 1 the gang is off.")

    played([Noting("One", notes, permit=Wait(1.5))], play)
    assert notes.count("unreserve One b n") == 1


def test_a_pod_that_is_deleted_while_it_waits_frees_its_place() -> None:
    notes: list[str] = []

    async def play(cluster: Cluster) -> None:
        put(cluster, pod("a", cpu="3"))
        await cluster.turn()
        cluster.drop("pods", "default/a")
        await cluster.turn()
        assert notes[-1] == "unreserve One a n" and not cluster.scheduler.binder.cycles
        assert cluster.scheduler.mirror.assumed_count == 0 and len(cluster.scheduler.queue) == 0

    played([Noting("One", notes, permit=Wait(60))], play)


@pytest.mark.parametrize("stage", ["permit", "pre_bind"])
def test_a_pod_on_its_way_makes_room_without_being_deleted(stage: str) -> None:
    notes: list[str] = []

    async def play(cluster: Cluster) -> None:
        never = asyncio.get_running_loop().create_future()
        answer: Any = Wait(60) if stage == "permit" else lambda: asyncio.shield(never)
        one.says[stage] = answer
        one.concerns = lambda pod: pod["metadata"]["name"] == "a"  # type: ignore[attr-defined]
        put(cluster, pod("a", cpu="3"))
        await cluster.turn()
        put(cluster, pod("b", cpu="3", priority=10))
        await cluster.turn()
        assert cluster.writes.deleted == []
        assert (
            cluster.notes.last("a", "Preempted") == "Preempted by pod b on node n (in kube-scheduler memory)."
        )
        text = {
            "permit": "waiting on permit for pod: preempted",
            "pre_bind": 'running PreBind plugin "One": preempted by DefaultPreemption',
        }
        assert cluster.notes.last("a", "FailedScheduling") == text[stage]
        await cluster.later(1)
        await cluster.turn()
        assert cluster.writes.bound == {"default/b": "n"}
        never.cancel()

    one = Noting("One", notes)
    played([one], play)


def test_plugins_that_may_pre_bind_side_by_side() -> None:
    notes: list[str] = []

    async def play(cluster: Cluster) -> None:
        both = asyncio.Barrier(2)

        async def meet() -> None:
            await both.wait()
            notes.append("met")

        one.says["pre_bind"] = two.says["pre_bind"] = meet
        put(cluster, pod("a"))
        await cluster.turn()
        assert cluster.writes.bound == {"default/a": "n"}

    one, two, three = (Noting(name, notes) for name in ("One", "Two", "Three"))
    one.is_parallel = two.is_parallel = True  # type: ignore[attr-defined]
    played([one, two, three], play)
    assert notes.index("met") < notes.index("pre_bind Three a n")


def test_a_lost_answer_to_a_binding_does_not_free_the_place_of_a_pod_that_is_there() -> None:
    async def play(cluster: Cluster) -> None:
        put(cluster, pod("a", cpu="3"))

        def lost(verb: str, key: str) -> Exception | None:
            if verb != "bind":
                return None
            cluster.writes.bound[key] = "n"
            cluster.show(key)
            cluster.scheduler._take_in()
            return ApiError(504, "Timeout", "who knows")

        cluster.writes.answer = lost
        await cluster.turn()
        assert cluster.waits("default/a") == "" and cluster.scheduler.mirror.pod_count == 1

    played([], play)


def test_durations_are_printed_as_go_prints_them() -> None:
    milli = 1_000_000
    printed = [
        go_duration(ns) for ns in (0, 1, 1_500, 250 * milli, 1_500 * milli, 60_000 * milli, 5_400_000 * milli)
    ]
    assert printed == ["0s", "1ns", "1.5µs", "250ms", "1.5s", "1m0s", "1h30m0s"]
    assert go_duration(-90_000 * milli) == "-1m30s"
