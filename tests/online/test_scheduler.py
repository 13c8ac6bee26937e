"""The scheduler in a cluster in this process."""

import asyncio
from typing import Any

from kcore.controllers.replica_set import ReplicaSet
from tests.controllers.living import Living, living, workload

Object = dict[str, Any]


async def node(it: Living, name: str, cpu: str = "4", **labels: str) -> None:
    allocatable = {"cpu": cpu, "memory": "8Gi", "pods": "110"}
    made = {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "status": {"allocatable": allocatable, "capacity": allocatable},
    }  # fmt: skip
    await it.client.create(made)
    await it.client.patch(
        "nodes", name, {"spec": {"taints": None}}, ""
    )  # not ready, says admission of a new node


def pod(name: str, cpu: str = "1", **spec: Any) -> Object:
    container = {"name": "main", "image": "web:1", "resources": {"requests": {"cpu": cpu}}}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }  # fmt: skip


async def placed(it: Living, name: str) -> str:
    obj = await it.until_there("pods", name, lambda found: found["spec"].get("nodeName"))
    where: str = obj["spec"]["nodeName"]
    return where


async def refused(it: Living, name: str) -> str:
    def says(obj: Object) -> Any:
        return [
            one["message"]
            for one in obj["status"].get("conditions", ())
            if one.get("reason") == "Unschedulable"
        ]

    obj = await it.until_there("pods", name, says)
    message: str = says(obj)[0]
    return message


def test_pods_are_bound_and_those_that_fit_nowhere_are_told_why_and_wait() -> None:
    async def run() -> None:
        async with living(schedules=True) as it:
            await it.client.create(pod("early"))
            assert await refused(it, "early") == "no nodes available to schedule pods"
            await node(it, "small", cpu="2")
            assert await placed(it, "early") == "small"
            await it.until(lambda: "Successfully assigned default/early to small" in it.told.said("Pod"))
            await it.client.create(pod("big", cpu="3"))
            assert await refused(it, "big") == (
                "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are "
                "available: 1 Preemption is not helpful for scheduling."
            )
            await node(it, "large", cpu="4")
            assert await placed(it, "big") == "large"

            await it.client.create(pod("picky", nodeSelector={"disk": "ssd"}))
            await refused(it, "picky")
            await it.client.patch("nodes", "small", {"metadata": {"labels": {"disk": "ssd"}}}, "")
            assert await placed(it, "picky") == "small"

            await it.client.create(pod("waits", cpu="2"))
            await refused(it, "waits")
            await it.client.delete("pods", "big", "default")
            assert await placed(it, "waits") == "large"

    asyncio.run(run())


def test_gates_keep_a_pod_and_other_schedulers_pods_are_left_alone() -> None:
    async def run() -> None:
        async with living(schedules=True) as it:
            await node(it, "one")
            await it.client.create(pod("gated", schedulingGates=[{"name": "example.com/wait"}]))
            await it.client.create(pod("theirs", schedulerName="somebody-else"))
            await it.client.create(pod("ours"))
            assert await placed(it, "ours") == "one"
            for name in ("gated", "theirs"):
                assert "nodeName" not in (await it.client.get("pods", name, "default"))["spec"]
            await it.client.patch("pods", "gated", {"spec": {"schedulingGates": None}}, "default")
            assert await placed(it, "gated") == "one"

    asyncio.run(run())


def test_a_pod_of_higher_priority_makes_room_for_itself() -> None:
    async def run() -> None:
        async with living(schedules=True) as it:
            await node(it, "one", cpu="2")
            high = {
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"},
                "value": 1000,
            }  # fmt: skip
            await it.client.create(high)
            await it.client.create(pod("low", cpu="2"))
            await placed(it, "low")
            seen: list[Object] = []
            it.pods.add_batch_listener(
                lambda changes: seen.extend(one.new for one in changes if one.new is not None)
            )
            await it.client.create(pod("high", cpu="2", priorityClassName="high"))
            assert await placed(it, "high") == "one"
            last = [obj for obj in seen if obj["metadata"]["name"] == "low"][-1]
            target = next(one for one in last["status"]["conditions"] if one["type"] == "DisruptionTarget")
            assert (target["reason"], target["message"]) == (
                "PreemptionByScheduler",
                "default-scheduler: preempting to accommodate a higher priority pod",
            )
            assert any(obj["status"].get("nominatedNodeName") == "one" for obj in seen)
            assert any(message.startswith("Preempted by pod ") for message in it.told.said("Pod"))

    asyncio.run(run())


def test_a_backlog_is_placed_as_the_engine_places_it_whole() -> None:
    async def run() -> None:
        async with living(ReplicaSet(), schedules=True) as it:
            for number in range(5):
                await node(it, f"n{number}", cpu="8")
            await it.client.create(workload("ReplicaSet", "web", 100))
            await it.until(lambda: sum("nodeName" in one["spec"] for one in it.pods.list()) == 100)
            nodes = [one["spec"]["nodeName"] for one in it.pods.list()]
            assert {nodes.count(name) for name in set(nodes)} == {20}

    asyncio.run(run())
