"""Pods that wait to be scheduled: those to try now, those to try after a pause, and those that wait for an event.

Source: pkg/scheduler/backend/queue/scheduling_queue.go of Kubernetes 1.36 (PrioritySort; popping from backoffQ where
activeQ is empty, KEP-5142).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from kcore.online.events import Event, awaited, is_wanted, name_of, wanted_of

INITIAL_BACKOFF_MS: Final = 1_000
MAX_BACKOFF_MS: Final = 10_000
UNSCHEDULABLE_MS_MAX: Final = 5 * 60_000  # after which a pod is tried though nothing has happened

ACTIVE: Final = "active"
BACKOFF: Final = "backoff"
UNSCHEDULABLE: Final = "unschedulable"
GATED: Final = "gated"
IN_FLIGHT: Final = "in flight"

UNREAD: Final = object()

Object = dict[str, Any]
Kind = tuple[str, tuple[tuple[str, str], ...]]  # of a pod: its namespace and labels


@dataclass(slots=True, eq=False)
class Waiting:
    """A pod in the queue."""

    key: str
    obj: Object
    priority: int
    since_ms: int  # when it entered activeQ for this try: the order among equals
    first_ms: int
    number: int
    place: str = ACTIVE
    attempts: int = 0
    failures: int = 0  # tries in a row that ended unschedulable or in an error
    had_error: bool = False
    tried_ms: int = 0
    awaits: int = int(Event.ALL)  # bits of Event
    plugins: frozenset[str] = field(default_factory=frozenset)
    wanted: Any = UNREAD  # the pods whose coming may help it, see ``wanted_of``


class SchedulingQueue:
    """See the module. All times are milliseconds of one clock that only grows."""

    def __init__(
        self,
        *,
        initial_backoff_ms: int = INITIAL_BACKOFF_MS,
        max_backoff_ms: int = MAX_BACKOFF_MS,
        told: Callable[[str, str], None] = lambda place, event: None,
    ) -> None:
        """``told`` hears of each pod that enters a place, and why (an event of upstream's queue_incoming_pods_total)."""
        self._told = told
        self._initial_ms = initial_backoff_ms
        self._max_ms = max_backoff_ms
        self._pods: dict[str, Waiting] = {}
        self._active: list[tuple[int, int, int, Waiting]] = []
        self._backoff: list[tuple[int, int, Waiting]] = []
        self._unschedulable: dict[str, Waiting] = {}
        self._number = 0
        self._counts = dict.fromkeys((ACTIVE, BACKOFF, UNSCHEDULABLE, GATED, IN_FLIGHT), 0)

    def __len__(self) -> int:
        return len(self._pods)

    @property
    def counts(self) -> dict[str, int]:
        """Pods by where they are (upstream's ``scheduler_pending_pods``)."""
        return dict(self._counts)

    def get(self, key: str) -> Waiting | None:
        """The pod of that key."""
        return self._pods.get(key)

    # -- the cluster's side -----------------------------------------------------------------------------------------
    def put(self, key: str, obj: Object, now_ms: int) -> None:
        """A pod without a node is there, or is other than it was: a change of its own may let it fit."""
        known = self._pods.get(key)
        gated = bool(obj["spec"].get("schedulingGates"))
        priority: int = obj["spec"].get("priority") or 0
        if known is None:
            self._number += 1
            known = self._pods[key] = Waiting(key, obj, priority, now_ms, now_ms, self._number, place="")
            self._enter(known, GATED if gated else ACTIVE, now_ms, "PodAdd")
            return
        before, known.obj = known.obj, obj
        known.priority = priority
        if known.place == GATED and not gated:
            self._enter(known, ACTIVE, now_ms, "PodUpdate")
        elif known.place != IN_FLIGHT and gated:
            self._enter(known, GATED, now_ms, "PodUpdate")
        elif known.place == UNSCHEDULABLE and is_other(before, obj):
            self._wake(known, now_ms, "PodUpdate")

    def waiting(self) -> list[Waiting]:
        """All of them, in the order in which they came."""
        return sorted(self._pods.values(), key=lambda each: each.number)

    def delete(self, key: str) -> None:
        """The pod is gone, or has a node."""
        known = self._pods.pop(key, None)
        if known is not None:
            self._leave(known)
            known.place = ""

    def happened(self, event: Event, now_ms: int, came: Iterable[Object] | None = None) -> None:
        """Pods that such an event may help are tried again, once their pause is over.

        ``came``: the pods that got a node, where POD_ASSIGNED is among it; None: any may be.
        """
        bits = int(event)
        rest = bits & ~int(Event.POD_ASSIGNED)
        alike = None if came is None else {_kind(pod) for pod in came}
        for known in [each for each in self._unschedulable.values() if each.awaits & bits]:
            if known.awaits & rest or alike is None or _wants(known, alike):
                self._wake(known, now_ms, name_of(event))

    # -- the scheduler's side ---------------------------------------------------------------------------------------
    def pop(self, count: int, now_ms: int) -> list[Waiting]:
        """The next pods, highest priority first, the longest waiting first among equals; they are in flight now."""
        self._ripen(now_ms)
        taken: list[Waiting] = []
        while self._active and len(taken) < count:
            _, since_ms, _, known = heapq.heappop(self._active)
            if known.place == ACTIVE and known.since_ms == since_ms:
                taken.append(known)
                self._fly(known, now_ms)
        if not taken:
            waiting = sorted(
                (each for _, _, each in self._backoff if each.place == BACKOFF and not each.had_error),
                key=lambda each: (-each.priority, each.since_ms, each.number),
            )
            for known in waiting[:count]:
                if known.place == BACKOFF:  # it may be in the heap twice
                    taken.append(known)
                    self._fly(known, now_ms)
        return taken

    def _fly(self, known: Waiting, now_ms: int) -> None:
        self._leave(known)
        known.place = IN_FLIGHT
        self._counts[IN_FLIGHT] += 1
        known.attempts += 1
        known.tried_ms = now_ms

    def unschedulable(self, known: Waiting, plugins: Iterable[str], now_ms: int) -> None:
        """It fits nowhere, as these plugins say: it waits for what may change their minds."""
        if self._pods.get(known.key) is known:
            known.failures += 1
            known.had_error = False
            known.plugins = frozenset(plugins)
            known.awaits = int(awaited(known.plugins))
            known.wanted = UNREAD
            self._enter(known, UNSCHEDULABLE, now_ms, "ScheduleAttemptFailure")

    def failed(self, known: Waiting, now_ms: int) -> None:
        """An error kept it from being bound: it is tried again after a pause."""
        if self._pods.get(known.key) is known:
            known.failures += 1
            known.had_error = True
            self._enter(known, BACKOFF, now_ms, "ScheduleAttemptFailure")

    def next_ms(self) -> int | None:
        """When the next pod is due, by its pause or by having waited too long; None where none is."""
        due = [self._backoff[0][0]] if self._backoff else []
        if self._unschedulable:
            due.append(min(each.since_ms for each in self._unschedulable.values()) + UNSCHEDULABLE_MS_MAX)
        return min(due) if due else None

    @property
    def is_busy(self) -> bool:
        """Whether a pod could be popped now."""
        return self._counts[ACTIVE] > 0 or any(
            each.place == BACKOFF and not each.had_error for _, _, each in self._backoff
        )

    # -- inside -----------------------------------------------------------------------------------------------------
    def _backoff_until_ms(self, known: Waiting) -> int:
        if not known.failures:
            return known.tried_ms
        doubled = self._initial_ms << min(known.failures - 1, 30)
        return known.tried_ms + min(doubled, self._max_ms)

    def _wake(self, known: Waiting, now_ms: int, event: str) -> None:
        self._enter(known, BACKOFF if self._backoff_until_ms(known) > now_ms else ACTIVE, now_ms, event)

    def _ripen(self, now_ms: int) -> None:
        while self._backoff and self._backoff[0][0] <= now_ms:
            due_ms, _, known = heapq.heappop(self._backoff)
            if known.place == BACKOFF and self._backoff_until_ms(known) == due_ms:
                self._enter(known, ACTIVE, now_ms, "BackoffComplete")
        limit_ms = now_ms - UNSCHEDULABLE_MS_MAX
        for known in [each for each in self._unschedulable.values() if each.since_ms <= limit_ms]:
            self._wake(known, now_ms, "UnschedulableTimeout")

    def _enter(self, known: Waiting, place: str, now_ms: int, event: str) -> None:
        self._told(place, event)
        self._leave(known)
        known.place = place
        self._counts[place] += 1
        if place == ACTIVE:
            known.since_ms = now_ms
            heapq.heappush(self._active, (-known.priority, now_ms, known.number, known))
        elif place == BACKOFF:
            known.since_ms = now_ms
            heapq.heappush(self._backoff, (self._backoff_until_ms(known), known.number, known))
        elif place == UNSCHEDULABLE:
            known.since_ms = now_ms
            self._unschedulable[known.key] = known

    def _leave(self, known: Waiting) -> None:
        if known.place:
            self._counts[known.place] -= 1
        if known.place == UNSCHEDULABLE:
            del self._unschedulable[known.key]


def _kind(pod: Object) -> Kind:
    metadata = pod["metadata"]
    return metadata.get("namespace") or "", tuple(sorted((metadata.get("labels") or {}).items()))


def _wants(known: Waiting, alike: Iterable[Kind]) -> bool:
    """Whether a pod of one of these kinds may help it."""
    if known.wanted is UNREAD:
        known.wanted = wanted_of(known.obj, known.plugins)
    return any(is_wanted(known.wanted, namespace, dict(labels)) for namespace, labels in alike)


def is_other(old: Object, new: Object) -> bool:
    """Whether a pod asks for something else than before; its status alone does not count, but for its resources."""
    if old["spec"] != new["spec"] or old["metadata"].get("labels") != new["metadata"].get("labels"):
        return True
    was, now = old.get("status") or {}, new.get("status") or {}
    return bool(was.get("resources") != now.get("resources"))
