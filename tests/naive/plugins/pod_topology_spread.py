"""Source: podtopologyspread/{common,plugin,filtering,scoring}.go and helper/spread.go."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kcore.api.objects import LabelSelector, Node, Pod, TopologySpreadConstraint
from kcore.scheduler.profile import PodTopologySpreadArgs
from tests.naive.arithmetic import round_half_up
from tests.naive.cluster import NodeInfo, PodInfo
from tests.naive.framework import (
    MAX_NODE_SCORE,
    UNRESOLVABLE,
    UNSCHEDULABLE,
    CycleState,
    Plugin,
    PluginError,
    Skip,
    Status,
)
from tests.naive.selectors import (
    NOTHING,
    InvalidSelectorError,
    Selector,
    required_node_affinity_matches,
    selector_of,
    selector_of_labels,
    untolerated_taint,
)
from tests.naive.state import ClusterState

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
HARD = "DoNotSchedule"
SOFT = "ScheduleAnyway"
REASON_SKEW = "node(s) didn't match pod topology spread constraints"
REASON_LABEL = f"{REASON_SKEW} (missing required label)"

SYSTEM_DEFAULTS = (
    TopologySpreadConstraint(topology_key=HOSTNAME, when_unsatisfiable=SOFT, max_skew=3),
    TopologySpreadConstraint(topology_key=ZONE, when_unsatisfiable=SOFT, max_skew=5),
)


@dataclass
class Constraint:
    """A parsed constraint."""

    max_skew: int
    topology_key: str
    selector: Selector
    min_domains: int
    honor_affinity: bool
    honor_taints: bool

    def counts_node(self, pod: Pod, node: Node) -> bool:
        """Whether the inclusion policies let the node count for the pod."""
        if self.honor_affinity and not required_node_affinity_matches(pod, node):
            return False
        return not (self.honor_taints and untolerated_taint(node, pod) is not None)


@dataclass
class HardState:
    """Per constraint: topology value -> number of matching pods."""

    constraints: list[Constraint]
    counts: list[dict[str, int]]

    def __copy__(self) -> HardState:
        return HardState(self.constraints, [dict(counts) for counts in self.counts])


@dataclass
class SoftState:
    """``counts`` has no entries for constraints on the hostname: those are counted node by node."""

    constraints: list[Constraint]
    ignored: set[str] = field(default_factory=set)
    counts: list[dict[str, int]] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)


def parse_constraints(
    constraints: Iterable[TopologySpreadConstraint], pod: Pod, action: str
) -> list[Constraint]:
    """The constraints with that whenUnsatisfiable, matchLabelKeys merged into their selectors."""
    result = []
    for constraint in constraints:
        if constraint.when_unsatisfiable != action:
            continue
        try:
            selector = selector_of(constraint.label_selector)
        except InvalidSelectorError as error:
            raise PluginError(f"obtaining pod's topology spread constraints: {error}") from error
        labels = pod.metadata.labels or {}
        merged = {key: labels[key] for key in constraint.match_label_keys or () if key in labels}
        if merged and selector is not NOTHING:
            selector = selector_of_labels(merged).plus(selector)
        result.append(
            Constraint(
                max_skew=constraint.max_skew,
                topology_key=constraint.topology_key,
                selector=selector,
                min_domains=1 if constraint.min_domains is None else constraint.min_domains,
                honor_affinity=(constraint.node_affinity_policy or "Honor") == "Honor",
                honor_taints=(constraint.node_taints_policy or "Ignore") == "Honor",
            )
        )
    return result


def count_matching(pods: Iterable[PodInfo], selector: Selector, namespace: str) -> int:
    """How many pods of the namespace match and are not being deleted; none for a selector that selects all."""
    if selector.is_empty():
        return 0
    return sum(
        pod_info.pod.metadata.deletion_timestamp is None
        and pod_info.pod.metadata.namespace == namespace
        and selector.matches(pod_info.pod.metadata.labels)
        for pod_info in pods
    )


def default_selector(cluster: ClusterState, pod: Pod) -> Selector:
    """What the services and the controller of the pod select, taken together."""
    namespace, labels = pod.metadata.namespace, pod.metadata.labels or {}
    merged: dict[str, str] = {}
    for service in cluster.services:
        selects = service.spec.selector
        if service.metadata.namespace != namespace or selects is None:
            continue
        if selector_of_labels(selects).matches(labels):
            merged.update(selects)
    selector = selector_of_labels(merged)
    owner = next((o for o in pod.metadata.owner_references or () if o.controller), None)
    if owner is None:
        return selector
    match owner.api_version, owner.kind:
        case "v1", "ReplicationController":
            for controller in cluster.replication_controllers:
                if (controller.metadata.namespace, controller.metadata.name) == (namespace, owner.name):
                    selector = selector_of_labels(merged | (controller.spec.selector or {}))
        case "apps/v1", ("ReplicaSet" | "StatefulSet") as kind:
            for controller_set in cluster.replica_sets if kind == "ReplicaSet" else cluster.stateful_sets:
                if (controller_set.metadata.namespace, controller_set.metadata.name) == (
                    namespace,
                    owner.name,
                ):
                    selector = _plus_controller(selector, controller_set.spec.selector)
    return selector


def _plus_controller(selector: Selector, label_selector: LabelSelector | None) -> Selector:
    """The selector narrowed by the controller's, unless that is absent or does not parse."""
    try:
        other = selector_of(label_selector)
    except InvalidSelectorError:
        return selector
    return selector if other is NOTHING else selector.plus(other)


