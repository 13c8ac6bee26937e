"""What each policy scores a feasible node, and which devices it takes there.

Sources: pkg/simulator/plugin of the artifact of "Beware of Fragmentation" (USENIX ATC 2023), with the options of its
experiments: devices chosen by ``best``, dimension extension ``merge`` and normalization ``max`` for dot_prod. first_fit,
worst_fit and tetris are not in the artifact: docs/policies.md says what they are.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tests.naive.gpu.fragmentation import Typical, fragments
from tests.naive.gpu.node import WHOLE, GpuNode, GpuPod


class Largest(NamedTuple):
    """The most CPU and GPU of any node of the cluster (128 cores and 8 GPUs in the artifact)."""

    cpu: int
    gpu: int


def free_devices(node: GpuNode, count: int) -> list[int]:
    """The first ``count`` devices that nobody uses."""
    return [device for device, left in enumerate(node.left) if left == WHOLE][:count]


def tightest(node: GpuNode, pod: GpuPod) -> list[int]:
    """For part of a device the first of those with least left; else :func:`free_devices`, or those with least left."""
    if pod.milli == WHOLE:
        return free_devices(node, pod.count)
    fitting = [device for device, left in enumerate(node.left) if left >= pod.milli]
    return sorted(sorted(fitting, key=lambda device: node.left[device])[: pod.count])


def loosest(node: GpuNode, pod: GpuPod) -> list[int]:
    """The first of those with most left."""
    if pod.milli == WHOLE:
        return free_devices(node, pod.count)
    fitting = [device for device, left in enumerate(node.left) if left >= pod.milli]
    return sorted(sorted(fitting, key=lambda device: -node.left[device])[: pod.count])


def foremost(node: GpuNode, pod: GpuPod) -> list[int]:
    """The first that fit."""
    return [device for device, left in enumerate(node.left) if left >= pod.milli][: pod.count]


def best_fit(node: GpuNode, pod: GpuPod, largest: Largest, typical: list[Typical]) -> int:
    """The less is left of CPU and GPU, the better."""
    score = 0.0
    score += (float(node.cpu_left) - float(pod.cpu)) / float(largest.cpu) * 0.5
    score += (float(sum(node.left)) - float(pod.milli * pod.count)) / float(max(largest.gpu, 1)) * 0.5
    return int((1.0 - score) * 100.0)


def worst_fit(node: GpuNode, pod: GpuPod, largest: Largest, typical: list[Typical]) -> int:
    """The more is left, the better."""
    score = 0.0
    score += (float(node.cpu_left) - float(pod.cpu)) / float(largest.cpu) * 0.5
    score += (float(sum(node.left)) - float(pod.milli * pod.count)) / float(max(largest.gpu, 1)) * 0.5
    return int(score * 100.0)


def dot_prod(node: GpuNode, pod: GpuPod, largest: Largest, typical: list[Typical]) -> int:
    """One less half the dot product of what is left and what is wanted, as shares of the largest node."""
    product = 0.0
    product += float(node.cpu_left) / float(largest.cpu) * (float(pod.cpu) / float(largest.cpu))
    gpu = float(max(largest.gpu, 1))
    product += float(sum(node.left)) / gpu * (float(pod.milli * pod.count) / gpu)
    return int(100.0 * (1.0 - product / 2.0))


def tetris(node: GpuNode, pod: GpuPod, largest: Largest, typical: list[Typical]) -> int:
    """The alignment score: half the dot product of what is left and what is wanted, as shares of the largest node."""
    product = 0.0
    product += float(node.cpu_left) / float(largest.cpu) * (float(pod.cpu) / float(largest.cpu))
    gpu = float(max(largest.gpu, 1))
    product += float(sum(node.left)) / gpu * (float(pod.milli * pod.count) / gpu)
    return int(100.0 * (product / 2.0))


def gpu_packing(node: GpuNode, pod: GpuPod, largest: Largest, typical: list[Typical]) -> int:
    """GPUs in use before idle ones, those of nodes in use before those of idle nodes."""
    if pod.milli <= 0:
        return 0
    free = sum(left == WHOLE for left in node.left)
    if free == node.devices:
        return max(33 - free, free)
    wanted, taken = pod.count, []
    for device in sorted(range(node.devices), key=lambda one: node.left[one]):
        if wanted and node.left[device] >= pod.milli:
            wanted -= 1
            taken.append(node.left[device])
    untouched = sum(left == WHOLE for left in taken)
    if untouched:
        return max(50 - untouched, 33)
    return max(100 - sum(left * 100 // WHOLE for left in taken) // 10, 50)


def gpu_clustering(node: GpuNode, pod: GpuPod, largest: Largest, typical: list[Typical]) -> int:
    """Pods of a kind together: a quarter of the range for each way the node's kinds relate to the pod's."""
    if pod.count == 0:
        return 0
    most = max(largest.gpu, 1)
    packed = 25 * (most - sum(node.left)) // most
    if node.kinds[pod.kind] > 0:
        return packed + (75 if len(node.kinds) == 1 else 50)
    return packed + (25 if not node.kinds else 0)


def sigmoid_score(before: float, after: float) -> int:
    """By how much fragmentation falls, from 0 to 100; 50 where it stays."""
    return int(1.0 / (1.0 + math.exp(-((before - after) / 1000.0))) * 100.0)


def fgd_choice(node: GpuNode, pod: GpuPod, typical: list[Typical]) -> tuple[int, list[int]]:
    """FGD's score and the devices that give it."""
    before = fragments(node, typical)
    if pod.count == 1 and pod.milli < WHOLE:
        score, devices = 0, []
        for device, left in enumerate(node.left):
            if left >= pod.milli:
                found = sigmoid_score(before, fragments(placed(node, pod, [device]), typical))
                if not devices or found > score:
                    score, devices = found, [device]
        return score, devices
    devices = tightest(node, pod)
    return sigmoid_score(before, fragments(placed(node, pod, devices), typical)), devices


def placed(node: GpuNode, pod: GpuPod, devices: list[int]) -> GpuNode:
    """The node with the pod on it; the given one stays as it is."""
    after = copy.copy(node)
    after.left, after.kinds = list(node.left), Counter(node.kinds)
    after.put(pod, devices)
    return after


def fgd(node: GpuNode, pod: GpuPod, largest: Largest, typical: list[Typical]) -> int:
    """Fragmentation gradient descent."""
    return fgd_choice(node, pod, typical)[0]


def nothing(node: GpuNode, pod: GpuPod, largest: Largest, typical: list[Typical]) -> int:
    """All nodes alike."""
    return 0


Score = Callable[[GpuNode, GpuPod, Largest, list[Typical]], int]
SCORES: dict[str, Score] = {
    "random": nothing,
    "dot_prod": dot_prod,
    "best_fit": best_fit,
    "worst_fit": worst_fit,
    "first_fit": nothing,
    "gpu_packing": gpu_packing,
    "gpu_clustering": gpu_clustering,
    "fgd": fgd,
    "tetris": tetris,
}
DEVICES: dict[str, Callable[[GpuNode, GpuPod], list[int]]] = {
    "dot_prod": tightest,
    "best_fit": tightest,
    "worst_fit": loosest,
    "first_fit": foremost,
    "gpu_packing": tightest,
    "gpu_clustering": tightest,
    "tetris": tightest,
}
"""How devices are chosen; random draws among the fitting ones, fgd takes those of its score."""
