"""What the life of a pod on a simulated node costs the server in process: bound, running, deleted; and a lease's renewal.

``python -m bench.pod_lives [COUNT] [--profile NAME]`` prints a JSON line for each write: the processor time of one, a
hundred under way at once, with plans and by the general path alone, by two servers in turns.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import json
import pstats
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
import uvloop

from bench.local_writes import ACCOUNT, AT_ONCE
from kcore.apiserver.assembly import Assembly, Options
from kcore.apiserver.local import LocalCalls
from kcore.client.asynchronous import AsyncClient
from kcore.hollow.driver import with_uid
from kcore.hollow.makers import pod_running
from kcore.store.embedded import Embedded

Object = dict[str, Any]
NODES_COUNT = 100
LEASES = "kube-node-lease"
OWNER = {
    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f8c7b9", "controller": True,
    "blockOwnerDeletion": True, "uid": "6f2e3c0a-2c51-4f0b-9f0a-3a1f4a3c2b1d",
}  # fmt: skip


class World:
    """Nodes and pods have addresses of their number."""

    version = "v1.36.0"

    def __init__(self) -> None:
        self.given = 0

    def node_ips(self, node: str) -> Sequence[str]:
        """The node's."""
        number = int(node.rpartition("-")[2])
        return [f"10.0.{number // 250}.{number % 250 + 1}"]

    def node_port(self) -> int:
        """The kubelet's."""
        return 10250

    def pod_ips(self, node: str, host_network: bool, uid: str, name: str, namespace: str) -> Sequence[str]:
        """A new one."""
        self.given += 1
        return [f"10.{244 + self.given // 62500}.{self.given // 250 % 250}.{self.given % 250 + 1}"]


