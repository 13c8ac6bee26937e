"""Disruption budgets and the garbage collection of pods, on paper; an eviction alive."""

import asyncio
from typing import Any

import pytest

from kcore.api.selectors import go_text
from kcore.api.status import ApiError
from kcore.controllers.contract import Patch
from kcore.controllers.disruption import POD, Disruption
from kcore.controllers.pod_gc import EVERY, PodGC
from kcore.controllers.replica_set import ReplicaSet
from kcore.controllers.times import text_of
from tests.controllers.living import living, workload
from tests.controllers.paper import Paper

Object = dict[str, Any]


def budget(**spec: Any) -> Object:
    metadata = {"name": "web", "namespace": "default", "generation": 1}
    selector = {"matchLabels": {"app": "web"}}
    return {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata,
        "spec": {"selector": selector, **spec},
    }  # fmt: skip


def pod(name: str, owner: Object | None = None, **more: Any) -> Object:
    metadata: Object = {"name": name, "namespace": "default", "labels": {"app": "web"}}
    if owner is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"], "controller": True,
            }
        ]  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, **more}


def paper(ready: int, owner: Object | None = None, **spec: Any) -> Paper:
    it = Paper(Disruption())
    it.put(budget(**spec))
    if owner is not None:
        owner = it.put(owner)
    for number in range(ready):
        it.goes(it.put(pod(f"web-{number}", owner)), "Running")
    it.round("web")
    return it


def numbers(it: Paper) -> tuple[int, ...]:
    status = status_of(it)
    return tuple(
        status[name] for name in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
    )


def status_of(it: Paper) -> Object:
    found = it.get("poddisruptionbudgets.policy", "default", "web")
    assert found is not None
    status: Object = found["status"]
    return status


def reason(it: Paper) -> str:
    found: str = status_of(it)["conditions"][0]["reason"]
    return found


WEB: Object = {**workload("ReplicaSet", "web", 4)}


@pytest.mark.parametrize(
    ("spec", "ready", "expected"),
    [
        ({"minAvailable": 2}, 3, (1, 3, 2, 3)), ({"minAvailable": "50%"}, 3, (1, 3, 2, 4)),
        ({"maxUnavailable": 1}, 4, (1, 4, 3, 4)), ({"maxUnavailable": 1}, 3, (0, 3, 3, 4)),
        ({"maxUnavailable": "30%"}, 4, (2, 4, 2, 4)), ({"minAvailable": 9}, 3, (0, 3, 9, 3)),
    ],
)  # fmt: skip
def test_how_many_pods_may_go(spec: Any, ready: int, expected: tuple[int, ...]) -> None:
    it = paper(ready, WEB, **spec)
    assert numbers(it) == expected
    assert reason(it) == ("SufficientPods" if expected[0] else "InsufficientPods")
    before = status_of(it)
    it.round("web")
    assert status_of(it) == before


def test_controllers_of_other_kinds_are_asked_for_their_scale() -> None:
    widget: Object = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "uid": "w1", "namespace": "default"},
    }
    it = Paper(Disruption())
    it.put(budget(maxUnavailable=1))
    it.goes(it.put(pod("web-0", widget)), "Running")
    it.round("web")
    assert (
        reason(it) == "SyncFailed"
        and 'found no controllers for pod "web-0"' in status_of(it)["conditions"][0]["message"]
    )
    it.scales["w"] = {"metadata": {"uid": "w1"}, "spec": {"replicas": 2}}
    it.round("web")
    assert numbers(it) == (0, 1, 1, 2)
    fixed = {**widget, "kind": "Block", "metadata": {**widget["metadata"], "name": "b", "uid": "b1"}}
    it.goes(it.put(pod("web-1", fixed)), "Running")
    it.round("web")
    text = "blocks.example.com does not implement the scale subresource"
    assert status_of(it)["conditions"][0]["message"] == text
    unknown = {**widget, "kind": "Gadget", "metadata": {**widget["metadata"], "uid": "g1"}}
    it.goes(it.put(pod("web-1", unknown)), "Running")
    it.round("web")
    assert (
        status_of(it)["conditions"][0]["message"]
        == 'no matches for kind "Gadget" in version "example.com/v1"'
    )


