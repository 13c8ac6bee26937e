"""A cluster that is changed step by step, on the engine's state and on the naive twin alike."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from kcore.api.objects import (
    ClusterObjects,
    Namespace,
    Node,
    Pod,
    PodDisruptionBudget,
    ReplicaSet,
    ReplicationController,
    Service,
    StatefulSet,
)
from kcore.scheduler.config import load_configuration
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import Engine, Options
from kcore.scheduler.explain import Explanation, explain
from kcore.scheduler.ledger import PortRow, Row
from kcore.scheduler.pods import parse_start
from kcore.scheduler.state import State
from tests.naive.scenarios import random_scenario
from tests.naive.scheduler import NaiveScheduler

KINDS: dict[str, tuple[str, type]] = {
    "namespaces": ("namespaces", Namespace),
    "services": ("services", Service),
    "replicaSets": ("replica_sets", ReplicaSet),
    "statefulSets": ("stateful_sets", StatefulSet),
    "replicationControllers": ("replication_controllers", ReplicationController),
    "pdbs": ("pdbs", PodDisruptionBudget),
}
IMAGE_MIB = {"nginx:latest": 60, "nginx:1.27": 500, "ghcr.io/ml/serve:v2": 3000, "busybox:latest": 5}
"""One size for an image wherever it is: what a late reader finds otherwise depends on the order of the slots."""
STEPS = ("add node", "add node", "update node", "update node", "remove node", "add bound", "add bound", "add bound",
         "add pending", "add pending", "add pending", "remove bound", "remove bound", "remove pending", "place",
         "place", "place", "nominate", "nominate", "deny")  # fmt: skip
START = ("add node",) * 4 + ("add bound",) * 8 + ("add pending",) * 3


class Pool:
    """Nodes and pods to draw from, made by the scenario of a seed; every pod drawn has a name of its own."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.scenario = random_scenario(seed, nodes_max=6, pods_max=12)
        other = random_scenario(seed + 1, nodes_max=6, pods_max=12)
        made = [*self.scenario["nodes"], *other["nodes"]]
        self.nodes = [msgspec.convert(self._sized(node), Node) for node in made]
        pods = [*self.scenario["pods"], *self.scenario["pending"], *other["pending"]]
        self.pods = [msgspec.convert(pod, Pod) for pod in pods]
        self.others = {
            ours: [msgspec.convert(one, kind) for one in self.scenario.get(theirs) or ()]
            for theirs, (ours, kind) in KINDS.items()
        }
        self._count = 0

    @staticmethod
    def _sized(node: dict[str, Any]) -> dict[str, Any]:
        for image in node["status"].get("images", ()):
            image["sizeBytes"] = IMAGE_MIB.get(image["names"][0], 7) * 1024 * 1024
        return node

    def node(self, *, names: set[str], taken: bool) -> Node | None:
        """A node whose name is in ``names``, or is not."""
        found = [node for node in self.nodes if (node.metadata.name in names) is taken]
        return self.random.choice(found) if found else None

    def pod(self, node: str = "") -> Pod:
        """A new pod, bound to the node if there is one."""
        one = self.random.choice(self.pods)
        name = f"bound-{self._count:03}"
        self._count += 1
        metadata = replace(one.metadata, name=name, uid=f"uid-{name}")
        spec = replace(one.spec, node_name=node, scheduling_gates=None)
        status = replace(one.status, nominated_node_name="", phase="Running" if node else "Pending")
        if not node:
            metadata = replace(metadata, deletion_timestamp=None)
            status = replace(status, start_time=None, container_statuses=None, init_container_statuses=None,
                             resources=None, allocated_resources=None, conditions=None)  # fmt: skip
        else:
            status = replace(
                status, start_time=f"2026-01-01T00:{self._count // 60:02}:{self._count % 60:02}Z"
            )
        return replace(one, metadata=metadata, spec=spec, status=status)


