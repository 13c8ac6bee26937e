"""A cluster and a result that answer at once, with the interface of the real ones and made-up numbers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

REASON = "0/{nodes} nodes are available: {nodes} Insufficient cpu."


class FakeResult:
    """Pods placed in turn over the nodes, the last ``unschedulable`` of them nowhere."""

    def __init__(
        self,
        *,
        nodes: int = 3,
        pods: int = 6,
        unschedulable: int = 1,
        utilisation: dict[str, tuple[np.ndarray, np.ndarray]] | None = None,
        explain: bool | list[str] = False,
    ) -> None:
        rng = np.random.default_rng(nodes)
        self.node_names = [f"node-{node}" for node in range(nodes)]
        self.unschedulable = unschedulable
        if utilisation is None:
            before = rng.beta(2, 8, nodes)
            utilisation = {
                name: (before, before + (1 - before) * rng.beta(9, 2, nodes)) for name in ("cpu", "memory")
            }
        self._utilisation = utilisation
        self.resources = list(utilisation)
        placed = pods - unschedulable
        at = [pod % nodes if pod < placed else None for pod in range(pods)]
        reason = REASON.format(nodes=nodes)
        self.placements = pa.table(
            {
                "namespace": pa.array(["default"] * pods, pa.string()),
                "name": pa.array([f"pod-{pod}" for pod in range(pods)], pa.string()),
                "node": pa.array(
                    [None if node is None else self.node_names[node] for node in at], pa.string()
                ),
                "node_index": pa.array([-1 if node is None else node for node in at], pa.int32()),
                "score": pa.array([None if node is None else 400 + node for node in at], pa.int64()),
                "reason": pa.array([reason if node is None else None for node in at], pa.string()),
                "nominated_node": pa.array(["node-0" if node is None else None for node in at], pa.string()),
                "victims": pa.array(
                    [["default/old-0"] if node is None else [] for node in at], pa.list_(pa.string())
                ),
            }
        )
        self.summary: dict[str, Any] = {
            "nodes": nodes,
            "pods": pods,
            "placed": placed,
            "unschedulable": unschedulable,
            "seconds": 0.25,
            "pods_per_second": pods / 0.25,
            "utilisation": {
                name: float(np.nan_to_num(after).mean()) if nodes else 0.0
                for name, (_, after) in utilisation.items()
            },
            "preemption": {"nominated": unschedulable, "victims": unschedulable},
        }
        self.explanations = [self.why("default/pod-0")] if explain else []

    def utilisation(self, resource: str) -> tuple[np.ndarray, np.ndarray]:
        return self._utilisation[resource]

    def why(self, pod: str) -> dict[str, Any]:
        namespace, name = pod.split("/")
        score = {"raw": 50, "normalized": 100, "weighted": 200}
        return {
            "namespace": namespace,
            "name": name,
            "filter": {
                node: {"plugin": "NodeResourcesFit", "reasons": ["Insufficient cpu", "Too many pods"]}
                if at
                else None
                for at, node in enumerate(self.node_names)
            },
            "score": {self.node_names[0]: {"NodeAffinity": score, "ImageLocality": score, "total": 400}},
        }

    def to_dict(self) -> dict[str, Any]:
        rows = self.placements.rename_columns(
            ["namespace", "name", "node", "node_index", "score", "reason", "nominatedNode", "victims"]
        )
        return {
            "summary": self.summary,
            "placements": rows.drop_columns(["node_index"]).to_pylist(),
            "explanations": self.explanations,
        }


class FakeCluster:
    """Remembers what it was asked and answers with :class:`FakeResult`."""

    calls: ClassVar[list[tuple[str, tuple[Any, ...], dict[str, Any]]]] = []
    answer: ClassVar[Any] = None

    @classmethod
    def load(cls, *paths: str) -> FakeCluster:
        cls.calls.append(("load", paths, {}))
        return cls()

    @classmethod
    def from_kubeconfig(cls, path: str, context: str | None = None) -> FakeCluster:
        cls.calls.append(("from_kubeconfig", (path,), {"context": context}))
        return cls()

    def schedule(self, pods: Any = None, **options: Any) -> Any:
        self.calls.append(("schedule", (pods,), options))
        if isinstance(self.answer, Exception):
            raise self.answer
        options["stage"]("scheduling")
        options["progress"](1, 2)
        options["progress"](2, 2)
        return self.answer or FakeResult(explain=options["explain"])