class Lives:
    """The calls, by name; ``seen`` is what the last read answered, by number, as JSON.

    Answers are asked for where the caller in a cluster in one process asks for them.
    """

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.world = World()
        self.seen: dict[int, bytes] = {}
        self.uids: dict[int, str] = {}
        self.told = 0
        self.table: dict[str, Callable[[int], Awaitable[Any]]] = {
            "create": self.create, "bind": self.bind, "tell": self.tell, "record": self.record, "look": self.look,
            "running": self.running, "delete": self.delete, "remove": self.remove, "hold": self.hold, "renew": self.renew,
        }  # fmt: skip

    def create(self, number: int) -> Awaitable[Any]:
        """POST of the pod as a ReplicaSet controller makes it."""
        metadata = {
            "generateName": "web-5d4f8c7b9-", "name": f"web-5d4f8c7b9-{number:05}", "namespace": "default",
            "labels": {"app": "web", "pod-template-hash": "5d4f8c7b9"}, "ownerReferences": [OWNER],
        }  # fmt: skip
        resources = {"requests": {"cpu": "100m", "memory": "128Mi"}}
        spec = {"containers": [{"name": "web", "image": "nginx:1.27", "resources": resources}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        return self.client.create(pod, answered=False)

    def _name(self, number: int) -> str:
        return f"web-5d4f8c7b9-{number:05}"

    def bind(self, number: int) -> Awaitable[Any]:
        """POST of a Binding as the scheduler makes it."""
        name = self._name(number)
        binding = {
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": name, "namespace": "default", "uid": self.uids[number]},
            "target": {"kind": "Node", "name": f"node-{number % NODES_COUNT}"},
        }  # fmt: skip
        return self.client.create(binding, resource="pods", name=name, subresource="binding", answered=False)

    def tell(self, number: int) -> Awaitable[Any]:
        """POST of the scheduler's event (events.k8s.io/v1) that the pod has its node."""
        name, node = self._name(number), f"node-{number % NODES_COUNT}"
        event = {
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": f"{name}.{self._time():x}", "namespace": "default"},
            "eventTime": f"2026-01-02T03:04:15.{number:06}Z", "reportingController": "default-scheduler",
            "reportingInstance": "default-scheduler-host", "action": "Binding", "reason": "Scheduled",
            "regarding": {
                "kind": "Pod", "namespace": "default", "name": name, "uid": self.uids[number], "apiVersion": "v1",
                "resourceVersion": str(1000 + number),
            },
            "note": f"Successfully assigned default/{name} to {node}", "type": "Normal",
        }  # fmt: skip
        return self.client.create(event, answered=False)

    def record(self, number: int) -> Awaitable[Any]:
        """POST of a ReplicaSet controller's event (v1) that it made the pod."""
        involved = {
            "kind": "ReplicaSet", "namespace": "default", "name": OWNER["name"], "uid": OWNER["uid"],
            "apiVersion": "apps/v1", "resourceVersion": str(1000 + number),
        }  # fmt: skip
        event = {
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": f"{OWNER['name']}.{self._time():x}", "namespace": "default"},
            "involvedObject": involved, "reason": "SuccessfulCreate", "message": f"Created pod: {self._name(number)}",
            "source": {"component": "replicaset-controller"}, "firstTimestamp": "2026-01-02T03:04:15Z",
            "lastTimestamp": "2026-01-02T03:04:15Z", "count": 1, "type": "Normal",
            "reportingComponent": "replicaset-controller", "reportingInstance": "",
        }  # fmt: skip
        return self.client.create(event)

    def _time(self) -> int:
        """Another one each time, in nanoseconds."""
        self.told += 1
        return 0x17A5_0000_0000_0000 + self.told

    def look(self, number: int) -> Awaitable[Any]:
        """GET of the pod."""
        return self.client.get("pods", self._name(number))

    def running(self, number: int) -> Awaitable[Any]:
        """A simulated kubelet's patch of the status."""
        pod = orjson.loads(self.seen[number])
        body = with_uid(pod_running(pod, self.world, int(time.time() * 1000)), pod["metadata"]["uid"])
        return self.client.patch("pods", self._name(number), body, type="strategic", subresource="status")

    def delete(self, number: int) -> Awaitable[Any]:
        """DELETE with the pod's own grace, as a controller asks."""
        return self.client.delete("pods", self._name(number), answered=False)

    def remove(self, number: int) -> Awaitable[Any]:
        """DELETE without grace, as the kubelet asks."""
        uid = {"uid": self.uids[number]}
        return self.client.delete(
            "pods", self._name(number), grace_period_seconds=0, preconditions=uid, answered=False
        )

    def hold(self, number: int) -> Awaitable[Any]:
        """POST of a node's Lease."""
        name = f"node-{number}"
        spec = {
            "holderIdentity": name,
            "leaseDurationSeconds": 40,
            "renewTime": "2026-01-02T03:04:05.678901Z",
        }
        metadata = {"name": name, "namespace": LEASES}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        return self.client.create(lease)

    def renew(self, number: int) -> Awaitable[Any]:
        """A simulated node's merge patch of its Lease."""
        body = orjson.dumps({"spec": {"renewTime": f"2026-01-02T03:04:15.{number:06}Z"}})
        return self.client.patch(
            "leases", f"node-{number}", body, LEASES, type="merge", api_version="coordination.k8s.io/v1",
            answered=False,
        )  # fmt: skip


async def started(*, plans: bool) -> tuple[Assembly, Lives]:
    """A server, and its calls."""
    assembly = Assembly(await Embedded.open(None), Options())
    await assembly.start()
    if not plans:
        core = assembly.registry.core
        core.plans = core.binding_plans = core.update_plans = core.delete_plans = None
    client = AsyncClient(LocalCalls(assembly.registry, assembly.cacher, assembly.catalog))
    await client.create(ACCOUNT)
    return assembly, Lives(client)


async def batch(lives: Lives, name: str, numbers: range, profile: cProfile.Profile | None) -> float:
    """Those calls are done; their processor time in seconds."""
    made = [lives.table[name](number) for number in numbers]
    if profile is not None:
        profile.enable()
    spent = time.process_time()
    answers = await asyncio.gather(*made)
    spent = time.process_time() - spent
    if profile is not None:
        profile.disable()
    if name in ("look", "running"):
        lives.seen.update(zip(numbers, map(orjson.dumps, answers), strict=True))
    if name == "create":
        lives.uids.update(
            (number, answer["metadata"]["uid"]) for number, answer in zip(numbers, answers, strict=True)
        )
    return spent


async def main() -> None:
    """Prints the figures."""
    arguments = [word for word in sys.argv[1:] if not word.startswith("--")]
    profiled = arguments.pop() if "--profile" in sys.argv else ""
    count = int(arguments[0]) if arguments else 3_000
    sides = [await started(plans=True), await started(plans=False)]
    for name in sides[0][1].table:
        gc.collect()
        gc.freeze()
        profile = cProfile.Profile() if name == profiled else None
        spent = [0.0, 0.0]
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, count))
            for side, (_, lives) in enumerate(sides):
                spent[side] += await batch(lives, name, numbers, None if side else profile)
        by_plan, by_general_path = (round(each / count * 1e6, 1) for each in spent)
        figure = {"figure": f"life_{name}", "cpu_us": by_plan, "general_cpu_us": by_general_path}
        core = sides[0][0].registry.core
        planned = sum(
            each.planned_count
            for each in (core.plans, core.binding_plans, core.update_plans, core.delete_plans)
        )
        print(json.dumps({**figure, "planned": planned}), flush=True)
        if profile is not None:
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    for assembly, _ in sides:
        await assembly.stop()
        await assembly.kv.close()


if __name__ == "__main__":
    uvloop.run(main())
