"""Source: noderesources/balanced_allocation.go."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kcore.api.objects import Pod
from kcore.scheduler.profile import BalancedAllocationArgs
from tests.naive.cluster import NodeInfo
from tests.naive.framework import MAX_NODE_SCORE, CycleState, Plugin, Skip
from tests.naive.plugins.resource_scoring import amounts, loads
from tests.naive.requests import pod_requests
from tests.naive.state import ClusterState


def balance(shares: Sequence[tuple[int, int]]) -> int:
    """100 for equal shares (requested, allocatable), less the more they deviate."""
    fractions = [min(float(requested) / float(allocatable), 1.0) for requested, allocatable in shares]
    deviation = 0.0
    if len(fractions) == 2:
        deviation = abs((fractions[0] - fractions[1]) / 2)
    elif len(fractions) > 2:
        total = 0.0
        for fraction in fractions:
            total += fraction
        mean = total / len(fractions)
        squares = 0.0
        for fraction in fractions:
            squares += (fraction - mean) * (fraction - mean)
        deviation = math.sqrt(squares / len(fractions))
    return int((1 - deviation) * MAX_NODE_SCORE)


class NodeResourcesBalancedAllocation(Plugin):
    """Prefers nodes whose resource shares the pod makes more equal."""

    name = "NodeResourcesBalancedAllocation"

    def __init__(self, cluster: ClusterState, args: BalancedAllocationArgs | None = None) -> None:
        super().__init__(cluster)
        self.args = args or BalancedAllocationArgs()

    def pre_score(self, state: CycleState, pod: Pod, nodes: Sequence[NodeInfo]) -> Skip | None:
        asked = amounts(pod_requests(pod, use_status=True), self.args.resources)
        if not any(asked):
            return Skip()
        state.score_states[self.name] = asked
        return None

    def score(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> int:
        asked = state.score_state(self.name)
        counted = [
            load
            for load in loads(node_info, self.args.resources, asked, non_zero=False)
            if load.allocatable != 0
        ]
        with_pod = balance([(load.with_pod, load.allocatable) for load in counted])
        without_pod = balance([(load.without_pod, load.allocatable) for load in counted])
        return MAX_NODE_SCORE // 2 + (MAX_NODE_SCORE // 2 + with_pod - without_pod) // 2
