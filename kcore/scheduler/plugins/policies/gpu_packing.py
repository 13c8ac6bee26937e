"""The policy gpu_packing: devices in use before idle ones, those of nodes in use before those of idle nodes.

Source: Weng et al., "MLaaS in the Wild: Workload Analysis and Scheduling in Large-Scale Heterogeneous GPU Clusters", NSDI
2022, as the simulator of "Beware of Fragmentation", USENIX ATC 2023, scores it. Pods without GPU score all nodes 0.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.codes import FIRST_POLICY, GPU_MILLI, MAX_NODE_SCORE
from kcore.scheduler.plugins.policies.policy import TIGHTEST, Policy

POLICY = Policy("gpu_packing", FIRST_POLICY + 6, TIGHTEST, "Weng et al., NSDI 2022")


@kernel
def gpu_packing_score(gpu_left, devices, node, count, milli):
    """51 to 100 on devices in use, 34 to 49 with idle ones of a node in use, 33 less its devices on an idle node."""
    if count == 0:
        return 0
    idle = 0
    for device in range(devices):
        idle += 1 if gpu_left[device, node] == GPU_MILLI else 0
    if idle == devices:
        return max(MAX_NODE_SCORE // 3 - idle, idle)
    # the tightest devices, one after another: least left first, of equal ones the first
    untouched, tenths, last, place = 0, 0, -1, -1
    for _ in range(count):
        best = -1
        for device in range(devices):
            left = gpu_left[device, node]
            later = left > last or (left == last and device > place)
            if left >= milli and later and (best < 0 or left < gpu_left[best, node]):
                best = device
        if best < 0:
            return 0
        last, place = gpu_left[best, node], best
        untouched += 1 if last == GPU_MILLI else 0
        tenths += last * 100 // GPU_MILLI
    if untouched > 0:
        return max(MAX_NODE_SCORE // 2 - untouched, MAX_NODE_SCORE // 3)
    return max(MAX_NODE_SCORE - tenths // 10, MAX_NODE_SCORE // 2)
