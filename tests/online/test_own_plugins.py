"""Users' classes around a decision: declared, named in a profile, made once for each, asked at their points."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import kcore
from kcore.api.errors import InputError
from kcore.scheduler.config import load_configuration
from kcore.scheduler.plugins import contract
from tests.online.cluster import Cluster
from tests.online.test_hints import node, pod, put

Object = dict[str, Any]


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's plugins but those of the test."""
    monkeypatch.setattr(contract, "_load_entry_points", lambda: None)
    monkeypatch.setattr(contract, "_registered", {})


def made(name: str, args: Object | None = None, **plugins: Object) -> Cluster:
    """A cluster of one node whose only profile has the plugin at all its points."""
    profile: Object = {
        "schedulerName": "default-scheduler",
        "plugins": {"multiPoint": {"enabled": [{"name": name}]}, **plugins},
    }
    if args is not None:
        profile["pluginConfig"] = [{"name": name, "args": args}]
    document = {
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration", "profiles": [profile],
    }  # fmt: skip
    cluster = Cluster(load_configuration(document, third_party=contract.own_points()))
    put(cluster, node("n", cpu="8"))
    return cluster


def played(make: Callable[[], Cluster], play: Callable[[Cluster], Any]) -> None:
    async def run() -> None:
        cluster = make()
        await play(cluster)
        for _, task in tuple(cluster.scheduler.binder.cycles.values()):
            task.cancel()
        await asyncio.gather(*cluster.scheduler._writes, return_exceptions=True)

    asyncio.run(run())


def declare_gang() -> None:
    @kcore.plugin("Gang")
    class Gang:
        """Pods of one gang are bound together, or none of them is."""

        def __init__(self, scheduler: Any, seconds: float = 30) -> None:
            self.scheduler = scheduler
            self.seconds = seconds

        def concerns(self, pod: Object) -> bool:
            return "gang" in pod["metadata"]["labels"]

        def others(self, pod: Object) -> list[Any]:
            gang = pod["metadata"]["labels"]["gang"]
            return [
                one for one in self.scheduler.waiting_pods if one.pod["metadata"]["labels"]["gang"] == gang
            ]

        async def permit(self, pod: Object, node: str) -> Any:
            others = self.others(pod)
            if len(others) + 1 < int(pod["metadata"]["labels"]["size"]):
                return kcore.Wait(self.seconds)
            for one in others:
                one.allow("Gang")
            return None

        def unreserve(self, pod: Object, node: str) -> None:
            for one in self.others(pod):
                one.reject("Gang", f"{pod['metadata']['name']} is not coming")


def member(name: str, size: int = 3) -> Object:
    return pod(name, labels={"gang": "g", "size": str(size)}, cpu="1")


def test_a_gang_is_bound_together_or_not_at_all() -> None:
    async def play(cluster: Cluster) -> None:
        put(cluster, member("a"), pod("alone"), member("b"))
        await cluster.turn()
        assert cluster.writes.bound == {"default/alone": "n"}
        assert len(cluster.scheduler.waiting_pods) == 2
        put(cluster, member("c"))
        await cluster.turn()
        assert set(cluster.writes.bound) == {"default/alone", "default/a", "default/b", "default/c"}

    declare_gang()
    played(lambda: made("Gang"), play)


def test_where_one_of_a_gang_falls_all_fall() -> None:
    async def play(cluster: Cluster) -> None:
        put(cluster, member("a"), member("b"))
        await cluster.turn()
        await cluster.later(2.5)
        notes = {name: cluster.notes.last(name, "FailedScheduling") for name in "ab"}
        assert notes == {
            "a": "0/1 nodes are available: 1 rejected due to timeout after waiting 2.5s at plugin Gang.",
            "b": "0/1 nodes are available: 1 a is not coming.",
        }
        assert cluster.scheduler.mirror.assumed_count == 0

    declare_gang()
    played(lambda: made("Gang", {"seconds": 2.5}), play)


def test_a_pod_is_kept_out_of_the_queue_and_let_in() -> None:
    open_for: set[str] = set()

    @kcore.plugin("Quota", events=["Pod/Delete"])
    class Quota:
        def __init__(self, scheduler: Any) -> None:
            plugins["it"] = scheduler

        def pre_enqueue(self, pod: Object) -> Any:
            if pod["metadata"]["name"] == "broken":
                raise ValueError("no idea")
            return None if pod["metadata"]["name"] in open_for else kcore.Reject("over quota")

    plugins: dict[str, Any] = {}

    async def play(cluster: Cluster) -> None:
        put(cluster, pod("a"), pod("b"), pod("broken"))
        await cluster.turn()
        assert cluster.scheduler.queue.counts["gated"] == 3
        open_for.update("ab")
        put(cluster, node("more"))
        await cluster.turn()
        assert cluster.writes.bound == {}, "it waits for something else"
        assert plugins["it"].activate(pod("a")) and not plugins["it"].activate(pod("nobody"))
        await cluster.turn()
        assert set(cluster.writes.bound) == {"default/a"}
        cluster.show("default/a")
        await cluster.turn()
        cluster.drop("pods", "default/a")
        await cluster.turn()
        assert "default/b" in cluster.writes.bound
        assert cluster.waits("default/broken") == "gated"

    played(lambda: made("Quota"), play)


