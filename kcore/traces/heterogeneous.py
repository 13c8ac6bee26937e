"""A mixed CPU and GPU cluster, and applications that fill it: many node shapes, kinds of pods, teams and priorities.

Machines, pod sizes, GPU requests and GPU model constraints are drawn from marginals of the Alibaba openb trace (Weng et
al., Beware of Fragmentation, USENIX ATC 2023), counted by us; applications' sizes and priorities follow Google's Borg
(Tirmazi et al., Borg: the Next Generation, EuroSys 2020): heavy-tailed, in five bands. ``heterogeneous.json`` holds the
tables. Requests are scaled together so that a given number of pods asks for a given part of the cluster: absolute
sizes are therefore not the traces', their proportions are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import numpy as np

from kcore.api.objects import ClusterObjects, Namespace, ObjectMeta, Pod, PodColumns
from kcore.traces.machines import GPU, Machines, draw_machines
from kcore.traces.names import suffixed
from kcore.traces.pod_kinds import (
    anti_affinity,
    gpu_pod,
    plain,
    select_ssd,
    soft_spread,
    tolerating,
    zone_affinity,
    zone_anti_affinity,
)

MEBIBYTE = 1 << 20
ORIGIN = "synthetic:heterogeneous"

MEMORY_FILL = 0.9  # of the CPU fill: machines differ in memory per CPU, so memory binds first on some
GPU_FILL = 1.03  # of the CPU fill: GPUs are what runs out
GPU_PODS_MAX = 0.3  # of all pods
GPU_MODEL_SHARE = 0.17  # of GPU applications that insist on models; openb_pod_list_gpuspec33 has 0.33
REQUEST_MAX = 0.5  # of the smallest CPU machine: no pod is too large for all
HALVINGS = 4  # a request is the trace's, or a half, a quarter, an eighth of it
REPLICAS_MAX = 0.005  # of all pods in one application,
REPLICAS_MAX_LEAST = 10  # but at least so many
QUORUM_EXCESS_SHARE = 0.25  # of the quorums
ARRIVAL_SPREAD = 0.01  # of the whole period, the mean time between an application's arrival and its pods'


@dataclass(frozen=True)
class Kind:
    """Applications of one sort: what their pods look like, and how many of the pods without GPUs they own."""

    stem: str
    share: float
    tiers: tuple[str, ...]
    spec: Callable[[str], Pod]


KINDS = (
    Kind("api", 0.41, ("production", "production", "monitoring"), plain),
    Kind("ssd", 0.11, ("production", "mid"), select_ssd),
    Kind("batch", 0.24, ("batch", "batch", "free"), tolerating),
    Kind("web", 0.14, ("production", "mid"), soft_spread),
    Kind("cache", 0.05, ("production", "mid"), zone_affinity),
    Kind("db", 0.047, ("production",), anti_affinity),
    Kind("quorum", 0.003, ("production", "monitoring"), zone_anti_affinity),
)


@dataclass(frozen=True)
class Applications:
    """One row an application."""

    stem: list[str]
    exemplars: list[Pod]
    replicas: np.ndarray  # int64[app]
    cpu_milli: np.ndarray  # float64[app], before scaling
    memory_mib: np.ndarray  # float64[app], before scaling
    gpus: np.ndarray  # int64[app]


@cache
def tables() -> dict[str, Any]:
    """The marginals, by name: the rows of each table."""
    text = (files("kcore_datasets") / "heterogeneous.json").read_bytes()
    return {name: table["rows"] for name, table in msgspec.json.decode(text).items() if name != "about"}


def heterogeneous(
    *, nodes: int, pods: int, zones: int, gpu_nodes: float, fill: float, namespaces: int, seed: int
) -> ClusterObjects:
    """``nodes`` machines and ``pods`` pending pods that ask for the fraction ``fill`` of all CPU.

    Some pods do not fit: GPU models run out, quorums want more zones than there are, and whoever is last in the
    queue finds the cluster full. With few pods for many nodes no pod grows beyond half of the smallest machine.
    """
    rng = np.random.default_rng([seed, 0])
    machines = draw_machines(
        tables()["node_shapes"], nodes=nodes, pods=pods, zones=zones, gpu_nodes=gpu_nodes, rng=rng
    )
    gpu_apps = _gpu_applications(machines, pods, fill, np.random.default_rng([seed, 1]))
    cpu_pods = pods - int(gpu_apps.replicas.sum())
    cpu_apps = _cpu_applications(cpu_pods, machines, zones, np.random.default_rng([seed, 2]))
    teams = [f"team-{team:02d}" for team in range(namespaces)]
    rng = np.random.default_rng([seed, 3])
    columns = _columns(cpu_apps, gpu_apps, machines, fill, teams, rng)
    return ClusterObjects(
        nodes=machines.nodes,
        node_origins=[(ORIGIN, f"Node {node.metadata.name}") for node in machines.nodes],
        namespaces=[
            Namespace(metadata=ObjectMeta(name=team, labels={"kubernetes.io/metadata.name": team}))
            for team in teams
        ],
        pod_columns=[columns] if pods else [],
    )


def _replicas(total: int, largest: int, rng: np.random.Generator) -> np.ndarray:
    """Sizes of applications, Pareto between 1 and ``largest``, that sum to ``total``. int64[app]."""
    exponent = tables()["replicas"][0][1]
    drawn: list[np.ndarray] = []
    left = total
    while left > 0:
        uniform = rng.random(1024)
        tail = 1.0 - uniform * (1.0 - float(largest) ** -exponent)
        sizes = np.minimum(tail ** (-1.0 / exponent), largest).astype(np.int64)
        drawn.append(sizes)
        left -= int(sizes.sum())
    if not drawn:
        return np.zeros(0, np.int64)
    sizes = np.concatenate(drawn)
    ends = np.cumsum(sizes)
    count = int(np.searchsorted(ends, total)) + 1
    sizes = sizes[:count]
    sizes[-1] -= int(ends[count - 1]) - total
    return sizes


def _quorums(total: int, zones: int, rng: np.random.Generator) -> np.ndarray:
    """Sizes that sum to ``total``: a replica for each zone, in some applications one more than can be. int64[app]."""
    drawn = zones + (rng.random(-(-total // zones)) < QUORUM_EXCESS_SHARE).astype(np.int64)
    sizes = drawn[np.cumsum(drawn) <= total]
    missing = total - int(sizes.sum())
    return np.append(sizes, missing) if missing else sizes


def _drawn_rows(table: list[list[Any]], count: int, rng: np.random.Generator) -> list[list[Any]]:
    weights = np.array([row[-1] for row in table], float)
    return [table[row] for row in rng.choice(len(table), size=count, p=weights / weights.sum())]


def _with_priorities(exemplars: list[Pod], tiers: list[str], rng: np.random.Generator) -> None:
    bands = {name: (low, high) for name, low, high in tables()["tiers"]}
    drawn = rng.random(len(tiers))
    for pod, tier, at in zip(exemplars, tiers, drawn.tolist(), strict=True):
        low, high = bands[tier]
        pod.spec.priority = low + int(at * (high - low + 1))
        assert pod.metadata.labels is not None
        pod.metadata.labels["tier"] = tier


def _cpu_applications(pods: int, machines: Machines, zones: int, rng: np.random.Generator) -> Applications:
    largest = max(REPLICAS_MAX_LEAST, int(pods * REPLICAS_MAX))
    ends = np.rint(np.cumsum([kind.share for kind in KINDS]) * pods).astype(int).tolist()
    stems: list[str] = []
    exemplars: list[Pod] = []
    tiers: list[str] = []
    sizes: list[np.ndarray] = []
    for kind, start, end in zip(KINDS, [0, *ends[:-1]], ends, strict=True):
        if kind.spec is zone_anti_affinity:
            replicas = _quorums(end - start, zones, rng)
        elif kind.spec is anti_affinity:
            replicas = _replicas(end - start, max(1, min(largest, machines.cpu_node_count // 3)), rng)
        else:
            replicas = _replicas(end - start, largest, rng)
        names = [f"{kind.stem}-{app:04d}" for app in range(len(replicas))]
        stems += names
        exemplars += [kind.spec(name) for name in names]
        tiers += [kind.tiers[at] for at in rng.integers(len(kind.tiers), size=len(names)).tolist()]
        sizes.append(replicas)
    _with_priorities(exemplars, tiers, rng)
    rows = np.array(_drawn_rows(tables()["pod_shapes"], len(stems), rng), float).reshape(-1, 3)
    part = 0.5 ** rng.integers(HALVINGS, size=len(stems))
    return Applications(
        stems,
        exemplars,
        np.concatenate(sizes),
        rows[:, 0] * part,
        rows[:, 1] * part,
        np.zeros(len(stems), int),
    )


def _gpu_applications(machines: Machines, pods: int, fill: float, rng: np.random.Generator) -> Applications:
    shapes = tables()["gpu_pod_shapes"]
    wanted = min(round(machines.gpu_count * fill * GPU_FILL), pods * 8)
    mean = sum(row[0] * row[-1] for row in shapes) / sum(row[-1] for row in shapes)
    replicas = _replicas(
        int(min(wanted / mean, pods * GPU_PODS_MAX)), max(REPLICAS_MAX_LEAST, int(wanted * REPLICAS_MAX)), rng
    )
    rows = np.array(_drawn_rows(shapes, len(replicas), rng), float).reshape(-1, 4)
    gpus = rows[:, 0].astype(np.int64)
    present = set(machines.gpu_models)
    models: list[tuple[str, ...]] = []
    sets = _drawn_rows(tables()["gpu_model_sets"], len(replicas), rng)
    for (names, _), insists in zip(sets, (rng.random(len(replicas)) < GPU_MODEL_SHARE).tolist(), strict=True):
        models.append(tuple(name for name in names.split("|") if name in present) if insists else ())
    stems = [f"train-{app:04d}" for app in range(len(replicas))]
    exemplars = [gpu_pod(stem, wants) for stem, wants in zip(stems, models, strict=True)]
    tiers = ("production", "mid", "batch")
    _with_priorities(exemplars, [tiers[at] for at in rng.integers(3, size=len(stems)).tolist()], rng)
    return Applications(stems, exemplars, replicas, rows[:, 1], rows[:, 2], gpus)


def _scaled(amount: np.ndarray, replicas: np.ndarray, budget: float, largest: float) -> np.ndarray:
    """The amounts times one factor, none above ``largest``, so that replicas x amount sums to the budget if it can."""
    factor = 1.0
    for _ in range(30):
        total = float((np.minimum(amount * factor, largest) * replicas).sum())
        if total <= 0 or abs(total - budget) <= 1e-4 * budget:
            break
        factor *= budget / total
    return np.minimum(amount * factor, largest)


def _columns(
    cpu_apps: Applications,
    gpu_apps: Applications,
    machines: Machines,
    fill: float,
    teams: list[str],
    rng: np.random.Generator,
) -> PodColumns:
    replicas = np.concatenate([cpu_apps.replicas, gpu_apps.replicas])
    cpu_budget = max(machines.cpu_milli * fill - float((gpu_apps.cpu_milli * gpu_apps.replicas).sum()), 0.0)
    memory_budget = machines.memory_mib * fill * MEMORY_FILL
    memory_budget = max(memory_budget - float((gpu_apps.memory_mib * gpu_apps.replicas).sum()), 0.0)
    cpu = _scaled(cpu_apps.cpu_milli, cpu_apps.replicas, cpu_budget, machines.cpu_milli_least * REQUEST_MAX)
    memory = _scaled(
        cpu_apps.memory_mib, cpu_apps.replicas, memory_budget, machines.memory_mib_least * REQUEST_MAX
    )
    cpu_milli = np.maximum(np.rint(np.concatenate([cpu, gpu_apps.cpu_milli]) / 10) * 10, 10).astype(np.int64)
    memory_mib = np.maximum(np.rint(np.concatenate([memory, gpu_apps.memory_mib])), 1).astype(np.int64)
    exemplars = cpu_apps.exemplars + gpu_apps.exemplars
    weights = 1.0 / np.arange(1, len(teams) + 1)
    team = rng.choice(len(teams), size=len(exemplars), p=weights / weights.sum())
    for pod, index in zip(exemplars, team.tolist(), strict=True):
        pod.metadata.namespace = teams[index]
    app = np.repeat(np.arange(len(exemplars), dtype=np.int32), replicas)
    replica = np.arange(len(app)) - np.repeat(np.cumsum(replicas) - replicas, replicas)
    arrival = np.repeat(rng.random(len(exemplars)), replicas) + rng.exponential(ARRIVAL_SPREAD, len(app))
    order = np.argsort(arrival, kind="stable")
    app, replica = app[order], replica[order]
    requests = {"cpu": cpu_milli[app], "memory": memory_mib[app] * MEBIBYTE}
    if len(gpu_apps.replicas):
        requests[GPU] = np.concatenate([cpu_apps.gpus, gpu_apps.gpus])[app]
    return PodColumns(
        exemplars=exemplars,
        exemplar=app,
        names=suffixed(cpu_apps.stem + gpu_apps.stem, app, replica),
        requests=requests,
        origin=ORIGIN,
    )
