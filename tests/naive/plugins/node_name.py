"""Source: nodename/node_name.go."""

from __future__ import annotations

from kcore.api.objects import Pod
from tests.naive.cluster import NodeInfo
from tests.naive.framework import UNRESOLVABLE, CycleState, Plugin, Status


class NodeName(Plugin):
    """A pod that names its node runs nowhere else."""

    name = "NodeName"

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        if pod.spec.node_name and pod.spec.node_name != node_info.name:
            return Status(UNRESOLVABLE, ("node(s) didn't match the requested node name",))
        return None
