"""Pods that have a node and wait for leave to go there: who has yet to give it, until when, and who takes it away.

Source: pkg/scheduler/framework/runtime/waiting_pods_map.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from kcore.clock import Clock, Timed

WAIT_SECONDS_MAX: Final = 15 * 60.0  # that a permit may be waited for; a plugin that asks for more gets this

Object = dict[str, Any]


class Outcome(NamedTuple):
    """How a wait ended: with every permit (``plugin`` and ``message`` empty), a rejection, or a preemption."""

    plugin: str = ""
    message: str = ""
    is_allowed: bool = True
    is_preempted: bool = False


class WaitingPod:
    """One pod and the plugins whose permits it lacks."""

    def __init__(self, pod: Object, node: str, waits_s: Mapping[str, float], clock: Clock) -> None:
        self.pod = pod
        self.node = node
        self.ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._timers: dict[str, Timed] = {}
        for plugin, seconds in waits_s.items():
            after_s = min(seconds, WAIT_SECONDS_MAX)
            self._timers[plugin] = clock.call_later(after_s, lambda one=plugin, s=after_s: self._late(one, s))  # type: ignore[misc]

    @property
    def pending(self) -> tuple[str, ...]:
        """The plugins that have not given their permit."""
        return tuple(self._timers)

    def allow(self, plugin: str) -> None:
        """That plugin lets it go; with the last one the pod goes."""
        timer = self._timers.pop(plugin, None)
        if timer is not None:
            timer.cancel()
        if not self._timers:
            self._end(Outcome())

    def reject(self, plugin: str, message: str) -> bool:
        """The pod does not go, as that plugin says; False where that had been decided before."""
        return self._end(Outcome(plugin, message, is_allowed=False))

    def preempt(self, plugin: str, message: str) -> bool:
        """The pod makes room before it has gone, and is tried again; False where all had been decided before."""
        return self._end(Outcome(plugin, message, is_allowed=False, is_preempted=True))

    def _late(self, plugin: str, seconds: float) -> None:
        after = go_duration(round(seconds * 1_000_000_000))
        self.reject(plugin, f"rejected due to timeout after waiting {after} at plugin {plugin}")

    def _end(self, outcome: Outcome) -> bool:
        for timer in self._timers.values():
            timer.cancel()
        if self.ended.done():
            return False
        self.ended.set_result(outcome)
        return True


class WaitingPods:
    """All of them, by uid."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pods: dict[str, WaitingPod] = {}

    def __iter__(self) -> Iterator[WaitingPod]:
        return iter(tuple(self._pods.values()))

    def __len__(self) -> int:
        return len(self._pods)

    def get(self, uid: str) -> WaitingPod | None:
        """The pod of that uid, if it waits."""
        return self._pods.get(uid)

    def add(self, pod: Object, node: str, waits_s: Mapping[str, float]) -> WaitingPod:
        """The pod waits for those plugins, so long for each."""
        waiting = self._pods[pod["metadata"]["uid"]] = WaitingPod(pod, node, waits_s, self._clock)
        return waiting

    def remove(self, uid: str) -> None:
        """It waits no more."""
        self._pods.pop(uid, None)

    def reject(self, uid: str) -> bool:
        """The pod is gone, and so waits no more; False where it did not wait."""
        waiting = self._pods.get(uid)
        return waiting is not None and waiting.reject("", "removed")


def go_duration(ns: int) -> str:
    """The duration as Go prints it (``time.Duration.String``): 1m30s, 1.5s, 250ms."""
    if ns < 0:
        return f"-{go_duration(-ns)}"
    if ns < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000)):
            if ns >= size:
                return f"{_decimal(ns, size)}{unit}"
        return f"{ns}ns" if ns else "0s"
    minutes, left = divmod(ns, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(left, 1_000_000_000)}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    return f"{whole}.{str(rest).zfill(len(str(unit)) - 1).rstrip('0')}" if rest else str(whole)
