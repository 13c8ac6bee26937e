"""The experiments of "Beware of Fragmentation": placing policies on the GPU trace openb, load by load.

Weng et al., USENIX ATC 2023, figures 7, 9 and 11 to 14. A workload's pods arrive in random order, and then more of them,
drawn with replacement, until they ask for 130 % of the cluster's GPUs; nobody leaves. What counts is how much of the GPUs
is given out when so many have been asked for. docs/reproduce.md tells the protocol in full.

Source: the authors' artifact (pkg/simulator/core.go and simulator.go, experiments/). Its random numbers are those of Go,
and here they are the same (:mod:`kcore.sim.reproduce.go_random`), so a seed is the same experiment there and here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, Node, PodColumns
from kcore.cluster import Cluster
from kcore.scheduler.codes import GPU_MILLI
from kcore.scheduler.plugins.policies import policy_document
from kcore.sim.reproduce.go_random import GoRandom
from kcore.traces import load_openb

NODES_FILE = "openb_node_list_gpu_node.csv"
WORKLOADS = (
    "default", "cpu050", "cpu100", "cpu200", "cpu250", "gpushare100", "gpushare40", "gpushare60", "gpushare80",
    "gpuspec10", "gpuspec20", "gpuspec25", "gpuspec33", "multigpu20", "multigpu30", "multigpu40", "multigpu50",
)  # fmt: skip
POLICIES = ("random", "dot_prod", "gpu_clustering", "gpu_packing", "best_fit", "fgd")
SEEDS = tuple(range(42, 52))
LOADS = (60, 80, 90, 100, 110, 120, 130)
"""Per cent of the GPUs that have been asked for, where results are compared."""
LOAD_MAX = 130
TUNED_PERCENT = 130

DRAWS_MEANWHILE = 10
"""Numbers that the watches of the artifact's informers draw between the pods and the order of the nodes.

Ten make the published curves; they decide ties only.
"""


@dataclass(frozen=True)
class Workload:
    """A workload of the trace and the cluster that it runs on, by name."""

    name: str
    nodes: tuple[Node, ...]
    pods: PodColumns
    gpu_milli: np.ndarray  # int64[pod] of all devices
    names: tuple[str, ...]
    capacity: int
    """GPU milli of the cluster."""
    typical: tuple[dict[str, Any], ...]
    """Every kind of pod with its count, as fgd's argument ``typicalPods``."""


def load_workload(folder: Path, name: str) -> Workload:
    """Read a workload of the trace from the folder of its CSV files.

    Raises:
        InputError: a file is missing or wrong.
    """
    nodes = _read(folder / NODES_FILE).nodes
    found = _read(folder / f"openb_pod_list_{name}.csv").pod_columns[0]
    names = [str(one) for one in found.names]
    order = np.argsort(np.array(names), kind="stable")
    pods = _taken(found, order, [names[row] for row in order.tolist()])
    assert pods.gpu_count is not None and pods.gpu_milli is not None
    whole = np.where(pods.gpu_count > 0, np.minimum(pods.gpu_milli, GPU_MILLI), 0)
    pods.gpu_milli = whole
    devices = sum(int(str(node.status.allocatable.get(_GPU_MILLI, 0))) for node in nodes)  # type: ignore[union-attr, misc]
    return Workload(
        name,
        tuple(sorted(nodes, key=lambda node: node.metadata.name)),
        pods,
        pods.gpu_count * whole,
        tuple(pods.names),
        devices,
        tuple(_kinds(pods)),
    )


_GPU_MILLI = "alibabacloud.com/gpu-milli"


def _read(path: Path) -> ClusterObjects:
    if not path.is_file():
        raise InputError(
            "there is no such file", file=str(path), expected="the files of the trace openb (--data)"
        )
    objects = load_openb(path)
    if objects is None:
        raise InputError("has not the columns of the trace openb", file=str(path))
    return objects


def _taken(pods: PodColumns, rows: np.ndarray, names: list[str]) -> PodColumns:
    """Rows of the pods, in that order, by other names."""
    assert pods.requests is not None and pods.gpu_count is not None and pods.gpu_milli is not None
    return PodColumns(
        exemplars=pods.exemplars,
        exemplar=pods.exemplar[rows],
        names=names,
        requests={resource: values[rows] for resource, values in pods.requests.items()},
        gpu_count=pods.gpu_count[rows],
        gpu_milli=pods.gpu_milli[rows],
        origin=pods.origin,
    )