def has_all_keys(node_info: NodeInfo, constraints: Iterable[Constraint]) -> bool:
    """Whether the node has a label for every constraint's topology key."""
    return all(constraint.topology_key in node_info.labels for constraint in constraints)


class PodTopologySpread(Plugin):
    """Pods that a selector matches are spread over topology domains."""

    name = "PodTopologySpread"

    def __init__(self, cluster: ClusterState, args: PodTopologySpreadArgs | None = None) -> None:
        super().__init__(cluster)
        self.args = args or PodTopologySpreadArgs()

    def _constraints(self, pod: Pod, action: str) -> list[Constraint]:
        own = pod.spec.topology_spread_constraints
        if own:
            return parse_constraints(own, pod, action)
        defaults = SYSTEM_DEFAULTS if self.args.system_defaulted else self.args.default_constraints
        constraints = parse_constraints(defaults, pod, action)
        if not constraints:
            return []
        selector = default_selector(self.cluster, pod)
        if selector.is_empty():
            return []
        for constraint in constraints:
            constraint.selector = selector
        return constraints

    # Filter

    def pre_filter(self, state: CycleState, pod: Pod) -> Skip | None:
        constraints = self._constraints(pod, HARD)
        if not constraints:
            return Skip()
        counts: list[dict[str, int]] = [{} for _ in constraints]
        for node_info in self.cluster.nodes.values():
            if not has_all_keys(node_info, constraints):
                continue
            for constraint, of_constraint in zip(constraints, counts, strict=True):
                if constraint.counts_node(pod, node_info.node):
                    value = node_info.labels[constraint.topology_key]
                    matching = count_matching(node_info.pods, constraint.selector, pod.metadata.namespace)
                    of_constraint[value] = of_constraint.get(value, 0) + matching
        state.filter_states[self.name] = HardState(constraints, counts)
        return None

    def add_pod(self, state: CycleState, pod: Pod, added: PodInfo, node_info: NodeInfo) -> None:
        self._update(state, pod, added, node_info, 1)

    def remove_pod(self, state: CycleState, pod: Pod, removed: PodInfo, node_info: NodeInfo) -> None:
        self._update(state, pod, removed, node_info, -1)

    def _update(self, state: CycleState, pod: Pod, changed: PodInfo, node_info: NodeInfo, delta: int) -> None:
        """Unlike PreFilter this counts pods being deleted, and counts for a selector that selects all."""
        hard: HardState = state.filter_state(self.name)
        if changed.pod.metadata.namespace != pod.metadata.namespace:
            return
        if not has_all_keys(node_info, hard.constraints):
            return
        for constraint, counts in zip(hard.constraints, hard.counts, strict=True):
            matches = constraint.selector.matches(changed.pod.metadata.labels)
            if matches and constraint.counts_node(pod, node_info.node):
                value = node_info.labels[constraint.topology_key]
                counts[value] = counts.get(value, 0) + delta

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        hard: HardState = state.filter_state(self.name)
        for constraint, counts in zip(hard.constraints, hard.counts, strict=True):
            value = node_info.labels.get(constraint.topology_key)
            if value is None:
                return Status(UNRESOLVABLE, (REASON_LABEL,))
            lowest = 0 if len(counts) < constraint.min_domains else min(counts.values(), default=2**31 - 1)
            itself = 1 if constraint.selector.matches(pod.metadata.labels) else 0
            if counts.get(value, 0) + itself - lowest > constraint.max_skew:
                return Status(UNSCHEDULABLE, (REASON_SKEW,))
        return None

    # Score

    def pre_score(self, state: CycleState, pod: Pod, nodes: Sequence[NodeInfo]) -> Skip | None:
        constraints = self._constraints(pod, SOFT)
        if not constraints:
            return Skip()
        # With the system's defaults a node without a zone can still be spread over by hostname.
        all_keys = bool(pod.spec.topology_spread_constraints) or not self.args.system_defaulted
        soft = SoftState(constraints, counts=[{} for _ in constraints])
        for node_info in nodes:
            if all_keys and not has_all_keys(node_info, constraints):
                soft.ignored.add(node_info.name)
                continue
            for constraint, counts in zip(constraints, soft.counts, strict=True):
                if constraint.topology_key != HOSTNAME:
                    counts.setdefault(node_info.labels.get(constraint.topology_key, ""), 0)
        for constraint, counts in zip(constraints, soft.counts, strict=True):
            size = len(nodes) - len(soft.ignored) if constraint.topology_key == HOSTNAME else len(counts)
            soft.weights.append(math.log(size + 2))

        for node_info in self.cluster.nodes.values():
            if all_keys and not has_all_keys(node_info, constraints):
                continue
            for constraint, counts in zip(constraints, soft.counts, strict=True):
                value = node_info.labels.get(constraint.topology_key, "")
                if value in counts and constraint.counts_node(pod, node_info.node):
                    counts[value] += count_matching(
                        node_info.pods, constraint.selector, pod.metadata.namespace
                    )
        state.score_states[self.name] = soft
        return None

    def score(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> int:
        soft: SoftState = state.score_state(self.name)
        if node_info.name in soft.ignored:
            return 0
        score = 0.0
        for constraint, counts, weight in zip(soft.constraints, soft.counts, soft.weights, strict=True):
            value = node_info.labels.get(constraint.topology_key)
            if value is None:
                continue
            if constraint.topology_key == HOSTNAME:
                matching = count_matching(node_info.pods, constraint.selector, pod.metadata.namespace)
            else:
                matching = counts[value]
            score += float(matching) * weight + float(constraint.max_skew - 1)
        return round_half_up(score)

    def normalize(self, state: CycleState, scores: list[int], nodes: Sequence[NodeInfo]) -> list[int]:
        soft: SoftState = state.score_state(self.name)
        counted = [
            s for s, node_info in zip(scores, nodes, strict=True) if node_info.name not in soft.ignored
        ]
        lowest, highest = min(counted, default=0), max([0, *counted])
        result = []
        for score, node_info in zip(scores, nodes, strict=True):
            if node_info.name in soft.ignored:
                result.append(0)
            elif highest == 0:
                result.append(MAX_NODE_SCORE)
            else:
                result.append(MAX_NODE_SCORE * (highest + lowest - score) // highest)
        return result
