"""Source: nodeunschedulable/node_unschedulable.go."""

from __future__ import annotations

from kcore.api.objects import Pod, Taint
from tests.naive.cluster import NodeInfo
from tests.naive.framework import UNRESOLVABLE, CycleState, Plugin, Status
from tests.naive.selectors import tolerated

UNSCHEDULABLE_TAINT = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


class NodeUnschedulable(Plugin):
    """A cordoned node takes only pods that tolerate the taint a cordon stands for."""

    name = "NodeUnschedulable"

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        if not node_info.node.spec.unschedulable or tolerated(pod.spec.tolerations, UNSCHEDULABLE_TAINT):
            return None
        return Status(UNRESOLVABLE, ("node(s) were unschedulable",))
