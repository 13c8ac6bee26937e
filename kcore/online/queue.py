"""Pods that wait to be scheduled: those to try now, those to try after a pause, and those that wait for an event.

A pod that is in flight misses nothing: what happens meanwhile is kept, and looked at when it comes back.
Source: pkg/scheduler/backend/queue (scheduling_queue.go, active_queue.go, backoff_queue.go) of Kubernetes 1.36, with
QueueingHints and SchedulerPopFromBackoffQ (KEP-4247, KEP-5142).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from kcore.online.events import (
    GATES,
    OWN_CLAIMS,
    Event,
    awaited,
    is_wanted,
    name_of,
    of_pod,
    uses_claim,
    wanted_of,
)

INITIAL_BACKOFF_MS: Final = 1_000
MAX_BACKOFF_MS: Final = 10_000
WINDOW_MS: Final = (
    1_000  # pauses end with windows of this length, and in a window pods are ordered as those to try now
)
UNSCHEDULABLE_MS_MAX: Final = 5 * 60_000  # after which a pod is tried though nothing has happened
FLUSH_MS: Final = 30_000  # between two looks for such pods

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
    stamp_ms: int  # when it came, or came back from its last try: the order among equals
    number: int
    rank: float = 0
    place: str = ""
    entry: int = 0  # in the heap, the one that counts
    first_ms: int = -1  # when it could first be tried
    attempts: int = 0
    rejected_count: int = 0  # tries that ended with a rejection
    error_count: int = 0  # tries that ended with an error, since the last rejection
    was_flushed: bool = False  # it is tried because it had waited too long
    awaits: int = int(Event.ALL)  # bits of Event
    hurries: int = 0  # those of them after which it is tried without a pause
    plugins: frozenset[str] = field(default_factory=frozenset)
    wanted: Any = UNREAD  # the pods whose coming may help it, see ``wanted_of``

    @property
    def has_failed(self) -> bool:
        """Whether its last try ended with an error."""
        return self.error_count > 0


class Happened(NamedTuple):
    """What happened while pods were in flight: to all that it may help, or (``key``) to one."""

    bits: int
    alike: frozenset[Kind] | None
    key: str | None
    claims: frozenset[str] | None = None


def gate_of(pod: Object) -> str:
    """The plugin that keeps the pod out of the queue; empty where none does. Here: its own scheduling gates."""
    return GATES if pod["spec"].get("schedulingGates") else ""


def rank_of(pod: Object) -> float:
    """The order in which pods are tried, the lowest first: PrioritySort's."""
    return -(pod["spec"].get("priority") or 0)


