"""The nodes and the kinds of pods that traces are made of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from kcore.api.objects import (
    Affinity,
    Annotations,
    Container,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodSpec,
    Quantity,
)
from kcore.traces.arrivals import codes_of
from kcore.traces.openb import GPU_MILLI, GPU_MODEL, HOSTNAME, NAMESPACE, PODS_PER_NODE
from kcore.traces.rows import Rows

MILLI_PER_GPU = 1000


def node(
    name: str,
    *,
    cpu_milli: int,
    memory_bytes: int,
    gpus: int = 0,
    gpu_model: str = "",
    labels: dict[str, str] | None = None,
    more: dict[str, int] | None = None,
) -> Node:
    """A node that is ready, with thousandths of GPUs as a resource and their model as a label, as openb has them."""
    allocatable: dict[str, Quantity] = {
        "cpu": f"{cpu_milli}m",
        "memory": memory_bytes,
        "pods": PODS_PER_NODE,
        **(more or {}),
    }
    given = {HOSTNAME: name, **(labels or {})}
    if gpus:
        allocatable[GPU_MILLI] = gpus * MILLI_PER_GPU
        if gpu_model:
            given[GPU_MODEL] = gpu_model
    return Node(
        metadata=ObjectMeta(name=name, labels=given),
        status=NodeStatus(capacity=allocatable, allocatable=allocatable),
    )


def pod(models: str = "") -> Pod:
    """A pending pod that takes any node, or one whose GPUs are of one of the models ``A|B``."""
    spec = PodSpec(containers=[Container(name="task")])
    if models:
        values = sorted({model for model in models.split("|") if model})
        wants = NodeSelectorRequirement(key=GPU_MODEL, operator="In", values=values)
        terms = [NodeSelectorTerm(match_expressions=[wants])]
        spec.affinity = Affinity(node_affinity=NodeAffinity(required=NodeSelector(node_selector_terms=terms)))
    annotations = Annotations(gpu_card_model=models) if models else None  # GpuShare's own word for the same
    return Pod(metadata=ObjectMeta(namespace=NAMESPACE, annotations=annotations), spec=spec)


def gpu_models(nodes: list[Node]) -> set[str]:
    """The GPU models that the nodes have."""
    return {
        labels[GPU_MODEL] for labels in (each.metadata.labels or {} for each in nodes) if GPU_MODEL in labels
    }


def kinds(rows: Rows, models: pa.Array, column: str, nodes: list[Node]) -> tuple[np.ndarray, list[Pod]]:
    """For each row the number of its kind of pod, and the kinds, by the models it asks for.

    A row that names a model which no node has is refused, where there are nodes.
    """
    codes, texts = codes_of(models)
    known = gpu_models(nodes)
    if nodes:
        unknown = {
            code: next(model for model in text.split("|") if model and model not in known)
            for code, text in enumerate(texts)
            if any(model and model not in known for model in text.split("|"))
        }
        rows.refuse(
            np.isin(codes, list(unknown)),
            column,
            lambda row: f"names the GPU model {unknown[int(codes[row])]!r}, which no node has",
            "one of " + (", ".join(sorted(known)) or "none: no node has GPUs"),
        )
    return codes, [pod(text) for text in texts]


def devices(gpus_milli: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many devices thousandths of GPUs are, and how many thousandths of each (rounded up where they differ)."""
    count = -(-gpus_milli // MILLI_PER_GPU)
    return count, -(-gpus_milli // np.maximum(count, 1))
