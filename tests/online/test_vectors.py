"""Recorded decisions of the real kube-scheduler, pod by pod through watches, queue, mirror, engine and bindings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.online.queue import GATED
from kcore.scheduler.config import load_configuration
from tests.conformance.scheduler_vectors import read_vectors, shared_folder, vectors_are_there
from tests.online.cluster import Cluster

Object = dict[str, Any]
RESOURCES = {
    "nodes": "nodes", "namespaces": "namespaces", "services": "services", "replicaSets": "replicasets.apps",
    "statefulSets": "statefulsets.apps", "replicationControllers": "replicationcontrollers",
    "pdbs": "poddisruptionbudgets.policy", "pods": "pods", "pending": "pods",
}  # fmt: skip
SAMPLE_EVERY = 12  # a scenario of so many is among the sample

needs_vectors = pytest.mark.skipif(
    not vectors_are_there(), reason=f"no scheduler vectors in {shared_folder()} (set KCORE_SHARED)"
)


class Replay:
    """One scenario; ``differences`` are what the scheduler online did otherwise."""

    def __init__(self, scenario: Object, expected: Object) -> None:
        self.scenario = scenario
        self.expected = expected
        configuration = load_configuration(scenario.get("config"))
        self.name = configuration.profiles[0].scheduler_name
        self.cluster = Cluster(configuration)
        self.differences: list[tuple[str, str, Any, Any]] = []
        self.compared = 0
        self.named: dict[str, Object] = {}

    def load(self) -> None:
        """The cluster is there."""
        for theirs, resource in RESOURCES.items():
            for obj in self.scenario.get(theirs) or ():
                if theirs == "pending":
                    obj = {**obj, "spec": {**obj["spec"], "schedulerName": self.name}}
                    if obj["spec"].get("nodeName"):
                        # it would not be the scheduler's to place: it comes where it went, in its turn
                        self.named[f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"] = obj
                        continue
                self.cluster.put(resource, obj)

    def same(self, pod: str, what: str, expected: Any, actual: Any) -> None:
        """One more comparison."""
        self.compared += 1
        if expected != actual:
            self.differences.append((f"{self.expected['name']} {pod}", what, expected, actual))

    async def run(self) -> None:
        """Every pod was tried once, in the order of the recording."""
        self.load()
        scheduler = self.cluster.scheduler
        scheduler._take_in()
        scheduler.mirror.refresh()
        for index, wanted in enumerate(self.expected["pods"]):
            key = wanted["pod"]
            if "preEnqueue" in wanted:
                self.same(key, "place", GATED, self.cluster.waits(key))
                continue
            if key in self.named:
                self.follow(index, key, wanted.get("node"))
                continue
            known = scheduler.queue.get(key)
            if "error" in wanted:
                self.same(key, "in the queue", None, known)
                continue
            assert known is not None
            await self.attempt(index, wanted, known)

    def follow(self, index: int, key: str, node: str | None) -> None:
        """The pod is where the recording put it."""
        if node:
            self.cluster.writes.bound[key] = node
            self.cluster.objects["pods", key] = self.named[key]
            self.shown(index, key)

    def shown(self, index: int, key: str) -> None:
        """A watch has shown the pod on its node."""
        minutes, seconds = divmod(index, 60)
        self.cluster.show(key, startTime=f"2026-06-01T00:{minutes:02}:{seconds:02}Z")
        self.cluster.scheduler._take_in()

    async def attempt(self, index: int, wanted: Object, known: Any) -> None:
        """One pod was tried; the cluster has followed the recording."""
        cluster, scheduler, key = self.cluster, self.cluster.scheduler, wanted["pod"]
        chosen = (wanted.get("preemption") or {}).get("nominated")
        evicts = self.scenario.get("onPreempt") == "evict"
        state = scheduler.mirror.state
        nominated, slots = state.nominated.copy(), state.pods.nominated.copy()
        if chosen and not evicts:
            cluster.writes.answer = lambda verb, key: ApiError(500, "", "no") if verb == "delete" else None
        cluster.writes.deleted.clear()
        cluster.writes.patches.clear()
        scheduler._decide_all([known], scheduler._now_ms())
        while scheduler._writes:
            await asyncio.sleep(0)
        cluster.writes.answer = lambda verb, key: None
        if "fitErrorFull" in wanted:
            text = cluster.notes.last(known.obj["metadata"]["name"], "FailedScheduling")
            self.same(key, "text", wanted["fitErrorFull"][:1020], text[:1020])
        if chosen:
            there = [
                one for one in wanted["preemption"]["victims"] if not is_going(cluster.objects["pods", one])
            ]
            self.same(key, "victims", sorted(there), sorted(cluster.writes.deleted))
            if (known.obj.get("status") or {}).get("nominatedNodeName") != chosen:
                told = [one.get("nominatedNodeName") for pod, one in cluster.writes.patches if pod == key]
                self.same(key, "nomination", [chosen], [name for name in told if name])
            if evicts:
                for victim in wanted["preemption"]["victims"]:
                    cluster.drop("pods", victim)
                scheduler._take_in()
                scheduler._decide_all([known], scheduler._now_ms())
                while scheduler._writes:
                    await asyncio.sleep(0)
            else:
                state.nominated = nominated
                state.pods.nominated[: len(slots)] = slots[: len(slots)]
        if wanted.get("node"):
            self.same(key, "node", wanted["node"], cluster.writes.bound.get(key))
            if key in cluster.writes.bound:
                self.shown(index, key)
        else:
            self.same(key, "node", None, cluster.writes.bound.get(key))


def is_going(pod: Object) -> bool:
    """Whether the pod is being deleted already: nobody deletes it once more."""
    return "deletionTimestamp" in pod["metadata"]


def replayed(step: int) -> tuple[int, list[Any]]:
    """How many comparisons every ``step``-th scenario makes, and what differs."""
    compared, differences = 0, []
    for number, (scenario, expected) in enumerate(read_vectors()):
        if number % step == 0:
            replay = Replay(scenario, expected)
            asyncio.run(replay.run())
            compared += replay.compared
            differences += replay.differences
    return compared, differences


@needs_vectors
@pytest.mark.vectors
def test_a_sample_of_recorded_decisions_agrees() -> None:
    compared, differences = replayed(SAMPLE_EVERY)
    assert compared > 100
    assert differences == []


@needs_vectors
@pytest.mark.vectors
@pytest.mark.slow
def test_every_recorded_decision_agrees() -> None:
    compared, differences = replayed(1)
    assert compared > 1_000
    assert differences == []