class SchedulingQueue:
    """See the module. All times are milliseconds of one clock that only grows.

    ``told`` hears of each pod that enters a place, and why (an event of upstream's queue_incoming_pods_total); ``gate``
    and ``rank`` are what the plugins at preEnqueue and queueSort say; ``registered`` are the events of plugins that are
    not Kubernetes' own.
    """

    def __init__(
        self,
        *,
        initial_backoff_ms: int = INITIAL_BACKOFF_MS,
        max_backoff_ms: int = MAX_BACKOFF_MS,
        told: Callable[[str, str], None] = lambda place, event: None,
        gate: Callable[[Object], str] = gate_of,
        rank: Callable[[Object], float] = rank_of,
        registered: Mapping[str, Event] | None = None,
    ) -> None:
        self._told = told
        self._gate = gate
        self._rank = rank
        self._registered = registered or {}
        self._initial_ms = initial_backoff_ms
        self._max_ms = max_backoff_ms
        self._pods: dict[str, Waiting] = {}
        self._active: list[tuple[float, int, int, Waiting]] = []
        self._backoff: list[tuple[int, float, int, int, Waiting]] = []
        self._errors: list[tuple[int, float, int, int, Waiting]] = []
        self._unschedulable: dict[str, Waiting] = {}  # gated ones, too
        self._number = 0
        self._flush_ms: int | None = None
        self._flying: dict[str, int] = {}  # by key, in the order in which they left: what happened before
        self._happened: list[Happened] = []
        self._forgotten_count = 0  # of what happened
        self._counts = dict.fromkeys((ACTIVE, BACKOFF, UNSCHEDULABLE, GATED, IN_FLIGHT), 0)

    def __len__(self) -> int:
        return len(self._pods)

    @property
    def counts(self) -> dict[str, int]:
        """Pods by where they are (upstream's ``scheduler_pending_pods``)."""
        return dict(self._counts)

    @property
    def kept_count(self) -> int:
        """How much of what happened is kept for pods in flight."""
        return len(self._happened)

    def kept(self) -> dict[str, int]:
        """The same by upstream's names of events, with the pods that it is kept for (``scheduler_inflight_events``)."""
        found = {"PodPopped": len(self._flying)} if self._flying else {}
        for one in self._happened:
            event = "ForceActivate" if one.key is not None else name_of(Event(one.bits))
            found[event] = found.get(event, 0) + 1
        return found

    def get(self, key: str) -> Waiting | None:
        """The pod of that key."""
        return self._pods.get(key)

    # -- the cluster's side -----------------------------------------------------------------------------------------
    def put(self, key: str, obj: Object, now_ms: int) -> None:
        """A pod without a node is there, or is other than it was: a change of its own may let it fit."""
        known = self._pods.get(key)
        priority: int = obj["spec"].get("priority") or 0
        if known is None:
            self._number += 1
            known = self._pods[key] = Waiting(key, obj, priority, now_ms, self._number, self._rank(obj))
            self._enter(known, ACTIVE, now_ms, "UnschedulablePodAdd")
            return
        before, known.obj = known.obj, obj
        known.priority = priority
        if known.place == IN_FLIGHT:
            if key in self._flying and may_help_itself(before, obj, known):
                self._happened.append(Happened(0, None, key))
        elif known.place == GATED or (known.place == UNSCHEDULABLE and may_help_itself(before, obj, known)):
            self._requeue(known, now_ms, f"UnschedulablePod{of_pod(before, obj)}")
        elif known.place in (ACTIVE, BACKOFF):
            rank = self._rank(obj)
            if rank != known.rank:
                known.rank = rank
                self._push(known)

    def waiting(self) -> list[Waiting]:
        """All of them, in the order in which they came."""
        return sorted(self._pods.values(), key=lambda each: each.number)

    def delete(self, key: str) -> None:
        """The pod is gone, or has a node."""
        known = self._pods.pop(key, None)
        if known is not None:
            self._leave(known)
            known.place = ""

    def happened(
        self, event: Event, now_ms: int, came: Iterable[Object] | None = None, *, besides: str = "",
        claims: frozenset[str] | None = None,
    ) -> None:  # fmt: skip
        """Pods that such an event may help are tried again, once their pause is over.

        ``came``: the pods that got a node, where POD_ASSIGNED is among it; None: any may be. ``besides``: the key of a pod
        that it cannot help. ``claims``: those that came or changed, where such events are among it; None: any may have.
        """
        bits = int(event)
        alike = None if came is None else frozenset(_kind(pod) for pod in came)
        if self._flying:
            self._happened.append(Happened(bits, alike, None, claims))
        for known in [each for each in self._unschedulable.values() if each.awaits & bits]:
            if known.key != besides and _helps(known, bits, alike, claims):
                self._requeue(known, now_ms, name_of(event), hurries=bool(known.hurries & bits))

    def activate(self, key: str, now_ms: int) -> bool:
        """The pod is tried now, as a plugin wants; one in flight once it has come back. False where there is none."""
        known = self._pods.get(key)
        if known is None:
            return False
        if known.place == IN_FLIGHT and key in self._flying:
            self._happened.append(Happened(0, None, key))
        elif known.place == BACKOFF:
            self._put_into(known, ACTIVE, now_ms, "ForceActivate")
        elif known.place in (UNSCHEDULABLE, GATED):
            self._enter(known, ACTIVE, now_ms, "ForceActivate")
        return True

    # -- the scheduler's side ---------------------------------------------------------------------------------------
    def pop(self, count: int, now_ms: int) -> list[Waiting]:
        """The next pods, the lowest rank first, the longest waiting first among equals; they are in flight now.

        Where none is to be tried now, those are that were rejected and pause, the pause that ends first first.
        """
        self._ripen(now_ms)
        taken: list[Waiting] = []
        while self._active and len(taken) < count:
            _, _, entry, known = heapq.heappop(self._active)
            if known.entry == entry and known.place == ACTIVE:
                taken.append(known)
                self._fly(known)
        if taken:
            return taken
        while self._backoff and len(taken) < count:
            *_, entry, known = heapq.heappop(self._backoff)
            if known.entry == entry and known.place == BACKOFF:
                self._told(ACTIVE, "PopFromBackoffQ")
                taken.append(known)
                self._fly(known)
        return taken

    def _fly(self, known: Waiting) -> None:
        self._leave(known)
        known.place = IN_FLIGHT
        self._counts[IN_FLIGHT] += 1
        self._flying[known.key] = self._forgotten_count + len(self._happened)
        known.attempts += 1

    def done(self, known: Waiting) -> None:
        """Whatever becomes of the pod in flight, nobody will ask what happened meanwhile."""
        if self._flying.pop(known.key, None) is None or not self._happened:
            return
        if not self._flying:
            self._forgotten_count += len(self._happened)
            self._happened.clear()
            return
        unseen = next(iter(self._flying.values())) - self._forgotten_count
        if unseen:
            del self._happened[:unseen]
            self._forgotten_count += unseen

    def unschedulable(
        self, known: Waiting, plugins: Iterable[str], now_ms: int, pending: Iterable[str] = ()
    ) -> None:
        """It fits nowhere, as these plugins say: it waits for what may change their minds.

        ``pending`` are those among them that only wait for somebody to act: then it is tried without a pause.
        """
        if self._pods.get(known.key) is not known:
            return
        known.rejected_count += 1
        known.error_count = 0
        known.was_flushed = False
        known.stamp_ms = now_ms
        known.plugins = frozenset(plugins)
        known.awaits = int(awaited(known.plugins, self._registered))
        known.hurries = int(awaited(one, self._registered)) if (one := tuple(pending)) else 0
        known.wanted = UNREAD
        helps, hurries = self._met(known)
        if helps:
            self._requeue(known, now_ms, "ScheduleAttemptFailure", hurries=hurries)
        else:
            self._put_into(known, UNSCHEDULABLE, now_ms, "ScheduleAttemptFailure")

    def _met(self, known: Waiting) -> tuple[bool, bool]:
        """Whether something that may help it happened while it was in flight, and whether it is to be tried at once."""
        start = self._flying.get(known.key)
        if start is None or start == self._forgotten_count + len(self._happened):
            return False, False
        found = [
            one for one in self._happened[start - self._forgotten_count :] if one.key in (None, known.key)
        ]
        bits = [
            one.bits for one in found if one.key is not None or _helps(known, one.bits, one.alike, one.claims)
        ]
        return bool(bits), any(one & known.hurries for one in bits)

    def failed(self, known: Waiting, now_ms: int) -> None:
        """An error kept it from being bound: it is tried again after a pause."""
        if self._pods.get(known.key) is known:
            known.error_count += 1
            known.was_flushed = False
            known.stamp_ms = now_ms
            known.plugins = frozenset()
            self._requeue(known, now_ms, "ScheduleAttemptFailure")

    def next_ms(self) -> int | None:
        """When the next pod is due, by its pause or by having waited too long; None where none is."""
        due = []
        for heap in (self._backoff, self._errors):
            while heap and not _is_current(heap[0]):
                heapq.heappop(heap)
            if heap:
                due.append((heap[0][0] + 1) * WINDOW_MS)
        if self._unschedulable and self._flush_ms is not None:
            due.append(self._flush_ms)
        return min(due) if due else None

    # -- inside -----------------------------------------------------------------------------------------------------
    def _window(self, known: Waiting) -> int:
        """The window with which its pause ends; -1 where it has none."""
        count = known.error_count or known.rejected_count
        if not count or not self._max_ms:
            return -1
        pause_ms = min(self._initial_ms << min(count - 1, 62), self._max_ms)
        return (known.stamp_ms + pause_ms) // WINDOW_MS

    def _requeue(self, known: Waiting, now_ms: int, event: str, *, hurries: bool = False) -> None:
        pauses = not hurries and self._window(known) >= now_ms // WINDOW_MS
        self._enter(known, BACKOFF if pauses else ACTIVE, now_ms, event)

    def _ripen(self, now_ms: int) -> None:
        window = now_ms // WINDOW_MS
        for heap in (self._backoff, self._errors):
            while heap and heap[0][0] < window:
                item = heapq.heappop(heap)
                if _is_current(item):
                    self._put_into(item[-1], ACTIVE, now_ms, "BackoffComplete")
        if self._flush_ms is None:
            self._flush_ms = now_ms + FLUSH_MS
        elif now_ms >= self._flush_ms:
            self._flush_ms = now_ms + FLUSH_MS
            stale_ms = now_ms - UNSCHEDULABLE_MS_MAX
            for known in [
                one for one in self._unschedulable.values() if one.stamp_ms < stale_ms and one.awaits
            ]:
                known.was_flushed = True
                self._requeue(known, now_ms, "UnschedulableTimeout")

    def _enter(self, known: Waiting, place: str, now_ms: int, event: str) -> None:
        """The pod is there now, unless a plugin keeps it out."""
        gate = self._gate(known.obj)
        if not gate:
            self._put_into(known, place, now_ms, event)
            return
        known.plugins |= {gate}
        known.awaits = int(awaited((gate,), self._registered))
        if known.place != GATED:
            self._put_into(known, GATED, now_ms, event)

    def _put_into(self, known: Waiting, place: str, now_ms: int, event: str) -> None:
        self._told(place, event)
        self._leave(known)
        known.place = place
        self._counts[place] += 1
        if place in (UNSCHEDULABLE, GATED):
            self._unschedulable[known.key] = known
            return
        if place == ACTIVE and known.first_ms < 0:
            known.first_ms = now_ms
        self._push(known)

    def _push(self, known: Waiting) -> None:
        self._number += 1
        known.entry = self._number
        if known.place == ACTIVE:
            heapq.heappush(self._active, (known.rank, known.stamp_ms, known.entry, known))
            return
        heap = self._errors if known.has_failed else self._backoff
        heapq.heappush(heap, (self._window(known), known.rank, known.stamp_ms, known.entry, known))

    def _leave(self, known: Waiting) -> None:
        if known.place:
            self._counts[known.place] -= 1
        if known.place in (UNSCHEDULABLE, GATED):
            del self._unschedulable[known.key]
        elif known.place == IN_FLIGHT:
            self.done(known)


