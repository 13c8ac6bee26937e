"""Somebody with kubectl: who asks again until there is an answer, and waits until things are as they should be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient

Object = dict[str, Any]

AGAIN_S: Final = 1.0
PATIENCE_S: Final = 3_600.0  # virtual seconds until nobody believes in it any more


class Impatient(AssertionError):
    """What should come about does not."""


class User:
    """See the module."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    async def insist(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The answer, once the server gives one that is not about itself; None where it is there, or gone, already."""
        while True:
            try:
                return await ask()
            except ApiError as error:
                if error.code in (404, 409):
                    return None
                if error.code not in (429, 500, 503, 504):
                    raise
            except OSError:
                pass
            await asyncio.sleep(AGAIN_S)

    async def create(self, *objects: Object) -> None:
        """They are there."""
        for obj in objects:
            await self.insist(lambda obj=obj: self.client.create(obj))  # type: ignore[misc]

    async def patch(self, resource: str, name: str, body: Object, namespace: str = "", **more: Any) -> None:
        """It is changed."""
        more.setdefault("type", "merge")
        await self.insist(lambda: self.client.patch(resource, name, body, namespace, **more))

    async def delete(self, resource: str, name: str, namespace: str = "", **more: Any) -> None:
        """It is gone, or on its way out."""
        await self.insist(lambda: self.client.delete(resource, name, namespace, **more))

    async def get(self, resource: str, name: str, namespace: str = "") -> Object | None:
        """The object; None where there is none."""
        found: Object | None = await self.insist(lambda: self.client.get(resource, name, namespace))
        return found

    async def list(self, resource: str, namespace: str = "", **more: Any) -> list[Object]:
        """The objects."""
        found = await self.insist(lambda: self.client.list(resource, namespace, **more))
        return found["items"] if found else []

    async def until(self, what: str, holds: Callable[[], Awaitable[Any]]) -> None:
        """It holds; Impatient where that takes for ever."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        while not await holds():
            if loop.time() - begun_s > PATIENCE_S:
                raise Impatient(f"{what}: not after {PATIENCE_S:.0f} s")
            await asyncio.sleep(AGAIN_S)

    async def rolled_out(self, resource: str, name: str, namespace: str) -> None:
        """``kubectl rollout status``."""

        async def holds() -> bool:
            obj = await self.get(resource, name, namespace)
            return obj is not None and is_rolled_out(obj)

        await self.until(f"rollout of {namespace}/{name}", holds)


def is_rolled_out(obj: Object) -> bool:
    """Whether all replicas are of the last template, and available."""
    status, spec = obj.get("status") or {}, obj["spec"]
    if status.get("observedGeneration", 0) < obj["metadata"]["generation"]:
        return False
    if obj["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return bool(
            wanted == status.get("updatedNumberScheduled", 0) == status.get("numberAvailable", 0)
            and wanted == status.get("currentNumberScheduled", 0)
        )
    wanted = spec["replicas"]
    if obj["kind"] == "StatefulSet" and status.get("updateRevision") != status.get("currentRevision"):
        return False
    return bool(
        status.get("replicas", 0) == wanted
        and (obj["kind"] != "Deployment" or status.get("updatedReplicas", 0) == wanted)
        and status.get("availableReplicas", 0) == wanted
    )
