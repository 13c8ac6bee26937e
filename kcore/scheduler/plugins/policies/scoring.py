"""The table from policies to their kernels, for one node and for all."""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.codes import CPU, FIRST_POLICY
from kcore.scheduler.plugins.policies import best_fit, dot_prod, fgd, gpu_clustering, gpu_packing
from kcore.scheduler.plugins.policies.best_fit import best_fit_score, worst_fit_score
from kcore.scheduler.plugins.policies.dot_prod import dot_prod_score, tetris_score
from kcore.scheduler.plugins.policies.fgd import fgd_choice
from kcore.scheduler.plugins.policies.gpu_clustering import gpu_clustering_score
from kcore.scheduler.plugins.policies.gpu_packing import gpu_packing_score

BEST_FIT = best_fit.BEST_FIT.number
WORST_FIT = best_fit.WORST_FIT.number
DOT_PROD = dot_prod.DOT_PROD.number
TETRIS = dot_prod.TETRIS.number
GPU_PACKING = gpu_packing.POLICY.number
GPU_CLUSTERING = gpu_clustering.POLICY.number
FGD = fgd.POLICY.number

# columns of Requests.gpu
COUNT = 0
MILLI = 1


@kernel
def packing_score(
    policy, allocatable, requested, gpu_left, gpu_count, gpu_kind, largest, node, cpu, count, milli
):
    """What a policy that looks at this pod alone scores a feasible node, 0 to 100."""
    cpu_left = allocatable[CPU, node] - requested[CPU, node]
    total = 0
    for device in range(gpu_left.shape[0]):
        total += gpu_left[device, node]
    gpu = count * milli
    if policy == BEST_FIT:
        return best_fit_score(cpu_left, total, cpu, gpu, largest[0], largest[1])
    if policy == WORST_FIT:
        return worst_fit_score(cpu_left, total, cpu, gpu, largest[0], largest[1])
    if policy == DOT_PROD:
        return dot_prod_score(cpu_left, total, cpu, gpu, largest[0], largest[1])
    if policy == TETRIS:
        return tetris_score(cpu_left, total, cpu, gpu, largest[0], largest[1])
    if policy == GPU_PACKING:
        return gpu_packing_score(gpu_left, gpu_count[node], node, count, milli)
    if policy == GPU_CLUSTERING:
        return gpu_clustering_score(gpu_kind, total, node, count, milli, largest[1])
    # random and first_fit like all nodes alike
    return 0


@kernel
def policy_score(policy, nodes, requests, settings, request, node):
    """What the policy scores a feasible node, 0 to 100."""
    cpu = requests.amount[request, CPU]
    count, milli = requests.gpu[request, COUNT], requests.gpu[request, MILLI]
    if policy == FGD:
        score, _ = fgd_choice(
            nodes.allocatable, nodes.requested, nodes.gpu_left, nodes.gpu_model, node, cpu, count, milli,
            settings.typical, settings.typical_share, settings.typical_allows, settings.typical_milli,
            settings.fragments, settings.fragments_of, settings.fragment_levels,
        )  # fmt: skip
        return score
    return packing_score(
        policy, nodes.allocatable, nodes.requested, nodes.gpu_left, nodes.gpu_count, nodes.gpu_kind,
        nodes.gpu_largest, node, cpu, count, milli,
    )  # fmt: skip


@kernel
def policy_scores(nodes, requests, settings, request, node):
    """The weighted sum of the profile's policies on a feasible node."""
    total = 0
    for index in range(settings.scores.shape[0]):
        if settings.scores[index] >= FIRST_POLICY:
            score = policy_score(settings.scores[index], nodes, requests, settings, request, node)
            total += settings.weights[index] * score
    return total


@kernel
def add_policy_score(policy, weight, nodes, requests, settings, request, count, verdict, total):
    """Add weight * the policy's score to every feasible node."""
    for node in range(count):
        if verdict[node] == 0:
            total[node] += weight * policy_score(policy, nodes, requests, settings, request, node)