class History:
    """The state under test, the twin, and the objects that both are made of now."""

    def __init__(self, seed: int) -> None:
        self.pool = Pool(seed)
        self.random = self.pool.random
        self.configuration = load_configuration(self.pool.scenario.get("config"))
        self.profile = self.configuration.profiles[0]
        self.state = State()
        self.state.load(ClusterObjects(**self.pool.others))
        self.engine = Engine(self.state, self.configuration, compiled=False, forced=self.profile)
        self.naive = NaiveScheduler(self.profile, **self.pool.others)
        self.nodes: dict[str, Node] = {}
        self.bound: dict[int, Pod] = {}  # row -> the pod as it is now
        self.pending: dict[int, Pod] = {}
        self.nominated: dict[int, str] = {}  # row -> node, in order of nomination
        self.log: list[str] = []
        for kind in START:
            self._do(kind)

    # -- steps

    def step(self) -> None:
        """One random change; the kinds that are not possible now change nothing."""
        self._do(self.random.choice(STEPS if len(self.nodes) > 2 else (*STEPS, *("add node",) * 8)))

    def _do(self, kind: str) -> None:
        self.log.append(kind)
        getattr(self, kind.replace(" ", "_"))()

    def add_node(self) -> None:
        node = self.pool.node(names=set(self.nodes), taken=False)
        if node is not None:
            self.log[-1] += f" {node.metadata.name}"
            self.state.add_node(node)
            self.naive.add_node(node)
            self.nodes[node.metadata.name] = node

    def update_node(self) -> None:
        node = self.pool.node(names=set(self.nodes), taken=True)
        if node is not None:
            self.log[-1] += f" {node.metadata.name}"
            self.state.nodes.update(node)
            self.naive.update_node(node)
            self.nodes[node.metadata.name] = node

    def remove_node(self) -> None:
        if not self.nodes:
            return
        name = self.random.choice(sorted(self.nodes))
        self.log[-1] += f" {name}"
        for row, target in list(self.nominated.items()):
            if target == name:
                self._nominate(row, "")
        gone = self.state.remove_node(name)
        assert set(gone) == {row for row, pod in self.bound.items() if pod.spec.node_name == name}
        for row in gone:
            self.naive.remove(self.bound.pop(row))
        self.naive.remove_node(name)
        del self.nodes[name]

    def add_bound(self) -> None:
        if not self.nodes:
            return
        pod = self.pool.pod(self.random.choice(sorted(self.nodes)))
        if self._port_is_taken(pod):
            # two users of a port on one node: the first to leave frees it, here as upstream, so that the past counts
            return
        self.bound[self.state.add_pod(pod)] = pod
        self.naive.add_pod(pod)
        self.log[-1] += f" {pod.metadata.name} on {pod.spec.node_name}"

    def _port_is_taken(self, pod: Pod) -> bool:
        used = self.naive.state.nodes[pod.spec.node_name].used_ports
        sidecars = [one for one in pod.spec.init_containers or () if one.restart_policy == "Always"]
        ports = [port for one in [*(pod.spec.containers or ()), *sidecars] for port in one.ports or ()]
        return any(port.host_port and used.conflicts(port) for port in ports)

    def add_pending(self) -> None:
        pod = self.pool.pod()
        self.pending[self.state.add_pod(pod, pending=True)] = pod
        self.log[-1] += f" {pod.metadata.name}"

    def remove_bound(self) -> None:
        if self.bound:
            row = self.random.choice(sorted(self.bound))
            pod = self.bound.pop(row)
            self.state.remove_pod(row)
            self.naive.remove(pod)
            self.log[-1] += f" {pod.metadata.name}"

    def remove_pending(self) -> None:
        if self.pending:
            row = self.random.choice(sorted(self.pending))
            self._nominate(row, "")
            self.log[-1] += f" {self.pending.pop(row).metadata.name}"
            self.state.remove_pod(row)

    def place(self) -> None:
        row = self._pick_pending()
        node = None if row is None else self.naive.attempt(self.seen(row)).node
        if row is None or node is None:
            return
        pod = self.pending.pop(row)
        start = f"2026-02-01T00:00:{row % 60:02}Z"
        self.state.place(row, self.state.nodes.index[node])
        self.state.pods.start[row] = parse_start(start)
        self.nominated.pop(row, None)
        self.bound[row] = self.naive.bind(pod, node, start)
        self.log[-1] += f" {pod.metadata.name} on {node}"

    def nominate(self) -> None:
        row = self._pick_pending()
        if row is not None and self.nodes:
            self._nominate(row, self.random.choice(sorted(self.nodes)))

    def deny(self) -> None:
        if self.nominated:
            self._nominate(self.random.choice(sorted(self.nominated)), "")

    def _pick_pending(self) -> int | None:
        return self.random.choice(sorted(self.pending)) if self.pending else None

    def _nominate(self, row: int, node: str) -> None:
        self.nominated.pop(row, None)
        self.naive.nominate(self.pending[row], node)
        if node:
            self.nominated[row] = node
            self.state.nominate(row, self.state.nodes.index[node])
        else:
            self.state.forget_nomination(row)
        self.log[-1] += f" {self.pending[row].metadata.name} to {node or 'nowhere'}"

    # -- questions

    def seen(self, row: int) -> Pod:
        """The pending pod with its nomination, as the twin reads it."""
        pod = self.pending[row]
        return replace(pod, status=replace(pod.status, nominated_node_name=self.nominated.get(row, "")))

    def rebuilt(self) -> tuple[State, dict[int, int]]:
        """A state made of the present objects alone, and the new row of every row."""
        state = State()
        # as if every label that ever counted had counted from the start
        state._widen(set(self.state._label_keys))
        state.load(ClusterObjects(**self.pool.others, nodes=list(self.nodes.values())))
        rows = {row: state.add_pod(pod) for row, pod in self.bound.items()}
        rows |= {row: state.add_pod(pod, pending=True) for row, pod in self.pending.items()}
        for row, node in self.nominated.items():
            state.nominate(rows[row], state.nodes.index[node])
        return state, rows


