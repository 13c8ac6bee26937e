"""One scheduling attempt after another. Source: schedule_one.go, schedulinggates/scheduling_gates.go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kcore.api.objects import (
    Namespace,
    Node,
    Pod,
    PodDisruptionBudget,
    ReplicaSet,
    ReplicationController,
    Service,
    StatefulSet,
)
from kcore.scheduler.profile import Profile
from tests.naive import preemption
from tests.naive.cluster import NodeInfo, pod_name, priority
from tests.naive.diagnosis import Diagnosis
from tests.naive.framework import UNRESOLVABLE, CycleState, PluginError, Status
from tests.naive.preemption import PostFilterOutcome
from tests.naive.runtime import Framework, PluginScores
from tests.naive.state import ClusterState

PRE_FILTER_RESULT = "PreFilterResult"
NO_NODES = "no nodes available to schedule pods"

Line = dict[str, Any]


@dataclass
class Attempt:
    """All that one attempt found; :meth:`line` is the vectors' output entry for the pod.

    ``statuses`` has the rejected nodes only. ``feasible`` are the nodes among which the pod may choose, sorted by
    name: all that pass, or the pod's nominated node alone if that passes. ``node`` is best[0], or None.
    """

    pod: Pod
    node_names: list[str]
    gated: Status | None = None
    error: str = ""
    pre_filter: Status | None = None
    statuses: dict[str, Status] = field(default_factory=dict)
    feasible: list[str] = field(default_factory=list)
    scores: dict[str, PluginScores] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    total: list[int] = field(default_factory=list)
    best: list[str] = field(default_factory=list)
    node: str | None = None
    diagnosis: Diagnosis | None = None
    post_filter: PostFilterOutcome | None = None
    has_preemption: bool = False

    def line(self) -> Line:
        """The entry of an output line, without empty fields."""
        line: Line = {"pod": pod_name(self.pod)}
        if self.gated is not None:
            return line | {"preEnqueue": _reject(self.gated)}
        if self.error:
            return line | {"error": self.error}
        if self.pre_filter is not None:
            line["preFilter"] = _reject(self.pre_filter)
        else:
            line |= self._filter_fields()
        if self.feasible:
            line |= self._score_fields()
        if self.diagnosis is not None:
            line |= self._diagnosis_fields(self.diagnosis)
        return line

    def _filter_fields(self) -> Line:
        rejects: list[Line] = []
        verdicts = []
        for name in self.node_names:
            status = self.statuses.get(name)
            if status is None:
                verdicts.append(0)
                continue
            reject = _reject(status)
            if reject not in rejects:
                rejects.append(reject)
            verdicts.append(rejects.index(reject) + 1)
        return {"filter": verdicts} | ({"rejects": rejects} if rejects else {})

    def _score_fields(self) -> Line:
        scores: Line = {}
        for name, plugin in sorted(self.scores.items()):
            scores[name] = {"raw": plugin.raw}
            if plugin.normalized != plugin.raw:
                scores[name]["norm"] = plugin.normalized
        return {
            "feasible": [self.node_names.index(name) for name in self.feasible],
            "scores": scores,
            "skipped": self.skipped,
            "total": self.total,
            "max": self.best,
            "node": self.node,
        }

    def _diagnosis_fields(self, diagnosis: Diagnosis) -> Line:
        line: Line = {
            "fitError": diagnosis.fit_error(),
            "unschedulablePlugins": sorted(diagnosis.unschedulable_plugins),
        }
        if diagnosis.pre_filter_message:
            line["preFilterMsg"] = diagnosis.pre_filter_message
        if self.post_filter is None or not self.has_preemption:
            return line
        line["fitErrorFull"] = diagnosis.fit_error(self.post_filter.message)
        line["preemption"] = _preemption_line(self.post_filter)
        return line


def _reject(status: Status) -> Line:
    return {"plugin": status.plugin, "code": status.code, "reasons": sorted(status.reasons)}


def _preemption_line(outcome: PostFilterOutcome) -> Line:
    line: Line = {"eligible": outcome.eligible}
    if outcome.why:
        line["why"] = outcome.why
    line["status"] = outcome.code
    if outcome.message:
        line["msg"] = outcome.message
    if outcome.best:
        line["candidates"] = [
            {
                "node": candidate.node,
                "victims": [pod_name(victim) for victim in candidate.victims],
                "pdbViolations": candidate.pdb_violations,
            }
            for candidate in outcome.candidates
        ]
        line["best"] = [candidate.node for candidate in outcome.best]
        line["nominated"] = outcome.best[0].node
        line["victims"] = [pod_name(victim) for victim in outcome.best[0].victims]
    return line


def gate(pod: Pod) -> Status | None:
    """What SchedulingGates says before the pod may enter the queue."""
    gates = " ".join(gate.name for gate in pod.spec.scheduling_gates or ())
    if not pod.spec.scheduling_gates:
        return None
    return Status(UNRESOLVABLE, (f"waiting for scheduling gates: [{gates}]",), "SchedulingGates")


def queue_order(pods: Iterable[Pod]) -> list[Pod]:
    """PrioritySort: higher priority first, otherwise in the given order."""
    return sorted(pods, key=priority, reverse=True)


class NaiveScheduler:
    """kube-scheduler over a cluster held in memory; only attempts decide, only the other methods change anything.

    ``state`` may be read, and its lists of services, controllers and budgets may be replaced, between attempts.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        nodes: Iterable[Node] = (),
        pods: Iterable[Pod] = (),
        namespaces: Iterable[Namespace] = (),
        services: Iterable[Service] = (),
        replication_controllers: Iterable[ReplicationController] = (),
        replica_sets: Iterable[ReplicaSet] = (),
        stateful_sets: Iterable[StatefulSet] = (),
        pdbs: Iterable[PodDisruptionBudget] = (),
    ) -> None:
        self.state = ClusterState()
        self.state.set_namespaces(namespaces)
        self.state.services = list(services)
        self.state.replication_controllers = list(replication_controllers)
        self.state.replica_sets = list(replica_sets)
        self.state.stateful_sets = list(stateful_sets)
        self.state.pdbs = list(pdbs)
        for node in nodes:
            self.state.add_node(node)
        for pod in pods:
            self.state.add_bound(pod)
        self.framework = Framework(self.state, profile)

    # Changes

    def add_node(self, node: Node) -> None:
        """The node can be chosen."""
        self.state.add_node(node)

    def update_node(self, node: Node) -> None:
        """The node object is replaced; its pods stay."""
        self.state.update_node(node)

    def remove_node(self, name: str) -> None:
        """The node is gone; pods bound to it count again if it comes back."""
        self.state.remove_node(name)

    def add_pod(self, pod: Pod) -> None:
        """The pod, which is bound, counts on its node."""
        self.state.add_bound(pod)

    def remove(self, pod: Pod) -> None:
        """The bound pod is gone."""
        self.state.remove_bound(pod)

    def bind(self, pod: Pod, node_name: str, start_time: str | None = None) -> Pod:
        """The pod runs on the node and is no longer nominated; returns it as it is now."""
        return self.state.bind(pod, node_name, start_time)

    def nominate(self, pod: Pod, node_name: str) -> None:
        """Other pods of the same or a lower priority leave room for the pod on that node; "" takes it back."""
        self.state.nominate(pod, node_name)

    # Decisions

    def gated(self, pod: Pod) -> Status | None:
        """Why the pod may not enter the queue; None if it may, or if the profile runs no SchedulingGates."""
        return gate(pod) if "SchedulingGates" in self.framework.profile.pre_enqueue else None

    def attempt(self, pod: Pod) -> Attempt:
        """What kube-scheduler would decide about the pod now. Changes nothing."""
        attempt = Attempt(pod, sorted(self.state.nodes), gated=self.gated(pod))
        if attempt.gated is None:
            try:
                self._schedule(attempt)
            except PluginError as error:
                attempt.error = str(error)
        return attempt

    def _schedule(self, attempt: Attempt) -> None:
        pod = attempt.pod
        if pod.metadata.deletion_timestamp is not None:
            attempt.error = f"skip schedule deleting pod: {pod_name(pod)}"
            return
        if not self.state.nodes:
            attempt.error = NO_NODES
            return
        state = CycleState()
        diagnosis = Diagnosis(len(self.state.nodes))
        feasible = self._find_feasible(attempt, state, diagnosis)
        if feasible:
            self._prioritize(attempt, state, feasible)
            return
        attempt.diagnosis = diagnosis
        if self.framework.profile.post_filters:
            attempt.has_preemption = preemption.NAME in self.framework.profile.post_filters
            attempt.post_filter = preemption.run_post_filters(self.framework, state, pod, diagnosis)

    def _find_feasible(self, attempt: Attempt, state: CycleState, diagnosis: Diagnosis) -> list[NodeInfo]:
        """The nodes to choose from, by name; ``attempt`` and ``diagnosis`` know what happened to the others."""
        pod = attempt.pod
        result = self.framework.run_pre_filters(state, pod)
        if result.rejected is not None:
            attempt.pre_filter = result.rejected
            diagnosis.statuses.absent = result.rejected
            diagnosis.pre_filter_message = result.rejected.message
            diagnosis.unschedulable_plugins.add(result.rejected.plugin)
            return []
        diagnosis.unschedulable_plugins.update(result.restricting)

        nominated = pod.status.nominated_node_name
        # The nominated node is asked first, whatever nodes PreFilter named, and leaves its status behind if it fails.
        considered = [
            name
            for name in attempt.node_names
            if result.node_names is None or name in result.node_names or name == nominated
        ]
        verdicts = {
            name: self.framework.run_filters_with_nominated_pods(state, pod, self.state.nodes[name])
            for name in considered
        }
        for name, status in verdicts.items():
            if status is not None:
                diagnosis.statuses.by_node[name] = status
                diagnosis.unschedulable_plugins.add(status.plugin)
        attempt.statuses = dict(diagnosis.statuses.by_node)
        if result.node_names is not None:
            names = " ".join(sorted(result.restricting))
            reasons = (f"node(s) didn't satisfy plugin(s) [{names}]",)
            diagnosis.statuses.absent = Status(UNRESOLVABLE, reasons)
            outside = Status(UNRESOLVABLE, reasons, PRE_FILTER_RESULT)
            attempt.statuses |= {name: outside for name in attempt.node_names if name not in considered}

        passing = [name for name in considered if verdicts[name] is None]
        if nominated in passing:
            passing = [nominated]
        return [self.state.nodes[name] for name in passing]

    def _prioritize(self, attempt: Attempt, state: CycleState, feasible: list[NodeInfo]) -> None:
        scores, totals = self.framework.run_scores(state, attempt.pod, feasible)
        attempt.feasible = [node_info.name for node_info in feasible]
        attempt.scores, attempt.total = scores, totals
        attempt.skipped = sorted(state.skip_scores & set(self.framework.profile.scores))
        highest = max(totals)
        attempt.best = [
            name for name, total in zip(attempt.feasible, totals, strict=True) if total == highest
        ]
        attempt.node = attempt.best[0]
