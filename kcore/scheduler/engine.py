"""The scheduling loop: decides for one pending pod after another, on the state that earlier decisions have left.

The stretch between two pods that need words (a pod that fits nowhere) runs in one kernel call. What such a pod gets
is done here: the FitError sentence, preemption, nomination.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kcore.kernel import ARRAYS_FROM, Kernel
from kcore.scheduler import codes, reasons
from kcore.scheduler.accounts import bind
from kcore.scheduler.columns import Scratch, Settings
from kcore.scheduler.cycle import score_nodes, select_node
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.demand import NAME_CONFLICT
from kcore.scheduler.eviction import NEVER, Preemption, Search, preempt
from kcore.scheduler.host import CycleError
from kcore.scheduler.host_cycle import HostCycle, unreserve
from kcore.scheduler.hosts import host_plugins
from kcore.scheduler.incremental.batch import KEEP_MIN, POLICY_KEEP_MIN, Batch
from kcore.scheduler.incremental.refuser import Means
from kcore.scheduler.plugins.gpu_share import needs_devices
from kcore.scheduler.plugins.gpu_share import reserve as reserve_devices
from kcore.scheduler.plugins.policies import BY_NAME
from kcore.scheduler.post_filter import ends_post_filter, is_ended_by_claims, post_filter_message
from kcore.scheduler.preemption import filter_cluster, schedule_range
from kcore.scheduler.profile import Profile, SchedulerConfiguration
from kcore.scheduler.settings import fits, make_scratch, profile_settings, shares_gpus
from kcore.scheduler.settling import settle
from kcore.scheduler.state import State, World
from kcore.scheduler.stretches import Stretch, stretches
from kcore.scheduler.third_party import Extension
from kcore.scheduler.typical import FGD, NO_TYPICAL, Typical, count_kinds, read_typical, typical_pods
from kcore.scheduler.vocab import distinct, members_of, positions_of, taken, window
from kcore.scheduler.warming import warm_profile

Progress = Callable[[int, int], None]

INTERPRETED_MAX = 20_000
"""Pods times (nodes + 1) up to which the interpreter answers sooner than Numba can be loaded."""
CHUNK_MAX = 2_000
"""Pods between two reports of progress."""
CONFLICTING = frozenset(("NodeAffinity",))
"""Who rejects pods whose terms no node can meet, whatever it is like."""
NO_NODES_PLUGIN = "NoNodes"
"""Who rejects pods where there are no nodes; no plugin of Kubernetes is called so."""
BATCH_CHUNK_MAX = 50_000
"""The same where pods are decided incrementally."""


@dataclass(slots=True)
class Options:
    """How to schedule: ``preemption`` is off, nominate or evict; ties are broken by name, or by ``random``.

    ``engine`` is full (every node for every pod), incremental, or auto.
    """

    order: str = "queue"
    engine: str = "full"
    random: np.random.Generator | None = None
    preemption: str = "nominate"
    progress: Progress | None = None
    report_every: int = 0
    """Pods between two reports of progress, at most; 0 leaves it to the engine."""
    keep_min: int | None = None
    """Pods of a shape from which the incremental engine keeps it; None leaves it to the engine."""
    waits: bool = False
    """Where there are no nodes, pods enter the queue all the same: nodes may come."""
    hosts: bool = True
    """Pods with volumes are decided; where False they are told that this is not supported."""


class Engine:
    """One state with the settings of its profiles. ``compiled`` chooses machine code or the interpreter."""

    def __init__(
        self,
        state: State,
        configuration: SchedulerConfiguration,
        *,
        compiled: bool,
        forced: Profile | None = None,
    ) -> None:
        self.state = state
        self.configuration = configuration
        self.compiled = compiled
        self.forced = forced
        self._extensions = {id(one): Extension(self, one) for one in configuration.profiles}
        self._settings: dict[int, Settings] = {}
        self._scratch: tuple[World, Scratch] | None = None
        self._batch: Batch | None = None
        self.kind = "full"
        self.cycle: HostCycle | None = None
        self._hosts = host_plugins(state)
        self._typical: dict[int, Typical] = {}
        for profile in configuration.profiles:
            profile_settings(profile, state.nodes)
            typical = read_typical(profile)
            if typical is not None:
                self._typical[id(profile)] = typical

    def on(self, state: State) -> Engine:
        """The same engine on another state."""
        return Engine(state, self.configuration, compiled=self.compiled, forced=self.forced)

    def run(self, kernel: Kernel) -> Callable[..., Any]:
        """The form of a kernel that this engine uses."""
        return kernel.compiled if self.compiled else kernel

    def settings(self, profile: Profile) -> Settings:
        """The numbers of a profile, for the resource rows that exist now."""
        known = self._settings.get(id(profile))
        if known is None or not fits(known, self.state.nodes):
            typical = self._typical.get(id(profile), NO_TYPICAL)
            known = self._settings[id(profile)] = profile_settings(profile, self.state.nodes, typical)
        return known

    def scratch(self, world: World) -> Scratch:
        """Working memory that fits the world."""
        if self._scratch is None or self._scratch[0] is not world:
            self._scratch = (world, make_scratch(world))
        return self._scratch[1]

    def warm(self, *, explain: bool = False) -> None:
        """Compile, or load from the cache, every kernel that scheduling (and explaining) may need."""
        if self.compiled and self.state.pods.count:
            for profile in self.configuration.profiles:
                warm_profile(self, self.settings(profile), self.extension(profile), explain=explain)

    # -- a queue

    def schedule(self, rows: Sequence[int] | np.ndarray, options: Options) -> Decisions:
        """Decide for every pod of ``rows`` and change the state accordingly."""
        rows = np.asarray(rows, dtype=np.int32)
        self.state.version += 1
        priority = taken(self.state.pods.priority, rows)
        if options.order == "queue" and len(rows) and priority.min() < priority.max():
            # PrioritySort: higher priority first, then in order of arrival
            rows = rows[np.argsort(-priority.astype(np.int64), kind="stable")]
        count = len(rows)
        result = Decisions(rows, np.full(count, -1, dtype=np.int32), np.zeros(count, dtype=np.int64))
        draws = np.full(count, -1.0) if options.random is None else options.random.random(count)
        runnable, profiles = self.prepare(rows, result, options)
        hosted = self._hosted(rows, runnable)
        self._batch = self._make_batch(rows, runnable[~hosted] if hosted.any() else runnable, options)
        self.kind = "full" if self._batch is None else "incremental"
        chunk_max = options.report_every or (CHUNK_MAX if self._batch is None else BATCH_CHUNK_MAX)
        lost = self.lost_nominations(result, options)
        try:
            for profile, positions in stretches(runnable, profiles, hosted, lost):
                self.take_back(lost, int(positions[0]), result)
                stretch = Stretch.of(rows, draws, positions, result)
                self._run_through(profile, stretch, chunk_max, options, result)
                stretch.hand_over(result)
            self.take_back(lost, count, result)
        except Exception:
            for made in result.reservations.values():
                unreserve(made)
            raise
        finally:
            self._batch, self.cycle = None, None
        return result

    def _run_through(
        self, profile: Profile, stretch: Stretch, chunk_max: int, options: Options, result: Decisions
    ) -> None:
        """Decide for all pods of a stretch, those that fit nowhere included."""
        positions, start = stretch.positions, 0
        while start < len(positions):
            stop = min(start + chunk_max, len(positions))
            start, rejected = self._stretch(profile, stretch, start, stop, options, result)
            if rejected:
                row, draw = int(stretch.queue[start]), float(stretch.draws[start])
                self.reject(profile, row, int(positions[start]), draw, options, result)
                start += 1
            if options.progress is not None:
                options.progress(int(positions[start - 1]) + 1, len(result.rows))

    def _hosted(self, rows: np.ndarray, runnable: np.ndarray) -> np.ndarray:
        """``bool[place]``: which of the pods to try are decided one at a time, with plugins on objects."""
        hosted = self.state.hosted
        if not hosted:
            return np.zeros(len(runnable), dtype=bool)
        return np.isin(rows[runnable], np.fromiter(hosted, dtype=np.int64, count=len(hosted)))

    def _place(
        self, profile: Profile, stretch: Stretch, start: int, stop: int, options: Options, result: Decisions
    ) -> tuple[int, bool]:
        """Decide incrementally; as :meth:`_stretch`."""
        assert self._batch is not None
        enabled = options.preemption != "off" and "DefaultPreemption" in profile.post_filters
        means = Means(
            enabled, options.preemption == "evict", profile.preemption.min_candidate_nodes_percentage,
            profile.preemption.min_candidate_nodes_absolute,
        )  # fmt: skip
        part = Stretch(*(one[start:stop] for one in stretch))
        count, refusals, rejected = self._batch.place(self.settings(profile), means, *part)
        for one in refusals:
            row, position = int(part.queue[one.place]), int(part.positions[one.place])
            result.rejectors[position] = one.rejectors
            found = None
            if enabled:
                spec = self.state.classes[self.state.pods.spec_class[row]].exemplar.spec
                never = NEVER if spec.preemption_policy == "Never" else None
                found = Preemption(never, never or one.message, (), one.chosen)
            self._record(profile, row, position, one.text, found, options, result)
        return start + count, rejected

    def _record(
        self, profile: Profile, row: int, position: int, text: str, found: Preemption | None, options: Options,
        result: Decisions,
    ) -> None:  # fmt: skip
        """Write down a refusal of the batch, and what is left to do in the state."""
        if options.preemption == "off":
            result.reason[position] = text
            return
        message = post_filter_message(profile, found)
        result.reason[position] = f"{text} {message}" if message else text
        if found is None:
            return
        if found.chosen is None:
            if found.ineligible is None:
                result.denied.add(position)
            return
        result.preemptions[position] = found.chosen
        if options.preemption == "evict":
            self.state.forget_evicted(found.chosen.victims)
        else:
            self.state.outrank(row, found.chosen.node)
            self.state.nominate(row, found.chosen.node)

    def _make_batch(self, rows: np.ndarray, runnable: np.ndarray, options: Options) -> Batch | None:
        """What decides incrementally; None where the full pass decides everything."""
        forced = options.engine == "incremental"
        few = not self.compiled and self.state.nodes.alive_count < ARRAYS_FROM
        if options.engine == "full" or not len(runnable) or (few and not forced):
            return None
        world = self.state.world()
        scored = any(BY_NAME.keys() & set(profile.scores) for profile in self.configuration.profiles)
        keep_min = options.keep_min or (1 if forced else POLICY_KEEP_MIN if scored else KEEP_MIN)
        batch = Batch(self.state, world, self.scratch(world), self.run, rows, runnable, keep_min)
        return batch if batch.is_worthwhile else None

    def prepare(
        self, rows: np.ndarray, result: Decisions, options: Options
    ) -> tuple[np.ndarray, list[tuple[Profile, np.ndarray]]]:
        """Compile the demands of all pods; those that never enter the queue get their reason here.

        Returns the positions to try, ascending, and the same by profile.
        """
        state = self.state
        self._forget_gated_nominations()
        classes = taken(state.pods.spec_class, rows)
        verdicts = {number: self._judge_class(number, options) for number in distinct(classes)}
        profiles: dict[str, tuple[Profile, list[int]]] = {}
        for number, (profile, _) in verdicts.items():
            if profile is not None:
                profiles.setdefault(profile.scheduler_name, (profile, []))[1].append(number)
        self._set_aside(
            classes, {n: reason for n, (profile, reason) in verdicts.items() if profile is None}, result
        )
        found = []
        for profile, numbers in profiles.values():
            positions = positions_of(classes, numbers, len(verdicts))
            state.demand(window(rows, positions), profile)
            conflicts = {
                number: self._conflict_sentence(profile, number, options)
                for number in numbers
                if state.demands.demands[state.demands.find(number, state.classes[number], profile)].conflict
            }
            self._set_aside(classes, conflicts, result, "NodeAffinity")
            kept = [number for number in numbers if number not in conflicts]
            if conflicts:
                positions = positions_of(classes, kept, len(verdicts))
            found.append((profile, positions))
        if len(found) == 1:
            return found[0][1], found
        every = [one for _, one in found]
        return np.sort(np.concatenate([*every, np.zeros(0, dtype=np.int64)])), found

    def _forget_gated_nominations(self) -> None:
        """Pods behind a gate that their profile heeds never enter the queue, and only the queue nominates."""
        state = self.state
        for row in state.nominated.tolist():
            profile = self.profile_of(row)
            spec = state.classes[state.pods.spec_class[row]].exemplar.spec
            if spec.scheduling_gates and profile is not None and "SchedulingGates" in profile.pre_enqueue:
                state.forget_nomination(row)

    def _set_aside(
        self, classes: np.ndarray, reason: dict[int, str], result: Decisions, plugin: str = ""
    ) -> None:
        """Give all pods of some classes their reason, and the plugin that rejected them; they are not tried."""
        for position in np.flatnonzero(members_of(classes, list(reason))).tolist() if reason else ():
            text = result.reason[position] = reason[int(classes[position])]
            if rejector := NO_NODES_PLUGIN if text == reasons.NO_NODES else plugin:
                result.rejectors[position] = frozenset((rejector,))
            result.untried.add(position)

    def compile_demands(self, rows: np.ndarray) -> None:
        """Compile what the pods demand, so that the world is complete before a run begins."""
        for profile in self.configuration.profiles:
            if FGD in profile.scores and id(profile) not in self._typical:
                counts = count_kinds(self.state.requests, self.state.pods.request[rows])
                self._typical[id(profile)] = typical_pods(counts)
                self._settings.pop(id(profile), None)
        if any(shares_gpus(profile) for profile in self.configuration.profiles):
            settle(self.state, self.run)
        self.prepare(rows, Decisions(rows, np.zeros(0), np.zeros(0)), Options())
        for extension in self._extensions.values():
            extension.reserve()

    def settings_of(self, row: int) -> Settings:
        """The settings of the profile that schedules a pod."""
        profile = self.profile_of(row)
        assert profile is not None
        return self.settings(profile)

    def extension(self, profile: Profile) -> Extension:
        """The users' plugins of a profile."""
        return self._extensions[id(profile)]

    def profile_of(self, row: int) -> Profile | None:
        """The profile that schedules a pod: the forced one, or that of its schedulerName."""
        spec = self.state.classes[self.state.pods.spec_class[row]].exemplar.spec
        return self.forced or self.configuration.profile(spec.scheduler_name or "default-scheduler")

    def _judge_class(self, number: int, options: Options) -> tuple[Profile | None, str]:
        spec_class = self.state.classes[number]
        spec = spec_class.exemplar.spec
        name = spec.scheduler_name or "default-scheduler"
        profile = self.forced or self.configuration.profile(name)
        if profile is None:
            return None, f'no profile of the configuration is named "{name}" (the pod\'s schedulerName)'
        if spec_class.terminating:
            return None, reasons.DELETING
        if spec.scheduling_gates and "SchedulingGates" in profile.pre_enqueue:
            gates = " ".join(gate.name for gate in spec.scheduling_gates)
            return None, f"waiting for scheduling gates: [{gates}]"
        if spec_class.hosted and not options.hosts:
            return None, f"not supported here: {spec_class.hosted}"
        if self.state.nodes.alive_count == 0 and not options.waits:
            return None, reasons.NO_NODES
        return profile, ""

    def conflict_message(self, profile: Profile, number: int) -> str:
        """What PostFilter says of the pods of a class that PreFilter rejected for all nodes."""
        if is_ended_by_claims(profile, "NodeAffinity"):
            return reasons.NOT_FOUND
        return post_filter_message(profile, self._conflict_preemption(profile, number))

    def _conflict_preemption(self, profile: Profile, number: int) -> Preemption | None:
        """What preemption finds for them; None if it is not asked."""
        if "DefaultPreemption" not in profile.post_filters or is_ended_by_claims(profile, "NodeAffinity"):
            return None
        if self.state.classes[number].exemplar.spec.preemption_policy == "Never":
            return Preemption(NEVER, NEVER, (), None)
        count = self.state.nodes.alive_count
        return Preemption(None, reasons.sentence(count, {reasons.NOT_HELPFUL: count}), (), None)

    def lost_nominations(self, result: Decisions, options: Options) -> list[int]:
        """Positions, ascending, of nominated pods that NodeAffinity set aside and that preemption cannot help."""
        if options.preemption == "off" or not len(self.state.nominated):
            return []
        found = []
        for position in np.flatnonzero(self.state.pods.nominated[result.rows] >= 0).tolist():
            if position in result.untried and result.rejectors.get(position) == CONFLICTING:
                row = int(result.rows[position])
                profile = self.profile_of(row)
                assert profile is not None
                told = self._conflict_preemption(profile, int(self.state.pods.spec_class[row]))
                if told is not None and told.ineligible is None:
                    found.append(position)
        return found

    def take_back(self, lost: list[int], stop: int, result: Decisions) -> None:
        """Take back the nominations of the ``lost`` positions before ``stop``, whose turn it has been."""
        while lost and lost[0] < stop:
            position = lost.pop(0)
            self.state.forget_nomination(int(result.rows[position]))
            result.denied.add(position)

    def _conflict_sentence(self, profile: Profile, number: int, options: Options) -> str:
        text = reasons.prefilter_sentence(self.state.nodes.alive_count, NAME_CONFLICT)
        message = self.conflict_message(profile, number) if options.preemption != "off" else ""
        return f"{text} {message}" if message else text

    def _stretch(
        self, profile: Profile, stretch: Stretch, start: int, stop: int, options: Options, result: Decisions
    ) -> tuple[int, bool]:
        """Decide for pods from ``start`` on; return the place reached, and whether the pod there was rejected.

        The verdicts on that one are in scratch; :meth:`reject` is to deal with it.
        """
        state = self.state
        queue, draws, _, placed, score = stretch
        if self.extension(profile) or int(queue[start]) in state.hosted:
            position = self._stretch_extended(profile, stretch, start, stop, result)
            if self._batch is not None:
                self._batch.note(queue[start:position], placed[start:position], 1)
            return position, position < stop
        self.cycle = None
        if self._batch is not None:
            position, rejected = self._place(profile, stretch, start, stop, options, result)
        else:
            world = state.world()
            position = self.run(schedule_range)(
                world.nodes, world.pods, world.demands, world.requests, self.settings(profile), queue, draws, start,
                stop, state.nominated, self.scratch(world), placed, score,
            )  # fmt: skip
            rejected = position < stop
        state.forget_ended_nominations()
        return position, rejected

    def _stretch_extended(
        self, profile: Profile, stretch: Stretch, start: int, stop: int, result: Decisions
    ) -> int:
        """The same for pods that plugins outside the kernels are asked about, pod by pod."""
        state = self.state
        queue, draws, positions, placed, score = stretch
        world = state.world()
        scratch = self.scratch(world)
        slots = int(world.nodes.slots[0])
        for place in range(start, stop):
            row, position = int(queue[place]), int(positions[place])
            try:
                if self.filter(profile, row) == 0:
                    return place
                self.score(profile, row)
                node: int = self.run(select_node)(
                    scratch.verdict, scratch.total, world.nodes.rank, draws[place], slots
                )
                self.reserve_hosts(node, position, result)
            except CycleError as error:
                result.reason[position] = str(error)
                result.failed.add(position)
                result.untried.add(position)
                continue
            placed[place] = node
            score[place] = scratch.total[node]
            state.forget_nomination(row)
            self.reserve(profile, row, node, draws[place])
            self.run(bind)(world.nodes, world.pods, world.requests, row, node)
        return stop

    def reserve_hosts(self, node: int, position: int, result: Decisions) -> None:
        """Let the plugins on objects set aside what the pod that was filtered last needs on the node; or CycleError."""
        made = self.cycle.reserve(node) if self.cycle is not None else ()
        if made:
            result.reservations[position] = made

    def reserve(self, profile: Profile, row: int, node: int, draw: float) -> None:
        """Choose the devices of a pod that is about to get a node, where the profile shares GPUs."""
        world, settings = self.state.world(), self.settings(profile)
        if needs_devices(world.requests, settings, int(world.pods.request[row])):
            self.run(reserve_devices)(world.nodes, world.pods, world.requests, settings, row, node, draw)

    def filter(self, profile: Profile, row: int) -> int:
        """Leave the verdict of every filter of the profile in scratch; return the number of feasible nodes."""
        world = self.state.world()
        scratch = self.scratch(world)
        self.cycle = self._begin(profile, row)
        feasible: int = self.run(filter_cluster)(
            world.nodes,
            world.pods,
            world.demands,
            world.requests,
            self.settings(profile),
            row,
            self.state.nominated,
            scratch,
        )
        extension = self.extension(profile)
        if not extension.filters and self.cycle is None:
            return feasible
        left = extension.filter(row, scratch.verdict)
        slot = int(world.pods.nominated[row])
        if left or slot < 0 or (self.cycle is not None and self.cycle.turned is not None):
            return left
        # the nominated node passed the in-tree filters, so no other was looked at: do so now
        world.pods.nominated[row] = -1
        try:
            left = self.filter(profile, row)
        finally:
            world.pods.nominated[row] = slot
        return left

    def _begin(self, profile: Profile, row: int) -> HostCycle | None:
        """The plugins on objects that the pod is asked about by; None for almost all pods."""
        if row not in self.state.hosted:
            return None
        cycle = HostCycle(self.state, profile, row, self._hosts)
        return None if cycle.is_silent else cycle

    def rejections(self, profile: Profile) -> Mapping[int, reasons.Rejection]:
        """The words of verdicts that are not the kernels', as they become known."""
        own = self.extension(profile).rejections
        return own if self.cycle is None else ChainMap(self.cycle.rejections, own)

    def score(self, profile: Profile, row: int) -> None:
        """Leave the totals of every score plugin of the profile in scratch."""
        world = self.state.world()
        scratch = self.scratch(world)
        self.run(score_nodes)(
            world.nodes, world.demands, world.requests, self.settings(profile), int(world.pods.demand[row]),
            int(world.pods.request[row]), scratch,
        )  # fmt: skip
        extension = self.extension(profile)
        for plugin, weight in extension.scores:
            extension.add_score(plugin, weight, row, scratch)
        if self.cycle is not None:
            slots = np.flatnonzero(scratch.verdict[: int(world.nodes.slots[0])] == codes.PASS)
            for name, weight in zip(profile.scores, profile.weights, strict=True):
                found = self.cycle.score(name, slots)
                if found is not None:
                    scratch.total[slots] += weight * found[1]

    # -- a pod that fits nowhere

    def fit_error(self, profile: Profile) -> str:
        """The FitError sentence of the verdicts that are in scratch."""
        world = self.state.world()
        slots = int(world.nodes.slots[0])
        scratch = self.scratch(world)
        if self.cycle is not None and self.cycle.turned is not None:
            message = ", ".join(self.cycle.turned.reasons)
            return reasons.prefilter_sentence(self.state.nodes.alive_count, message)
        names = self.state.nodes.resources.values
        counts = reasons.count_reasons(
            scratch.verdict[:slots], scratch.detail[:slots], names, self.rejections(profile)
        )
        return reasons.sentence(self.state.nodes.alive_count, counts)

    def rejectors(self, profile: Profile) -> frozenset[str]:
        """The plugins whose verdicts are in scratch."""
        world = self.state.world()
        verdict = self.scratch(world).verdict[: int(world.nodes.slots[0])]
        if self.cycle is not None and self.cycle.turned is not None:
            return frozenset((self.cycle.turned.plugin,))
        return reasons.rejectors(verdict, self.rejections(profile))

    def reject(
        self, profile: Profile, row: int, position: int, draw: float, options: Options, result: Decisions
    ) -> None:
        """Record why the pod fits nowhere and, where it may, preempt for it."""
        state = self.state
        text = self.fit_error(profile)
        result.rejectors[position] = self.rejectors(profile)
        if options.preemption == "off":
            result.reason[position] = text
            return
        found = self.post_filter(profile, row, max(draw, 0.0))
        message = post_filter_message(profile, found, self.cycle)
        result.reason[position] = f"{text} {message}" if message else text
        if found is not None and found.chosen is None and found.ineligible is None:
            # preemption cannot help: a nomination of earlier is taken back
            state.forget_nomination(row)
            result.denied.add(position)
        if found is None or found.chosen is None:
            return
        result.preemptions[position] = found.chosen
        state.outrank(row, found.chosen.node)
        if options.preemption == "evict":
            for victim in found.chosen.victims:
                state.remove_pod(victim)
            if self.cycle is not None:
                self.filter(profile, row)  # what is set aside depends on who has gone
                self.reserve_hosts(found.chosen.node, position, result)
            self.reserve(profile, row, found.chosen.node, draw)
            state.place(row, found.chosen.node)
            result.node[position] = found.chosen.node
            if self._batch is not None:
                victims = np.array(found.chosen.victims, dtype=np.int32)
                self._batch.note(victims, np.full(len(victims), found.chosen.node), -1)
                self._batch.note(np.array([row]), np.array([found.chosen.node]), 1)
        else:
            state.nominate(row, found.chosen.node)

    def post_filter(self, profile: Profile, row: int, offset: float) -> Preemption | None:
        """What preemption could do for the pod whose verdicts are in scratch; None if the profile has it disabled."""
        if "DefaultPreemption" not in profile.post_filters or ends_post_filter(profile, self.cycle):
            return None
        world = self.state.world()
        extension = self.extension(profile)
        search = Search(
            self.state, world, self.settings(profile), self.scratch(world), self.rejections(profile), self.run
        )
        evaluate = extension.dry_run if extension.filters or self.cycle is not None else None
        try:
            return preempt(search, row, profile.preemption, offset, evaluate)
        except CycleError as error:
            return Preemption(str(error), str(error), (), None, True)
