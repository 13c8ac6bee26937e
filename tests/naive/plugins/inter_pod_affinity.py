"""Source: interpodaffinity/{plugin,filtering,scoring}.go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kcore.api.objects import Pod
from kcore.scheduler.profile import InterPodAffinityArgs
from tests.naive.cluster import AffinityTerm, NodeInfo, PodInfo
from tests.naive.framework import (
    MAX_NODE_SCORE,
    UNRESOLVABLE,
    UNSCHEDULABLE,
    CycleState,
    Plugin,
    Skip,
    Status,
)
from tests.naive.selectors import Labels
from tests.naive.state import ClusterState

REASON_EXISTING = "node(s) didn't satisfy existing pods anti-affinity rules"
REASON_AFFINITY = "node(s) didn't match pod affinity rules"
REASON_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"

# (topology key, value) -> how many terms matched there; never holds zeros.
TopologyCounts = Counter[tuple[str, str]]


def _count(counts: TopologyCounts, node_info: NodeInfo, topology_key: str, by: int) -> None:
    """The node's domain counts ``by`` more; nothing if the node is in no domain."""
    value = node_info.labels.get(topology_key)
    if value is None:
        return
    pair = (topology_key, value)
    counts[pair] += by
    if counts[pair] == 0:
        del counts[pair]


def matches_all_terms(terms: Sequence[AffinityTerm], pod: Pod) -> bool:
    """Whether there are terms and the pod matches each of them, its namespace's labels unknown."""
    return bool(terms) and all(term.matches(pod, None) for term in terms)


@dataclass
class FilterState:
    """What matched where. The terms of ``incoming`` have their namespace selectors unrolled into names."""

    incoming: PodInfo
    namespace_labels: Labels
    existing_anti_affinity: TopologyCounts
    affinity: TopologyCounts
    anti_affinity: TopologyCounts

    def __copy__(self) -> FilterState:
        return replace(
            self,
            existing_anti_affinity=self.existing_anti_affinity.copy(),
            affinity=self.affinity.copy(),
            anti_affinity=self.anti_affinity.copy(),
        )

    def update(self, existing: PodInfo, node_info: NodeInfo, by: int) -> None:
        """``existing`` counts on the node ``by`` more times (1 or -1)."""
        for term in existing.required_anti_affinity:
            if term.matches(self.incoming.pod, self.namespace_labels):
                _count(self.existing_anti_affinity, node_info, term.topology_key, by)
        if matches_all_terms(self.incoming.required_affinity, existing.pod):
            for term in self.incoming.required_affinity:
                _count(self.affinity, node_info, term.topology_key, by)
        for term in self.incoming.required_anti_affinity:
            if term.matches(existing.pod, None):
                _count(self.anti_affinity, node_info, term.topology_key, by)


@dataclass
class ScoreState:
    """(topology key, value) -> sum of the weights of the terms that matched there; zeros stay."""

    scores: dict[tuple[str, str], int]