def _is_current(item: tuple[int, float, int, int, Waiting]) -> bool:
    return item[4].place == BACKOFF and item[4].entry == item[3]


def _kind(pod: Object) -> Kind:
    metadata = pod["metadata"]
    return metadata.get("namespace") or "", tuple(sorted((metadata.get("labels") or {}).items()))


def _helps(known: Waiting, bits: int, alike: Iterable[Kind] | None, claims: frozenset[str] | None) -> bool:
    """Whether it waits for one of these events; where only for pods to come, whether one of these kinds may help it."""
    if known.awaits & bits & int(OWN_CLAIMS) and claims is not None and not uses_claim(known.obj, claims):
        bits &= ~int(OWN_CLAIMS)
    if not known.awaits & bits:
        return False
    if alike is None or known.awaits & bits & ~int(Event.POD_ASSIGNED):
        return True
    if known.wanted is UNREAD:
        known.wanted = wanted_of(known.obj, known.plugins)
    return any(is_wanted(known.wanted, namespace, dict(labels)) for namespace, labels in alike)


def may_help_itself(old: Object, new: Object, known: Waiting) -> bool:
    """Whether a pod asks for something else than before; its status alone does not count, but for its resources.

    A plugin that is not known here may look at annotations, too.
    """
    if old["spec"] != new["spec"] or old["metadata"].get("labels") != new["metadata"].get("labels"):
        return True
    was, now = old["metadata"].get("annotations"), new["metadata"].get("annotations")
    if known.awaits == int(Event.ALL) and was != now:
        return True
    before, after = old.get("status") or {}, new.get("status") or {}
    return any(
        before.get(field) != after.get(field)
        for field in ("resources", "resourceClaimStatuses", "extendedResourceClaimStatus")
    )
