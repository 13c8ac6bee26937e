"""The experiment of "Beware of Fragmentation": what arrives in which order, and how much of the GPUs is given out.

Sources: pkg/simulator/core.go and simulator.go, data/pod_csv_to_yaml.py and experiments/analysis/merge_alloc_discrete.py
of the artifact.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from kcore.sim.reproduce.go_random import GoRandom
from tests.naive.gpu.fragmentation import Typical
from tests.naive.gpu.node import WHOLE, GpuNode, GpuPod
from tests.naive.gpu.policies import DEVICES, SCORES, Largest, fgd_choice

MEBI = 1 << 20


def read_nodes(path: Path) -> list[GpuNode]:
    """The nodes of a node list of the trace, by name."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return sorted(
        (
            GpuNode(
                row["sn"], int(row["cpu_milli"]), int(row["memory_mib"]) * MEBI, row["model"], int(row["gpu"])
            )
            for row in rows
        ),
        key=lambda node: node.name,
    )


def read_pods(path: Path) -> list[tuple[str, GpuPod]]:
    """The pods of a pod list of the trace with their names, by name."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    pods = []
    for row in rows:
        count = int(row["num_gpu"])
        models = "|".join(name for name in (row.get("gpu_spec") or "").split("|") if name) if count else ""
        milli = min(int(row["gpu_milli"]), WHOLE) if count else 0
        pods.append(
            (
                row["name"],
                GpuPod(int(row["cpu_milli"]), int(row["memory_mib"]) * MEBI, count, milli, models),
            )
        )
    return sorted(pods, key=lambda pair: pair[0])


def tuned(pods: list[GpuPod], capacity: int, ratio: float, random: GoRandom) -> list[GpuPod]:
    """The pods shuffled, and some drawn anew or left out until they ask for ``ratio`` times the GPU milli there are."""
    arriving = list(pods)
    random.shuffle(arriving)
    wanted = sum(pod.count * pod.milli for pod in arriving)
    if wanted > ratio * capacity:
        while wanted > ratio * capacity:
            gone = arriving.pop(random.intn(len(arriving)))
            wanted -= gone.count * gone.milli
    elif wanted < ratio * capacity:
        while True:
            more = pods[random.intn(len(pods))]
            if wanted + more.milli > ratio * capacity:  # of one device, whatever the count
                break
            wanted += more.count * more.milli
            arriving.append(more)
    return arriving


def run(
    nodes: list[GpuNode],
    pods: list[GpuPod],
    policy: str,
    typical: list[Typical],
    draw: Callable[[int], int] | None = None,
) -> list[tuple[str | None, list[int]]]:
    """Place the pods one after another; of equally good nodes the first of ``nodes`` is taken.

    ``draw(n)`` gives a number below n for the policy ``random``: of the feasible nodes one, then of the devices one.
    Returns for each pod the name of its node (None: it fits nowhere) and its devices.
    """
    largest = Largest(max(node.cpu for node in nodes), max(node.devices for node in nodes) * WHOLE)
    memo: dict[tuple[object, ...], int] = {}
    chosen: list[tuple[str | None, list[int]]] = []
    for pod in pods:
        feasible = [node for node in nodes if node.fits(pod)]
        if not feasible:
            chosen.append((None, []))
            continue
        if policy == "random":
            assert draw is not None
            node = feasible[draw(len(feasible))]
        else:
            best = -1
            for one in feasible:
                # equal states have equal scores: without this a run takes hours
                key = (pod.cpu, pod.count, pod.milli, *one.state(), one.devices)
                if key not in memo:
                    memo[key] = SCORES[policy](one, pod, largest, typical)
                if memo[key] > best:
                    best, node = memo[key], one
        devices: list[int] = []
        if pod.count:
            devices = choose_devices(node, pod, policy, typical, draw)
        node.put(pod, devices)
        chosen.append((node.name, devices))
    return chosen


def choose_devices(
    node: GpuNode, pod: GpuPod, policy: str, typical: list[Typical], draw: Callable[[int], int] | None
) -> list[int]:
    """The devices that the policy takes on the node."""
    if policy == "fgd":
        return fgd_choice(node, pod, typical)[1]
    if policy == "random":
        assert draw is not None
        if pod.milli == WHOLE:
            return DEVICES["first_fit"](node, pod)
        fitting = [device for device, left in enumerate(node.left) if left >= pod.milli]
        return sorted(fitting.pop(draw(len(fitting))) for _ in range(pod.count))
    return DEVICES[policy](node, pod)


def allocation(
    pods: list[GpuPod], chosen: list[tuple[str | None, list[int]]], capacity: int
) -> dict[int, float]:
    """By load in per cent (GPU milli that have arrived, of the capacity, rounded) the mean allocation in per cent."""
    arrived = used = 0
    gpus = capacity // WHOLE
    rows: dict[int, list[float]] = {}
    for pod, (node, _) in zip(pods, chosen, strict=True):
        milli = pod.count * pod.milli
        arrived += milli
        used += milli if node is not None else 0
        rows.setdefault(round(arrived / gpus / 10), []).append(round(used / gpus / 10, 2))
    return {load: round(sum(values) / len(values), 2) for load, values in rows.items()}