def _kinds(pods: PodColumns) -> list[dict[str, Any]]:
    """The pods by CPU, devices, milli and models, as fgd's argument."""
    assert pods.requests is not None and pods.gpu_count is not None and pods.gpu_milli is not None
    notes = [pod.metadata.annotations for pod in pods.exemplars]
    models = [note.gpu_card_model or "" if note is not None else "" for note in notes]
    counts = Counter(
        zip(
            pods.requests["cpu"].tolist(),
            pods.gpu_count.tolist(),
            pods.gpu_milli.tolist(),
            [models[one] for one in pods.exemplar.tolist()],
            strict=True,
        )
    )
    found = []
    for (cpu, devices, milli, model), count in counts.items():
        kind: dict[str, Any] = {"cpuMilli": cpu, "count": count}
        if devices and milli:
            kind |= {"gpuCount": devices, "gpuMilli": milli, "gpuModels": model}
        found.append(kind)
    return found


def arrivals(workload: Workload, random: GoRandom) -> list[int]:
    """The rows of the pods in the order in which they arrive: shuffled, then tuned to 130 % of the GPUs.

    Pods are left out, or drawn again with replacement, at random. The last one drawn would, with the milli of one of its
    devices, exceed the sum, and is not taken.
    """
    order = list(range(len(workload.names)))
    random.shuffle(order)
    milli = workload.gpu_milli.tolist()
    one_device = workload.pods.gpu_milli.tolist()  # type: ignore[union-attr]
    most = TUNED_PERCENT * workload.capacity
    wanted = sum(milli)
    if wanted * 100 > most:
        while wanted * 100 > most:
            wanted -= milli[order.pop(random.intn(len(order)))]
    elif wanted * 100 < most:
        row = random.intn(len(milli))
        while (wanted + one_device[row]) * 100 <= most:
            wanted += milli[row]
            order.append(row)
            row = random.intn(len(milli))
    return order


def experiment(
    workload: Workload, policy: str, seed: int, draws_meanwhile: int = DRAWS_MEANWHILE
) -> np.ndarray:
    """``float64[load + 1]``: per cent of the GPUs given out when 0, 1, .. 130 per cent have been asked for; NaN unknown."""
    random = GoRandom(seed)
    random.int63()  # printed by the artifact
    order = np.array(arrivals(workload, random), dtype=np.int64)
    for _ in range(draws_meanwhile):
        random.int63()
    place = random.perm(len(workload.nodes))
    cluster = Cluster(ClusterObjects(nodes=_renamed(workload.nodes, place)))
    names = [f"{workload.names[row]}-{number}" for number, row in enumerate(order.tolist())]
    objects = ClusterObjects(pod_columns=[_taken(workload.pods, order, names)])
    args: Mapping[str, Any] | None = {"typicalPods": list(workload.typical)} if policy == "fgd" else None
    result = cluster.schedule(
        objects, config=policy_document(policy, True, args), tie_break="random" if policy == "random" else "first",
        seed=seed, order="file", preemption="off",
    )  # fmt: skip
    return allocation(workload.gpu_milli[order], result.nodes >= 0, workload.capacity)


def _renamed(nodes: tuple[Node, ...], place: list[int]) -> list[Node]:
    """The nodes with their place in front of their names: of equally good ones the first by name is taken."""
    return [
        msgspec.structs.replace(
            node, metadata=msgspec.structs.replace(node.metadata, name=f"{number:04d}-{node.metadata.name}")
        )
        for node, number in zip(nodes, place, strict=True)
    ]


def allocation(milli: np.ndarray, placed: np.ndarray, capacity: int) -> np.ndarray:
    """The same from what each arriving pod asks for and whether it was placed.

    As the artifact's experiments/analysis counts: the load is what has arrived, placed or not, in whole per cent; of
    all pods at a load the mean is taken; where none is, that of the loads beside it.
    """
    gpus = capacity // GPU_MILLI
    load = np.round(np.cumsum(milli) / gpus / 10).astype(np.int64)
    used = np.round(np.cumsum(np.where(placed, milli, 0)) / gpus / 10, 2)
    inside = load <= LOAD_MAX + 1
    counts = np.bincount(load[inside], minlength=LOAD_MAX + 2).astype(np.float64)
    sums = np.bincount(load[inside], weights=used[inside], minlength=LOAD_MAX + 2)
    around = np.convolve(counts, np.ones(3), "same"), np.convolve(sums, np.ones(3), "same")
    counts, sums = np.where(counts > 0, counts, around[0]), np.where(counts > 0, sums, around[1])
    curve: np.ndarray = np.round(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), 2)
    return curve[: LOAD_MAX + 1]
