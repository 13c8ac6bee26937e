"""Source: nodeports/node_ports.go."""

from __future__ import annotations

from kcore.api.objects import Pod
from tests.naive.cluster import NodeInfo
from tests.naive.framework import UNSCHEDULABLE, CycleState, Plugin, Skip, Status
from tests.naive.requests import host_ports


class NodePorts(Plugin):
    """The pod's host ports must be free on the node."""

    name = "NodePorts"

    def pre_filter(self, state: CycleState, pod: Pod) -> Skip | None:
        ports = host_ports(pod)
        if not ports:
            return Skip()
        state.filter_states[self.name] = ports
        return None

    def filter(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> Status | None:
        if any(node_info.used_ports.conflicts(port) for port in state.filter_state(self.name)):
            return Status(UNSCHEDULABLE, ("node(s) didn't have free ports for the requested pod ports",))
        return None
