"""How much of a node's idle GPU the pods of a workload cannot use, and which pods stand for the workload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from tests.naive.gpu.node import GpuNode, GpuPod


class Typical(NamedTuple):
    """A kind of pod and its share of the workload."""

    pod: GpuPod
    share: float


def typical_pods(pods: Iterable[GpuPod], popularity: int = 95, step: int = 1) -> list[Typical]:
    """The most frequent (CPU, GPU, models) of the workload until they cover ``popularity`` per cent, shares normalized.

    ``step`` more kinds are taken at a time. Source: GetTypicalPods of the artifact, with pods without GPU.
    """
    counts = Counter(GpuPod(pod.cpu, 0, pod.count, pod.milli, pod.models) for pod in pods)
    total = float(sum(counts.values()))
    order = sorted(
        counts, key=lambda pod: (counts[pod], pod.cpu, pod.milli, pod.count, pod.models), reverse=True
    )
    covered, taken = 0.0, 0
    share = {pod: float(counts[pod]) for pod in order}
    while covered < popularity * total / 100.0:
        for pod in order[taken : taken + step]:
            covered += share[pod]
            share[pod] = share[pod] / total
        taken = min(taken + step, len(order))
    kept = order[:taken]
    if taken < len(order):
        for pod in kept:
            share[pod] /= covered / total
    return [Typical(pod, share[pod]) for pod in kept]


def fragments(node: GpuNode, typical: list[Typical]) -> float:
    """Expected GPU milli on the node that a pod drawn from the workload cannot use.

    By the artifact's classes, each added up on its own before they are summed, as floating point is not associative.
    """
    classes = [0.0] * 7
    for pod, share in typical:
        idle = sum(node.left)
        if pod.milli == 0:
            classes[4 if node.cpu_left >= pod.cpu else 5] += share * float(idle)
        elif not pod.allows(node.model):
            classes[6] += share * float(idle)
        else:
            hosts = sum(left >= pod.milli for left in node.left) >= max(pod.count, 1)
            if hosts and node.cpu_left >= pod.cpu:
                unusable = sum(left for left in node.left if left < pod.milli)
                classes[1] += share * float(unusable)
                classes[2] += share * float(idle - unusable)
            else:
                number = 3 if hosts else 1 if node.cpu_left >= pod.cpu else 0
                classes[number] += share * float(idle)
    return sum((amount for number, amount in enumerate(classes) if number != 2), 0.0)