def test_evicted_pods_are_counted_out_until_they_should_be_gone() -> None:
    it = paper(3, WEB, minAvailable=1)
    found = it.get("poddisruptionbudgets.policy", "default", "web")
    assert found is not None
    evicted = {"web-0": text_of(it.now_ms)}
    it.put({**found, "status": {**found["status"], "disruptedPods": evicted}})
    assert 119_000 <= (it.round("web") or 0) <= 120_000
    assert numbers(it) == (1, 2, 1, 3) and status_of(it)["disruptedPods"] == evicted
    it.now_ms += 121_000
    it.round("web")
    assert numbers(it) == (2, 3, 1, 3) and "disruptedPods" not in status_of(it)
    assert (
        it.told[-1]
        == "Warning NotDeleted Pod was expected by PDB default/default to be deleted but it wasn't"
    )


def test_a_condition_that_nothing_came_of_is_cleared() -> None:
    it = Paper(Disruption())
    condition = {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": text_of(it.now_ms)}
    it.put(pod("web-0", status={"phase": "Running", "conditions": [condition]}))
    assert (it.round(POD + "web-0") or 0) > 119_000
    it.now_ms += 120_001
    it.round(POD + "web-0")
    assert it.pods()[0]["status"]["conditions"][0]["status"] == "False"


def test_a_selector_as_go_prints_it() -> None:
    selector = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}],
    }
    assert go_text(selector) == (
        "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},"
        "MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}"
    )


def collect(it: Paper) -> None:
    it.round(EVERY.name, EVERY.namespace)


def gc(terminated_max: int = 12_500) -> Paper:
    it = Paper(PodGC(terminated_max))
    it.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "there"}})
    return it


def on(name: str, node: str, phase: str = "Running", **metadata: Any) -> Object:
    made = pod(name, status={"phase": phase})
    return {**made, "metadata": {**made["metadata"], **metadata}, "spec": {"nodeName": node}}


def names(it: Paper) -> list[str]:
    """Pods that nobody has asked to delete."""
    return [each["metadata"]["name"] for each in it.pods() if "deletionTimestamp" not in each["metadata"]]


def test_pods_on_nodes_that_are_gone_go_after_a_while() -> None:
    it = gc()
    it.put(on("stays", "there"))
    it.put(on("lost", "gone"))
    for _ in range(3):
        assert names(it) == ["lost", "stays"]
        collect(it)
        it.now_ms += 20_000
    assert names(it) == ["stays"]
    patch = next(action for action in it.acted if isinstance(action, Patch))
    assert patch.body["status"]["phase"] == "Failed"
    found = patch.body["status"]["conditions"][0]
    assert (found["type"], found["reason"], found["message"]) == (
        "DisruptionTarget", "DeletionByPodGC", "PodGC: node no longer exists",
    )  # fmt: skip


def test_too_many_finished_pods_and_pods_that_nobody_finishes_deleting() -> None:
    it = gc(terminated_max=2)
    for number, phase in enumerate(("Succeeded", "Failed", "Succeeded", "Running")):
        it.now_ms += 1000
        it.put(on(f"p{number}", "there", phase))
    evicted = on("p4", "there", "Failed")
    it.put({**evicted, "status": {"phase": "Failed", "reason": "Evicted"}})
    unscheduled = pod("u", status={"phase": "Pending"})
    going = {**unscheduled["metadata"], "deletionTimestamp": text_of(it.now_ms)}
    it.put({**unscheduled, "metadata": going})
    collect(it)
    assert names(it) == ["p1", "p2", "p3"]
    assert it.get("pods", "default", "u") is None


def test_an_eviction_alive() -> None:
    async def run() -> None:
        async with living(ReplicaSet(), Disruption()) as it:
            await it.client.create(budget(maxUnavailable=1))
            await it.client.create(workload("ReplicaSet", "web", 3))
            allowed = await it.until_there(
                "poddisruptionbudgets", "web", lambda found: found["status"].get("disruptionsAllowed") == 1
            )
            assert allowed["status"]["expectedPods"] == 3 and allowed["status"]["currentHealthy"] == 3
            it.ready = False
            answers = []
            for each in it.pods.list()[:2]:
                name = each["metadata"]["name"]
                eviction = {
                    "apiVersion": "policy/v1",
                    "kind": "Eviction",
                    "metadata": {"name": name, "namespace": "default"},
                }
                try:
                    await it.client.create(eviction, resource="pods", name=name, subresource="eviction")
                    answers.append(201)
                except ApiError as error:
                    answers.append(error.code)
            assert answers == [201, 429]

    asyncio.run(run())
