"""What writes of a pod cost in process: patches, updates, status, bindings, deletions.

``python -m bench.local_writes [COUNT] [--profile NAME]`` prints a JSON line for each: calls a second, and the processor
time of one, a hundred under way at once. A pod is the 1.4 KB one of ``bench.registry_steps``; each write meets every pod once.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import json
import pstats
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import uvloop

from bench.registry_steps import POD, running
from kcore.apiserver.assembly import Assembly, Options
from kcore.apiserver.local import LocalCalls
from kcore.client.asynchronous import AsyncClient
from kcore.store.embedded import Embedded

AT_ONCE = 100
ACCOUNT = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "default", "namespace": "default"},
}


class Writes:
    """The calls, by name; ``seen`` is what the last one answered, by number, as JSON: dicts would cost collections."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.seen: dict[int, bytes] = {}
        self.table: dict[str, Callable[[int], Awaitable[Any]]] = {
            "create": self.create, "merge_patch": self.merge_patch, "update": self.update, "bind": self.bind,
            "status_patch": self.status_patch, "status_update": self.status_update, "delete": self.delete,
        }  # fmt: skip

    def create(self, number: int) -> Awaitable[Any]:
        """POST of the pod."""
        POD["metadata"]["name"] = f"web-{number}"
        return self.client.create(orjson.loads(orjson.dumps(POD)))

    def merge_patch(self, number: int) -> Awaitable[Any]:
        """One annotation by merge patch."""
        patch = {"metadata": {"annotations": {"example.com/seen": str(time.time_ns())}}}
        return self.client.patch("pods", f"web-{number}", patch)

    def update(self, number: int) -> Awaitable[Any]:
        """PUT of what was answered last, with one more label."""
        pod = orjson.loads(self.seen[number])
        pod["metadata"]["labels"]["round"] = "2"
        return self.client.update(pod)

    def bind(self, number: int) -> Awaitable[Any]:
        """POST of a Binding."""
        binding = {
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": f"web-{number}", "namespace": "default"},
            "target": {"apiVersion": "v1", "kind": "Node", "name": f"node-{number % 100}"},
        }  # fmt: skip
        return self.client.create(
            binding, "default", resource="pods", name=f"web-{number}", subresource="binding"
        )

    def status_patch(self, number: int) -> Awaitable[Any]:
        """A kubelet's strategic merge patch of the status."""
        patch = {
            "metadata": {"uid": orjson.loads(self.seen[number])["metadata"]["uid"]},
            "status": running(f"10.1.{number // 250 % 250}.{number % 250}"),
        }
        return self.client.patch("pods", f"web-{number}", patch, type="strategic", subresource="status")

    def status_update(self, number: int) -> Awaitable[Any]:
        """PUT of the status that was answered last, no longer ready."""
        pod = orjson.loads(self.seen[number])
        pod["status"]["conditions"][2] |= {"status": "False", "reason": "ContainersNotReady"}
        return self.client.update(pod, subresource="status")

    def delete(self, number: int) -> Awaitable[Any]:
        """DELETE without grace."""
        return self.client.delete("pods", f"web-{number}", grace_period_seconds=0)


async def measured(writes: Writes, name: str, count: int, profile: cProfile.Profile | None) -> dict[str, Any]:
    """So many calls."""
    call, wall, cpu = writes.table[name], 0.0, 0.0
    for first in range(0, count, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, count))
        made = [call(number) for number in numbers]
        if profile is not None:
            profile.enable()
        began, spent = time.perf_counter(), time.process_time()
        answers = await asyncio.gather(*made)
        wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - spent
        if profile is not None:
            profile.disable()
        if name != "bind":
            writes.seen.update(zip(numbers, map(orjson.dumps, answers), strict=True))
    return {
        "figure": f"in_process_{name}",
        "per_second": round(count / wall),
        "cpu_us": round(cpu / count * 1e6, 1),
    }


async def main() -> None:
    """Prints the figures."""
    arguments = [word for word in sys.argv[1:] if not word.startswith("--")]
    profiled = arguments.pop() if "--profile" in sys.argv else ""
    count = int(arguments[0]) if arguments else 3_000
    kv = await Embedded.open(None)
    assembly = Assembly(kv, Options())
    await assembly.start()
    client = AsyncClient(LocalCalls(assembly.registry, assembly.cacher, assembly.catalog))
    await client.create(ACCOUNT)
    writes = Writes(client)
    for name in writes.table:
        gc.collect()
        gc.freeze()
        profile = cProfile.Profile() if name == profiled else None
        print(json.dumps(await measured(writes, name, count, profile)), flush=True)
        if profile is not None:
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    await assembly.stop()
    await kv.close()


if __name__ == "__main__":
    uvloop.run(main())
