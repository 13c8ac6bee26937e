"""The policy gpu_clustering: pods of a kind together, on nodes as full as may be.

The kinds are: part of a device, one device, two, and so on. Source: the affinity of Xiao et al., "Gandiva: Introspective
Cluster Scheduling for Deep Learning", OSDI 2018, as the simulator of "Beware of Fragmentation", USENIX ATC 2023, scores
it. Pods without GPU score all nodes 0.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.codes import FIRST_POLICY, GPU_MILLI, MAX_NODE_SCORE
from kcore.scheduler.plugins.policies.policy import TIGHTEST, Policy

POLICY = Policy("gpu_clustering", FIRST_POLICY + 7, TIGHTEST, "Xiao et al., OSDI 2018")

QUARTER = MAX_NODE_SCORE // 4


@kernel
def gpu_clustering_score(gpu_kind, gpu_left, node, count, milli, largest_gpu):
    """75 to 100 beside its own kind alone, 50 to 75 beside others too, 25 to 50 on an idle node, 0 to 25 elsewhere."""
    if count == 0:
        return 0
    kind = 0 if count == 1 and milli < GPU_MILLI else count
    kinds = 0
    for one in range(gpu_kind.shape[0]):
        kinds += 1 if gpu_kind[one, node] > 0 else 0
    packed = QUARTER * (largest_gpu - gpu_left) // largest_gpu
    if gpu_kind[kind, node] > 0:
        return packed + (3 * QUARTER if kinds == 1 else 2 * QUARTER)
    return packed + (QUARTER if kinds == 0 else 0)
