"""The ground that orders stand on: who waits, who runs, what is free, and the engine that puts pods on nodes.

An order decides which unit (a pod, or the pods of a gang) starts now and which is preempted. Whether it fits, and on which
nodes, is the engine's answer: pods are really put on nodes one after another, and taken back if one fits nowhere.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from kcore.kernel import Kernel
from kcore.scheduler import codes
from kcore.scheduler.accounts import bind
from kcore.scheduler.cycle import select_node
from kcore.scheduler.engine import Engine
from kcore.scheduler.incremental.placing import view_columns
from kcore.scheduler.plugins.gpu_share import MILLI
from kcore.scheduler.profile import Profile
from kcore.scheduler.state import State
from kcore.sim import timeline as names
from kcore.sim.lines import Jobs, longer
from kcore.sim.online import Online
from kcore.sim.orders import moves, room
from kcore.sim.orders.room import Fleet
from kcore.sim.timeline import Timeline

STATIC_FILTERS = (codes.NODE_UNSCHEDULABLE, codes.NODE_NAME, codes.TAINT_TOLERATION, codes.NODE_AFFINITY)
PODS_MAX = 1 << 40
"""So many pods a node holds where no filter counts them."""


class Host(Protocol):
    """The simulation that an order decides for."""

    state: State
    timeline: Timeline
    jobs: Jobs
    placed: np.ndarray
    score: np.ndarray


class Limits(Protocol):
    """Nodes that a pod must keep off although it would fit now."""

    def mask(self, place: int) -> np.ndarray:
        """``uint8[node]``: 1 where it may go."""

    def note(self, place: int, slot: int) -> None:
        """It goes there."""


class Fixed:
    """Limits that leave each pod one node."""

    def __init__(self, slots: int, places: np.ndarray, planned: np.ndarray) -> None:
        self._slots = slots
        self._slot_of = dict(zip(places.tolist(), planned.tolist(), strict=True))

    def mask(self, place: int) -> np.ndarray:
        """``uint8[node]``: 1 on its node."""
        out = np.zeros(self._slots, dtype=np.uint8)
        out[self._slot_of[place]] = 1
        return out

    def note(self, place: int, slot: int) -> None:
        """It goes there."""


class Ground:
    """The cluster and the queue at this moment. Made anew when nodes come, go or change."""

    def __init__(
        self, host: Host, engine: Engine, profile: Profile, online: Online, draws: np.ndarray, gang: bool
    ) -> None:
        self.host, self.gang = host, gang
        self._engine, self._profile, self._online, self._draws = engine, profile, online, draws
        self._foreign = bool(engine.extension(profile))
        self.world = host.state.world()
        self.slots = int(self.world.nodes.slots[0])
        self.length = host.jobs.length
        self.fleet = _fleet(host, engine, profile, gang)
        places, resources = len(host.jobs.rows), self.world.requests.amount.shape[1]
        self._chosen = np.full(places, -1, dtype=np.int32)
        self._total = np.zeros(places, dtype=np.int64)
        self.target = np.full(places, -1, dtype=np.int32)
        self.sums = np.zeros((2, resources), dtype=np.int64)
        self._beyond = self._looks_beyond()
        self._any_beyond = bool(self._beyond.any())
        self._counts_pods = codes.NODE_RESOURCES_FIT in engine.settings(profile).filters
        self.free = np.zeros((resources, self.slots), dtype=np.int64)
        self.left = np.zeros(self.slots, dtype=np.int64)
        status = host.timeline.status
        self.running = np.flatnonzero(status == names.RUNNING).astype(np.int32)
        self.waiting = np.zeros(0, dtype=np.int32)
        self._seen = 0
        self._keep_whole()
        self.waiting = np.zeros(0, dtype=np.int32)
        self.refresh()

    def call(self, kernel: Kernel, *args: Any) -> Any:
        """Run a kernel in the engine's form."""
        return self._engine.run(kernel)(*args)

    @property
    def now(self) -> int:
        """Simulated ms."""
        return int(self.host.timeline.clock[names.NOW])

    # -- who waits, who runs, what is free

    def refresh(self) -> None:
        """Look again at who waits (``waiting``: units, by priority, then arrival), runs (``running``: places), what is free."""
        timeline, fleet = self.host.timeline, self.fleet
        arrived = int(timeline.clock[names.ARRIVED])
        if arrived > self._seen:
            # the pods of a gang arrive together, so every unit has come as a whole
            first, last = np.searchsorted(fleet.first, (self._seen, arrived))
            self.waiting = np.concatenate([self.waiting, np.arange(first, last, dtype=np.int32)])
            self._seen = arrived
        self.running = self.running[timeline.status[self.running] == names.RUNNING]
        waiting = self.waiting[self.pods_waiting(self.waiting) > 0]
        priority = self.host.state.pods.priority[self.host.jobs.rows[fleet.first[waiting]]]
        order = np.lexsort((timeline.sequence[fleet.first[waiting]], -priority.astype(np.int64)))
        self.waiting = waiting[order]
        self.measure()

    def pods_waiting(self, units: np.ndarray) -> np.ndarray:
        """``int64[unit]``: how many pods of each wait; -1 where one of them is never tried."""
        count = np.zeros(len(units), dtype=np.int64)
        self.call(room.count_waiting, self.fleet, self.host.timeline.status, units, count)
        return count

    def _keep_whole(self) -> None:
        """Gangs of which a pod was lost are stopped, so that they start again together."""
        if not self.gang:
            return
        unit_of = np.searchsorted(self.fleet.first, self.running, side="right") - 1
        for unit in np.unique(unit_of).tolist():
            if self.call(room.is_split, self.fleet, self.host.timeline, unit):
                self.evict(self.places_of(unit, names.RUNNING))

    def measure(self) -> None:
        """Find out what is free: ``free[resource, node]`` and ``left[node]`` pods."""
        nodes, count = self.world.nodes, self.slots
        np.subtract(nodes.allocatable[:, :count], nodes.requested[:, :count], out=self.free)
        self.left[:] = PODS_MAX
        if self._counts_pods:
            np.subtract(nodes.pods_allowed[:count], nodes.pod_count[:count], out=self.left)

    def places_of(self, unit: int, status: int) -> np.ndarray:
        """``int32[pod]``: places of the unit's pods that have the status."""
        first, stop = int(self.fleet.first[unit]), int(self.fleet.stop[unit])
        found: np.ndarray = first + np.flatnonzero(self.host.timeline.status[first:stop] == status)
        return found.astype(np.int32)

    def units_of(self, places: np.ndarray) -> np.ndarray:
        """``int64[place]``: the units that the places belong to."""
        found: np.ndarray = np.searchsorted(self.fleet.first, places, side="right") - 1
        return found

    def lengths_of(self, units: np.ndarray) -> np.ndarray:
        """``int64[unit]`` ms that waiting units run from their start on, by their estimates."""
        out = np.zeros(len(units), dtype=np.int64)
        self.call(room.expect_lengths, self.fleet, self.host.timeline, self.length, units, out)
        return out

    def ends_of(self, places: np.ndarray) -> np.ndarray:
        """``int64[place]`` ms at which running pods are expected to end."""
        out = np.zeros(len(places), dtype=np.int64)
        self.call(room.expect_ends, self.host.timeline, self.length, places, self.now, out)
        return out

    def next_with_room(self, units: np.ndarray, position: int) -> int:
        """The position of the next unit that may fit by the counts; ``len(units)`` for none."""
        status = self.host.timeline.status
        found: int = self.call(
            room.next_with_room, self.fleet, status, self.free, self.left, units, position, self.target
        )
        return found

    def find_release(
        self, unit: int, places: np.ndarray, at: np.ndarray, free: np.ndarray, left: np.ndarray
    ) -> int:
        """Let running pods leave, in order of ``at``, until the unit has room; ``free`` and ``left`` are then without it.

        Its pods are laid out in ``target``. FOREVER where it would not fit with all of them gone.
        """
        found: int = self.call(
            room.find_release, self.fleet, self.host.timeline.status, places, at, self.host.placed, free, left,
            self.sums[0], self.sums[1], unit, self.target,
        )  # fmt: skip
        return found

    # -- nodes by the engine

    def try_on(
        self, places: np.ndarray, limits: Limits | None = None, planned: np.ndarray | None = None
    ) -> np.ndarray | None:
        """Put a unit's pods on the nodes that the engine chooses, for the time being; their slots, or None and nothing done.

        The engine looks at one pod at a time and may leave no room for an unequal one that comes later. Then it is asked about
        the ``planned`` slots alone; without limits, those that counting finds.
        """
        slots = self._try(places, limits)
        if slots is not None or len(places) == 1:
            return slots
        if planned is None and limits is None and len(np.unique(self.fleet.kind[places])) > 1:
            planned = self._lay_out(places)
        return None if planned is None else self._try(places, Fixed(self.slots, places, planned))

    def _try(self, places: np.ndarray, limits: Limits | None) -> np.ndarray | None:
        if limits is None and not self._foreign and places[-1] - places[0] + 1 == len(places):
            return self._try_all(places)
        slots = np.full(len(places), -1, dtype=np.int32)
        for index, place in enumerate(places.tolist()):
            slot = self._choose(place, limits)
            if slot < 0:
                self.lift(places[:index])
                return None
            slots[index] = slot
            if limits is not None:
                limits.note(place, slot)
        return slots

    def _try_all(self, places: np.ndarray) -> np.ndarray | None:
        """The same for places one after another, in one call."""
        self._online.put(self._draws, self._chosen, self._total, int(places[0]), int(places[-1]) + 1)
        slots: np.ndarray = self._chosen[places]
        if (slots >= 0).all():
            return slots
        self.lift(places[slots >= 0])
        return None

    def _lay_out(self, places: np.ndarray) -> np.ndarray | None:
        self.measure()
        unit = int(self.units_of(places[:1])[0])
        status = self.host.timeline.status
        if not self.call(room.lay_out, self.fleet, status, self.free, self.left, unit, self.target):
            return None
        self.measure()
        found: np.ndarray = self.target[places]
        return found

    def _choose(self, place: int, limits: Limits | None) -> int:
        if limits is None and not self._foreign:
            self._online.put(self._draws, self._chosen, self._total, place, place + 1)
            return int(self._chosen[place])
        engine, world, row = self._engine, self.world, int(self.host.jobs.rows[place])
        if engine.filter(self._profile, row) == 0:
            return -1
        scratch = engine.scratch(world)
        verdict = scratch.verdict[: self.slots]
        if limits is not None:
            verdict[(limits.mask(place) == 0) & (verdict == codes.PASS)] = codes.DEAD
            if (verdict != codes.PASS).all():
                return -1
        engine.score(self._profile, row)
        slot = int(
            self.call(
                select_node, scratch.verdict, scratch.total, world.nodes.rank, self._draws[place], self.slots
            )
        )
        self._total[place] = scratch.total[slot]
        self.host.state.forget_nomination(row)
        engine.reserve(self._profile, row, slot, float(self._draws[place]))
        self.call(bind, world.nodes, world.pods, world.requests, row, slot)
        self._online.note(self.host.jobs.rows[place : place + 1], np.array([slot]), 1)
        return slot

    def lift(self, places: np.ndarray) -> None:
        """Take pods off their nodes for the time being."""
        self.call(moves.lift, *self._online.ledgers(), self.host.jobs.rows, places)

    def lay(self, places: np.ndarray, slots: np.ndarray) -> None:
        """Put pods back."""
        self.call(moves.lay, *self._online.ledgers(), self.host.jobs.rows, places, slots)

    def fits_on(self, place: int, slot: int) -> bool:
        """Whether all filters let the pod, which is on no node, on that one."""
        world = self.world
        amount = world.requests.amount[world.pods.request[self.host.jobs.rows[place]]]
        nodes = world.nodes
        short = (amount > 0) & (amount > nodes.allocatable[:, slot] - nodes.requested[:, slot])
        if self._counts_pods and (self.fleet.wanted[self.fleet.kind[place]][short] > 0).any():
            return False
        if self._engine.filter(self._profile, int(self.host.jobs.rows[place])) == 0:
            return False
        return bool(self._engine.scratch(world).verdict[slot] == codes.PASS) and self._has_devices(
            place, slot
        )

    def _has_devices(self, place: int, slot: int) -> bool:
        """Whether the devices that the pod had on the node are free for it."""
        pods, requests, row = self.world.pods, self.world.requests, int(self.host.jobs.rows[place])
        left = self.world.nodes.gpu_left[:, slot]
        held = (int(pods.devices[row]) >> np.arange(len(left))) & 1 != 0
        return bool((left[held] >= requests.gpu[pods.request[row], MILLI]).all())

    # -- for good

    def start(self, unit: int, limits: Limits | None = None, planned: np.ndarray | None = None) -> bool:
        """Start the unit's pods, all of them, on nodes of the engine's choice; False, and nothing done, if one fits nowhere."""
        places = self.places_of(unit, names.WAITING)
        assert len(places), "a unit that waits has a pod that waits"
        timeline = self.host.timeline
        timeline.attempts[places] += 1
        timeline.clock[names.ATTEMPTS] += len(places)
        slots = self.try_on(places, limits, planned)
        if slots is None:
            return False
        self.lift(places)
        self.begin(places, slots)
        return True

    def begin(self, places: np.ndarray, slots: np.ndarray) -> None:
        """Waiting pods run on these nodes from now on, which the engine has just chosen for them."""
        host = self.host
        self.call(moves.start_many, *self._online.ledgers(), host.timeline, host.jobs.rows, places, slots)
        host.placed[places] = slots
        host.score[places] = self._total[places]
        self.running = np.concatenate([self.running, places])
        self.measure()

    def evict(self, places: np.ndarray) -> None:
        """Running pods are preempted."""
        host = self.host
        while host.timeline.clock[names.EVICTIONS] + len(places) > len(host.timeline.eviction):
            host.timeline = longer(host.timeline, "eviction")
        self.call(moves.evict_many, *self._online.ledgers(), host.timeline, host.jobs.rows, places)
        self.running = self.running[host.timeline.status[self.running] == names.RUNNING]
        self.waiting = np.union1d(self.waiting, self.units_of(places)).astype(np.int32)
        self.measure()

    def stands_beyond(self, units: np.ndarray) -> bool:
        """Whether a filter of one of the units' pods may let it in because another pod was put somewhere."""
        return self._any_beyond and bool(self._beyond[units].any())

    def _looks_beyond(self) -> np.ndarray:
        """``bool[unit]``: required affinity, or hard spreading, of the first pod."""
        pods, demands = self.world.pods, self.world.demands
        demand = pods.demand[self.host.jobs.rows[self.fleet.first]]
        found = np.zeros(len(demand), dtype=bool)
        for table in (demands.affinity, demands.spread_hard):
            found |= (demand >= 0) & (table.ptr[demand + 1] > table.ptr[np.maximum(demand, 0)])
        return found


