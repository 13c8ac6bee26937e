"""What the client costs its own process: an informer's first list and its events, requests over HTTP.

``python -m bench.bench_client [--pods N] [--requests N]`` prints one JSON object a line. The informer is fed from bytes
made beforehand, so that no server's time is in it; the requests go to a server in a process of its own, and what is
printed of them is the client's processor time. Seconds of processor time, the best of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import uvloop

from bench.bench_apiserver import Server
from bench.registry_steps import POD
from kcore.api.resources import ROWS
from kcore.api.rows import Row
from kcore.client import kubeconfig
from kcore.client.asynchronous import AsyncClient
from kcore.client.informer import Informer
from kcore.client.remote import connect

ROUNDS = 3
PIECE_EVENTS = 64
EVENTS = 100_000
AT_ONCE = 50
END = b'{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"%d","annotations":{"k8s.io/initial-events-end":"true"}}}}\n'


class Recorded:
    """``Calls`` whose only watch is bytes made beforehand."""

    def __init__(self, first: list[bytes], then: list[bytes]) -> None:
        self.rows = ROWS
        self.first = first
        self.then = then
        self.may_go_on = asyncio.Event()

    async def watch(self, row: Row, namespace: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        for piece in self.first:
            yield piece
        await self.may_go_on.wait()
        for piece in self.then:
            yield piece
        await asyncio.Event().wait()


def pieces(kind: bytes, pods: int, count: int, version: int) -> list[bytes]:
    """Events of that many pods, one after the other, some in a piece."""
    lines = []
    for index in range(count):
        metadata = {
            **POD["metadata"], "name": f"web-{index % pods}", "uid": f"uid-{index % pods}",
            "resourceVersion": str(version + index),
        }  # fmt: skip
        lines.append(b'{"type":"%b","object":%b}\n' % (kind, orjson.dumps({**POD, "metadata": metadata})))
    return [b"".join(lines[at : at + PIECE_EVENTS]) for at in range(0, count, PIECE_EVENTS)]


async def informed(pods: int) -> dict[str, Any]:
    """One round: the list, then events, with a listener and an index by node."""
    first = pieces(b"ADDED", pods, pods, 1)
    first.append(END % pods)
    calls = Recorded(first, pieces(b"MODIFIED", pods, EVENTS, pods + 1))
    seen = 0

    def count(changes: Any) -> None:
        nonlocal seen
        seen += len(changes)

    by_node = {"node": lambda obj: [obj["spec"].get("nodeName", "")]}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    informer = Informer(AsyncClient(calls), "pods", indexers=by_node)  # type: ignore[arg-type]
    informer.add_batch_listener(count)
    begun = time.process_time()
    async with informer:
        await informer.synced()
        listed = time.process_time()
        calls.may_go_on.set()
        while seen < pods + EVENTS:
            await asyncio.sleep(0.001)
        ended = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "list_seconds": listed - begun, "events_per_cpu_second": EVENTS / (ended - listed),
        "bytes_per_pod": (peak - before) * 1024 // pods,
    }  # fmt: skip


async def requested(path: str, count: int) -> dict[str, Any]:
    """One round of gets, creates and deletes, AT_ONCE at a time."""
    made: dict[str, Any] = {}
    async with connect(kubeconfig.load(path)) as client:
        names = [f"c-{index}" for index in range(count)]

        async def go(verb: str, name: str) -> None:
            if verb == "create":
                obj = {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": name},
                    "data": {"a": "b" * 800},
                }
                await client.create(obj)
            else:
                await getattr(client, verb)("configmaps", name)

        for verb in ("create", "get", "delete"):
            turns = iter(names)

            async def work(verb: str = verb, turns: Any = turns) -> None:
                for name in turns:
                    await go(verb, name)

            cpu, wall = time.process_time(), time.perf_counter()
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
            made[f"{verb}_client_cpu_us"] = (time.process_time() - cpu) / count * 1e6
            made[f"{verb}_per_second"] = count / (time.perf_counter() - wall)
        made["connections"] = client._calls._http.connection_count  # type: ignore[attr-defined]
    return made


def best(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each figure the best: least of costs, most of rates."""
    return {
        name: round(
            (max if "per_cpu" in name or "per_second" in name else min)(each[name] for each in rounds), 3
        )
        for name in rounds[0]
    }


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=3000)
    given = parser.parse_args()
    print(
        orjson.dumps(
            {"informer": given.pods, **best([uvloop.run(informed(given.pods)) for _ in range(ROUNDS)])}
        ).decode()
    )
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(__file__).resolve().parent.parent, folder, None)
        try:
            rounds = [uvloop.run(requested(server.kubeconfig, given.requests)) for _ in range(ROUNDS)]
        finally:
            server.close()
    print(orjson.dumps({"requests": given.requests, **best(rounds)}).decode())


if __name__ == "__main__":
    main()
