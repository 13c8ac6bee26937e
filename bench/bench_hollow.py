"""Simulated nodes: processor time a pod from bound to Running, of leases, and memory, on a control plane in process.

``python -m bench.bench_hollow [--nodes 5000] [--pods 10000] [--idle-seconds 20]`` prints one line of JSON. All figures are of one process that
holds API server, store and simulated nodes; ``*_alone`` is the core without any of them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Iterable
from typing import Any

import kcore
from kcore.client.asynchronous import AsyncClient
from kcore.hollow.actions import Changed, Play
from kcore.hollow.assembly import HollowNodes, Settings
from kcore.hollow.builtin_stages import DEFAULT
from kcore.hollow.configuration import load
from kcore.hollow.core import Core
from kcore.hollow.lifecycle import by_resource
from kcore.hollow.nodes import Managed, Nodes
from kcore.hollow.stage import NODE, POD

T0_MS = 1_800_000_000_000
CREATES_COUNT = 50
MICRO = 1e6


def resident_bytes() -> int:
    """Of this process, now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def pod(index: int, nodes: int) -> dict[str, Any]:
    """A bound pod of usual size."""
    container = {
        "name": "main", "image": "registry.example/app:1.0", "ports": [{"containerPort": 8080}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": f"pod-{index}", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"nodeName": f"node-{index % nodes:06}", "containers": [container]},
    }  # fmt: skip


def alone(pods: int, makers: dict[str, Any] | None) -> float:
    """Microseconds of processor time that the core takes for a pod."""
    more = {} if makers is None else {"makers": makers}
    nodes = Nodes(Managed(), "127.0.0.1", lambda: 10250, "10.128.0.0/9")
    core = Core(by_resource(load(DEFAULT).stages), nodes, started_ms=T0_MS, lease_seconds=0, **more)
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    core.step(T0_MS, [Changed(NODE, {"metadata": {"name": "node-000000"}, "status": ready})])
    changes = []
    for index in range(pods):
        made = pod(index, 1)
        made["metadata"].update(uid=str(index), resourceVersion=str(index + 1), generation=1)
        changes.append(Changed(POD, {**made, "status": {"phase": "Pending"}}))
    begun = time.process_time()
    played = sum(isinstance(each, Play) for each in core.step(T0_MS, changes))
    spent = time.process_time() - begun
    assert played == pods
    return spent / pods * MICRO


async def create_all(client: AsyncClient, objects: Iterable[dict[str, Any]]) -> None:
    """All of them are there."""
    rest = iter(objects)

    async def some() -> None:
        for each in rest:
            await client.create(each)

    await asyncio.gather(*(some() for _ in range(CREATES_COUNT)))


async def measure(
    client: AsyncClient, node_count: int, pod_count: int, idle_seconds: float
) -> dict[str, Any]:
    """The figures of one run."""
    gc.collect()
    figures: dict[str, Any] = {"nodes": node_count, "pods": pod_count}
    await create_all(
        client, (pod(index, node_count) for index in range(pod_count))
    )  # bound, and nobody runs them
    before = resident_bytes()
    begun, wall = time.process_time(), time.monotonic()
    hollow = HollowNodes(client, Settings(server_port=None))
    await hollow.start()
    settings = Settings(node_count=node_count)
    await hollow.driver.register(settings.template.nodes(node_count))
    while hollow.statistics.renewals < node_count:
        await asyncio.sleep(0.05)
    while hollow.statistics.writes < pod_count or hollow.core.playing_count:
        await asyncio.sleep(0.05)
    figures["seconds_all_running"] = round(time.monotonic() - wall, 2)
    figures["cpu_seconds_all_running"] = round(time.process_time() - begun, 2)
    gc.collect()
    figures["bytes_a_node_and_its_pods"] = round((resident_bytes() - before) / node_count)
    more = pod_count // 2
    begun = time.process_time()
    await create_all(client, ({**pod(pod_count + index, node_count)} for index in range(more)))
    while hollow.statistics.writes < pod_count + more or hollow.core.playing_count:
        await asyncio.sleep(0.05)
    figures["cpu_us_a_pod_created_and_run"] = round((time.process_time() - begun) / more * MICRO)
    renewals, begun, wall = hollow.statistics.renewals, time.process_time(), time.monotonic()
    await asyncio.sleep(idle_seconds)
    spent, passed = time.process_time() - begun, time.monotonic() - wall
    renewed = hollow.statistics.renewals - renewals
    figures["idle_cpu_cores"] = round(spent / passed, 3)
    figures["renewals_a_second"] = round(renewed / passed)
    figures["cpu_us_a_renewal"] = round(spent / max(renewed, 1) * MICRO)
    await hollow.stop()
    return figures


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=float, default=20.0, help="how long leases alone are watched")
    given = parser.parse_args()
    figures = {
        "core_us_a_pod_alone": round(min(alone(5_000, None) for _ in range(3)), 1),
        "core_us_a_pod_by_template_alone": round(min(alone(300, {}) for _ in range(3)), 1),
    }
    with kcore.ControlPlane() as plane:
        figures |= plane.run(measure(plane.async_client, given.nodes, given.pods, given.idle_seconds))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
