"""Source: nodeaffinity/node_affinity.go."""

from __future__ import annotations

from collections.abc import Sequence

from kcore.api.objects import NodeAffinity as NodeAffinitySpec
from kcore.api.objects import Pod
from kcore.scheduler.profile import NodeAffinityArgs
from tests.naive.cluster import NodeInfo
from tests.naive.framework import (
    UNRESOLVABLE,
    CycleState,
    Plugin,
    PluginError,
    Skip,
    Status,
    default_normalize,
)
from tests.naive.selectors import (
    InvalidSelectorError,
    node_selector_matches,
    preferred_terms_score,
    required_node_affinity_matches,
)
from tests.naive.state import ClusterState

REASON_POD = "node(s) didn't match Pod's node affinity/selector"
REASON_ENFORCED = "node(s) didn't match scheduler-enforced node affinity"
REASON_CONFLICT = "pod affinity terms conflict"


def _node_affinity(pod: Pod) -> NodeAffinitySpec:
    affinity = pod.spec.affinity.node_affinity if pod.spec.affinity else None
    return affinity or NodeAffinitySpec()


class NodeAffinity(Plugin):
    """The pod's nodeSelector and node affinity, and the profile's addedAffinity."""

    name = "NodeAffinity"

    def __init__(self, cluster: ClusterState, args: NodeAffinityArgs | None = None) -> None:
        super().__init__(cluster)
        self.args = args or NodeAffinityArgs()

    def pre_filter(self, state: CycleState, pod: Pod) -> Status | Skip | set[str] | None:
        required = _node_affinity(pod).required
        if required is None and self.args.added_required is None and pod.spec.node_selector is None:
            return Skip()
        if required is None or not required.node_selector_terms:
            return None
        # Terms are ORed, the fields of a term are ANDed. One term that names no node lets all nodes in.
        named: set[str] = set()
        for term in required.node_selector_terms:
            of_term: set[str] | None = None
            for requirement in term.match_fields or ():
                if requirement.key == "metadata.name" and requirement.operator == "In":
                    values = set(requirement.values or ())
                    of_term = values if of_term is None else of_term & values
            if of_term is None:
                return None
            named |= of_term
        if not named:
            return Status(UNRESOLVABLE, (REASON_CONFLICT,))
        return named

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        added = self.args.added_required
        if added is not None and not node_selector_matches(added, node_info.node):
            return Status(UNRESOLVABLE, (REASON_ENFORCED,))
        if not required_node_affinity_matches(pod, node_info.node):
            return Status(UNRESOLVABLE, (REASON_POD,))
        return None

    def pre_score(self, state: CycleState, pod: Pod, nodes: Sequence[NodeInfo]) -> Skip | None:
        if _node_affinity(pod).preferred is None and not self.args.added_preferred:
            return Skip()
        return None

    def score(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> int:
        try:
            added = preferred_terms_score(self.args.added_preferred, node_info.node)
            return added + preferred_terms_score(_node_affinity(pod).preferred or (), node_info.node)
        except InvalidSelectorError as error:
            raise PluginError(f'running PreScore plugin "NodeAffinity": {error}') from error

    def normalize(self, state: CycleState, scores: list[int], nodes: Sequence[NodeInfo]) -> list[int]:
        return default_normalize(scores, reverse=False)
