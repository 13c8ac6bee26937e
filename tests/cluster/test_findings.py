"""What the simulation has found, each as small as it can be."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.client.informer import SharedInformers
from kcore.clock import SteadyTime, VirtualClock
from kcore.controllers.contract import Create
from kcore.controllers.deployment import Deployment
from kcore.controllers.driver import Hands
from kcore.controllers.seen import Write
from kcore.controllers.view import InformerView
from kcore.hollow.actions import Failed, Key, Play, Remove, Renew
from kcore.hollow.core import Core
from kcore.hollow.driver import Driver as HollowDriver
from kcore.hollow.leases import Leases
from kcore.hollow.nodes import EVERY, Nodes
from kcore.hollow.stage import POD
from tests.controllers.living import workload
from tests.controllers.paper import Paper
from tests.online.cluster import Cluster, refused
from tests.online.test_hints import node, pod

Object = dict[str, Any]


class Server:
    """Answers in turn: an exception is raised, None is a success, each a turn of the loop later than the last."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def _answer(self, name: str) -> Object:
        self.asked.append(name)
        answer = self.answers.pop(0)
        for _ in self.asked:
            await asyncio.sleep(0)
        if answer is not None:
            raise answer
        return {
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": "7"},
        }

    async def create(self, obj: Object, **more: Any) -> Object:
        """POST."""
        return await self._answer(obj["metadata"]["name"])

    async def patch(self, resource: str, name: str, *rest: Any, **more: Any) -> Object:
        """PATCH."""
        return await self._answer(name)

    async def delete(self, resource: str, name: str, *rest: Any, **more: Any) -> Object:
        """DELETE."""
        return await self._answer(name)

    async def together(self, works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        """All at once."""
        return await asyncio.gather(*works, return_exceptions=True)


def _scaled_down(image: str) -> Paper:
    """A deployment of six, of fourteen a moment ago, and the old replica set, whose status still says fourteen."""
    it = Paper(Deployment())
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}}
    web = it.put(workload("Deployment", "web", 14, strategy=strategy, progressDeadlineSeconds=600))
    for _ in range(3):
        it.round("web")
    (old,) = it.list("replicasets.apps")
    full = {"replicas": 14, "readyReplicas": 14, "availableReplicas": 14, "observedGeneration": 1}
    it.put({**old, "status": full})
    web = it.get("deployments.apps", "default", "web") or web
    template = workload("Deployment", "web", 6, image)["spec"]["template"]
    metadata = {**web["metadata"], "generation": 2}
    it.put({**web, "metadata": metadata, "spec": {**web["spec"], "replicas": 6, "template": template}})
    return it


def test_an_old_replica_set_is_not_scaled_by_a_status_from_before_it_was_scaled() -> None:
    it = _scaled_down("web:2")
    for _ in range(6):
        it.round("web")
    sizes = sorted(each["spec"]["replicas"] for each in it.list("replicasets.apps"))
    assert sizes == [2, 6]


def test_available_pods_of_a_replica_set_that_shrinks_count_no_more_than_stay() -> None:
    it = _scaled_down("web:2")
    for _ in range(6):
        it.round("web")
    shrunk, new = sorted(it.list("replicasets.apps"), key=lambda each: -each["spec"]["replicas"])
    oldest = {**shrunk, "metadata": {**shrunk["metadata"], "name": "web-oldest", "uid": "oldest"}}
    # six pods are wanted: three of the oldest set that are well, and one that stays of fourteen; none may go
    it.put(
        {
            **oldest,
            "spec": {**shrunk["spec"], "replicas": 4},
            "status": {"replicas": 4, "availableReplicas": 3},
        }
    )
    it.put(
        {
            **shrunk,
            "spec": {**shrunk["spec"], "replicas": 1},
            "status": {"replicas": 14, "availableReplicas": 14},
        }
    )
    it.put({**new, "spec": {**new["spec"], "replicas": 3}, "status": {"replicas": 3, "availableReplicas": 1}})
    it.round("web")
    sizes = {each["metadata"]["name"]: each["spec"]["replicas"] for each in it.list("replicasets.apps")}
    assert sizes[shrunk["metadata"]["name"]] == 1
    assert sizes["web-oldest"] >= 3


