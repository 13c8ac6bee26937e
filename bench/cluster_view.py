"""What a watcher of a cluster sees, and when: pods bound, running and gone, nodes ready.

The times are those at which the events arrive over TLS, in the process that watches.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from bench.http_load import HEAD_END, Load

WATCH_SECONDS_MAX = 3_600
POLL_SECONDS = 0.01
PODS = "/api/v1/pods"
NODES = "/api/v1/nodes"


class Stream(asyncio.Protocol):
    """One watch over HTTP/1.1; every event goes to ``event`` as it comes."""

    def __init__(self, request: bytes, event: Callable[[dict[str, Any], float], None]) -> None:
        self.request = request
        self.event = event
        self.received = bytearray()
        self.line = bytearray()
        self.is_open = False
        self.failure: Exception | None = None
        self.is_closing = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self.received += data
        if not self.is_open:
            head, separator, rest = self.received.partition(HEAD_END)
            if not separator:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(self.received.decode(errors="replace"))
            self.is_open = True
            self.received = rest
        self._chunks()
        *whole, last = self.line.split(b"\n")
        self.line = last
        for each in whole:
            self.event(orjson.loads(each), now)

    def _chunks(self) -> None:
        """The whole chunks among what was received are part of ``line`` now."""
        at = 0
        while (end := self.received.find(b"\r\n", at)) >= 0:
            size = int(self.received[at:end], 16)
            if len(self.received) < end + size + 4:
                break
            self.line += self.received[end + 2 : end + 2 + size]
            at = end + size + 4
        del self.received[:at]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.is_closing:
            self.failure = error or ConnectionError("the watch ended")

    def close(self) -> None:
        """It is not watched any more."""
        self.is_closing = True
        self.transport.abort()


class View:
    """Pods and nodes by name, with the time at which each was first seen in a state; from ``open`` to ``close``."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.added: dict[str, float] = {}
        self.bound: dict[str, float] = {}
        self.running: dict[str, float] = {}
        self.gone: dict[str, float] = {}
        self.ready: dict[str, float] = {}
        self.first_bound: Callable[[], None] | None = None  # called once, at the first binding
        self._streams: list[Stream] = []

    async def open(self, *, listed: bool = True) -> None:
        """What there is was seen, unless not ``listed``, and what changes from now on is."""
        for path, event in ((PODS, self._pod), (NODES, self._node)):
            found = await self.load.answer(self.load.request("GET", path if listed else f"{path}?limit=1"))
            for item in found["items"] if listed else ():
                event({"type": "ADDED", "object": item}, time.perf_counter())
            version = found["metadata"]["resourceVersion"]
            target = f"{path}?watch=1&timeoutSeconds={WATCH_SECONDS_MAX}&resourceVersion={version}"
            request = self.load.request("GET", target)
            _, stream = await asyncio.get_running_loop().create_connection(
                partial(Stream, request, event),
                self.load.host, self.load.port, ssl=self.load.tls,
            )  # fmt: skip
            self._streams.append(stream)

    def close(self) -> None:
        """Nothing more is seen."""
        for stream in self._streams:
            stream.close()
        self._streams.clear()

    async def until(self, holds: Callable[[], bool], seconds_max: float, what: str) -> None:
        """That holds, or TimeoutError says what did not; ConnectionError where the watch has ended."""
        if not await self._until(holds, seconds_max):
            counts = {
                name: len(getattr(self, name)) for name in ("added", "bound", "running", "gone", "ready")
            }
            raise TimeoutError(f"not within {seconds_max:g} s: {what}; seen: {counts}")

    async def _until(self, holds: Callable[[], bool], seconds_max: float) -> bool:
        give_up = time.perf_counter() + seconds_max
        while not holds():
            for stream in self._streams:
                if stream.failure is not None:
                    raise stream.failure
            if time.perf_counter() > give_up:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    def _pod(self, event: dict[str, Any], now: float) -> None:
        kind, pod = event["type"], event["object"]
        if kind == "ERROR":
            raise ConnectionError(str(pod))
        name = pod["metadata"].get("name")
        if kind == "BOOKMARK":
            return
        self.added.setdefault(name, now)
        if kind == "DELETED":
            self.gone.setdefault(name, now)
            return
        if pod["spec"].get("nodeName") and name not in self.bound:
            if self.first_bound is not None:
                self.first_bound()
                self.first_bound = None
            self.bound[name] = now
        if pod["status"].get("phase") == "Running":
            self.running.setdefault(name, now)

    def _node(self, event: dict[str, Any], now: float) -> None:
        if event["type"] not in ("ADDED", "MODIFIED"):
            return
        node = event["object"]
        conditions = node["status"].get("conditions") or ()
        if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            self.ready.setdefault(node["metadata"]["name"], now)
