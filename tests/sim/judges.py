"""Who decides for the slow simulation: the naive scheduler, or the engine's full pass, a pod at a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from kcore.api.objects import Node, Pod
from kcore.scheduler.cycle import select_node
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import Engine, Options
from kcore.scheduler.profile import Profile
from kcore.scheduler.state import State
from tests.naive.cluster import pod_name
from tests.naive.scheduler import NO_NODES, NaiveScheduler
from tests.naive.simulation import Job, Verdict

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NaiveJudge:
    """The naive scheduler; of equal nodes it takes the first."""

    def __init__(self, profile: Profile, jobs: Iterable[Job], **objects: Any) -> None:
        self.scheduler = NaiveScheduler(profile, **objects)
        self.place = {pod_name(job.pod): job.place for job in jobs}
        self.bound = {
            info.key: info.pod for node in self.scheduler.state.nodes.values() for info in node.pods
        }
        self.bound = {pod_name(pod): pod for pod in self.bound.values()}

    def enters(self, job: Job) -> bool:
        attempt = self.scheduler.attempt(job.pod)
        return attempt.gated is None and attempt.pre_filter is None and attempt.error in ("", NO_NODES)

    def attempt(self, job: Job, preempts: bool) -> Verdict:
        found = self.scheduler.attempt(job.pod)
        if found.node is not None:
            return Verdict(found.node, max(found.total))
        outcome = found.post_filter
        if not preempts or outcome is None or not outcome.best:
            return Verdict(None)
        return Verdict(outcome.best[0].node, 0, [pod_name(pod) for pod in outcome.best[0].victims])

    def why(self, job: Job) -> str:
        found = self.scheduler.attempt(job.pod)
        return found.diagnosis.fit_error() if found.diagnosis is not None else found.error

    def put(self, job: Job, node: str, start_us: int) -> None:
        start = (EPOCH + timedelta(microseconds=start_us)).isoformat().replace("+00:00", "Z")
        self.bound[pod_name(job.pod)] = self.scheduler.bind(job.pod, node, start)
        # of equal priority and start the first of the trace counts for more
        pods = self.scheduler.state.nodes[node].pods
        pods.sort(key=lambda info: self.place.get(pod_name(info.pod), -1))

    def take(self, pod: str) -> None:
        self.scheduler.remove(self.bound.pop(pod))

    def pods_on(self, node: str) -> list[str]:
        return [pod_name(info.pod) for info in self.scheduler.state.nodes[node].pods]

    def set_priority(self, job: Job, priority: int) -> None:
        name = pod_name(job.pod)
        if name in self.bound:
            before = self.bound[name]
            after = replace(before, spec=replace(before.spec, priority=priority))
            self.bound[name] = after
            for info in self.scheduler.state.nodes[before.spec.node_name].pods:
                if info.pod is before:
                    info.pod = after

    def add_node(self, node: Node) -> None:
        self.scheduler.add_node(node)

    def update_node(self, node: Node) -> None:
        self.scheduler.update_node(node)

    def remove_node(self, name: str) -> None:
        self.scheduler.remove_node(name)


class EngineJudge:
    """The engine's full pass over a state of its own; ties by each pod's draw, users' plugins too."""

    def __init__(self, state: State, engine: Engine, rows: dict[str, int], pods: Iterable[Pod]) -> None:
        self.state, self.engine, self.rows = state, engine, rows
        state.world()
        self.names = {row: name for name, row in rows.items()}
        for pod in pods:
            row = state.find_pod(pod.metadata.namespace, pod.metadata.name)
            self.rows[pod_name(pod)] = row
            self.names[row] = pod_name(pod)

    def _prepared(self, job: Job) -> tuple[int, Profile | None]:
        import numpy as np

        row = self.rows[pod_name(job.pod)]
        rows = np.array([row], dtype=np.int32)
        result = Decisions(rows, np.zeros(1), np.zeros(1))
        _, found = self.engine.prepare(rows, result, Options(preemption="off"))
        used = [profile for profile, positions in found if len(positions)]
        return row, used[0] if used else None

    def enters(self, job: Job) -> bool:
        return self.state.nodes.alive_count == 0 or self._prepared(job)[1] is not None

    def attempt(self, job: Job, preempts: bool) -> Verdict:
        row, profile = self._prepared(job)
        if profile is None:
            return Verdict(None)
        if self.engine.filter(profile, row):
            self.engine.score(profile, row)
            world = self.state.world()
            scratch = self.engine.scratch(world)
            slots = int(world.nodes.slots[0])
            node = int(
                self.engine.run(select_node)(
                    scratch.verdict, scratch.total, world.nodes.rank, job.draw, slots
                )
            )
            return Verdict(self.state.nodes.name(node), int(scratch.total[node]))
        found = self.engine.post_filter(profile, row, max(job.draw, 0.0)) if preempts else None
        if found is None or found.chosen is None:
            return Verdict(None)
        victims = [self.names[victim] for victim in found.chosen.victims]
        return Verdict(self.state.nodes.name(found.chosen.node), 0, victims)

    def why(self, job: Job) -> str:
        row, profile = self._prepared(job)
        if profile is None:
            return NO_NODES
        return "" if self.engine.filter(profile, row) else self.engine.fit_error(profile)

    def put(self, job: Job, node: str, start_us: int) -> None:
        row = self.rows[pod_name(job.pod)]
        self.state.place(row, self.state.nodes.index[node])
        self.state.pods.start[row] = start_us

    def take(self, pod: str) -> None:
        row = self.rows[pod]
        self.state.remove_pod(row)
        self.state.pods.gone[row] = 0

    def pods_on(self, node: str) -> list[str]:
        return [self.names[row] for row in self.state.pods_on(self.state.nodes.index[node])]

    def set_priority(self, job: Job, priority: int) -> None:
        self.state.pods.priority[self.rows[pod_name(job.pod)]] = priority

    def add_node(self, node: Node) -> None:
        self.state.add_node(node)

    def update_node(self, node: Node) -> None:
        self.state.nodes.update(node)

    def remove_node(self, name: str) -> None:
        self.state.remove_node(name)
