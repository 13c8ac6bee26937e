"""Daemon sets on paper, and one alive with the scheduler."""

import asyncio
from typing import Any

import pytest

from kcore.controllers import controller_revisions as revisions
from kcore.controllers import daemon_set_pods as daemons
from kcore.controllers.daemon_set import DaemonSet
from kcore.controllers.node_fit import affinity_of
from tests.controllers.living import living, workload
from tests.controllers.paper import Paper, pod_template

Object = dict[str, Any]


def node(name: str, labels: Any = None, taints: Any = ()) -> Object:
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": list(taints)},
    }  # fmt: skip


def paper(count: int = 3, **spec: Any) -> Paper:
    it = Paper(DaemonSet())
    for number in range(count):
        it.put(node(f"n{number}"))
    rolling = {"maxUnavailable": 1, "maxSurge": 0}
    defaults = {
        "selector": {"matchLabels": {"app": "log"}}, "template": pod_template("log"), "revisionHistoryLimit": 1,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
    }  # fmt: skip
    metadata = {"name": "log", "namespace": "default", "generation": 1}
    it.put({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": {**defaults, **spec}})
    return it


def the_set(it: Paper) -> Object:
    found = it.get("daemonsets.apps", "default", "log")
    assert found is not None
    return found


def change(it: Paper, **spec: Any) -> None:
    found = the_set(it)
    metadata = {**found["metadata"], "generation": found["metadata"]["generation"] + 1}
    it.put({**found, "metadata": metadata, "spec": {**found["spec"], **spec}})


def run(it: Paper) -> None:
    """Pending pods are bound where they are for and become ready, those that are being deleted go."""
    for pod in it.pods():
        if "deletionTimestamp" in pod["metadata"]:
            it.leaves(pod)
        elif pod["status"]["phase"] == "Pending":
            it.goes({**pod, "spec": {**pod["spec"], "nodeName": daemons.node_of(pod)}}, "Running")


def settle(it: Paper, rounds: int = 12) -> list[int]:
    """How many pods were there after each round."""
    counts = []
    for _ in range(rounds):
        it.round("log")
        counts.append(len([pod for pod in it.pods() if "deletionTimestamp" not in pod["metadata"]]))
        run(it)
    return counts


def new_template(image: str) -> Object:
    template = pod_template("log")
    template["spec"]["containers"][0]["image"] = image
    return template


def images(it: Paper) -> dict[str, str]:
    return {pod["spec"]["nodeName"]: pod["spec"]["containers"][0]["image"] for pod in it.pods()}


def test_every_node_has_a_pod_that_the_scheduler_binds() -> None:
    it = paper()
    it.round("log")
    assert sorted(str(daemons.node_of(pod)) for pod in it.pods()) == ["n0", "n1", "n2"]
    pod = it.pods()[0]
    keys = [(each["key"].rpartition("/")[2], each["effect"]) for each in pod["spec"]["tolerations"]]
    assert keys == [
        ("not-ready", "NoExecute"), ("unreachable", "NoExecute"), ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"), ("pid-pressure", "NoSchedule"), ("unschedulable", "NoSchedule"),
    ]  # fmt: skip
    assert not pod["spec"].get("nodeName") and it.told[0].startswith(
        "Normal SuccessfulCreate Created pod: log-"
    )
    run(it)
    it.round("log")
    status = the_set(it)["status"]
    assert status == {
        "currentNumberScheduled": 3, "desiredNumberScheduled": 3, "numberAvailable": 3, "numberMisscheduled": 0,
        "numberReady": 3, "observedGeneration": 1, "updatedNumberScheduled": 3,
    }  # fmt: skip


def woken(it: Paper, changed: Object) -> list[str]:
    """The daemon sets that the change of a node wakes."""
    return [str(key) for key in it.controller.watches[3].keys(node("fast"), changed, it)]


def test_nodes_that_do_not_fit_or_are_tainted() -> None:
    it = paper(0, template=pod_template("log", nodeSelector={"disk": "ssd"}))
    it.put(node("plain"))
    it.put(node("fast", {"disk": "ssd"}))
    it.put(node("tainted", {"disk": "ssd"}, [{"key": "gpu", "effect": "NoSchedule"}]))
    settle(it, 2)
    assert list(images(it)) == ["fast"]
    change_of = it.put(node("fast", {"disk": "ssd"}, [{"key": "gpu", "effect": "NoSchedule"}]))
    assert woken(it, change_of) == []
    settle(it, 1)
    assert list(images(it)) == ["fast"] and the_set(it)["status"]["numberMisscheduled"] == 1, (
        "it may stay there"
    )
    gone = it.put(node("fast", {"disk": "ssd"}, [{"key": "gpu", "effect": "NoExecute"}]))
    assert woken(it, gone) == ["default/log"]
    settle(it, 2)
    assert not it.pods()


@pytest.mark.parametrize(
    ("rolling", "least", "most"),
    [
        ({"maxUnavailable": 1}, 2, 3), ({"maxUnavailable": "67%"}, 0, 3), ({"maxUnavailable": 0, "maxSurge": 1}, 3, 4),
        ({"maxUnavailable": 0, "maxSurge": "100%"}, 3, 6),
    ],
)  # fmt: skip
def test_a_rolling_update_keeps_its_bounds(rolling: Any, least: int, most: int) -> None:
    it = paper(updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    settle(it, 2)
    change(it, template=new_template("web:2"))
    counts = settle(it)
    assert (min(counts), max(counts)) == (least, most)
    assert set(images(it).values()) == {"web:2"} and len(it.pods()) == 3
    assert the_set(it)["status"]["updatedNumberScheduled"] == 3


def test_on_delete_waits_and_history_is_kept() -> None:
    it = paper(updateStrategy={"type": "OnDelete"})
    settle(it, 2)
    for image in ("web:2", "web:3", "web:2"):
        change(it, template=new_template(image))
        settle(it, 2)
    assert set(images(it).values()) == {"web:1"}
    history = revisions.in_order(it.list(revisions.RESOURCE))
    found = [
        (each["revision"], revisions.template_of(each)["spec"]["containers"][0]["image"]) for each in history
    ]
    assert found[-1] == (4, "web:2") and (1, "web:1") in found, "pods are still of the first"
    it.leaves(it.pods()[0])
    settle(it, 2)
    assert sorted(images(it).values()) == ["web:1", "web:1", "web:2"]


def test_failed_pods_are_replaced_after_a_pause_that_grows() -> None:
    it = paper(1)
    settle(it, 2)
    for pause_ms in (None, 1000, 2000):
        it.goes(it.pods()[0], "Failed")
        again = it.round("log")
        if pause_ms is not None:
            assert again == pause_ms and "deletionTimestamp" not in it.pods()[0]["metadata"]
            it.now_ms += pause_ms
            it.round("log")
        assert "deletionTimestamp" in it.pods()[0]["metadata"]
        run(it)
        it.round("log")
        run(it)
    assert sum("FailedDaemonPod Found failed daemon pod default/log-" in each for each in it.told) == 3


def test_required_node_affinity() -> None:
    def fits(*terms: Object) -> list[str]:
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
        of = affinity_of({"affinity": {"nodeAffinity": required}})
        return [
            each for each in ("a", "b") if of(node(each, {"zone": each, "size": "7" if each == "a" else "3"}))
        ]

    def by(kind: str, key: str, operator: str, *values: str) -> Object:
        return {kind: [{"key": key, "operator": operator, "values": list(values)}]}

    assert fits() == [] and fits({}) == []
    assert fits(by("matchExpressions", "zone", "In", "a", "c")) == ["a"]
    assert fits(by("matchExpressions", "zone", "NotIn", "a")) == ["b"]
    assert fits(by("matchExpressions", "size", "Gt", "5")) == ["a"]
    assert fits(by("matchExpressions", "size", "Gt", "x")) == []
    assert fits(by("matchFields", "metadata.name", "In", "b")) == ["b"]
    assert fits(by("matchExpressions", "zone", "In", "a"), by("matchFields", "metadata.name", "In", "b")) == [
        "a",
        "b",
    ]


def test_a_daemon_set_alive() -> None:
    async def living_set() -> None:
        async with living(DaemonSet(), schedules=True) as it:
            for name in ("a", "b"):
                made = node(name)
                amounts = {"cpu": "4", "memory": "4Gi", "pods": "10"}
                await it.client.create({**made, "status": {"allocatable": amounts, "capacity": amounts}})
                ready = {"spec": {"taints": None}}  # admission has tainted it: it is not ready yet
                await it.client.patch("nodes", name, ready)
            log = workload("DaemonSet", "log", 0)
            del log["spec"]["replicas"]
            await it.client.create(log)
            await it.until_there("daemonsets", "log", lambda ds: ds["status"].get("numberAvailable") == 2)
            await it.until(lambda: {pod["spec"].get("nodeName") for pod in it.pods.list()} == {"a", "b"})
            patch = {"spec": {"template": {"metadata": {"annotations": {"now": "new"}}}}}
            await it.client.patch("daemonsets", "log", patch, "default", type="strategic")
            await it.until_there(
                "daemonsets", "log",
                lambda ds: ds["status"].get("updatedNumberScheduled") == 2
                and ds["status"].get("numberAvailable") == 2 and ds["status"]["observedGeneration"] == 2,
            )  # fmt: skip

    asyncio.run(living_set())
