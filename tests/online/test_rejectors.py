"""Who rejected a pod, as the engine's verdicts say it: the same by the full pass and by the incremental one."""

from __future__ import annotations

import asyncio

import pytest

from kcore.online.events import REGISTERED
from kcore.online.mirror import rows_of
from kcore.scheduler.engine import Options
from tests.online.cluster import Cluster
from tests.online.test_hints import CASES, node, pod, put


@pytest.mark.parametrize(
    "name", [name for name, (_, asks, *_) in CASES.items() if "schedulingGates" not in asks]
)
def test_both_passes_name_the_same_plugins(name: str) -> None:
    there, asks, *_ = CASES[name]

    async def run() -> None:
        cluster = Cluster()
        put(cluster, *there, pod("p", **asks))
        await cluster.settle()
        known = cluster.scheduler.queue.get("default/p")
        assert known is not None and known.plugins and known.plugins <= REGISTERED.keys()
        mirror, engine = cluster.scheduler.mirror, cluster.scheduler._engine
        row = mirror.pending("default/p", known.obj)
        assert row is not None
        found = [
            engine.schedule(rows_of([row]), Options(engine=way, preemption="off")).rejectors
            for way in ("full", "incremental")
        ]
        assert found[0] == found[1] == {0: known.plugins}

    asyncio.run(run())


def test_several_plugins_reject_a_pod_and_all_are_named() -> None:
    async def run() -> None:
        cluster = Cluster()
        tainted = node("t", spec={"taints": [{"key": "a", "effect": "NoSchedule"}]})
        put(cluster, node("full", cpu="0"), tainted, node("away", spec={"unschedulable": True}), pod("p"))
        await cluster.settle()
        known = cluster.scheduler.queue.get("default/p")
        assert known is not None
        assert known.plugins == {"NodeResourcesFit", "TaintToleration", "NodeUnschedulable"}

    asyncio.run(run())