def test_writes_beside_one_whose_connection_breaks_are_waited_for() -> None:
    async def run() -> None:
        server = Server(ConnectionResetError("gone"), None)
        view = InformerView(SharedInformers(server))  # type: ignore[arg-type]
        hands = Hands(server, None, view)  # type: ignore[arg-type]
        written: list[Write] = []
        pods = [{"metadata": {"name": name, "namespace": "default"}} for name in ("a", "b")]
        outcomes = await hands.perform([Create("pods", each) for each in pods], written)
        assert isinstance(outcomes[0], ApiError) and (outcomes[0].code, outcomes[0].message) == (503, "gone")
        assert isinstance(outcomes[1], dict) and outcomes[1]["metadata"]["name"] == "b"

    asyncio.run(run())


def test_what_a_watch_tells_late_of_a_bound_pod_does_not_take_it_off_its_node() -> None:
    async def run() -> None:
        cluster = Cluster()
        cluster.put("nodes", node("a", cpu="1"))
        one = pod("one")
        cluster.put("pods", one)
        await cluster.settle()
        assert cluster.writes.bound == {"default/one": "a"}
        cluster.put("pods", {**one, "status": {"conditions": [{"type": "Other", "status": "True"}]}})
        cluster.put("pods", pod("two"))
        await cluster.settle()
        assert cluster.writes.bound == {"default/one": "a"}
        assert (cluster.waits("default/one"), cluster.waits("default/two")) == ("", "unschedulable")

    asyncio.run(run())


def test_a_pod_whose_binding_failed_keeps_the_node_that_it_was_promised() -> None:
    async def run() -> None:
        cluster = Cluster()
        cluster.put("nodes", node("a", cpu="1"))
        cluster.put("pods", {**pod("promised", priority=10), "status": {"nominatedNodeName": "a"}})
        cluster.writes.answer = refused("bind", 500)
        await cluster.settle()
        assert cluster.waits("default/promised") == "backoff"
        cluster.writes.answer = lambda verb, key: None
        cluster.put("pods", pod("other", priority=10))
        await cluster.settle()
        assert "default/other" not in cluster.writes.bound

    asyncio.run(run())


def test_time_goes_on_where_somebody_sets_the_clock_back() -> None:
    async def run() -> None:
        clock = VirtualClock(1_000.0)
        steady = SteadyTime(clock)
        await clock.advance(1.0)
        clock.set_wall(500.0)
        assert steady.time_s() == 1_001.0
        await clock.advance(2.0)
        assert steady.time_s() == 1_003.0
        clock.set_wall(9_000.0)
        assert steady.time_s() == 9_000.0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        (ConnectionResetError(), ("b",)),
        (ApiError(500, "InternalError", "no"), ("b",)),
        (ApiError(404, "NotFound", "no"), ()),
    ],
)
def test_renewals_that_the_server_has_not_heard_of_are_left_to_be_tried_again(
    fault: Exception, left: tuple[str, ...]
) -> None:
    async def run() -> None:
        leases = Leases(Server(None, fault), 40)  # type: ignore[arg-type]
        assert (await leases.renew(Renew(("a", "b"), ("1", "2")), 0)).names == left

    asyncio.run(run())


def test_an_internal_error_of_the_server_does_not_end_a_stage() -> None:
    async def run() -> None:
        core = Core({}, Nodes(EVERY, "10.0.0.1", lambda: 0, "10.128.0.0/9"))
        driver = HollowDriver(Server(ApiError(500, "InternalError", "no")), core)  # type: ignore[arg-type]
        answer = await driver._played(Play(Key(POD, "default", "a"), "1", "pod-delete", (Remove(),)))
        assert isinstance(answer, Failed) and answer.again

    asyncio.run(run())
