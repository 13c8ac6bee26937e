"""Load for an API server from a process of its own: many keep-alive connections over TLS, each with one request at a time.

``python -m bench.http_load KUBECONFIG CPU`` reads one JSON document a line (what to do) and answers with one a line (what
it took). The client does as little as it can: requests are made before the clock starts, of answers only the status and
the length are read.
"""

import asyncio
import base64
import gzip
import json
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvloop
import yaml

from bench.registry_steps import POD, running

EVENT = b'{"type":'
HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"
LENGTH = b"content-length: "
PODS = "/api/v1/namespaces/default/pods"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
WATCH_SECONDS_MAX = 120.0


class Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last one is whole."""

    def __init__(self) -> None:
        self.requests: Iterator[bytes] = iter(())
        self.took: list[float] = []
        self.failed: list[bytes] = []
        self.done = asyncio.get_running_loop().create_future()
        self.left = -1  # bytes of the body that are to come; -1: the head is
        self.head = b""
        self.body_bytes = 0

    def use(self, requests: Iterator[bytes], took: list[float], failed: list[bytes]) -> None:
        """What is to be sent; how long each answer took and those that were none go into the lists."""
        self.requests, self.took, self.failed = requests, took, failed

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def begin(self) -> None:
        """The next request is on its way."""
        request = next(self.requests, None)
        if request is None:
            self.done.set_result(None)
            return
        self.began = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.left < 0:
            self.head += data
            at = self.head.find(HEAD_END)
            if at < 0:
                return
            head, data = self.head[:at].lower(), self.head[at + 4 :]
            self.head = b""
            if head[9:10] != b"2":
                self.failed.append(head + data)
            self.chunked = b"transfer-encoding: chunked" in head
            self.left = 1 if self.chunked else int(head.split(LENGTH, 1)[1].split(b"\r", 1)[0])
            self.body_bytes = 0
            self.tail = b""
        self.body_bytes += len(data)
        if self.chunked:
            self.tail = (self.tail + data[-len(LAST_CHUNK) :])[-len(LAST_CHUNK) :]
            self.left = 0 if self.tail == LAST_CHUNK else 1
        else:
            self.left -= len(data)
        if self.left <= 0:
            self.left = -1
            self.took.append(time.perf_counter() - self.began)
            self.begin()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed"))


class Watcher(asyncio.Protocol):
    """Counts the events of one watch."""

    def __init__(self, request: bytes, wanted: int) -> None:
        self.request = request
        self.wanted = wanted
        self.seen = 0
        self.tail = b""
        self.whole = asyncio.get_running_loop().create_future()
        self.open = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.open.done():
            self.open.set_result(None)
        both = self.tail + data
        self.seen += both.count(EVENT)
        self.tail = both[-len(EVENT) + 1 :]
        if self.seen >= self.wanted and not self.whole.done():
            self.whole.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.open, self.whole):
            if not future.done():
                future.set_exception(error or ConnectionError(f"a watch ended after {self.seen} events"))


class Load:
    """A client of one server."""

    def __init__(self, kubeconfig: str) -> None:
        config = yaml.safe_load(Path(kubeconfig).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        address = urlsplit(cluster["server"])
        self.host, self.port = address.hostname, address.port
        context = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
            pem.flush()
            context.load_cert_chain(pem.name)
        context.set_alpn_protocols(["http/1.1"])
        self.tls = context
        self.watchers: list[Watcher] = []
        self.opened: list[Connection] = []

    def request(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
        """One request."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAccept: application/json\r\n"
            "User-Agent: bench/1.0 (linux/amd64)\r\n"
        )
        if body:
            head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"\r\n" + body

    def requests(self, what: str, first: int, count: int) -> list[bytes]:
        """Those of one verb, for pods of consecutive numbers."""
        made = []
        for number in range(first, first + count):
            path = f"{PODS}/web-{number}"
            if what == "create":
                POD["metadata"]["name"] = f"web-{number}"
                made.append(self.request("POST", PODS, orjson.dumps(POD)))
            elif what == "get":
                made.append(self.request("GET", path))
            elif what == "patch":
                body = orjson.dumps({"metadata": {"annotations": {"example.com/seen": str(time.time_ns())}}})
                made.append(self.request("PATCH", path, body, MERGE_PATCH))
            elif what == "bind":
                target = {"apiVersion": "v1", "kind": "Node", "name": f"node-{number % 100}"}
                body = {
                    "apiVersion": "v1",
                    "kind": "Binding",
                    "metadata": {"name": f"web-{number}"},
                    "target": target,
                }
                made.append(self.request("POST", f"{path}/binding", orjson.dumps(body)))
            elif what == "status":
                patch = {"status": running(f"10.1.{number // 250 % 250}.{number % 250}")}
                made.append(self.request("PATCH", f"{path}/status", orjson.dumps(patch), STRATEGIC_PATCH))
            elif what == "delete":
                made.append(self.request("DELETE", f"{path}?gracePeriodSeconds=0"))
            else:
                made.append(self.request("GET", PODS))
        return made

    async def open(self, connections: int) -> dict[str, Any]:
        """So many connections are open: handshakes are no part of a rate."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, protocol = await loop.create_connection(Connection, self.host, self.port, ssl=self.tls)
            self.opened.append(protocol)
        return {"open": connections}

    async def many(self, what: str, first: int, count: int) -> dict[str, Any]:
        """So many requests over the connections that are open; they are closed."""
        requests = iter(self.requests(what, first, count))
        took: list[float] = []
        failed: list[bytes] = []
        opened, self.opened = self.opened, []
        for each in opened:
            each.use(requests, took, failed)
        began, cpu = time.perf_counter(), time.process_time()
        for each in opened:
            each.begin()
        await asyncio.gather(*(each.done for each in opened))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        bytes_each = max(each.body_bytes for each in opened)
        for each in opened:
            each.transport.abort()
        took.sort()
        return {
            "seconds": seconds, "client_cpu": cpu, "failed": len(failed), "count": len(took), "bytes": bytes_each,
            "p50_ms": took[len(took) // 2] * 1e3, "p99_ms": took[int(len(took) * 0.99)] * 1e3,
            "least_ms": took[0] * 1e3, "first_failure": failed[0].decode(errors="replace") if failed else "",
        }  # fmt: skip

    async def watch(self, count: int, wanted: int) -> dict[str, Any]:
        """So many watches are open; each waits for so many events."""
        loop = asyncio.get_running_loop()
        request = self.request("GET", f"{PODS}?watch=1&timeoutSeconds=600&resourceVersion=")
        listed = self.request("GET", f"{PODS}?limit=1")
        version = await self._version(listed)
        request = request.replace(b"resourceVersion=", b"resourceVersion=" + version.encode())
        self.watchers = []
        for _ in range(count):
            _, protocol = await loop.create_connection(
                lambda: Watcher(request, wanted), self.host, self.port, ssl=self.tls
            )
            self.watchers.append(protocol)
        await asyncio.gather(*(each.open for each in self.watchers))
        return {"open": count}

    async def _version(self, request: bytes) -> str:
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
        writer.write(request)
        head = await reader.readuntil(HEAD_END)
        size = int(head.lower().split(LENGTH, 1)[1].split(b"\r", 1)[0])
        body = await reader.readexactly(size)
        writer.close()
        if b"content-encoding: gzip" in head:
            body = gzip.decompress(body)
        return str(orjson.loads(body)["metadata"]["resourceVersion"])

    async def watched(self) -> dict[str, Any]:
        """All events have come; the watches are closed."""
        began, cpu = time.perf_counter(), time.process_time()
        async with asyncio.timeout(WATCH_SECONDS_MAX):
            await asyncio.gather(*(each.whole for each in self.watchers))
        took = {"seconds": time.perf_counter() - began, "client_cpu": time.process_time() - cpu}
        took["events"] = sum(each.seen for each in self.watchers)
        for each in self.watchers:
            each.transport.abort()
        return took


def _decoded(text: str) -> bytes:
    return base64.b64decode(text)


async def main() -> None:
    """Does what standard input says until it ends."""
    load = Load(sys.argv[1])
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        answer = await getattr(load, asked.pop("do"))(**asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[2]:
        os.sched_setaffinity(0, {int(sys.argv[2])})
    uvloop.run(main())