def verdicts(engine: Engine, row: int) -> tuple[dict[str, object], Explanation | None]:
    """What the engine says of a pod: rejections and scores by name of node, or why it was not tried."""
    profile = engine.profile_of(row)
    assert profile is not None
    result = Decisions(np.array([row]), np.array([-1]), np.array([0]))
    if not len(engine.prepare(np.array([row], dtype=np.int32), result, Options())[0]):
        return {"untried": result.reason[0]}, None
    found = explain(engine, row, profile)
    name = engine.state.nodes.name
    told: dict[str, object] = {
        name(slot): None if one is None else (one.plugin, one.code, tuple(sorted(one.reasons)))
        for slot, one in found.rejections.items()
    }
    for slot in found.feasible:
        for plugin, score in found.scores.items():
            told[f"{name(slot)}: {plugin}"] = (int(score.raw[slot]), int(score.normalized[slot]))
        told[f"{name(slot)}: total"] = int(found.total[slot])
    return told, found


def accounts(state: State) -> dict[tuple[str, object], object]:
    """What is counted on every node, by name and meaning."""
    world = state.world()
    told: dict[tuple[str, object], object] = {}
    for name, slot in state.nodes.index.items():
        for row, resource in enumerate(state.nodes.resources.values):
            if world.nodes.requested[row, slot] or world.nodes.allocatable[row, slot]:
                both = (int(world.nodes.allocatable[row, slot]), int(world.nodes.requested[row, slot]))
                told[name, resource] = both
        told[name, "nonzero"] = tuple(world.nodes.nonzero[:, slot].tolist())
        told[name, "pods"] = (int(world.nodes.pods_allowed[slot]), int(world.nodes.pod_count[slot]))
        told[name, "pods on"] = sorted(state.pods.name(row) for row in state.pods_on(slot))
        for number, row_ in enumerate(state.ledger.rows.values):
            count = int(world.nodes.ledger[number, slot])
            if count:
                told[name, row_] = 1 if isinstance(row_, PortRow) else count
    return told


def ask_all_rows(state: State, rows: list[Row]) -> None:
    """Let the ledger count every one of these rows."""
    for row in rows:
        state.ledger.row(row)
