"""The policies best_fit and worst_fit: least, or most, is left of CPU and GPU after the pod.

Both weigh CPU and GPU alike, each as a share of the largest node's. Sources: Hadary et al., "Protean: VM Allocation Service
at Scale", OSDI 2020, as the simulator of Weng et al., USENIX ATC 2023, scores it (128 cores and 8 GPUs are the largest
node there); Johnson, "Near-optimal bin packing algorithms", MIT 1973, for worst fit.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.codes import FIRST_POLICY, MAX_NODE_SCORE
from kcore.scheduler.plugins.policies.policy import LOOSEST, TIGHTEST, Policy

BEST_FIT = Policy("best_fit", FIRST_POLICY + 2, TIGHTEST, "Hadary et al., OSDI 2020")
WORST_FIT = Policy("worst_fit", FIRST_POLICY + 3, LOOSEST, "Johnson, MIT 1973")


@kernel
def remaining(cpu_left, gpu_left, cpu, gpu, largest_cpu, largest_gpu):
    """Half of what is left of CPU and of GPU after the pod, as shares of the largest node: 0 to 1."""
    share = (float(cpu_left) - float(cpu)) / float(largest_cpu) * 0.5
    return share + (float(gpu_left) - float(gpu)) / float(largest_gpu) * 0.5


@kernel
def best_fit_score(cpu_left, gpu_left, cpu, gpu, largest_cpu, largest_gpu):
    """100 where nothing is left."""
    return int((1.0 - remaining(cpu_left, gpu_left, cpu, gpu, largest_cpu, largest_gpu)) * MAX_NODE_SCORE)


@kernel
def worst_fit_score(cpu_left, gpu_left, cpu, gpu, largest_cpu, largest_gpu):
    """100 where all of the largest node is left."""
    return int(remaining(cpu_left, gpu_left, cpu, gpu, largest_cpu, largest_gpu) * MAX_NODE_SCORE)
