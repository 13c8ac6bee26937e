"""A cluster of the test's own for the scheduler online: objects go in as watches would bring them, what it writes is noted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from kcore.api.status import ApiError
from kcore.client.store import Change, key_of
from kcore.clock import VirtualClock, settle
from kcore.online.binding import Named
from kcore.online.driver import Scheduler
from kcore.scheduler.profile import SchedulerConfiguration

Object = dict[str, Any]


class Notes:
    """A recorder that remembers (name of the pod, reason, note)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    def event(self, obj: Object, kind: str, reason: str, action: str, note: str, **more: Any) -> None:
        """One more."""
        self.events.append((obj["metadata"]["name"], reason, note))

    def last(self, name: str, reason: str) -> str:
        """The last note of that reason on a pod."""
        return next(note for one, why, note in reversed(self.events) if (one, why) == (name, reason))


class Writes:
    """The client: what is written, and what the server answers to it."""

    def __init__(self) -> None:
        self.bound: dict[str, str] = {}
        self.patches: list[tuple[str, Object]] = []
        self.deleted: list[str] = []
        self.answer: Callable[[str, str], Exception | None] = lambda verb, key: None

    def _answered(self, verb: str, key: str) -> None:
        fault = self.answer(verb, key)
        if fault is not None:
            raise fault

    async def create(
        self, obj: Object, *, resource: str, name: str, subresource: str, answered: bool = True
    ) -> None:
        """A binding."""
        key = f"{obj['metadata']['namespace']}/{name}"
        self._answered("bind", key)
        self.bound[key] = obj["target"]["name"]

    async def together(self, works: Sequence[Any]) -> list[Any]:
        """All of them."""
        return await asyncio.gather(*works, return_exceptions=True)

    async def get(self, resource: str, name: str, namespace: str) -> Object:
        """A pod, as far as the scheduler looks at it."""
        key = f"{namespace}/{name}"
        return {"metadata": {"name": name, "uid": name}, "spec": {"nodeName": self.bound.get(key, "")}}

    async def patch(self, resource: str, name: str, patch: Object, namespace: str, **more: Any) -> None:
        """A status."""
        self._answered("patch", f"{namespace}/{name}")
        self.patches.append((f"{namespace}/{name}", patch["status"]))

    async def delete(self, resource: str, name: str, namespace: str, **more: Any) -> None:
        """A victim."""
        self.deleted.append(f"{namespace}/{name}")
        self._answered("delete", f"{namespace}/{name}")


class Cluster:
    """See the module. The clock stands still until ``later`` moves it."""

    def __init__(
        self, configuration: SchedulerConfiguration | None = None, plugins: Sequence[Named] = ()
    ) -> None:
        self.writes = Writes()
        self.notes = Notes()
        self.clock = VirtualClock()
        self.scheduler = Scheduler(
            self.writes, informers=object(), configuration=configuration,  # type: ignore[arg-type]
            recorder=lambda name: self.notes, clock=self.clock, plugins=plugins,  # type: ignore[arg-type,return-value]
        )  # fmt: skip
        self.objects: dict[tuple[str, str], Object] = {}

    def put(self, resource: str, *objects: Object) -> None:
        """They are there, or are so now."""
        for obj in objects:
            place = (resource, key_of(obj))
            self.scheduler._changes.append((resource, Change(self.objects.get(place), obj)))
            self.objects[place] = obj

    def drop(self, resource: str, key: str) -> None:
        """It is gone."""
        self.scheduler._changes.append((resource, Change(self.objects.pop((resource, key)), None)))

    def show(self, key: str, **status: Any) -> None:
        """A watch shows the pod where it was bound."""
        pod = self.objects["pods", key]
        spec = {**pod["spec"], "nodeName": self.writes.bound[key]}
        self.put("pods", {**pod, "spec": spec, "status": {**(pod.get("status") or {}), **status}})

    async def later(self, seconds: float) -> None:
        """Time goes on."""
        await self.clock.advance(seconds)

    async def settle(self) -> None:
        """Everything has been decided and written."""
        while self.scheduler.step() or self.scheduler._writes:
            await asyncio.sleep(0)

    async def turn(self) -> None:
        """Everything has been decided, and what has to be written has been, but for pods that wait for leave."""
        while True:
            decided = self.scheduler.step()
            await self.scheduler._decide_held()
            await settle()
            if not decided and not self.scheduler._held:
                return

    def waits(self, key: str) -> str:
        """Where in the queue the pod is; empty where it is not."""
        known = self.scheduler.queue.get(key)
        return "" if known is None else known.place


def refused(verb: str, code: int = 409) -> Callable[[str, str], Exception | None]:
    """An answer for ``Writes.answer``: no, to that verb."""
    return lambda what, key: ApiError(code, "Conflict", "no") if what == verb else None
