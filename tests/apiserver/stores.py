"""Rows, objects and an embedded store for the tests of storage and cache."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from kcore.api.rows import Row
from kcore.apiserver.cacher import Cacher
from kcore.apiserver.storage import Storage, encode
from kcore.store.embedded import Embedded

POD = Row(
    "", "v1", "Pod", "pods", "pod", True, "pods", "io.k8s.api.core.v1.Pod",
    fields=("spec.nodeName", "status.phase", "spec.hostNetwork"),
)  # fmt: skip
NODE = Row(
    "", "v1", "Node", "nodes", "node", False, "minions", "io.k8s.api.core.v1.Node", fields=("spec.unschedulable",)
)  # fmt: skip
SERVICE = Row(
    "", "v1", "Service", "services", "service", True, "services/specs", "io.k8s.api.core.v1.Service"
)
EVENT = Row(
    "", "v1", "Event", "events", "event", True, "events", "io.k8s.api.core.v1.Event", fields=("source", "reason")
)  # fmt: skip


class Turned:
    """A transformer that only turns bytes around."""

    def to_storage(self, key: bytes, value: bytes) -> bytes:
        return b"turned:" + value[::-1]

    def from_storage(self, key: bytes, stored: bytes) -> tuple[bytes, bool]:
        return (stored[7:][::-1], False) if stored.startswith(b"turned:") else (stored, True)


def made(row: Row, name: str, namespace: str = "", **more: Any) -> dict[str, Any]:
    """An object of the row with those labels and whatever else is given."""
    metadata: dict[str, Any] = {"name": name, "uid": f"uid-{name}"}
    if row.namespaced:
        metadata["namespace"] = namespace
    if labels := more.pop("labels", None):
        metadata["labels"] = labels
    return {"apiVersion": row.api_version, "kind": row.kind, "metadata": metadata, **more}


async def create(storage: Storage, row: Row, name: str, namespace: str = "default", **more: Any) -> int:
    """The object is stored; its revision."""
    return await storage.create(row, namespace, name, encode(made(row, name, namespace, **more)))


def with_store(test: Callable[[Storage], Awaitable[None]]) -> None:
    """The test is run over an empty store."""

    async def run() -> None:
        kv = await Embedded.open(None)
        try:
            await test(Storage(kv))
        finally:
            await kv.close()

    asyncio.run(run())


def with_cacher(test: Callable[[Storage, Cacher], Awaitable[None]]) -> None:
    """The test is run over an empty store and its cache."""

    async def run(storage: Storage) -> None:
        async with Cacher(storage) as cacher:
            await test(storage, cacher)

    with_store(run)
