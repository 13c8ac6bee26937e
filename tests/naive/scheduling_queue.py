"""The scheduling queue as upstream's text says it: lists that are searched from end to end, and nothing is forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kcore.online.events import Event, awaited

Object = dict[str, Any]
SECOND_MS = 1_000


@dataclass(eq=False)
class Pod:
    """One pod, wherever it is."""

    key: str
    obj: Object
    timestamp: int
    order: int
    place: str = ""
    unschedulable: int = 0
    errors: int = 0
    plugins: set[str] = field(default_factory=set)
    popped_at: int = 0  # how much had happened by then


class Queue:
    """``place`` of each pod, and the order in which they are popped."""

    def __init__(self, initial_ms: int, max_ms: int) -> None:
        self.initial_ms, self.max_ms = initial_ms, max_ms
        self.pods: dict[str, Pod] = {}
        self.events: list[tuple[Event, str | None]] = []
        self.flush_ms: int | None = None
        self.moves = 0

    # -- what upstream calls getBackoffTime, isPodBackingoff, Less
    def expiry(self, pod: Pod) -> int:
        count = pod.errors if pod.errors > 0 else pod.unschedulable
        if count == 0:
            return -1
        duration = min(self.initial_ms * 2 ** (count - 1), self.max_ms)
        return (pod.timestamp + duration) // SECOND_MS * SECOND_MS

    def is_backing_off(self, pod: Pod, now: int) -> bool:
        return self.expiry(pod) >= now // SECOND_MS * SECOND_MS

    def less(self, pod: Pod) -> tuple[int, int, int]:
        return (-(pod.obj["spec"].get("priority") or 0), pod.timestamp, pod.order)

    def at(self, place: str) -> list[Pod]:
        return [pod for pod in self.pods.values() if pod.place == place]

    def move(self, pod: Pod, place: str) -> None:
        if place in ("active", "backoff") and pod.obj["spec"].get("schedulingGates"):
            pod.plugins.add("SchedulingGates")
            pod.place = "gated"
            return
        self.moves += 1
        pod.order = self.moves
        pod.place = place

    def requeue(self, pod: Pod, now: int) -> None:
        self.move(pod, "backoff" if self.is_backing_off(pod, now) else "active")

    def is_worth(self, pod: Pod, event: Event) -> bool:
        return bool(awaited(pod.plugins) & event)

    # -- Add, Update, Delete, MoveAllToActiveOrBackoffQueue, Activate
    def put(self, key: str, obj: Object, now: int) -> None:
        pod = self.pods.get(key)
        if pod is None:
            pod = self.pods[key] = Pod(key, obj, now, 0)
            self.move(pod, "active")
            return
        changed, pod.obj = pod.obj["spec"] != obj["spec"], obj
        if pod.place == "in flight" and changed:
            self.events.append((Event.ALL, key))
        elif pod.place == "gated" or (pod.place == "unschedulable" and changed):
            self.requeue(pod, now)

    def delete(self, key: str) -> None:
        self.pods.pop(key, None)

    def happened(self, event: Event, now: int) -> None:
        self.events.append((event, None))
        for pod in sorted(self.at("unschedulable"), key=lambda pod: pod.order):
            if self.is_worth(pod, event):
                self.requeue(pod, now)

    def activate(self, key: str) -> None:
        pod = self.pods.get(key)
        if pod is not None and pod.place == "in flight":
            self.events.append((Event.ALL, key))
        elif pod is not None and pod.place != "active":
            self.move(pod, "active")

    # -- Pop, AddUnschedulableIfNotPresent
    def flush(self, now: int) -> None:
        done = [pod for pod in self.at("backoff") if not self.is_backing_off(pod, now)]
        for is_error in (False, True):
            for pod in sorted((one for one in done if (one.errors > 0) == is_error), key=self.backoff_less):
                self.move(pod, "active")
        if self.flush_ms is None:
            self.flush_ms = now + 30_000
        elif now >= self.flush_ms:
            self.flush_ms = now + 30_000
            for pod in sorted(self.at("unschedulable"), key=lambda pod: pod.order):
                if now - pod.timestamp > 300_000:
                    self.requeue(pod, now)

    def backoff_less(self, pod: Pod) -> tuple[int, tuple[int, int, int]]:
        return self.expiry(pod), self.less(pod)

    def pop(self, count: int, now: int) -> list[str]:
        self.flush(now)
        first = sorted(self.at("active"), key=self.less)
        if not first:
            first = sorted((pod for pod in self.at("backoff") if not pod.errors), key=self.backoff_less)
        for pod in first[:count]:
            pod.place = "in flight"
            pod.popped_at = len(self.events)
        return [pod.key for pod in first[:count]]

    def unschedulable(self, key: str, plugins: set[str], now: int) -> None:
        pod = self.pods[key]
        pod.unschedulable += 1
        pod.errors = 0
        pod.timestamp = now
        pod.plugins = set(plugins)
        met = self.events[pod.popped_at :]
        if any(one == key or (one is None and self.is_worth(pod, event)) for event, one in met):
            self.requeue(pod, now)
        else:
            self.moves += 1
            pod.order = self.moves
            pod.place = "unschedulable"

    def failed(self, key: str, now: int) -> None:
        pod = self.pods[key]
        pod.errors += 1
        pod.timestamp = now
        pod.plugins = set()
        self.requeue(pod, now)
