"""Source: tainttoleration/taint_toleration.go."""

from __future__ import annotations

from collections.abc import Sequence

from kcore.api.objects import Pod
from tests.naive.cluster import NodeInfo
from tests.naive.framework import UNRESOLVABLE, CycleState, Plugin, Status, default_normalize
from tests.naive.selectors import tolerated, untolerated_taint


class TaintToleration(Plugin):
    """NoSchedule and NoExecute taints must be tolerated; PreferNoSchedule taints should be."""

    name = "TaintToleration"

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        if untolerated_taint(node_info.node, pod) is None:
            return None
        return Status(UNRESOLVABLE, ("node(s) had untolerated taint(s)",))

    def pre_score(self, state: CycleState, pod: Pod, nodes: Sequence[NodeInfo]) -> None:
        state.score_states[self.name] = [
            toleration
            for toleration in pod.spec.tolerations or ()
            if toleration.effect in ("", "PreferNoSchedule")
        ]

    def score(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> int:
        tolerations = state.score_state(self.name)
        return sum(
            taint.effect == "PreferNoSchedule" and not tolerated(tolerations, taint)
            for taint in node_info.node.spec.taints or ()
        )

    def normalize(self, state: CycleState, scores: list[int], nodes: Sequence[NodeInfo]) -> list[int]:
        return default_normalize(scores, reverse=True)
