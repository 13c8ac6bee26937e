"""No pod waits for the periodic flush: each event that may help a pod which a plugin rejected has it tried again.

Source: EventsToRegister of pkg/scheduler/framework/plugins/* of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kcore.online.queue import UNSCHEDULABLE
from tests.online.cluster import Cluster, refused

Object = dict[str, Any]
ROOM = {"cpu": "4", "memory": "8Gi", "pods": "10"}


def node(name: str, labels: dict[str, str] | None = None, spec: Object | None = None, **more: str) -> Object:
    own = {"kubernetes.io/hostname": name, **(labels or {})}
    return {
        "metadata": {"name": name, "uid": name, "labels": own}, "spec": spec or {},
        "status": {"allocatable": {**ROOM, **more}, "capacity": {**ROOM, **more}},
    }  # fmt: skip


def pod(name: str, node_name: str = "", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    cpu = spec.pop("cpu", "1")
    container = {
        "name": "c",
        "image": "x",
        "resources": {"requests": {"cpu": cpu}},
        **spec.pop("container", {}),
    }
    where = {"nodeName": node_name} if node_name else {}
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": labels or {}},
        "spec": {"containers": [container], "schedulerName": "default-scheduler", **where, **spec}, "status": {},
    }  # fmt: skip


def affinity(kind: str, **labels: str) -> Object:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


PORT: Object = {"container": {"ports": [{"containerPort": 80, "hostPort": 80}]}}
TAINT = {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}
SPREAD = [
    {
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "s"}},
    }
]  # fmt: skip
SPREADS: Object = {"labels": {"app": "s"}, "topologySpreadConstraints": SPREAD}
ZONES = (node("a", {"zone": "1"}), node("b", {"zone": "2"}, {"unschedulable": True}))
# Zone 1 holds one pod more than zone 2, where there is no room: a second there would make the skew two.
UNEVEN = (*ZONES, pod("one", "a", {"app": "s"}))
FULL = (
    node("a", {"zone": "1"}),
    node("b", {"zone": "2"}, pods="1"),
    pod("fills", "b"),
    pod("one", "a", {"app": "s"}),
)
ARM: Object = {"nodeSelector": {"arch": "arm"}}
NAMED: Object = {
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["z"]}]}
    ]}}}
}  # fmt: skip

# (what rejects it and what happens then): the cluster, the pod, what is put, what goes
CASES: dict[str, tuple[tuple[Object, ...], Object, tuple[Object, ...], tuple[str, ...]]] = {
    "NodeResourcesFit, a pod goes": ((node("a", cpu="2"), pod("x", "a")), {"cpu": "2"}, (), ("x",)),
    "NodeResourcesFit, a pod ends": (
        (node("a", cpu="2"), pod("x", "a")), {"cpu": "2"}, ({**pod("x", "a"), "status": {"phase": "Succeeded"}},), (),
    ),
    "NodeResourcesFit, a pod shrinks": (
        (node("a", cpu="3"), pod("x", "a", cpu="2")), {"cpu": "2"}, (pod("x", "a", cpu="1"),), (),
    ),
    "NodeResourcesFit, a node comes": ((node("a", cpu="1"),), {"cpu": "2"}, (node("b"),), ()),
    "NodeResourcesFit, a node grows": ((node("a", cpu="1"),), {"cpu": "2"}, (node("a"),), ()),
    "NodeResourcesFit, too many pods, one goes": ((node("a", pods="1"), pod("x", "a")), {}, (), ("x",)),
    "NodeAffinity, a node comes": ((node("a"),), ARM, (node("b", {"arch": "arm"}),), ()),
    "NodeAffinity, a label comes": ((node("a"),), ARM, (node("a", {"arch": "arm"}),), ()),
    "NodeAffinity by name, the node comes": ((node("a"),), NAMED, (node("z"),), ()),
    "NodeUnschedulable, a node is uncordoned": ((node("a", None, {"unschedulable": True}),), {}, (node("a"),), ()),
    "NodeUnschedulable, a node comes": ((node("a", None, {"unschedulable": True}),), {}, (node("b"),), ()),
    "NodeUnschedulable, the pod tolerates it": (
        (node("a", None, {"unschedulable": True}),), {},
        (pod("p", tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]),), (),
    ),
    "TaintToleration, the taint goes": ((node("a", None, TAINT),), {}, (node("a"),), ()),
    "TaintToleration, a node comes": ((node("a", None, TAINT),), {}, (node("b"),), ()),
    "TaintToleration, the pod tolerates it": (
        (node("a", None, TAINT),), {}, (pod("p", tolerations=[{"operator": "Exists"}]),), (),
    ),
    "NodePorts, the pod goes": ((node("a"), pod("x", "a", **PORT)), PORT, (), ("x",)),
    "NodePorts, a node comes": ((node("a"), pod("x", "a", **PORT)), PORT, (node("b"),), ()),
    "PodTopologySpread, a pod comes": (UNEVEN, SPREADS, (pod("two", "b", {"app": "s"}),), ()),
    "PodTopologySpread, a pod goes": (UNEVEN, SPREADS, (), ("one",)),
    "PodTopologySpread, a pod's label goes": (UNEVEN, SPREADS, (pod("one", "a"),), ()),
    "PodTopologySpread, a pod's label comes": (
        (*UNEVEN, pod("two", "b")), SPREADS, (pod("two", "b", {"app": "s"}),), (),
    ),
    "PodTopologySpread, a node comes": (UNEVEN, SPREADS, (node("c", {"zone": "2"}),), ()),
    "PodTopologySpread, a node's label changes": (UNEVEN, SPREADS, (node("b", {"zone": "1"}, {"unschedulable": True}),), ()),
    "PodTopologySpread, a node is uncordoned": (UNEVEN, SPREADS, (node("b", {"zone": "2"}),), ()),
    "InterPodAffinity, a pod comes": (
        (node("a"),), {"affinity": affinity("podAffinity", app="db")}, (pod("x", "a", {"app": "db"}),), (),
    ),
    "InterPodAffinity, a pod's label comes": (
        (node("a"), pod("x", "a")), {"affinity": affinity("podAffinity", app="db")}, (pod("x", "a", {"app": "db"}),), (),
    ),
    "InterPodAffinity, a label of the node comes": (
        (
            {**node("a"), "metadata": {"name": "a", "uid": "a", "labels": {}}}, pod("x", "a", {"app": "db"}),
        ),
        {"affinity": affinity("podAffinity", app="db")}, (node("a"),), (),
    ),
    "InterPodAntiAffinity, the pod goes": (
        (node("a"), pod("x", "a", {"app": "db"})), {"affinity": affinity("podAntiAffinity", app="db")}, (), ("x",),
    ),
    "InterPodAntiAffinity, a node comes": (
        (node("a"), pod("x", "a", {"app": "db"})), {"affinity": affinity("podAntiAffinity", app="db")}, (node("b"),), (),
    ),
    "InterPodAntiAffinity of the other, it goes": (
        (node("a"), pod("x", "a", affinity=affinity("podAntiAffinity", app="p"))), {"labels": {"app": "p"}}, (), ("x",),
    ),
    "no nodes, one comes": ((), {}, (node("a"),), ()),
    "gates, the last goes": ((node("a"),), {"schedulingGates": [{"name": "g"}]}, (pod("p"),), ()),
}  # fmt: skip


def put(cluster: Cluster, *objects: Object) -> None:
    for obj in objects:
        cluster.put("pods" if "containers" in obj["spec"] else "nodes", obj)


async def _tried_again(name: str) -> None:
    there, asks, comes, goes = CASES[name]
    cluster = Cluster()
    put(cluster, *there, pod("p", **asks))
    await cluster.settle()
    assert "default/p" not in cluster.writes.bound
    assert cluster.waits("default/p") in (UNSCHEDULABLE, "gated")
    await cluster.later(20)  # its pause is over, and the flush far away
    await cluster.settle()
    assert "default/p" not in cluster.writes.bound
    put(cluster, *comes)
    for key in goes:
        cluster.drop("pods", f"default/{key}")
    await cluster.settle()
    assert "default/p" in cluster.writes.bound


@pytest.mark.parametrize("name", CASES)
def test_an_event_that_helps_has_the_pod_tried_again(name: str) -> None:
    asyncio.run(_tried_again(name))


def run(play: Callable[[Cluster], Any]) -> None:
    asyncio.run(play(Cluster()))


def test_a_pod_hears_of_another_that_this_scheduler_has_placed() -> None:
    async def play(cluster: Cluster) -> None:
        put(cluster, node("a"), pod("p", affinity=affinity("podAffinity", app="db")))
        await cluster.settle()
        assert cluster.waits("default/p") == UNSCHEDULABLE
        await cluster.later(20)
        put(cluster, pod("db", labels={"app": "db"}))
        await cluster.settle()
        assert cluster.writes.bound == {"default/db": "a"}
        cluster.show("default/db")
        await cluster.settle()
        assert cluster.writes.bound["default/p"] == "a"

    run(play)


def test_what_happens_to_others_costs_a_pod_nothing() -> None:
    async def play(cluster: Cluster) -> None:
        put(cluster, node("a"), pod("p", nodeSelector={"arch": "arm"}))
        await cluster.settle()
        await cluster.later(20)
        put(cluster, pod("x", "a"), node("a", cpu="8"))
        await cluster.settle()
        known = cluster.scheduler.queue.get("default/p")
        assert known is not None and known.attempts == 1

    run(play)


def test_pods_that_it_does_not_count_cost_a_pod_nothing() -> None:
    async def play(cluster: Cluster) -> None:
        put(cluster, node("a"), pod("p", affinity=affinity("podAffinity", app="db")))
        await cluster.settle()
        await cluster.later(20)
        put(cluster, pod("x", "a", {"app": "web"}))
        await cluster.settle()
        known = cluster.scheduler.queue.get("default/p")
        assert known is not None and known.attempts == 1

    run(play)


def test_victims_go_the_pod_is_nominated_and_gets_the_node() -> None:
    async def play(cluster: Cluster) -> None:
        put(cluster, node("a", cpu="2"), pod("x", "a", cpu="2"), pod("p", cpu="2", priority=9))
        await cluster.settle()
        assert cluster.writes.deleted == ["default/x"]
        assert ("default/p", "a") in [
            (key, one.get("nominatedNodeName")) for key, one in cluster.writes.patches
        ]
        await cluster.later(2)
        put(cluster, pod("late", cpu="2"))  # it must not take what is promised to the other
        cluster.drop("pods", "default/x")
        await cluster.settle()
        assert cluster.writes.bound == {"default/p": "a"}

    run(play)


def test_a_nominated_pod_of_lower_priority_loses_its_nomination() -> None:
    async def play(cluster: Cluster) -> None:
        put(cluster, node("a", cpu="2"), pod("x", "a", cpu="2"), pod("p", cpu="2", priority=5))
        await cluster.settle()
        nominated = {**pod("p", cpu="2", priority=5), "status": {"nominatedNodeName": "a"}}
        put(cluster, nominated)
        put(
            cluster,
            {
                **pod("x", "a", cpu="2"),
                "metadata": {**pod("x")["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"},
            },
        )
        await cluster.settle()
        cluster.writes.patches.clear()
        put(cluster, pod("q", cpu="2", priority=9))
        await cluster.settle()
        assert cluster.scheduler.mirror.nominations == {"default/q": "a"}
        assert ("default/p", {"nominatedNodeName": None}) in cluster.writes.patches

    run(play)


def test_victims_that_stay_leave_the_pod_free_to_look_again() -> None:
    async def play(cluster: Cluster) -> None:
        cluster.writes.answer = refused("delete")
        put(cluster, node("a", cpu="2"), pod("x", "a", cpu="2"), pod("p", cpu="2", priority=9))
        for _ in range(20):
            cluster.scheduler.step()
            await asyncio.sleep(0)
        assert cluster.writes.deleted[:1] == ["default/x"]
        cluster.writes.answer = lambda verb, key: None
        cluster.writes.deleted.clear()
        await cluster.later(20)
        await cluster.settle()
        assert cluster.writes.deleted == ["default/x"]

    run(play)


def test_a_binding_that_fails_frees_the_node_and_comes_again_after_a_pause() -> None:
    async def play(cluster: Cluster) -> None:
        cluster.writes.answer = lambda verb, key: ConnectionError("cut off") if verb == "bind" else None
        put(cluster, node("a"), pod("p"))
        await cluster.settle()
        assert cluster.waits("default/p") == "backoff"
        assert cluster.notes.last("p", "FailedScheduling") == 'running Bind plugin "DefaultBinder": cut off'
        cluster.writes.answer = lambda verb, key: None
        await cluster.later(2)
        await cluster.settle()
        assert cluster.writes.bound == {"default/p": "a"}
        assert cluster.scheduler.mirror.requested("a")["cpu"] == 1000

    run(play)


def test_one_pod_that_cannot_be_decided_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(cluster: Cluster) -> None:
        decided = cluster.scheduler._decided

        def picky(rows: list[int]) -> Any:
            if any(cluster.scheduler.mirror.key_of(row) == "default/bad" for row in rows):
                raise RuntimeError("not this one")
            return decided(rows)

        monkeypatch.setattr(cluster.scheduler, "_decided", picky)
        put(cluster, node("a"), pod("bad"), *(pod(f"p{number}") for number in range(3)))
        await cluster.settle()
        assert sorted(cluster.writes.bound) == ["default/p0", "default/p1", "default/p2"]
        assert cluster.waits("default/bad") == "backoff"

    run(play)


def test_the_comparer_finds_nothing_until_a_watch_is_missed() -> None:
    from kcore.online.debugger import dump, mismatches

    async def play(cluster: Cluster) -> None:
        put(cluster, node("a"), pod("x", "a"), pod("p", nodeSelector={"arch": "arm"}))
        await cluster.settle()
        mirror, queue = cluster.scheduler.mirror, cluster.scheduler.queue
        pods = [pod("x", "a"), pod("p")]
        assert list(mismatches([node("a")], pods, mirror, queue)) == []
        assert list(mismatches([node("a"), node("b")], pods[:1], mirror, queue)) == [
            "Cache mismatch missedNodes=['b'] redundantNodes=[]",
            "Cache mismatch missedPods=[] redundantPods=['p']",
        ]
        text = "\n".join(dump(mirror, queue))
        assert "Node name: a\nDeleted: false\n" in text and "Scheduled Pods(number: 1):\nname: x, " in text
        assert 'summary="activeQ:0; backoffQ:0; unschedulablePods:1" pods=name: p, ' in text

    run(play)


def test_metrics_count_by_upstreams_names() -> None:
    async def play(cluster: Cluster) -> None:
        put(cluster, node("a"), pod("p"), pod("q", nodeSelector={"arch": "arm"}))
        await cluster.settle()
        page = cluster.scheduler.metrics_page().decode()
        for line in (
            'scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"} 1',
            'scheduler_schedule_attempts_total{profile="default-scheduler",result="unschedulable"} 1',
            'scheduler_pending_pods{queue="unschedulable"} 1',
            'scheduler_queue_incoming_pods_total{event="UnschedulablePodAdd",queue="active"} 2',
            'scheduler_pod_scheduling_attempts_bucket{le="1"} 1',
            'scheduler_cache_size{type="nodes"} 1',
        ):
            assert line in page.splitlines(), page

    run(play)


def test_until_kernels_are_compiled_few_pods_are_decided_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from kcore.online import driver

    async def play(cluster: Cluster) -> None:
        scheduler = cluster.scheduler
        monkeypatch.setattr(driver, "COMPILED_FROM", 20)
        monkeypatch.setattr(driver, "is_cached", lambda: False)
        monkeypatch.setattr(driver, "mark_cached", lambda: None)
        monkeypatch.setattr(driver, "JIT", True)
        compiled: list[Any] = []
        monkeypatch.setattr(driver, "compile_kernels", compiled.append)
        monkeypatch.setattr(driver, "Engine", lambda state, configuration, compiled: scheduler._engine)
        put(cluster, node("a", pods="99"), *(pod(f"p{number}", cpu="1m") for number in range(40)))
        assert scheduler.step()
        assert scheduler.queue.counts["active"] == 30
        assert scheduler.compiling is not None
        await scheduler.compiling
        assert compiled == [scheduler._configuration]
        await cluster.settle()
        assert len(cluster.writes.bound) == 40

    run(play)
