"""Random clusters with GPUs, as Kubernetes objects and as the slow twin's nodes and pods."""

from __future__ import annotations

import random
from typing import Any

from tests.naive.gpu.node import GpuNode, GpuPod

MODELS = ("A", "B", "C")
DOMAIN = "alibabacloud.com/"


def random_node(draw: random.Random, number: int) -> GpuNode:
    devices = draw.choice((0, 1, 2, 2, 4, 8))
    model = draw.choice(MODELS) if devices else ""
    return GpuNode(f"n{number:02d}", draw.choice((4000, 8000, 16000, 32000)), 1 << 36, model, devices, 50)


def random_pod(draw: random.Random, *, parts_of_several: bool = False) -> GpuPod:
    cpu = draw.choice((0, 500, 1000, 2000, 4000, 6000))
    kind = draw.random()
    models = draw.choice(("", "", "", "A", "A|B", "B|C"))
    if kind < 0.2:
        return GpuPod(cpu, 0)
    if kind < 0.7:
        return GpuPod(cpu, 0, 1, draw.choice((100, 200, 250, 300, 500, 700, 900)), models)
    if parts_of_several and kind < 0.8:
        return GpuPod(cpu, 0, draw.choice((2, 3)), draw.choice((300, 500)), models)
    return GpuPod(cpu, 0, draw.choice((1, 1, 2, 4, 8)), 1000, models)


def node_object(node: GpuNode) -> dict[str, Any]:
    labels = {DOMAIN + "gpu-card-model": node.model} if node.model else {}
    allocatable: dict[str, Any] = {"cpu": f"{node.cpu}m", "memory": node.memory, "pods": node.pods_allowed}
    if node.devices:
        allocatable[DOMAIN + "gpu-count"] = node.devices
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": node.name, "labels": labels},
        "status": {"allocatable": allocatable},
    }


def pod_object(pod: GpuPod, name: str, **spec: Any) -> dict[str, Any]:
    notes = {"example.com/other": "text"}
    if pod.count:
        notes |= {DOMAIN + "gpu-count": str(pod.count), DOMAIN + "gpu-milli": str(pod.milli)}
        if pod.models:
            notes[DOMAIN + "gpu-card-model"] = pod.models
    requests = {"cpu": f"{pod.cpu}m"}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "annotations": notes},
        "spec": {"containers": [{"name": "c", "resources": {"requests": requests}}], **spec},
    }
