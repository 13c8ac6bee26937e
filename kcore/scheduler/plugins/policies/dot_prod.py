"""The policies dot_prod and tetris: the dot product of what a node has left and what the pod wants.

CPU and GPU count as shares of the largest node's. tetris takes the largest product, as Grandl et al., "Multi-Resource
Packing for Cluster Schedulers" (Tetris), SIGCOMM 2014, define their alignment score. dot_prod takes the smallest, as
the simulator of Weng et al., USENIX ATC 2023, does with its options ``merge`` and ``max``; the heuristic is that of
Panigrahy et al., "Heuristics for Vector Bin Packing", 2011.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.codes import FIRST_POLICY, MAX_NODE_SCORE
from kcore.scheduler.plugins.policies.policy import TIGHTEST, Policy

DOT_PROD = Policy("dot_prod", FIRST_POLICY + 4, TIGHTEST, "Panigrahy et al., 2011")
TETRIS = Policy("tetris", FIRST_POLICY + 5, TIGHTEST, "Grandl et al., SIGCOMM 2014")


@kernel
def product(cpu_left, gpu_left, cpu, gpu, largest_cpu, largest_gpu):
    """Half the dot product: 0 to 1."""
    first = float(cpu_left) / float(largest_cpu) * (float(cpu) / float(largest_cpu))
    second = float(gpu_left) / float(largest_gpu) * (float(gpu) / float(largest_gpu))
    return (first + second) / 2.0


@kernel
def dot_prod_score(cpu_left, gpu_left, cpu, gpu, largest_cpu, largest_gpu):
    """100 where the product is 0."""
    return int(MAX_NODE_SCORE * (1.0 - product(cpu_left, gpu_left, cpu, gpu, largest_cpu, largest_gpu)))


@kernel
def tetris_score(cpu_left, gpu_left, cpu, gpu, largest_cpu, largest_gpu):
    """100 where pod and node are as large as the largest node."""
    return int(MAX_NODE_SCORE * product(cpu_left, gpu_left, cpu, gpu, largest_cpu, largest_gpu))
