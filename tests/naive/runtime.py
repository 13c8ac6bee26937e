"""Runs the plugins of a profile. Source: framework/runtime/framework.go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kcore.api.objects import Pod
from kcore.scheduler.profile import Profile
from tests.naive.cluster import NodeInfo, PodInfo, pod_key, priority
from tests.naive.framework import CycleState, Skip, Status
from tests.naive.plugins import make_plugins
from tests.naive.state import ClusterState


@dataclass
class PluginScores:
    """One plugin's scores, parallel to the feasible nodes."""

    raw: list[int]
    normalized: list[int]


@dataclass
class PreFilterResult:
    """``rejected`` if a plugin turned the pod down outright; ``node_names`` if only these nodes come into question."""

    rejected: Status | None = None
    node_names: set[str] | None = None
    restricting: tuple[str, ...] = ()  # the plugins that named nodes


class Framework:
    """The plugins of one profile over one cluster state."""

    def __init__(self, cluster: ClusterState, profile: Profile) -> None:
        self.cluster = cluster
        self.profile = profile
        self.plugins = make_plugins(cluster, profile)

    def run_pre_filters(self, state: CycleState, pod: Pod) -> PreFilterResult:
        """Every PreFilter has run, up to the first that rejects the pod. (None of ours rejects resolvably.)"""
        result = PreFilterResult()
        for name in self.profile.pre_filters:
            answer = self.plugins[name].pre_filter(state, pod)
            if isinstance(answer, Skip):
                state.skip_filters.add(name)
            elif isinstance(answer, Status):
                return PreFilterResult(rejected=replace(answer, plugin=name))
            elif answer is not None:
                result.node_names = answer if result.node_names is None else result.node_names & answer
                result.restricting = (*result.restricting, name)
        return result

    def add_pod(self, state: CycleState, pod: Pod, added: PodInfo, node_info: NodeInfo) -> None:
        """The pod is on the node, also as far as the cycle state knows."""
        node_info.add(added)
        for name in self.profile.pre_filters:
            if name not in state.skip_filters:
                self.plugins[name].add_pod(state, pod, added, node_info)

    def remove_pod(self, state: CycleState, pod: Pod, removed: PodInfo, node_info: NodeInfo) -> None:
        """The pod is off the node, also as far as the cycle state knows."""
        node_info.remove(removed.key)
        for name in self.profile.pre_filters:
            if name not in state.skip_filters:
                self.plugins[name].remove_pod(state, pod, removed, node_info)

    def run_filters(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        """What the first filter says that rejects the node; None if all pass."""
        for name in self.profile.filters:
            if name in state.skip_filters:
                continue
            status = self.plugins[name].filter(state, pod, node_info)
            if status is not None:
                return replace(status, plugin=name)
        return None

    def run_filters_with_nominated_pods(
        self, state: CycleState, pod: Pod, node_info: NodeInfo
    ) -> Status | None:
        """Like run_filters, but the node must do both with and without the pods nominated to it that matter as much.

        Those are the nominated pods of the same or a higher priority, except the pod itself.
        """
        nominated = [
            other
            for other in self.cluster.nominated_to(node_info.name)
            if priority(other.pod) >= priority(pod) and other.key != pod_key(pod)
        ]
        if nominated:
            state_with, node_with = state.clone(), node_info.snapshot()
            for other in nominated:
                self.add_pod(state_with, pod, other, node_with)
            status = self.run_filters(state_with, pod, node_with)
            if status is not None:
                return status
        return self.run_filters(state, pod, node_info)

    def run_scores(
        self, state: CycleState, pod: Pod, nodes: Sequence[NodeInfo]
    ) -> tuple[dict[str, PluginScores], list[int]]:
        """The scores of each plugin that is not skipped, and the weighted totals, parallel to ``nodes``."""
        for name in self.profile.pre_scores:
            if self.plugins[name].pre_score(state, pod, nodes) is not None:
                state.skip_scores.add(name)
        scores: dict[str, PluginScores] = {}
        totals = [0] * len(nodes)
        for name, weight in zip(self.profile.scores, self.profile.weights, strict=True):
            if name in state.skip_scores:
                continue
            plugin = self.plugins[name]
            raw = [plugin.score(state, pod, node_info) for node_info in nodes]
            normalized = plugin.normalize(state, list(raw), nodes)
            scores[name] = PluginScores(raw, normalized)
            totals = [total + weight * score for total, score in zip(totals, normalized, strict=True)]
        return scores, totals
