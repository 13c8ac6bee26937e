"""A trace replayed on a simulated clock by the exact engine.

:class:`Simulation` puts cluster, trace and policy together and lets time go on; the loop is in ``loop.py``, what happens
besides arrivals and completions in ``scenario.py``, what comes out in ``outcome.py``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kcore import kernel, traces
from kcore.api.errors import InputError
from kcore.cluster import CLOCK_ORDERS, Cluster, Config, configuration_for
from kcore.scheduler import reasons
from kcore.scheduler.accounts import bind, unbind
from kcore.scheduler.cycle import select_node
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import INTERPRETED_MAX, Engine, Options
from kcore.scheduler.incremental.batch import KEEP_MIN, POLICY_KEEP_MIN
from kcore.scheduler.incremental.columns import Touched
from kcore.scheduler.incremental.placing import REJECTED
from kcore.scheduler.incremental.refuser import Means
from kcore.scheduler.plugins.policies import BY_NAME
from kcore.scheduler.pods import START_UNKNOWN
from kcore.scheduler.profile import Profile
from kcore.scheduler.state import State, World
from kcore.sim import checkpoint
from kcore.sim import timeline as names
from kcore.sim.autoscaling import NodeGroup
from kcore.sim.checkpoint import Origin
from kcore.sim.events import Event
from kcore.sim.lines import (
    Jobs,
    copy_timeline,
    longer,
    make_timeline,
    number_nodes,
    with_classes,
    with_resources,
)
from kcore.sim.loop import FOREIGN, FULL_EVICTIONS, FULL_INTERVALS, STEPPED, charge, leave_node
from kcore.sim.online import Online
from kcore.sim.orders import PREEMPTIVE, THRESHOLDS, Driver, another, discipline_for, driver_for
from kcore.sim.outcome import Seen, SimulationResult
from kcore.sim.scenario import Scenario, apply
from kcore.traces.trace import ADD, NEVER_MS, Trace

Progress = Callable[[int, int, int], None]
"""Called with (events so far, events at least in all, simulated ms)."""

ARGUMENTS = (
    "policy", "profile", "seed", "tie_break", "order", "strict", "preemption", "preempted", "interval_ms", "engine", "overrun", "thresholds"
)  # fmt: skip
ORDERS = ("queue", *CLOCK_ORDERS)
CHUNK_EVENTS = 50_000
INTERVALS_AIM = 1_000
"""So many intervals a run has at least, where the caller does not say how long one is."""
NICE_MS = (1_000, 10_000, 60_000, 300_000, 600_000, 3_600_000, 21_600_000, 86_400_000)
LONG_MS = 1 << 60
"""Longer than any duration: the key of a pod whose run time nobody knows."""


class Simulation:
    """A cluster and a trace at a moment of simulated time.

    Args:
        cluster: the nodes (and pods that are there already); None for the nodes of the trace.
        trace: a :class:`~kcore.traces.trace.Trace`, or a path that :func:`kcore.traces.load_trace` reads.
        policy: names with a comma between: an order of the queue (sjf, drf, fifo, easy, ...) and a placing policy (fgd, ...).
        config: a KubeSchedulerConfiguration; without either the default profile.
        seed: of everything random.
        tie_break: "first" by name, or "random".
        order: "queue" (priority, then arrival), "fifo", "sjf" (shortest estimate first), "drf", or one of those that
            :mod:`kcore.sim.orders` has: "easy", "conservative", "srtf", "las".
        strict: nobody overtakes the first in the queue.
        preemption: "off", or "evict": pods of lower priority make room.
        preempted: what becomes of those, and of pods whose node fails: "restart", "resume" or "drop"; None is "resume" for
            orders that preempt, otherwise "restart".
        overrun: what becomes of a pod that has run as long as its estimate says: "run" on, or "kill".
        thresholds: of attained service, between the queues of "las".
        interval_ms: how often the state of the cluster is written down; None chooses by the trace's length.
        scenario: what else happens, see :mod:`kcore.sim.scenario`.
        groups: node groups that grow and shrink, see :mod:`kcore.sim.autoscaling`.

    Raises:
        InputError: anything wrong with these, by name.
    """

    def __init__(
        self,
        cluster: Cluster | str | Path | None,
        trace: Trace | str | Path,
        *,
        policy: str | None = None,
        config: Config = None,
        profile: str | None = None,
        seed: int = 0,
        tie_break: str = "first",
        order: str | None = None,
        strict: bool = False,
        preemption: str = "evict",
        preempted: str | None = None,
        overrun: str = "run",
        thresholds: str | Sequence[str | int] = THRESHOLDS,
        interval_ms: int | None = None,
        scenario: Sequence[Event | Mapping[str, Any]] = (),
        groups: Sequence[NodeGroup | Mapping[str, Any]] = (),
        engine: str = "auto",
    ) -> None:
        self.trace = trace if isinstance(trace, Trace) else traces.load_trace(trace)
        order, placing = _split_policy(policy, order)
        _choose("tie_break", tie_break, ("first", "random"))
        _choose("preemption", preemption, ("off", "evict"))
        preempted = preempted or ("resume" if order in PREEMPTIVE else "restart")
        _choose("preempted", preempted, ("restart", "resume", "drop"))
        _choose("overrun", overrun, ("run", "kill"))
        _choose("engine", engine, ("auto", "full", "incremental"))
        self.order, self.policy, self.engine = order, policy or "default", engine
        self.preempted = preempted
        given = {name: value for name, value in locals().items() if name in ARGUMENTS}
        self.state = _state_of(cluster, self.trace)
        self.origin = _origin_of(self.state, self.trace)
        absent = _absent_nodes(self.trace) if cluster is None else []
        events = self.trace.node_events or () if cluster is None else ()
        self.jobs = _jobs_of(self.state, self.trace)
        if overrun == "kill":
            self.jobs = self.jobs.killed_at_estimate()
        self._discipline = discipline_for(
            order, strict, preemption, preempted, thresholds, self.trace, self.jobs
        )
        self._driver: Driver | None = None
        configuration, forced = configuration_for(
            config, profile, placing, has_gpus=self.state.requests.has_gpus
        )
        nodes = max(self.state.nodes.alive_count, 1)
        compiled = kernel.JIT and len(self.jobs.rows) * (nodes + 1) > INTERPRETED_MAX
        self._engine = Engine(self.state, configuration, compiled=compiled, forced=forced)
        self.scenario = Scenario.of(scenario, events, self.trace, groups)
        given |= {"config": (configuration, forced), "scenario": self.scenario.events}
        given["groups"] = self.scenario.autoscaler and self.scenario.autoscaler.groups
        self.origin.arguments.update({name: repr(value) for name, value in given.items()})
        for name in absent:
            self.state.remove_node(name)
        self._preempts = preemption == "evict" and self._discipline is None
        self._begin(self._option(interval_ms, strict), seed if "random" in (tie_break, placing) else None)

    # -- putting it together

    def _begin(self, option: np.ndarray, seed: int | None) -> None:
        """Nothing has arrived; pods that never enter the queue are told from the others. ``seed`` draws among ties."""
        places = len(self.jobs.rows)
        self._draws = np.full(places, -1.0) if seed is None else np.random.default_rng(seed).random(places)
        self.placed = np.full(places, -1, dtype=np.int32)
        self.score = np.zeros(places, dtype=np.int64)
        option[names.RULED] = self._discipline is not None
        self._decisions = Decisions(self.jobs.rows, np.zeros(0), np.zeros(0))
        self._runnable, self._profile = self._prepare()
        world = self.state.world()
        self.timeline = make_timeline(
            self.jobs, self._keys(), option, self.state, world, self.state.pods.count
        )
        self._numbers: dict[str, int] = {}
        self.timeline = self.timeline._replace(number=number_nodes(self.state, self._numbers))
        untried = np.ones(len(self.jobs.rows), dtype=bool)
        untried[self._runnable] = False
        self.timeline.status[untried] = names.UNTRIED
        self._online = self._make_online(world)
        self._by_hand = False
        """Events have happened that the scenario does not tell, so that nobody could replay them."""
        self._stale = False
        """Nodes have changed, and what is derived from them has not yet been made anew."""
        self._line_up()

    def _option(self, interval_ms: int | None, strict: bool) -> np.ndarray:
        interval = interval_ms if interval_ms is not None else _interval(self.jobs)
        if interval < 1:
            raise InputError(f"{interval} is no length of time", field="interval_ms", expected="1 or more")
        pods = self.state.pods
        option = np.zeros(names.OPTIONS, dtype=np.int64)
        option[names.INTERVAL_MS] = interval
        option[names.RETURNS], option[names.RESUMES] = self.preempted != "drop", self.preempted == "resume"
        option[names.SHARED], option[names.STRICT] = self.order == "drf", strict
        started = pods.start[: pods.count]
        option[names.START_US] = started[started < START_UNKNOWN].max(initial=-1) + 1
        option[names.PRIORITY_LEAST] = int(pods.priority[: pods.count].min(initial=0))
        return option

    def _prepare(self) -> tuple[np.ndarray, Profile]:
        """Compile what the pods demand: the places that enter the queue, and the profile that decides for them."""
        result = self._decisions
        result.reason.clear()
        result.untried.clear()
        runnable, found = self._engine.prepare(
            self.jobs.rows, result, Options(preemption="off", waits=True, hosts=False)
        )
        self._engine.compile_demands(self.jobs.rows)
        used = [profile for profile, positions in found if len(positions)]
        if len(used) > 1:
            named = ", ".join(profile.scheduler_name for profile in used)
            raise InputError(
                f"the pods are scheduled by several profiles ({named})",
                field="profile",
                expected="one of them",
            )
        # where nobody is to be tried, time goes on by any profile
        return runnable, used[0] if used else self._engine.forced or self._engine.configuration.profiles[0]

    def _keys(self) -> np.ndarray:
        if self._discipline is not None:
            # each pod is a class of its own, which may leave the line at any time
            return np.arange(len(self.jobs.rows), dtype=np.int64)
        if self.order == "queue":
            keys: np.ndarray = -self.state.pods.priority[self.jobs.rows].astype(np.int64)
            return keys
        if self.order == "sjf":
            length = np.where(self.jobs.estimate >= 0, self.jobs.estimate, self.jobs.work)
            return np.where(length >= 0, length, LONG_MS).astype(np.int64)
        return np.zeros(len(self.jobs.rows), dtype=np.int64)

    def _make_online(self, world: World) -> Online:
        self._driver = None
        profile, engine = self._profile, self._engine
        kept = POLICY_KEEP_MIN if BY_NAME.keys() & set(profile.scores) else KEEP_MIN
        keep_min = {"full": len(self.jobs.rows) + 1, "incremental": 1}.get(self.engine, kept)
        online = Online(
            self.state, world, engine.scratch(world), engine.run, self.jobs.rows, self._runnable, keep_min
        )
        preempts = self._preempts and "DefaultPreemption" in profile.post_filters
        means = Means(
            preempts, True, profile.preemption.min_candidate_nodes_percentage,
            profile.preemption.min_candidate_nodes_absolute,
        )  # fmt: skip
        self.timeline.option[names.PREEMPTION] = preempts
        foreign = bool(engine.extension(profile))
        online.begin(engine.settings(profile), means, self.jobs.rows, foreign=foreign)
        if self._discipline is not None:
            self._driver = driver_for(
                self, self._discipline, engine, profile, online, self._draws, self.trace.gang
            )
        return online

    def _line_up(self) -> None:
        """Tell classes apart anew; all that wait are to be tried."""
        self.timeline = with_classes(self.timeline, self._online.numbers, self.order == "drf")
        self.timeline.seen[:] = -names.FOREVER

    def go_on(self, touched: Touched, kept: np.ndarray) -> None:
        """Stand where another simulation stood, whose state and timeline have been taken over."""
        self._runnable, self._profile = self._prepare()
        self._online = self._make_online(self.state.world())
        self._online.adopt(touched, kept)

    def renew(self) -> None:
        """Nodes or pods have changed by other hands: everything that was derived from them is made anew."""
        self._runnable, self._profile = self._prepare()
        world = self.state.world()
        self.timeline = with_resources(self.timeline, world)
        self.timeline = self.timeline._replace(number=number_nodes(self.state, self._numbers))
        self.timeline.clock[names.WOKEN] = 0
        self.timeline.clock[names.STRANDED_AT] = -1
        self._online = self._make_online(world)
        self._stale = False
        self._line_up()

    def warm(self) -> None:
        """Compile the kernels, or load them from the cache, so that no run waits for that."""
        if not self._engine.compiled:
            return
        if self._driver is None:
            self._online.compile(self.timeline, self._draws, self.placed, self.score)
        if self._engine.extension(self._profile):
            self._engine.warm()

    # -- time

    @property
    def now_ms(self) -> int:
        """Simulated milliseconds since the first arrival."""
        return int(self.timeline.clock[names.NOW])

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to happen."""
        clock = self.timeline.clock
        return (
            clock[names.ARRIVED] == len(self.jobs.rows)
            and self.timeline.clock[names.RUNNING_COUNT] == 0
            and not self.scenario.pending(self)
            and clock[names.READY] == 0
        )

    def run(self, until_ms: int | None = None, progress: Progress | None = None) -> SimulationResult:
        """Let time go on to ``until_ms``, or until nothing is left to happen; say what came of it."""
        self.warm()
        limit = names.FOREVER if until_ms is None else until_ms
        while True:
            at = self.scenario.next_ms(self)
            self.timeline.option[names.LOOKS] = self.scenario.watches(self)
            why = self._advance(min(at, limit), CHUNK_EVENTS)
            self.timeline.option[names.LOOKS] = 0
            if progress is not None:
                events = int(self.timeline.clock[names.EVENTS])
                progress(events, max(2 * len(self.jobs.rows), events), self.now_ms)
            if why == STEPPED:
                continue
            if at > limit or at == names.FOREVER:
                break
            self._happen()
        return self.result()

    def step(self, events: int = 1) -> int:
        """Let so many events happen (arrivals, completions, what the scenario says); the simulated time afterwards."""
        for _ in range(events):
            at = self.scenario.next_ms(self)
            if self._advance(at, 1) != STEPPED:
                if at == names.FOREVER:
                    break
                self._happen()
        self._advance(self.now_ms, 0)
        return self.now_ms

    def _happen(self) -> None:
        """Let everything of the scenario happen whose time has come."""
        self._apply(self.scenario.due(self))

    def happen(self, *events: Event | Mapping[str, Any]) -> None:
        """Let events happen at this moment; ``at`` may be left out. Those they concern are tried when time goes on.

        Raises:
            InputError: one is wrong, or names a node or pod that is not there.
        """
        now = self.now_ms
        read = [
            one if isinstance(one, Event) else Event.read({"at": now, **one}, index)
            for index, one in enumerate(events)
        ]
        self._by_hand = True
        self._apply(read)

    def _apply(self, events: Sequence[Event]) -> None:
        changed = False
        try:
            for event in events:
                changed = apply(self, event) or changed
                self._stale = self._stale or changed
        finally:
            if self._stale:
                self.renew()
            if self._driver is not None:
                if changed:
                    self._driver.discipline.reset()
                self._driver.poke()

    def _advance(self, until: int, events_max: int) -> int:
        """Run the loop: REACHED or STEPPED."""
        online = self._online
        if self._driver is not None:
            return self._driver.advance(until, events_max)
        stop = int(self.timeline.clock[names.EVENTS]) + events_max
        while True:
            left = max(stop - int(self.timeline.clock[names.EVENTS]), 0)
            place, why = online.advance(self.timeline, self._draws, self.placed, self.score, until, left)
            if why == FULL_INTERVALS:
                self.timeline = longer(self.timeline, "interval")
            elif why == FULL_EVICTIONS:
                self.timeline = longer(self.timeline, "eviction")
            elif why == FOREIGN:
                online.settle(self.timeline, self.placed, self._decide(place))
            elif why == REJECTED:
                # what was promised to it is gone; it is tried once more like any other
                self.state.forget_nomination(int(self.jobs.rows[place]))
            else:
                return why

    def _decide(self, place: int) -> tuple[int, ...]:
        """Decide for one pod with users' plugins, which are asked from here; the pods that were preempted for it."""
        engine, row = self._engine, int(self.jobs.rows[place])
        self.placed[place], self.score[place] = -1, 0
        if engine.filter(self._profile, row) == 0:
            return self._preempt(place, row)
        engine.score(self._profile, row)
        world = self.state.world()
        scratch = engine.scratch(world)
        slots = int(world.nodes.slots[0])
        node = int(
            engine.run(select_node)(
                scratch.verdict, scratch.total, world.nodes.rank, self._draws[place], slots
            )
        )
        self.placed[place], self.score[place] = node, scratch.total[node]
        self.state.forget_nomination(row)
        engine.reserve(self._profile, row, node, float(self._draws[place]))
        engine.run(bind)(world.nodes, world.pods, world.requests, row, node)
        return ()

    def _preempt(self, place: int, row: int) -> tuple[int, ...]:
        """Take pods of lower priority off a node for the pod, whose verdicts are in scratch, and bind it there."""
        if not self._preempts:
            return ()
        found = self._engine.post_filter(self._profile, row, max(float(self._draws[place]), 0.0))
        if found is None or found.chosen is None:
            return ()
        world, run = self.state.world(), self._engine.run
        for victim in found.chosen.victims:
            run(unbind)(world.nodes, world.pods, world.requests, victim)
        self.state.outrank(row, found.chosen.node)
        self.state.forget_nomination(row)
        run(bind)(world.nodes, world.pods, world.requests, row, found.chosen.node)
        self.placed[place] = found.chosen.node
        return found.chosen.victims

    def take_off(self, place: int, status: int) -> None:
        """Take a running pod off its node; it has that status now."""
        if not self._stale:
            self._online.stop(self.timeline, place, status)
            return
        world = self._fresh_world()
        leave_node(
            world.nodes, world.pods, world.requests, self.timeline, place, int(self.jobs.rows[place]), status
        )

    def drop(self, row: int) -> None:
        """Take a pod that was there before the simulation off its node, for good."""
        world = self._fresh_world()
        slot = int(world.pods.node[row])
        charge(world.nodes, world.pods, world.requests, self.timeline, names.NONE, row, slot, -1)
        self.state.remove_pod(row)

    def _fresh_world(self) -> World:
        """The world as it is, though what is derived from it may be of yesterday."""
        world = self.state.world()
        if self._stale:
            self.timeline = with_resources(self.timeline, world)
        return world

    def room_for_evictions(self) -> names.Timeline:
        """The timeline, with room for another eviction."""
        while self.timeline.clock[names.EVICTIONS] >= len(self.timeline.eviction):
            self.timeline = longer(self.timeline, "eviction")
        return self.timeline

    # -- states

    def result(self) -> SimulationResult:
        """What has come out so far; the simulation may go on afterwards."""
        seen = Seen(
            self.state, self.jobs, self.timeline, self.score, self._decisions.reason, self.scenario.happened,
            list(self._numbers), self.policy, self.order,
        )  # fmt: skip
        return SimulationResult(seen, self.why)

    def fork(self) -> Simulation:
        """The same moment once more; what happens to one of the two does not touch the other."""
        other = copy.copy(self)
        other.state = self.state.copy()
        other._engine = self._engine.on(other.state)
        other.scenario = self.scenario.copy()
        other._numbers = dict(self._numbers)
        other._decisions = copy.deepcopy(self._decisions)
        other._discipline = None if self._discipline is None else another(self._discipline)
        other.timeline = copy_timeline(self.timeline)
        for name in ("placed", "score", "_draws"):
            setattr(other, name, getattr(self, name).copy())
        other.go_on(self._online.touched, self._online.kept())
        return other

    def save(self, path: str | Path) -> None:
        """Put the moment into a file, from which :meth:`load` goes on; see :mod:`kcore.sim.checkpoint`."""
        if self._discipline is not None:
            raise InputError(
                f"order {self.order} cannot be saved", field="checkpoint", expected="queue, fifo, sjf or drf"
            )
        if self._by_hand:
            raise InputError(
                "events were made to happen by hand", field="save", expected="events that are in the scenario"
            )
        checkpoint.save(self, path)

    @classmethod
    def load(
        cls,
        path: str | Path,
        cluster: Cluster | str | Path | None,
        trace: Trace | str | Path,
        **arguments: Any,
    ) -> Simulation:
        """The simulation in a file, made from the same cluster, trace and arguments; it goes on as if never saved.

        Raises:
            InputError: the file is no checkpoint, is damaged or of a newer version, or other inputs made it.
        """
        made = cls(cluster, trace, **arguments)
        checkpoint.restore(made, path)
        return made

    def why(self, place: int) -> str:
        """Why a pod that waits fits nowhere at this moment, in kube-scheduler's words."""
        if place in self._decisions.reason:
            return self._decisions.reason[place]
        if self.state.nodes.alive_count == 0:
            return reasons.NO_NODES
        if self._engine.filter(self._profile, int(self.jobs.rows[place])):
            return f"held back by the order of the queue: {self.order}" if self._driver is not None else ""
        return self._engine.fit_error(self._profile)


