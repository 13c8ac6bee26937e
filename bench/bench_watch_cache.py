"""The watch cache over the embedded store: lists as one document and in pieces, events to many watchers, memory.

``python -m bench.bench_watch_cache [--pods N] [--watchers N] [--events N] [--rounds N]`` prints a JSON line for each
figure, the best of the rounds. Processor time, not the clock's, is what is counted: pods of 3.3 KB.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from kcore.api.rows import Row
from kcore.apiserver.cacher import Cacher
from kcore.apiserver.list_options import ListOptions, from_query
from kcore.apiserver.storage import Storage
from kcore.store.embedded import Embedded

POD = Row(
    "", "v1", "Pod", "pods", "pod", True, "pods", "io.k8s.api.core.v1.Pod",
    fields=(
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.nominatedNodeName",
    ),
)  # fmt: skip
ENV = [{"name": f"NAME_{i}", "value": f"value-{i}"} for i in range(56)]
OWNED = [{"manager": "m", "operation": "Update", "fieldsV1": {f"f:a{i}": {"f:x": {}} for i in range(40)}}]
CLIENTS = 50


def pod(index: int, nodes: int) -> bytes:
    """A pod of some 3.3 KB."""
    labels = {"app": f"a{index % 100}", "pod-template-hash": "7d8f9"}
    metadata = {
        "name": name(index),
        "namespace": "default",
        "labels": labels,
        "uid": f"{index:036d}",
        "managedFields": OWNED,
    }
    spec = {
        "containers": [{"name": "c", "image": "nginx", "env": ENV}],
        "nodeName": f"n{index % nodes}",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
    }
    status = {"phase": "Pending", "podIP": f"10.{index >> 16 & 255}.{index >> 8 & 255}.{index & 255}"}
    return orjson.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}
    )


def name(index: int) -> str:
    """The name of a pod."""
    return f"pod-with-a-name-{index}"


def resident_bytes() -> int:
    """What this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def spent(work: Callable[[], object]) -> float:
    """Milliseconds of processor time."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e3


async def fill(storage: Storage, count: int, nodes: int = 5_000) -> None:
    """That many pods are stored."""
    indices = iter(range(count))

    async def client() -> None:
        for index in indices:
            await storage.create(POD, "default", name(index), pod(index, nodes))

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def lists(pods: int, rounds: int) -> None:
    """Memory of so many pods, and lists of them."""
    before = resident_bytes()
    kv = await Embedded.open(None)
    storage = Storage(kv)
    async with Cacher(storage) as cacher:
        await cacher.start(POD)
        await fill(storage, pods)
        stored = int(kv.statistics()["db_size_bytes"])
        report("resident_bytes_a_pod", (resident_bytes() - before) / pods, of_it_stored=stored / pods)
        page = await cacher.list(POD, "", ListOptions())
        whole = min(spent(lambda: page.body("v1", "PodList")) for _ in range(rounds))
        report("list_body_ms", whole, pods=pods, bytes=len(page.body("v1", "PodList")))
        pieces = min(
            spent(lambda: [len(each) for each in page.pieces("v1", "PodList")]) for _ in range(rounds)
        )
        report("list_pieces_ms", pieces, pods=pods)
    await kv.close()


async def watches(watchers: int, events: int, *, narrow: bool) -> float:
    """Microseconds of processor time for each event written and delivered to all (``narrow``: to one) of the watchers."""
    kv = await Embedded.open(None)
    storage = Storage(kv)
    received = 0

    def sink(piece: bytes) -> bool:
        nonlocal received
        received += len(piece)
        return True

    async with Cacher(storage) as cacher:
        for index in range(watchers):
            query = [("fieldSelector", f"spec.nodeName=n{index}")] if narrow else []
            (await cacher.watch(POD, "", from_query(POD, query, watch=True))).connect(sink)
        began = time.process_time()
        await fill(storage, events, max(watchers, 1))
        await asyncio.sleep(0)
        took = time.process_time() - began
        assert not watchers or received > 3_000 * events * (1 if narrow else watchers)  # all of them, whole
    await kv.close()
    return took / events * 1e6


def report(figure: str, value: float, **more: float) -> None:
    """One line."""
    print(json.dumps({"figure": figure, "value": round(value, 2)} | more))


async def main() -> None:
    """All figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--watchers", type=int, default=100)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    await lists(given.pods, given.rounds)
    for watchers, narrow in ((0, False), (given.watchers, False), (50 * given.watchers, True)):
        best = min([await watches(watchers, given.events, narrow=narrow) for _ in range(given.rounds)])
        report("event_us", best, watchers=watchers, narrow=int(narrow))


if __name__ == "__main__":
    asyncio.run(main())
