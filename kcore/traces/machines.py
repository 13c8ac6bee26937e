"""The nodes of the heterogeneous cluster: shapes in the published proportions, racks, zones, labels and taints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kcore.api.objects import Node, NodeSpec, NodeStatus, ObjectMeta, Quantity, Taint

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
RACK = "kcore.dev/rack"
DISK = "kcore.dev/disk"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
GPU = "nvidia.com/gpu"
GPU_MODEL = "nvidia.com/gpu.product"

PODS_PER_NODE = 110  # the kubelet's default; raised where the pods asked for would not fit by number
RACK_NODES_MAX = 32
SSD_SHARE = 0.5  # of the nodes
CORDONED_SHARE = 0.002  # of the nodes


@dataclass(frozen=True)
class Machines:
    """The nodes, and the sums over those that take pods."""

    nodes: list[Node]
    cpu_milli: int
    memory_mib: int
    gpu_count: int
    gpu_models: list[str]  # present in the cluster
    cpu_node_count: int
    cpu_milli_least: int  # of a node without GPUs
    memory_mib_least: int  # of a node without GPUs


def draw_machines(
    shapes: list[list[Any]], *, nodes: int, pods: int, zones: int, gpu_nodes: float, rng: np.random.Generator
) -> Machines:
    """``nodes`` machines in the proportions of ``shapes`` (cpu_milli, memory_mib, gpus, gpu_model, count), shuffled.

    At least one has no GPU unless ``gpu_nodes`` is 1. GPU machines carry the taint ``nvidia.com/gpu:NoSchedule``.
    """
    gpu_count = round(nodes * gpu_nodes)
    if gpu_nodes < 1:
        gpu_count = min(gpu_count, nodes - 1)
    plain = [shape for shape in shapes if not shape[2]]
    with_gpus = [shape for shape in shapes if shape[2]]
    drawn = _in_proportion(plain, nodes - gpu_count) + _in_proportion(with_gpus, gpu_count)
    drawn = [drawn[at] for at in rng.permutation(nodes).tolist()]
    ssd = (rng.random(nodes) < SSD_SHARE).tolist()
    cordoned = set(rng.choice(nodes, size=round(nodes * CORDONED_SHARE), replace=False).tolist())
    rack_nodes = min(max(nodes // (zones * 4), 1), RACK_NODES_MAX)
    pods_max = max(PODS_PER_NODE, -(-3 * pods // (2 * nodes)))
    made = [
        _node(node, shape, node // rack_nodes, zones, ssd[node], node in cordoned, pods_max)
        for node, shape in enumerate(drawn)
    ]
    taking = [shape for node, shape in enumerate(drawn) if node not in cordoned]
    without_gpus = [shape for shape in taking if not shape[2]] or taking
    return Machines(
        nodes=made,
        cpu_milli=sum(shape[0] for shape in taking),
        memory_mib=sum(shape[1] for shape in taking),
        gpu_count=sum(shape[2] for shape in taking),
        gpu_models=sorted({shape[3] for shape in taking if shape[3]}),
        cpu_node_count=len(without_gpus),
        cpu_milli_least=min(shape[0] for shape in without_gpus),
        memory_mib_least=min(shape[1] for shape in without_gpus),
    )


def _in_proportion(shapes: list[list[Any]], count: int) -> list[list[Any]]:
    """``count`` shapes whose numbers are as near to the published proportions as whole numbers can be."""
    total = sum(shape[-1] for shape in shapes)
    exact = [shape[-1] * count / total for shape in shapes]
    copies = [int(number) for number in exact]
    by_remainder = sorted(range(len(shapes)), key=lambda at: copies[at] - exact[at])
    for at in by_remainder[: count - sum(copies)]:
        copies[at] += 1
    return [shape for shape, number in zip(shapes, copies, strict=True) for _ in range(number)]


def _node(
    node: int, shape: list[Any], rack: int, zones: int, ssd: bool, cordoned: bool, pods_max: int
) -> Node:
    cpu_milli, memory_mib, gpus, model, _ = shape
    name = f"node-{node:05d}"
    instance_type = f"c{cpu_milli // 1000}.m{memory_mib // 1024}"
    labels = {
        HOSTNAME: name,
        ZONE: f"zone-{rack % zones}",
        RACK: f"rack-{rack:03d}",
        DISK: "ssd" if ssd else "hdd",
        INSTANCE_TYPE: f"{instance_type}.{model}x{gpus}".lower() if gpus else instance_type,
    }
    allocatable: dict[str, Quantity] = {
        "cpu": f"{cpu_milli}m",
        "memory": f"{memory_mib}Mi",
        "pods": str(pods_max),
    }
    taints = None
    if gpus:
        labels[GPU_MODEL] = model
        allocatable[GPU] = str(gpus)
        taints = [Taint(key=GPU, value="present", effect="NoSchedule")]
    return Node(
        metadata=ObjectMeta(name=name, labels=labels),
        spec=NodeSpec(taints=taints, unschedulable=True if cordoned else None),
        status=NodeStatus(capacity=allocatable, allocatable=allocatable),
    )