class InterPodAffinity(Plugin):
    """Pods that want to be near, or away from, other pods."""

    name = "InterPodAffinity"

    def __init__(self, cluster: ClusterState, args: InterPodAffinityArgs | None = None) -> None:
        super().__init__(cluster)
        self.args = args or InterPodAffinityArgs()

    def _unroll_namespaces(self, terms: Iterable[AffinityTerm]) -> None:
        """Each term names the namespaces that its selector matches now.

        The selector itself stays (upstream clears it in a copy of the term), so the term also matches a pod of any
        namespace if its namespace selector accepts a namespace without labels.
        """
        for term in terms:
            if term.namespace_selector.is_empty():
                continue
            for name, namespace in self.cluster.namespaces.items():
                if term.namespace_selector.matches(namespace.metadata.labels):
                    term.namespaces.add(name)

    # Filter

    def pre_filter(self, state: CycleState, pod: Pod) -> Status | Skip | None:
        incoming = PodInfo(pod)
        if incoming.parse_error is not None:
            return Status(UNRESOLVABLE, (f"parsing pod: {incoming.parse_error}",))
        self._unroll_namespaces(incoming.required_affinity)
        self._unroll_namespaces(incoming.required_anti_affinity)
        labels = self.cluster.namespace_labels(pod.metadata.namespace)
        filter_state = FilterState(incoming, labels, Counter(), Counter(), Counter())
        for node_info in self.cluster.nodes.values():
            for existing in node_info.pods:
                filter_state.update(existing, node_info, 1)
        if not (
            filter_state.existing_anti_affinity
            or incoming.required_affinity
            or incoming.required_anti_affinity
        ):
            return Skip()
        state.filter_states[self.name] = filter_state
        return None

    def add_pod(self, state: CycleState, pod: Pod, added: PodInfo, node_info: NodeInfo) -> None:
        state.filter_state(self.name).update(added, node_info, 1)

    def remove_pod(self, state: CycleState, pod: Pod, removed: PodInfo, node_info: NodeInfo) -> None:
        state.filter_state(self.name).update(removed, node_info, -1)

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        filter_state: FilterState = state.filter_state(self.name)
        if not self._satisfies_affinity(filter_state, node_info):
            return Status(UNRESOLVABLE, (REASON_AFFINITY,))
        labels = node_info.labels
        for term in filter_state.incoming.required_anti_affinity:
            key = term.topology_key
            if key in labels and filter_state.anti_affinity[key, labels[key]] > 0:
                return Status(UNSCHEDULABLE, (REASON_ANTI_AFFINITY,))
        if any(filter_state.existing_anti_affinity[pair] > 0 for pair in labels.items()):
            return Status(UNSCHEDULABLE, (REASON_EXISTING,))
        return None

    @staticmethod
    def _satisfies_affinity(filter_state: FilterState, node_info: NodeInfo) -> bool:
        terms = filter_state.incoming.required_affinity
        labels = node_info.labels
        if any(term.topology_key not in labels for term in terms):
            return False
        if all(filter_state.affinity[term.topology_key, labels[term.topology_key]] > 0 for term in terms):
            return True
        # The first pod of a series that wants to be near its own kind may go anywhere.
        return not filter_state.affinity and matches_all_terms(terms, filter_state.incoming.pod)

    # Score

    def pre_score(self, state: CycleState, pod: Pod, nodes: Sequence[NodeInfo]) -> Skip | None:
        incoming = PodInfo(pod)
        has_preferences = bool(incoming.preferred_affinity or incoming.preferred_anti_affinity)
        if self.args.ignore_preferred_terms_of_existing_pods and not has_preferences:
            return Skip()
        self._unroll_namespaces(incoming.preferred_affinity)
        self._unroll_namespaces(incoming.preferred_anti_affinity)
        labels = self.cluster.namespace_labels(pod.metadata.namespace)
        scores: dict[tuple[str, str], int] = {}

        def process(term: AffinityTerm, target: Pod, target_labels: Labels, weight: int) -> None:
            if not term.matches(target, target_labels):
                return
            value = node_info.labels.get(term.topology_key)
            if value is not None:
                pair = (term.topology_key, value)
                scores[pair] = scores.get(pair, 0) + weight

        for node_info in self.cluster.nodes.values():
            for existing in node_info.pods:
                for term in incoming.preferred_affinity:
                    process(term, existing.pod, None, term.weight)
                for term in incoming.preferred_anti_affinity:
                    process(term, existing.pod, None, -term.weight)
                if self.args.hard_pod_affinity_weight > 0:
                    for term in existing.required_affinity:
                        process(term, pod, labels, self.args.hard_pod_affinity_weight)
                for term in existing.preferred_affinity:
                    process(term, pod, labels, term.weight)
                for term in existing.preferred_anti_affinity:
                    process(term, pod, labels, -term.weight)
        if not scores:
            return Skip()
        state.score_states[self.name] = ScoreState(scores)
        return None

    def score(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> int:
        scores = state.score_state(self.name).scores
        return sum(scores.get(pair, 0) for pair in node_info.labels.items())

    def normalize(self, state: CycleState, scores: list[int], nodes: Sequence[NodeInfo]) -> list[int]:
        if not scores:
            return scores
        lowest, highest = min(scores), max(scores)
        if highest == lowest:
            return [0] * len(scores)
        return [int(MAX_NODE_SCORE * (float(score - lowest) / float(highest - lowest))) for score in scores]
