"""Source: noderesources/fit.go."""

from __future__ import annotations

from collections.abc import Sequence

from kcore.api.objects import Pod
from kcore.scheduler.profile import NodeResourcesFitArgs
from tests.naive.cluster import NodeInfo, Resource, resource_of
from tests.naive.framework import UNRESOLVABLE, UNSCHEDULABLE, CycleState, Plugin, Status
from tests.naive.plugins.resource_scoring import amounts, loads, strategy_score
from tests.naive.requests import NON_ZERO_DEFAULTS, is_extended, pod_requests
from tests.naive.state import ClusterState


class NodeResourcesFit(Plugin):
    """The pod's requests must fit into what is left on the node."""

    name = "NodeResourcesFit"

    def __init__(self, cluster: ClusterState, args: NodeResourcesFitArgs | None = None) -> None:
        super().__init__(cluster)
        self.args = args or NodeResourcesFitArgs()

    def pre_filter(self, state: CycleState, pod: Pod) -> None:
        state.filter_states[self.name] = resource_of(pod_requests(pod, use_status=False))

    def _is_ignored(self, name: str) -> bool:
        if not is_extended(name):
            return False
        return (
            name in self.args.ignored_resources or name.partition("/")[0] in self.args.ignored_resource_groups
        )

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        asked: Resource = state.filter_state(self.name)
        allocatable, used = node_info.allocatable, node_info.requested
        reasons = []
        code = UNSCHEDULABLE
        if len(node_info.pods) + 1 > allocatable.allowed_pods:
            reasons.append("Too many pods")
        rows = [
            ("cpu", asked.milli_cpu, allocatable.milli_cpu, used.milli_cpu),
            ("memory", asked.memory, allocatable.memory, used.memory),
            (
                "ephemeral-storage",
                asked.ephemeral_storage,
                allocatable.ephemeral_storage,
                used.ephemeral_storage,
            ),
        ]
        for name, amount in sorted(asked.scalars.items()):
            if not self._is_ignored(name):
                rows.append((name, amount, allocatable.scalars.get(name, 0), used.scalars.get(name, 0)))
        for name, amount, capacity, requested in rows:
            if amount > 0 and amount > capacity - requested:
                reasons.append(f"Insufficient {name}")
                if amount > capacity:
                    code = UNRESOLVABLE
        return Status(code, tuple(reasons)) if reasons else None

    def pre_score(self, state: CycleState, pod: Pod, nodes: Sequence[NodeInfo]) -> None:
        """The scorer is made without the PodLevelResources and resize switches, so it sums containers of the spec."""
        requests = pod_requests(pod, use_status=False, pod_level=False, defaults=NON_ZERO_DEFAULTS)
        state.score_states[self.name] = amounts(requests, self.args.scoring_strategy.resources)

    def score(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> int:
        strategy = self.args.scoring_strategy
        asked = state.score_state(self.name)
        return strategy_score(strategy, loads(node_info, strategy.resources, asked, non_zero=True))
