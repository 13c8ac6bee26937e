"""One pod decided with extenders: what the engine leaves them, what they leave it, and whom to evict.

Source: pkg/scheduler/schedule_one.go (findNodesThatPassExtenders, prioritizeNodes) and framework/preemption
(callExtenders) of Kubernetes 1.36.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np

from kcore.online.extenders import Extender, ExtenderError, as_int64
from kcore.scheduler import codes, reasons
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import Engine, Options
from kcore.scheduler.eviction import Candidate, Preemption, Search, best_of, preempt
from kcore.scheduler.host import CycleError
from kcore.scheduler.post_filter import ends_post_filter, post_filter_message
from kcore.scheduler.profile import Profile

REJECTED: Final = 252  # verdicts of extenders, beside those of codes
UNRESOLVABLE: Final = 253
WORDS: Final = {
    REJECTED: reasons.Rejection("Extender", reasons.UNSCHEDULABLE, ()),
    UNRESOLVABLE: reasons.Rejection("Extender", reasons.UNRESOLVABLE, ()),
}

Object = dict[str, Any]

log: Final = logging.getLogger("kcore.scheduler")


class Objects(Protocol):
    """Nodes and pods as an extender is told of them."""

    def node_object(self, name: str) -> Object:
        """The node."""

    def pod_at(self, row: int) -> Object:
        """The pod of that row."""


class Extended:
    """One pod, and the extenders that are interested in it."""

    def __init__(
        self, engine: Engine, objects: Objects, row: int, pod: Object, extenders: Sequence[Extender]
    ) -> None:
        self._engine = engine
        self._objects = objects
        self._row = row
        self._pod = pod
        self._extenders = extenders
        self._failed: dict[int, tuple[str, int]] = {}  # by slot: an extender's words, and the verdict

    async def decide(self, options: Options) -> Decisions:
        """What becomes of the pod; the state has followed. ExtenderError where one that may not be ignored failed."""
        engine, row = self._engine, self._row
        rows = np.array([row], dtype=np.int32)
        result = Decisions(rows, np.full(1, -1, dtype=np.int32), np.zeros(1, dtype=np.int64))
        runnable, _ = engine.prepare(rows, result, options)
        if not len(runnable):
            engine.take_back(engine.lost_nominations(result, options), 1, result)
            return result
        profile = engine.profile_of(row)
        assert profile is not None
        left = await self._left(profile)
        if not left:
            await self._refuse(profile, options, result)
            return result
        engine.score(profile, row)
        total = engine.scratch(engine.state.world()).total
        totals = {slot: int(total[slot]) for slot in left}
        await self._add_scores(totals)
        result.node[0] = slot = self._best(totals, options)
        result.score[0] = totals[slot]
        try:
            engine.reserve_hosts(slot, 0, result)
        except CycleError as error:
            result.node[0] = -1
            result.reason[0] = str(error)
            result.failed.add(0)
            return result
        engine.state.forget_nomination(row)
        engine.state.place(row, slot)
        return result

    def _names(self, slots: Sequence[int]) -> dict[str, Object]:
        state = self._engine.state
        return {name: self._objects.node_object(name) for name in map(state.nodes.name, slots)}

    async def _left(self, profile: Profile) -> list[int]:
        """The slots of the nodes that engine and extenders leave; the engine's verdicts are in scratch."""
        state, row = self._engine.state, self._row
        left = await self._passed(self._feasible(profile))
        promised = int(state.pods.nominated[row])
        if not left and promised >= 0:
            # the nominated node was tried alone; now all the others
            state.pods.nominated[row] = -1
            try:
                left = await self._passed(self._feasible(profile))
            finally:
                state.pods.nominated[row] = promised
        self._feasible(profile)
        verdict = self._engine.scratch(state.world()).verdict
        for slot, (_, code) in self._failed.items():
            verdict[slot] = code
        for slot in self._passing():
            if slot not in left:
                verdict[slot] = UNRESOLVABLE  # left out without a word
        return [slot for slot in left if verdict[slot] == codes.PASS]

    def _feasible(self, profile: Profile) -> list[int]:
        self._engine.filter(profile, self._row)
        return self._passing()

    def _passing(self) -> list[int]:
        world = self._engine.state.world()
        slots = int(world.nodes.slots[0])
        verdict = self._engine.scratch(world).verdict[:slots]
        found = np.flatnonzero((verdict == codes.PASS) & (world.nodes.alive[:slots] != 0))
        return sorted(found.tolist(), key=lambda slot: int(world.nodes.rank[slot]))

    async def _passed(self, slots: list[int]) -> list[int]:
        nodes, index = self._names(slots), self._engine.state.nodes.index
        for extender in self._extenders:
            if not nodes:
                break
            if not extender.settings.filter_verb:
                continue
            try:
                verdict = await extender.filter(self._pod, nodes)
            except ExtenderError as error:
                if extender.settings.is_ignorable:
                    log.info("skipping extender %s: %s", extender.settings.url_prefix, error)
                    continue
                raise
            for code, failed in ((REJECTED, verdict.failed), (UNRESOLVABLE, verdict.unresolvable)):
                self._failed |= {
                    index[name]: (words, code) for name, words in failed.items() if name in index
                }
            nodes = {name: nodes[name] for name in verdict.left}
        return [index[name] for name in nodes]

    async def _add_scores(self, totals: dict[int, int]) -> None:
        nodes, index = self._names(list(totals)), self._engine.state.nodes.index
        for extender in self._extenders:
            if not extender.settings.prioritize_verb:
                continue
            try:
                scores = await extender.prioritize(self._pod, nodes)
            except ExtenderError as error:
                log.info("extender %s gives no scores: %s", extender.settings.url_prefix, error)
                continue
            for name, score in scores.items():
                if name in nodes:
                    totals[index[name]] = as_int64(totals[index[name]] + score)

    def _best(self, totals: dict[int, int], options: Options) -> int:
        most = max(totals.values())
        best = [slot for slot, total in totals.items() if total == most]
        return best[0] if options.random is None else best[int(options.random.integers(len(best)))]

    # -- a pod that fits nowhere

    async def _refuse(self, profile: Profile, options: Options, result: Decisions) -> None:
        engine, state, row = self._engine, self._engine.state, self._row
        text = self._sentence()
        result.reason[0] = text
        result.rejectors[0] = self._rejectors(profile)
        if options.preemption == "off":
            return
        cycle, extension = engine.cycle, engine.extension(profile)
        if "DefaultPreemption" not in profile.post_filters or ends_post_filter(profile, cycle):
            message = post_filter_message(profile, None, cycle)
            result.reason[0] = f"{text} {message}" if message else text
            return
        world = state.world()
        search = Search(
            state, world, engine.settings(profile), engine.scratch(world),
            {**engine.rejections(profile), **WORDS}, engine.run,
        )  # fmt: skip
        offset = 0.0 if options.random is None else float(options.random.random())
        evaluate = extension.dry_run if extension.filters or cycle is not None else None
        found = preempt(search, row, profile.preemption, offset, evaluate)
        if found.candidates:
            candidates = await self._spared(found.candidates)
            chosen = best_of(state, candidates) if candidates else None
            message = "" if candidates else reasons.sentence(state.nodes.alive_count, {})
            found = Preemption(None, message, candidates, chosen)
        message = post_filter_message(profile, found, cycle)
        result.reason[0] = f"{text} {message}" if message else text
        if found.chosen is not None:
            result.preemptions[0] = found.chosen
            state.outrank(row, found.chosen.node)
            state.nominate(row, found.chosen.node)
        elif found.ineligible is None:
            state.forget_nomination(row)
            result.denied.add(0)

    def _rejectors(self, profile: Profile) -> frozenset[str]:
        world = self._engine.state.world()
        verdict = self._engine.scratch(world).verdict[: int(world.nodes.slots[0])]
        return reasons.rejectors(verdict, {**self._engine.extension(profile).rejections, **WORDS})

    def _sentence(self) -> str:
        state = self._engine.state
        world = state.world()
        slots = int(world.nodes.slots[0])
        scratch = self._engine.scratch(world)
        verdict = scratch.verdict[:slots].copy()
        verdict[verdict >= REJECTED] = codes.DEAD
        profile = self._engine.profile_of(self._row)
        assert profile is not None
        if self._engine.cycle is not None and self._engine.cycle.turned is not None:
            return self._engine.fit_error(profile)
        words = self._engine.rejections(profile)
        counts = reasons.count_reasons(verdict, scratch.detail[:slots], state.nodes.resources.values, words)
        for said, _ in self._failed.values():
            counts[said] += 1
        return reasons.sentence(state.nodes.alive_count, counts)

    async def _spared(self, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """The candidates that extenders leave, with the victims that they want."""
        for extender in self._extenders:
            if not extender.settings.preempt_verb:
                continue
            try:
                candidates = self._read(extender, await extender.preempt(self._pod, self._told(candidates)))
            except ExtenderError as error:
                if not extender.settings.is_ignorable:
                    raise
                log.info("skipping extender %s: %s", extender.settings.url_prefix, error)
            if not candidates:
                break
        return candidates

    def _told(self, candidates: Sequence[Candidate]) -> dict[str, tuple[list[Object], int]]:
        pod_at, name = self._objects.pod_at, self._engine.state.nodes.name
        return {
            name(one.node): (
                [pod_at(row) for row in one.victims],
                one.violations,
            )
            for one in candidates
        }

    def _read(self, extender: Extender, said: dict[str, tuple[list[str], int]]) -> tuple[Candidate, ...]:
        state, pod_at = self._engine.state, self._objects.pod_at
        found = []
        for name, (uids, violations) in said.items():
            slot = state.nodes.index.get(name)
            if slot is None:
                raise ExtenderError(f'nodeinfo not found for node name "{name}"')
            if not uids:
                if extender.settings.is_ignorable:
                    continue
                raise ExtenderError(f'expected at least one victim pod on node "{name}"')
            rows = {pod_at(row)["metadata"]["uid"]: row for row in state.pods_on(slot)}
            for uid in uids:
                if uid not in rows:
                    raise ExtenderError(
                        f"extender: {extender.settings.url_prefix} claims to preempt pod (UID: {uid}) on node: {name}, "
                        "but the pod is not found on that node"
                    )
            found.append(Candidate(slot, tuple(rows[uid] for uid in uids), violations))
        return tuple(found)
