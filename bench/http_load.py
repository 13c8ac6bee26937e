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

from bench.registry_steps import body, running

EVENT = b'{"type":'
HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"
LENGTH = b"content-length: "
PODS = "/api/v1/namespaces/default/pods"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
WATCH_SECONDS_MAX = 120.0
HTTP2_WATCHES_MAX = 90  # of a connection: the server asks for another one from 96 on
OPENED_AT_ONCE_MAX = 100
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
STREAM_WINDOW_BYTES = 4 << 20  # golang.org/x/net/http2 transport.go
CONNECTION_WINDOW_BYTES = 1 << 30
REFRESH_BYTES_MIN = 4 << 10


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
        self.done = asyncio.get_running_loop().create_future()

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


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header field of HPACK, not indexed and not compressed."""
    assert len(name) < 127 and len(value) < 127
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


class Http2Watcher(asyncio.Protocol):
    """Counts the events of many watches on one connection of HTTP/2, with the windows that Go's client gives."""

    def __init__(self, fields: list[tuple[bytes, bytes]], count: int, wanted: int) -> None:
        block = b"".join(literal(*field) for field in fields)
        self.request = PREFACE + frame(SETTINGS, 0, 0, b"\0\4" + STREAM_WINDOW_BYTES.to_bytes(4, "big"))
        self.request += frame(WINDOW_UPDATE, 0, 0, CONNECTION_WINDOW_BYTES.to_bytes(4, "big"))
        for number in range(count):
            self.request += frame(HEADERS, 5, 2 * number + 1, block)  # END_STREAM, END_HEADERS
        self.count = count
        self.wanted = wanted * count
        self.seen = 0
        self.begun = 0
        self.rest = b""
        self.tails: dict[int, bytes] = {}
        self.taken: dict[int, int] = {}
        self.whole = asyncio.get_running_loop().create_future()
        self.open = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        data, at, answer = self.rest + data, 0, b""
        while len(data) >= at + 9:
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if end > len(data):
                break
            kind, flags, stream = data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big")
            payload = data[at + 9 : end]
            at = end
            if kind == DATA:
                self._count(stream, payload)
                answer += self._credit(stream, len(payload)) + self._credit(0, len(payload))
            elif kind == HEADERS:
                self.begun += 1
            elif kind in (SETTINGS, PING) and not flags & 1:
                answer += frame(kind, 1, 0, b"" if kind == SETTINGS else payload)
        self.rest = data[at:]
        if answer:
            self.transport.write(answer)
        if self.begun == self.count and not self.open.done():
            self.open.set_result(None)
        if self.seen >= self.wanted and not self.whole.done():
            self.whole.set_result(None)

    def _count(self, stream: int, payload: bytes) -> None:
        both = self.tails.get(stream, b"") + payload
        self.seen += both.count(EVENT)
        self.tails[stream] = both[-len(EVENT) + 1 :]

    def _credit(self, stream: int, size: int) -> bytes:
        """A window update, once enough was taken."""
        taken = self.taken.get(stream, 0) + size
        self.taken[stream] = 0 if taken >= REFRESH_BYTES_MIN else taken
        return (
            frame(WINDOW_UPDATE, 0, stream, taken.to_bytes(4, "big")) if taken >= REFRESH_BYTES_MIN else b""
        )

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.open, self.whole):
            if not future.done():
                future.set_exception(error or ConnectionError(f"watches ended after {self.seen} events"))


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
        self.watchers: list[Any] = []
        self.opened: list[Connection] = []

    def request(self, method: str, path: str, content: bytes = b"", kind: str = "application/json") -> bytes:
        """One request."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAccept: application/json\r\n"
            "User-Agent: bench/1.0 (linux/amd64)\r\n"
        )
        if content:
            head += f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        return head.encode() + b"\r\n" + content

    def requests(self, what: str, first: int, count: int) -> list[bytes]:
        """Those of one verb, for pods of consecutive numbers."""
        made = []
        for number in range(first, first + count):
            path = f"{PODS}/web-{number}"
            if what.startswith("create"):
                made.append(self.request("POST", PODS, body(number, distinct=what == "create_distinct")))
            elif what == "get":
                made.append(self.request("GET", path))
            elif what == "patch":
                change = orjson.dumps(
                    {"metadata": {"annotations": {"example.com/seen": str(time.time_ns())}}}
                )
                made.append(self.request("PATCH", path, change, MERGE_PATCH))
            elif what == "bind":
                target = {"apiVersion": "v1", "kind": "Node", "name": f"node-{number % 100}"}
                binding = {
                    "apiVersion": "v1",
                    "kind": "Binding",
                    "metadata": {"name": f"web-{number}"},
                    "target": target,
                }
                made.append(self.request("POST", f"{path}/binding", orjson.dumps(binding)))
            elif what == "status":
                change = orjson.dumps({"status": running(f"10.1.{number // 250 % 250}.{number % 250}")})
                made.append(self.request("PATCH", f"{path}/status", change, STRATEGIC_PATCH))
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
        return await self.send(iter(self.requests(what, first, count)))

    async def send(self, requests: Iterator[bytes]) -> dict[str, Any]:
        """All of them over the connections that are open, each taken from the iterator right before it is sent."""
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

    async def watch(self, count: int, wanted: int, http2: bool = False) -> dict[str, Any]:
        """So many watches are open; each waits for so many events."""
        version = (await self.answer(self.request("GET", f"{PODS}?limit=1")))["metadata"]["resourceVersion"]
        target = f"{PODS}?watch=1&timeoutSeconds=600&resourceVersion={version}"
        request = self.request("GET", target)
        self.watchers = []
        while count:
            some = min(count, HTTP2_WATCHES_MAX) if http2 else 1
            count -= some
            self.watchers.append(await self._watcher(request, target, some, wanted, http2))
            if len(self.watchers) % OPENED_AT_ONCE_MAX == 0:
                await asyncio.gather(*(each.open for each in self.watchers))
        await asyncio.gather(*(each.open for each in self.watchers))
        return {"open": len(self.watchers)}

    async def _watcher(self, request: bytes, target: str, count: int, wanted: int, http2: bool) -> Any:
        """A connection with so many watches."""

        def made() -> Watcher | Http2Watcher:
            if not http2:
                return Watcher(request, wanted)
            fields = [
                (b":method", b"GET"), (b":scheme", b"https"), (b":authority", f"{self.host}:{self.port}".encode()),
                (b":path", target.encode()), (b"accept", b"application/json"), (b"user-agent", b"bench/1.0"),
            ]  # fmt: skip
            return Http2Watcher(fields, count, wanted)

        self.tls.set_alpn_protocols(["h2"] if http2 else ["http/1.1"])
        _, protocol = await asyncio.get_running_loop().create_connection(
            made, self.host, self.port, ssl=self.tls
        )
        return protocol

    async def unwatch(self) -> dict[str, Any]:
        """The watches are closed."""
        for each in self.watchers:
            each.transport.abort()
        await asyncio.gather(*(each.whole for each in self.watchers), return_exceptions=True)
        return {"closed": len(self.watchers)}

    async def answer(self, request: bytes) -> dict[str, Any]:
        """What one request on a connection of its own is answered with, an object; ConnectionError for a Status of failure."""
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
        writer.write(request)
        head = (await reader.readuntil(HEAD_END)).lower()
        if LENGTH in head:
            body = await reader.readexactly(int(head.split(LENGTH, 1)[1].split(b"\r", 1)[0]))
        else:
            chunks = []
            while size := int(await reader.readline(), 16):
                chunks.append(await reader.readexactly(size))
                await reader.readline()
            body = b"".join(chunks)
        writer.transport.abort()
        if b"content-encoding: gzip" in head:
            body = gzip.decompress(body)
        if head[9:10] != b"2":
            raise ConnectionError(body.decode(errors="replace"))
        found: dict[str, Any] = orjson.loads(body)
        return found

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