def _choose(field: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{value!r} is not a choice", field=field, expected=" or ".join(choices))


def _split_policy(policy: str | None, order: str | None) -> tuple[str, str | None]:
    """The order of the queue and the placing policy that ``policy`` names."""
    placing = None
    for name in (policy or "").split(",") if policy else ():
        if name in ORDERS and name != "queue":
            if order is not None and order != name:
                raise InputError(
                    f"{name} and {order} are both orders", field="policy", expected="one of them"
                )
            order = name
        elif placing is not None:
            raise InputError(
                f"{placing} and {name} both choose nodes", field="policy", expected="one of them"
            )
        else:
            placing = name
    _choose("order", order or "queue", ORDERS)
    return order or "queue", None if placing == "default" else placing


def _state_of(cluster: Cluster | str | Path | None, trace: Trace) -> State:
    """A state of its own with the cluster's nodes and pods, and the trace's pods after them."""
    if cluster is None:
        if not trace.objects.nodes:
            raise InputError("has no nodes", file=trace.origin or None, expected="a cluster beside the trace")
        state = State()
        state.load(trace.objects)
        return state
    if not isinstance(cluster, Cluster):
        cluster = Cluster.load(cluster)
    state = cluster.state.copy()
    state.load(trace.without_nodes().objects)
    if cluster.state.pods.count:
        state.check_names()
    return state


def _jobs_of(state: State, trace: Trace) -> Jobs:
    """Pods that wait in the cluster from the start, for ever once they run, and those of the trace."""
    state.world()
    first = state.pods.count - trace.pods
    waiting = np.flatnonzero((state.pods.node[:first] < 0) & (state.pods.gone[:first] == 0))
    before = len(waiting)
    rows = np.concatenate([waiting, np.arange(first, state.pods.count)]).astype(np.int32)

    def joined(values: np.ndarray, fill: int) -> np.ndarray:
        return np.concatenate([np.full(before, fill, dtype=values.dtype), values])

    owners = list(trace.owners) or ["default"]
    job = joined(trace.job, 0)
    job[before:] += before
    job[:before] = np.arange(before)
    return Jobs(
        rows,
        joined(trace.submit_ms, 0).astype(np.int64),
        joined(trace.duration_ms, NEVER_MS).astype(np.int64),
        joined(trace.estimate_ms, NEVER_MS).astype(np.int64),
        joined(trace.owner, 0).astype(np.int32),
        owners,
        job,
    )


def _origin_of(state: State, trace: Trace) -> Origin:
    """What the cluster is before anything happens, for digests."""
    state.world()
    before = state.pods.count - trace.pods
    return Origin({}, list(state.nodes.nodes), state.pods.node[:before].copy())


def _absent_nodes(trace: Trace) -> list[str]:
    """Nodes whose first event brings them: they are not there at the start."""
    first: dict[str, str] = {}
    for event in trace.node_events or ():
        first.setdefault(event.node, event.kind)
    return [name for name, kind in first.items() if kind == ADD]


def _interval(jobs: Jobs) -> int:
    """A round length of time of which the trace has INTERVALS_AIM or more, but not many more."""
    span = int(jobs.submit.max(initial=0)) + int(jobs.work.max(initial=0))
    fitting = [one for one in NICE_MS if one * INTERVALS_AIM <= span]
    return fitting[-1] if fitting else NICE_MS[0]
