"""NodeUnschedulable, NodeName and TaintToleration: verdicts that no placement changes.

Sources: plugins/nodeunschedulable, nodename and tainttoleration of Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.codes import REJECT_NODE_NAME, REJECT_TAINT, REJECT_UNSCHEDULABLE


@kernel
def unschedulable_filter(unschedulable, start, stop, verdict):
    """Reject cordoned nodes (the caller has checked that the pod does not tolerate the cordon)."""
    for node in range(start, stop):
        if (verdict[node] == 0) & (unschedulable[node] != 0):
            verdict[node] = REJECT_UNSCHEDULABLE


@kernel
def name_filter(name, wanted, start, stop, verdict):
    """Reject every node whose name id is not ``wanted``."""
    for node in range(start, stop):
        if (verdict[node] == 0) & (name[node] != wanted):
            verdict[node] = REJECT_NODE_NAME


@kernel
def taint_filter(taint_set, tolerates, start, stop, verdict):
    """Reject nodes with a NoSchedule or NoExecute taint that is not tolerated; ``tolerates[taint set]``."""
    for node in range(start, stop):
        if (verdict[node] == 0) & ((tolerates[taint_set[node]] & 1) != 0):
            verdict[node] = REJECT_TAINT


@kernel
def taint_score(taint_set, tolerates, start, stop, raw):
    """Count the PreferNoSchedule taints that are not tolerated."""
    for node in range(start, stop):
        raw[node] = tolerates[taint_set[node]] >> 1