def _fleet(host: Host, engine: Engine, profile: Profile, gang: bool) -> Fleet:
    """Units, and the kinds of pods as the resource filter and the static filters tell them apart."""
    world, jobs = host.state.world(), host.jobs
    places = len(jobs.rows)
    begins = np.ones(places, dtype=bool)
    if gang:
        begins[1:] = np.diff(jobs.job) != 0
    first = np.flatnonzero(begins).astype(np.int32)
    demand = world.pods.demand[jobs.rows].astype(np.int64)
    mask_of, allowed = _masks(engine, profile, demand)
    request = world.pods.request[jobs.rows].astype(np.int64)
    mask = mask_of[demand]
    found, one, kind = np.unique(request * (len(allowed) + 1) + mask, return_index=True, return_inverse=True)
    settings = engine.settings(profile)
    wanted = np.zeros((len(found), world.requests.amount.shape[1]), dtype=np.int64)
    if codes.NODE_RESOURCES_FIT in settings.filters:
        wanted[:] = np.where(settings.fit_ignored == 0, world.requests.amount[request[one]], 0)
    nodes, slots = world.nodes, int(world.nodes.slots[0])
    alive = np.flatnonzero(nodes.alive[:slots])
    return Fleet(
        first,
        np.append(first[1:], places).astype(np.int32)[: len(first)],
        kind.reshape(-1).astype(np.int32),
        wanted,
        mask[one].astype(np.int32),
        allowed,
        alive[np.argsort(nodes.rank[alive], kind="stable")].astype(np.int32),
    )


def _masks(engine: Engine, profile: Profile, demand: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By demand (the last item: none was compiled) the row of ``uint8[mask, node]``: where static filters let pods."""
    world = engine.state.world()
    settings, slots = engine.settings(profile), int(world.nodes.slots[0])
    none = np.zeros(0, dtype=np.int64)
    static = np.array([one for one in settings.filters.tolist() if one in STATIC_FILTERS], dtype=np.int64)
    only = settings._replace(filters=static, scores=none, weights=none)
    known: dict[bytes, int] = {}
    rows: list[np.ndarray] = []
    of_demand = np.zeros(int(demand.max(initial=-1)) + 2, dtype=np.int64)
    scratch = engine.scratch(world)
    for one in np.unique(demand).tolist():
        if one < 0:
            row = np.zeros(slots, dtype=np.uint8)
        else:
            engine.run(view_columns)(world.nodes, world.demands, world.requests, only, one, scratch)
            row = (scratch.verdict[:slots] == codes.PASS).astype(np.uint8)
        key = row.tobytes()
        if key not in known:
            known[key] = len(rows)
            rows.append(row)
        of_demand[one] = known[key]
    return of_demand, np.array(rows, dtype=np.uint8).reshape(len(rows), slots)
