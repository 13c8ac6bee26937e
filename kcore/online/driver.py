"""The scheduler of a living cluster: watches, decides in batches, binds, evicts and tells. All its I/O is here.

Source: pkg/scheduler/scheduler.go, schedule_one.go, framework/preemption of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import operator
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import numpy as np

from kcore.api.errors import InputError
from kcore.client.asynchronous import AsyncClient
from kcore.client.informer import SharedInformers, sparing
from kcore.client.series import SeriesRecorder
from kcore.client.store import Change, key_of
from kcore.clock import REAL, Clock, Timed
from kcore.kernel import JIT, is_cached, mark_cached
from kcore.online.binder import Binder, Placed
from kcore.online.binding import BindingPlugins, Named
from kcore.online.claims import ClaimBinder
from kcore.online.compiling import compile_beside, compile_kernels
from kcore.online.debugger import dump, mismatches
from kcore.online.devices import DEVICES
from kcore.online.events import Event, label_of
from kcore.online.evictions import Evictions
from kcore.online.extended import Extended
from kcore.online.extenders import Extender, ExtenderError
from kcore.online.metrics import ERROR, QUEUES, UNSCHEDULABLE, Gauges, Metrics
from kcore.online.mirror import CLAIM_RESOURCES, SPREADING, Mirror, rows_of
from kcore.online.own_plugins import DEFAULT_NAME, Handle, OwnPlugins
from kcore.online.permits import WaitingPods
from kcore.online.queue import ACTIVE, IN_FLIGHT, INITIAL_BACKOFF_MS, MAX_BACKOFF_MS, SchedulingQueue, Waiting
from kcore.online.statuses import Statuses
from kcore.online.storage import STORAGE
from kcore.online.volumes import VolumeBinder
from kcore.online.writing import nominated_of
from kcore.scheduler.config import default_configuration
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import Engine, Options
from kcore.scheduler.eviction import Candidate
from kcore.scheduler.host_cycle import unreserve
from kcore.scheduler.profile import SchedulerConfiguration

BATCH: Final = 1_000  # pods decided without giving way to what else the loop has to do
LOADED_FROM: Final = 500  # nodes, from which kernels that are there already are loaded before anything waits
EXTENDED_BATCH: Final = (
    50  # the same where others are asked, pod by pod: extenders, plugins at reserve and permit
)
COMPILED_FROM: Final = 20_000  # pods that wait times nodes, from which Numba is worth being loaded; no more are decided in the first batch without
AWAITED_FROM: Final = (
    2_000_000  # the same, from which waiting for kernels to be loaded costs less than going on without
)
INTERPRETED_S: Final = 0.1  # of deciding without kernels before giving way to what else the loop has to do
OTHERS: Final = (*SPREADING, "namespaces", "poddisruptionbudgets.policy", *STORAGE, *DEVICES)
ENDED: Final = ("Succeeded", "Failed")

log: Final = logging.getLogger("kcore.scheduler")

Object = dict[str, Any]


class Scheduler:
    """One scheduler over one set of informers, from ``start`` to ``stop``."""

    def __init__(
        self,
        client: AsyncClient,
        *,
        informers: SharedInformers | None = None,
        configuration: SchedulerConfiguration | None = None,
        recorder: Callable[[str], SeriesRecorder] | None = None,
        random: np.random.Generator | None = None,
        clock: Clock = REAL,
        initial_backoff_ms: int = INITIAL_BACKOFF_MS,
        max_backoff_ms: int = MAX_BACKOFF_MS,
        plugins: Sequence[Named] = (),
    ) -> None:
        """``plugins``: those that have a part in binding, see ``kcore.online.binding``; profiles name them."""
        self.client = client
        self._informers = informers if informers is not None else sparing(client, clock)
        self._owns_informers = informers is None
        self._configuration = configuration if configuration is not None else default_configuration()
        make = recorder if recorder is not None else lambda name: SeriesRecorder(client, name, clock=clock)
        self._recorders = {
            profile.scheduler_name: make(profile.scheduler_name) for profile in self._configuration.profiles
        }
        self._random = random
        self.clock = clock
        self.metrics = Metrics()
        self.waiting_pods = WaitingPods(clock)
        handle = Handle(client, self._informers, clock, self.waiting_pods, self._activate)
        self._own = OwnPlugins(self._configuration, handle)
        self.queue = SchedulingQueue(
            initial_backoff_ms=initial_backoff_ms, max_backoff_ms=max_backoff_ms, told=self.metrics.queued,
            gate=self._gate, rank=self._own.rank, registered=self._own.registered,
        )  # fmt: skip
        self.mirror = Mirror(self._unreadable)
        self._engine = Engine(self.mirror.state, self._configuration, compiled=False)
        self._extenders = tuple(Extender(one) for one in self._configuration.extenders)
        self._volumes = VolumeBinder(
            client, self.mirror, clock,
            {one.scheduler_name: one.volume_binding.bind_timeout_seconds for one in self._configuration.profiles},
        )  # fmt: skip
        self._claims = ClaimBinder(client, self.mirror.state.devices, clock, self._waits_for_devices)
        in_tree: tuple[Named, ...] = (self._volumes, self._claims)
        by_name = {one.name: one for one in (*in_tree, *plugins)}
        binding = {
            profile.scheduler_name: BindingPlugins(profile, {**by_name, **self._own.of(profile)})
            for profile in self._configuration.profiles
        }
        self.binder = Binder(self, binding, self._extenders, self.waiting_pods)
        self.statuses = Statuses(client, clock, self.recorder_of)
        self._evictions = Evictions(self)
        self._held: list[Waiting] = []  # in flight, and behind one that is decided alone
        self._changes: list[tuple[str, Change]] = []
        self._work = asyncio.Event()
        self._timer: Timed | None = None
        self._task: asyncio.Task[None] | None = None
        self.compiling: asyncio.Task[None] | None = None  # of kernels, once there is enough to do
        self._is_loading = False  # in a moment they are there
        self._pace = 0  # pods that are decided at once without kernels; 0 none was yet
        self._writes: set[asyncio.Task[None]] = set()
        self._registrations: list[Callable[[], None]] = []

    # -- life -------------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        """It schedules, once nodes, pods and all else have been listed."""
        for resource in ("nodes", "pods", *OTHERS):
            informer = self._informers.informer(resource)
            registration = informer.add_batch_listener(
                lambda changes, resource=resource: self._noted(resource, changes)  # type: ignore[misc]
            )
            self._registrations.append(registration.remove)
        for recorder in self._recorders.values():
            recorder.start()
        self._informers.start()
        await self._informers.synced()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="scheduler")

    async def ended(self) -> None:
        """Returns never, but raises what ended the loop: nobody is to take it for alive then."""
        assert self._task is not None
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        """It decides nothing more; bindings that were under way have been answered."""
        for remove in self._registrations:
            remove()
        for task in filter(None, (self._task, self.compiling)):
            task.cancel()
            await asyncio.wait([task])
        self.binder.cancel()
        if self._writes:
            await asyncio.wait(self._writes)
        if self._timer is not None:
            self._timer.cancel()
        for recorder in self._recorders.values():
            await recorder.stop()
        for extender in self._extenders:
            await extender.close()
        if self._owns_informers:
            await self._informers.stop()

    def woken(self, event: Event, *, besides: str = "") -> None:
        """What happened may help pods that wait, but for one of that key: they are looked at."""
        self.queue.happened(event, self._now_ms(), besides=besides)
        self._work.set()

    def _activate(self, key: str) -> bool:
        self._work.set()
        return self.queue.activate(key, self._now_ms())

    def _now_ms(self) -> int:
        return int(self.clock.monotonic_s() * 1000)

    def metrics_page(self, more: Gauges | None = None) -> bytes:
        """What ``/metrics`` answers, with these gauges besides."""
        counts, reasons = self.queue.counts, Counter[tuple[str, ...]]()
        for known in self.queue.waiting():
            if known.place != IN_FLIGHT:
                reasons.update((plugin, self.name_of(known.obj)) for plugin in known.plugins)
        mirror = self.mirror
        return self.metrics.page({
            **(more or {}),
            "scheduler_pending_pods": {(name,): counts[name] for name in QUEUES},
            "scheduler_unschedulable_pods": reasons,
            "scheduler_goroutines": {("binding",): counts[IN_FLIGHT] - len(self._held)},
            "scheduler_inflight_events": {(event,): count for event, count in self.queue.kept().items()},
            "scheduler_cache_size": {
                ("nodes",): len(mirror.node_names), ("pods",): mirror.pod_count,
                ("assumed_pods",): mirror.assumed_count,
            },
        })  # fmt: skip

    def compare(self) -> list[str]:
        """How its picture differs from what its informers see; nothing where it does not."""
        self._take_in()
        nodes, pods = self._informers.informer("nodes").list(), self._informers.informer("pods").list()
        ours = [pod for pod in pods if pod["spec"].get("nodeName") or self._is_ours(pod)]
        alive = [pod for pod in ours if (pod.get("status") or {}).get("phase") not in ENDED]
        return list(mismatches(nodes, alive, self.mirror, self.queue))

    def dump(self) -> list[str]:
        """Its picture."""
        return list(dump(self.mirror, self.queue))

    # -- what watches say -------------------------------------------------------------------------------------------
    def _noted(self, resource: str, changes: Sequence[Change]) -> None:
        self._changes += [(resource, change) for change in changes]
        self._work.set()

    def _unreadable(self, key: str, fault: InputError) -> None:
        log.error("%s: %s", key, fault)

    def _take_in(self) -> None:
        """The state and the queue are what was last seen."""
        changes, self._changes = self._changes, []
        if not changes:
            return
        started_s = self.clock.monotonic_s()
        events: set[Event] = set()
        came: list[Any] = []
        claims: set[str] = set()
        now_ms = self._now_ms()
        # Nodes first: a pod that came with its node finds it.
        for resource, change in changes:
            if resource == "nodes":
                events.add(self.mirror.node(change.old, change.new))
        for resource, change in changes:
            if resource == "pods":
                found = self._pod(change, now_ms)
                events.add(found)
                if found is Event.POD_ASSIGNED or found & Event.POD_ASSIGNED:
                    came.append(change.new)
            elif resource != "nodes":
                events.add(self.mirror.changed(resource, change.old, change.new))
                if resource in CLAIM_RESOURCES:
                    obj = change.new if change.new is not None else change.old
                    assert obj is not None
                    claims.add(key_of(obj))
        event = functools.reduce(operator.or_, events, Event.NONE)
        if event:
            self.queue.happened(event, now_ms, came, claims=frozenset(claims))
        self._volumes.look()
        labels = Counter(label_of(resource, change.old, change.new) for resource, change in changes)
        self.metrics.handled(self.clock.monotonic_s() - started_s, labels)

    def _pod(self, change: Change, now_ms: int) -> Event:
        event = Event.NONE
        old, new = change.old, change.new
        if new is None or (old is not None and old["metadata"]["uid"] != new["metadata"]["uid"]):
            assert old is not None
            key = key_of(old)
            self.waiting_pods.reject(old["metadata"]["uid"])
            self.queue.delete(key)
            event = self.mirror.gone(key, old["spec"].get("nodeName", ""))
            if new is None:
                return event
        key = key_of(new)
        node = new["spec"].get("nodeName", "")
        if new.get("status", {}).get("phase") in ENDED:
            self.queue.delete(key)
            return event | self.mirror.gone(key, node)
        if node:
            self.queue.delete(key)
            return event | self.mirror.bound(key, new)
        if not self._is_ours(new) or "deletionTimestamp" in new["metadata"]:
            self.waiting_pods.reject(new["metadata"]["uid"])
            self.queue.delete(key)
            return event | self.mirror.gone(key)
        known = self.queue.get(key)
        if known is None and self.mirror.is_assumed(key):
            return event  # it has been bound, and this is from before
        before = known.obj if known is not None else None
        self.queue.put(key, new, now_ms)
        was = nominated_of(before)
        if was and was != nominated_of(new):
            event |= Event.POD_GONE  # pods of its priority and below may take what was promised
        if was != nominated_of(new) and (known is None or known.place != IN_FLIGHT):
            # it counts where it is nominated, also for those before it in the queue
            self.mirror.pending(key, new)
        return event

    def _is_ours(self, pod: Object) -> bool:
        return pod["spec"].get("schedulerName", DEFAULT_NAME) in self._recorders

    def _gate(self, pod: Object) -> str:
        """The plugin at preEnqueue that keeps the pod from being tried; empty where none does."""
        found = self._own.gate(pod)
        if found or not pod["spec"].get("resourceClaims"):
            return found
        return self._claims.gate(pod, self._configuration.profile(self.name_of(pod)))

    # -- the loop ---------------------------------------------------------------------------------------------------
    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self.step():
                await self._decide_held()
                await asyncio.sleep(0)
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ms = self.queue.next_ms()
        if due_ms is not None:
            delay_s = max(0, due_ms - self._now_ms()) / 1000
            self._timer = self.clock.call_later(delay_s, self._work.set)

    def step(self) -> bool:
        """A batch was decided; False where there was none to decide."""
        self._take_in()
        self.mirror.refresh()
        if self.mirror.compact():
            self._engine = self._engine.on(self.mirror.state)
        now_ms = self._now_ms()
        batch = self._held or self.queue.pop(self._batch_max(), now_ms)
        if not batch:
            return bool(self._changes)
        count = next(
            (place for place, known in enumerate(batch) if self.binder.is_alone(known.obj)), len(batch)
        )
        self._held = batch[count:]
        self._decide_all([known for known in batch[:count] if self.queue.get(known.key) is known], now_ms)
        return True

    def _batch_max(self) -> int:
        """Pods that are decided at once; where it is worth it, kernels begin to be compiled."""
        if self.binder.asks:
            return EXTENDED_BATCH
        if self._engine.compiled:
            return BATCH
        node_count = self.mirror.state.nodes.alive_count + 1
        waiting = self.queue.counts[ACTIVE] * node_count
        if self.compiling is None and JIT:
            if waiting > AWAITED_FROM and is_cached():
                compile_kernels(self._configuration)
                self._compiled()
                return BATCH
            if waiting > COMPILED_FROM or (node_count > LOADED_FROM and is_cached()):
                self._is_loading = is_cached()
                self.compiling = asyncio.get_running_loop().create_task(self._compile())
        if self._is_loading and waiting > AWAITED_FROM:
            return 0
        self._pace = self._pace or max(1, COMPILED_FROM // node_count)
        return self._pace

    def _paced(self, count: int, seconds: float) -> None:
        """So many pods took so long: the next batch is such that the loop is not held for long."""
        if seconds > INTERPRETED_S:
            self._pace = max(1, self._pace // 2)
        elif count >= self._pace and seconds < INTERPRETED_S / 2:
            self._pace = min(BATCH, self._pace * 2)

    async def _compile(self) -> None:
        try:
            if not is_cached():
                await compile_beside()
                self._is_loading = is_cached()
            await asyncio.to_thread(compile_kernels, self._configuration)
        except Exception:
            log.exception("kernels cannot be compiled; scheduling goes on without")
        else:
            mark_cached()
            self._compiled()
        self._is_loading = False
        self._work.set()

    def _compiled(self) -> None:
        self._engine = Engine(self.mirror.state, self._configuration, compiled=True)

    # -- pods that are decided alone ----------------------------------------------------------------------------------
    async def _decide_held(self) -> None:
        """The pod that is first of those held is decided, if it is one that is decided alone."""
        if not self._held or not self.binder.is_alone(self._held[0].obj):
            return
        known, began_s = self._held.pop(0), self.clock.monotonic_s()
        if self.queue.get(known.key) is not known:
            return
        row = self.mirror.pending(known.key, known.obj)
        if row is None:
            self.queue.unschedulable(known, (), self._now_ms())
            return
        try:
            decisions = await self._decided_alone(row, known.obj)
        except Exception as error:
            if not isinstance(error, ExtenderError):
                log.exception("scheduling %s failed", known.key)
            self._undecided(known, str(error), began_s)
            return
        if self.queue.get(known.key) is not known:
            unreserve(decisions.reservations.get(0, ()))
            return
        for placed in self._follow(decisions, {row: known}, began_s):
            await self.binder.enter(placed)

    async def _decided_alone(self, row: int, pod: Object) -> Decisions:
        extenders = self.binder.interested(pod)
        if not extenders:
            return self._decided([row])
        options = Options(engine="full", random=self._random, preemption="nominate")
        return await Extended(self._engine, self.mirror, row, pod, extenders).decide(options)

    def _undecided(self, known: Waiting, message: str, began_s: float) -> None:
        self.mirror.forget(known.key, known.obj)
        self.metrics.attempted(ERROR, self.name_of(known.obj), self.clock.monotonic_s() - began_s)
        self.queue.failed(known, self._now_ms())
        if nominated_of(known.obj):
            self.mirror.pending(known.key, known.obj)
        self.spawn(self.statuses.failed(known.obj, message))

    def _decide_all(self, batch: Sequence[Waiting], now_ms: int) -> None:
        """The pods are decided; where that fails, one by one, so that the one it is about keeps no other waiting."""
        rows, waiting, began_s = [], [], self.clock.monotonic_s()
        for known in batch:
            row = self.mirror.pending(known.key, known.obj)
            if row is None:
                self.queue.unschedulable(known, (), now_ms)
            else:
                rows.append(row)
                waiting.append(known)
        if not rows:
            return
        try:
            decisions = self._decided(rows)
        except Exception as error:
            for known in waiting:
                self.mirror.forget(known.key, known.obj)
            if len(waiting) > 1:
                for known in waiting:
                    self._decide_all([known], now_ms)
                return
            log.exception("scheduling %s failed", waiting[0].key)
            self._undecided(waiting[0], str(error), began_s)
            return
        if self._pace and not self._engine.compiled:
            self._paced(len(rows), self.clock.monotonic_s() - began_s)
        self.binder.send_all(self._follow(decisions, dict(zip(rows, waiting, strict=True)), began_s))

    def _decided(self, rows: list[int]) -> Decisions:
        options = Options(order="file", engine="auto", random=self._random, preemption="nominate")
        return self._engine.schedule(rows_of(rows), options)

    def _follow(self, decisions: Decisions, by_row: dict[int, Waiting], began_s: float) -> list[Placed]:
        """Those with a node, and which; words and preemptions of others are under way."""
        placed = []
        now_s = self.clock.monotonic_s()
        now_ms = int(now_s * 1000)
        names = self.mirror.state.nodes.name
        seconds = (now_s - began_s) / len(by_row)
        self.metrics.decided(seconds, len(by_row))
        slots = decisions.node.tolist()
        for position, row in enumerate(decisions.rows.tolist()):
            known, slot = by_row[row], slots[position]
            if slot >= 0:
                node = names(slot)
                self.mirror.assumed(row, node)
                if position in decisions.reservations:
                    rest = self._claims.keep(known.obj, decisions.reservations[position])
                    self._volumes.keep(known.obj, rest)
                placed.append(Placed(known, node, now_s - seconds))
            elif position in decisions.failed:
                self._undecided(known, decisions.reason[position], began_s)
            else:
                self._refused(known, position, decisions, now_ms)
                self.metrics.attempted(UNSCHEDULABLE, self.name_of(known.obj), seconds)
        return placed

    def _refused(self, known: Waiting, position: int, decisions: Decisions, now_ms: int) -> None:
        reason = decisions.reason.get(position, "")
        chosen = decisions.preemptions.get(position)
        self.queue.unschedulable(known, decisions.rejectors.get(position, ()), now_ms)
        self.statuses.note(known.obj, reason)
        node: str | None = None
        victims: list[str] = []
        if chosen is not None:
            node, victims = self._victims(chosen)
        elif position in decisions.denied:
            node = ""
        self.spawn(self._told(known, reason, node, victims))
        for claim in self.mirror.state.devices.taken_up():
            self.spawn(self._claims.deallocate(claim))

    def _victims(self, chosen: Candidate) -> tuple[str, list[str]]:
        state = self.mirror.state
        state.preempting.update(chosen.victims)
        self.metrics.preempted(len(chosen.victims))
        return state.nodes.name(chosen.node), [self.mirror.key_of(row) for row in chosen.victims]

    def recorder_of(self, pod: Object) -> SeriesRecorder:
        """Who notes what becomes of pods of that profile."""
        return self._recorders[pod["spec"].get("schedulerName", DEFAULT_NAME)]

    def _waits_for_devices(self, pod: Object, node: str) -> None:
        note = f"waiting for binding conditions for device on node {node}"
        self.recorder_of(pod).event(pod, "Normal", "BindingConditionsPending", "Scheduling", note)

    # -- writes -----------------------------------------------------------------------------------------------------
    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """The work is under way; the scheduler does not stop before it has ended."""
        task = asyncio.get_running_loop().create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task

    async def _told(self, known: Waiting, reason: str, node: str | None, victims: Sequence[str]) -> None:
        """The pod's status says why it waits and where for; what is to make room for it goes."""
        await self.statuses.waits(known.obj, reason, node)
        if node and victims:
            await self._evictions.make_room(known, node, victims)

    def name_of(self, pod: Object) -> str:
        """The scheduler of that name is to schedule the pod."""
        name: str = pod["spec"].get("schedulerName", DEFAULT_NAME)
        return name
