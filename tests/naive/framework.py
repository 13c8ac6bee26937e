"""Statuses, cycle state and the shape of a plugin. Source: kube-scheduler framework/interface.go."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kcore.api.objects import Pod
from tests.naive.cluster import NodeInfo, PodInfo

if TYPE_CHECKING:
    from tests.naive.state import ClusterState

ERROR = "Error"
UNSCHEDULABLE = "Unschedulable"
UNRESOLVABLE = "UnschedulableAndUnresolvable"
MAX_NODE_SCORE = 100


class PluginError(Exception):
    """A plugin answered Error where it should have answered a verdict; the attempt ends with a scheduler error."""


@dataclass(frozen=True)
class Status:
    """Why a plugin said no. No status at all is Success."""

    code: str
    reasons: tuple[str, ...] = ()
    plugin: str = ""

    @property
    def message(self) -> str:
        """The reasons, joined as upstream joins them."""
        return ", ".join(self.reasons)


@dataclass(frozen=True)
class Skip:
    """The plugin has nothing to do for this pod: its Filter (or Score) is not run in this cycle."""


@dataclass
class CycleState:
    """What the plugins remember during one attempt, by plugin name."""

    filter_states: dict[str, Any] = field(default_factory=dict)
    score_states: dict[str, Any] = field(default_factory=dict)
    skip_filters: set[str] = field(default_factory=set)
    skip_scores: set[str] = field(default_factory=set)

    def clone(self) -> CycleState:
        """A copy in which pods can be added and removed without a trace in the original."""
        return CycleState(
            {name: copy.copy(state) for name, state in self.filter_states.items()},
            self.score_states,
            set(self.skip_filters),
            set(self.skip_scores),
        )

    def filter_state(self, plugin: str) -> Any:
        """What the plugin's PreFilter wrote; PluginError if it never ran."""
        if plugin not in self.filter_states:
            raise PluginError(f'running "{plugin}" filter plugin: reading "PreFilter{plugin}": not found')
        return self.filter_states[plugin]

    def score_state(self, plugin: str) -> Any:
        """What the plugin's PreScore wrote; PluginError if it never ran."""
        if plugin not in self.score_states:
            raise PluginError(f'running Score plugins: reading "PreScore{plugin}": not found')
        return self.score_states[plugin]


class Plugin:
    """A plugin that lets everything pass and scores nothing; real ones override what they care about.

    States written by ``pre_filter`` must copy deeply enough under ``copy.copy`` for add_pod and remove_pod.
    """

    name = ""

    def __init__(self, cluster: ClusterState) -> None:
        self.cluster = cluster

    def pre_filter(self, state: CycleState, pod: Pod) -> Status | Skip | set[str] | None:
        """None to go on, Skip, a rejecting Status, or the names of the only nodes to consider."""
        return None

    def add_pod(self, state: CycleState, pod: Pod, added: PodInfo, node_info: NodeInfo) -> None:
        """The filter state is as if ``added`` had been on the node in PreFilter."""

    def remove_pod(self, state: CycleState, pod: Pod, removed: PodInfo, node_info: NodeInfo) -> None:
        """The filter state is as if ``removed`` had not been on the node in PreFilter."""

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        """None if the pod may run on the node."""
        return None

    def pre_score(self, state: CycleState, pod: Pod, nodes: Sequence[NodeInfo]) -> Skip | None:
        """Skip if the plugin has nothing to add for this pod."""
        return None

    def score(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> int:
        """The raw score."""
        return 0

    def normalize(self, state: CycleState, scores: list[int], nodes: Sequence[NodeInfo]) -> list[int]:
        """The scores within 0..100, parallel to ``nodes``."""
        return scores


def default_normalize(scores: list[int], *, reverse: bool) -> list[int]:
    """The scores scaled so that the highest is 100; with ``reverse``, so that it is 0."""
    highest = max(scores, default=0)
    if highest <= 0:
        return [MAX_NODE_SCORE] * len(scores) if reverse else scores
    scaled = [MAX_NODE_SCORE * score // highest for score in scores]
    return [MAX_NODE_SCORE - score for score in scaled] if reverse else scaled
