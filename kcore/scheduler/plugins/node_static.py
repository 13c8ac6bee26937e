"""NodeUnschedulable, NodeName and TaintToleration: verdicts that no placement changes.

Filters see the nodes of a range as slices and write every verdict, changed or not: loops from 0 without a branch
are what LLVM turns into vector instructions (a loop from ``start`` costs six times as much).

Sources: plugins/nodeunschedulable, nodename and tainttoleration of Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.codes import REJECT_NODE_NAME, REJECT_TAINT, REJECT_UNSCHEDULABLE


@kernel
def unschedulable_filter(unschedulable, verdict):
    """Reject cordoned nodes (the caller has checked that the pod does not tolerate the cordon)."""
    for node in range(verdict.shape[0]):
        passes = (verdict[node] != 0) | (unschedulable[node] == 0)
        verdict[node] = verdict[node] if passes else REJECT_UNSCHEDULABLE


@unschedulable_filter.over_arrays("verdict")
def unschedulable_filter_arrays(unschedulable, verdict):
    """As :func:`unschedulable_filter`."""
    verdict[(verdict == 0) & (unschedulable != 0)] = REJECT_UNSCHEDULABLE


@kernel
def name_filter(name, wanted, verdict):
    """Reject every node whose name id is not ``wanted``."""
    for node in range(verdict.shape[0]):
        passes = (verdict[node] != 0) | (name[node] == wanted)
        verdict[node] = verdict[node] if passes else REJECT_NODE_NAME


@name_filter.over_arrays("verdict")
def name_filter_arrays(name, wanted, verdict):
    """As :func:`name_filter`."""
    verdict[(verdict == 0) & (name != wanted)] = REJECT_NODE_NAME


@kernel
def taint_filter(taint_set, tolerates, verdict):
    """Reject nodes with a NoSchedule or NoExecute taint that is not tolerated; ``tolerates[taint set]``."""
    for node in range(verdict.shape[0]):
        passes = (verdict[node] != 0) | ((tolerates[taint_set[node]] & 1) == 0)
        verdict[node] = verdict[node] if passes else REJECT_TAINT


@taint_filter.over_arrays("verdict")
def taint_filter_arrays(taint_set, tolerates, verdict):
    """As :func:`taint_filter`."""
    verdict[(verdict == 0) & (tolerates[taint_set] & 1 != 0)] = REJECT_TAINT


@kernel
def taint_score(taint_set, tolerates, count, raw):
    """Count the PreferNoSchedule taints that are not tolerated."""
    for node in range(count):
        raw[node] = tolerates[taint_set[node]] >> 1


@taint_score.over_arrays("count")
def taint_score_arrays(taint_set, tolerates, count, raw):
    """As :func:`taint_score`."""
    raw[:count] = tolerates[taint_set[:count]] >> 1