def test_the_queue_is_in_the_plugins_order() -> None:
    @kcore.plugin("Shortest")
    class Shortest:
        def sort_key(self, pod: Object) -> float:
            return float(pod["metadata"]["labels"]["seconds"])

    def make() -> Cluster:
        return made("Shortest", queueSort={"disabled": [{"name": "PrioritySort"}]})

    async def play(cluster: Cluster) -> None:
        labels = {"a": "9", "b": "soon", "c": "1"}
        put(cluster, *(pod(name, labels={"seconds": seconds}) for name, seconds in labels.items()))
        await cluster.turn()
        assert list(cluster.writes.bound) == ["default/c", "default/a", "default/b"]

    played(make, play)
    with pytest.raises(InputError, match="has PrioritySort and Shortest"):
        made("Shortest")


def test_all_points_hear_of_a_pod_and_each_profile_has_its_own_object() -> None:
    heard: list[str] = []

    @kcore.plugin("All")
    class All:
        def reserve(self, pod: Object, node: str) -> None:
            heard.append("reserve")

        async def pre_bind(self, pod: Object, node: str) -> None:
            await asyncio.sleep(0)
            heard.append("pre_bind")

        async def post_bind(self, pod: Object, node: str) -> None:
            heard.append("post_bind")
            raise RuntimeError("the pod is bound all the same")

    async def play(cluster: Cluster) -> None:
        put(cluster, pod("a"))
        await cluster.turn()
        assert cluster.writes.bound == {"default/a": "n"} and heard == ["reserve", "pre_bind", "post_bind"]

    played(lambda: made("All"), play)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"second": 3}, "pluginConfig[name=Strict].args.second: Strict has no parameter 'second' (expected one of: "),
        ({"seconds": "3"}, "pluginConfig[name=Strict].args.seconds: '3' is not a number (expected a number)"),
        ({"seconds": True}, "True is not a number"),
        ({"names": "x"}, "pluginConfig[name=Strict].args.names: 'x' is not a list"),
        ({"seconds": -1}, "plugin Strict: failed with ValueError: seconds must not be below 0"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be(args: Object, words: str) -> None:
    @kcore.plugin("Strict")
    class Strict:
        def __init__(self, seconds: float = 3, names: tuple[str, ...] = ()) -> None:
            if seconds < 0:
                raise ValueError("seconds must not be below 0")

        def permit(self, pod: Object, node: str) -> None: ...

    with pytest.raises(InputError) as caught:
        made("Strict", args)
    assert words in str(caught.value)


def test_arguments_that_are_missing_and_events_that_there_are_not() -> None:
    @kcore.plugin("Needs", events=["Pod/Foo"])
    class Needs:
        def __init__(self, size: int) -> None: ...

        def permit(self, pod: Object, node: str) -> None: ...

    with pytest.raises(InputError, match="size: is missing"):
        made("Needs")
    with pytest.raises(InputError, match='plugin Needs: waits for "Pod/Foo"'):
        made("Needs", {"size": 3})


def test_declarations_that_cannot_be() -> None:
    class Empty: ...

    class Late:
        async def pre_enqueue(self, pod: Object) -> None: ...

    class Open:
        def __init__(self, **args: Any) -> None: ...

        def permit(self, pod: Object, node: str) -> None: ...

    for kind, words in ((Empty, "has none of the methods"), (Late, "cannot be async"), (Open, "cannot take")):
        with pytest.raises(ValueError, match=words):
            kcore.plugin("X")(kind)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="in-tree"):
        kcore.plugin("NodeName")(type("Mine", (), {"permit": lambda self, pod, node: None}))
    declare_permit_only()
    with pytest.raises(InputError, match="does not implement reserve"):
        made("Mine", reserve={"enabled": [{"name": "Mine"}]})


def declare_permit_only() -> None:
    @kcore.plugin("Mine")
    class Mine:
        def permit(self, pod: Object, node: str) -> None: ...


def test_files_are_decided_without_and_the_result_says_so() -> None:
    declare_permit_only()
    profile = {"plugins": {"multiPoint": {"enabled": [{"name": "Mine"}]}}}
    document = {
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration", "profiles": [profile],
    }  # fmt: skip
    one = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c"}]},
    }
    room = {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "1"}}
    there = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": room}
    result = kcore.Cluster.from_objects([there, one]).schedule(config=document)
    assert "Mine: is asked at permit by kcore scheduler; here it was not" in result.summary["notes"]
