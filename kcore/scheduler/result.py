"""What a run answers: a table of placements, a summary, and the reasons for every decision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kcore.scheduler.decisions import Decisions
from kcore.scheduler.devices import device_lists
from kcore.scheduler.history import History
from kcore.scheduler.state import State

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class Timing:
    """How long deciding took, and in which form the kernels ran."""

    seconds: float
    engine: str
    notes: list[str] = field(default_factory=list)


class Result:
    """The outcome of one run. Tables and texts are made when asked for."""

    def __init__(self, state: State, decisions: Decisions, history: History, timing: Timing) -> None:
        self._state = state
        self._decisions = decisions
        self._history = history
        self._timing = timing
        self._placements: pa.Table | None = None
        slots = sorted(state.nodes.index.values())
        self._slots = np.array(slots, dtype=np.int64)
        self.node_names: list[str] = [state.nodes.name(slot) for slot in slots]
        self._node_name = dict(zip(slots, self.node_names, strict=True))
        self._allocatable = state.nodes.allocatable[:, self._slots]
        self._requested = state.nodes.requested[:, self._slots]
        self._requested_before = history.requested[:, self._slots]
        self._pod_count = state.nodes.pod_count[self._slots]
        self._pod_count_before = history.pod_count[self._slots]
        self._pods_allowed = state.nodes.pods_allowed[self._slots]
        self._node, self._evicted = _outcome(decisions)
        # null in every row where no profile shares GPUs, and then nothing is copied
        self._devices = state.pods.devices[decisions.rows] if history.shares_gpus else None
        self.explanations: list[dict[str, Any]] = []

    # -- figures

    @property
    def pods(self) -> int:
        """How many pods were to be placed."""
        return len(self._decisions.rows)

    @property
    def placed(self) -> int:
        """How many have got a node."""
        return int((self._node >= 0).sum())

    @property
    def unschedulable(self) -> int:
        """How many have not."""
        return self.pods - self.placed

    @property
    def nodes(self) -> np.ndarray:
        """``int32[pod]``: the slot of each pod's node in the order in which they were tried, -1 without one."""
        return self._node

    @property
    def seconds(self) -> float:
        """How long deciding took, without reading, compiling and writing."""
        return self._timing.seconds

    @property
    def engine(self) -> str:
        """Which engine decided, and whether it was interpreted."""
        return self._timing.engine

    @property
    def resources(self) -> list[str]:
        """Resources that some node has, and ``pods``."""
        names = self._state.nodes.resources.values
        present = np.flatnonzero(self._allocatable.any(axis=1)).tolist()
        return [names[row] for row in present] + ["pods"]

    def utilisation(self, resource: str) -> tuple[np.ndarray, np.ndarray]:
        """Requested over allocatable per node before and after the run: two ``float64[node]`` as ``node_names``.

        NaN stands for a node that does not have the resource.

        Raises:
            KeyError: no node has the resource.
        """
        if resource == "pods":
            most = np.maximum(self._pods_allowed, 1)
            return self._pod_count_before / most, self._pod_count / most
        row = self._state.nodes.resources.index[resource]
        most = np.maximum(self._allocatable[row], 1)
        before = np.where(self._allocatable[row] > 0, self._requested_before[row] / most, np.nan)
        after = np.where(self._allocatable[row] > 0, self._requested[row] / most, np.nan)
        return before, after

    @property
    def summary(self) -> dict[str, Any]:
        """Counts, seconds and utilisation (share of the cluster's allocatable that is requested now)."""
        seconds = self._timing.seconds
        utilisation = {}
        for resource in self.resources:
            if resource == "pods":
                used, most = int(self._pod_count.sum()), int(self._pods_allowed.sum())
            else:
                row = self._state.nodes.resources.index[resource]
                used, most = int(self._requested[row].sum()), int(self._allocatable[row].sum())
            utilisation[resource] = round(used / most, 6) if most else 0.0
        found: dict[str, Any] = {
            "nodes": len(self.node_names),
            "pods": self.pods,
            "placed": self.placed,
            "unschedulable": self.unschedulable,
            "seconds": round(seconds, 6),
            "pods_per_second": round(self.pods / seconds, 1) if seconds > 0 else 0.0,
            "utilisation": utilisation,
            "nominated": len(self._decisions.preemptions),
            "victims": sum(len(one.victims) for one in self._decisions.preemptions.values()),
            "engine": self._timing.engine,
        }
        if self._timing.notes:
            found["notes"] = list(self._timing.notes)
        return found

    # -- placements

    @property
    def rows(self) -> np.ndarray:
        """``int32[pod]``: rows of the cluster's pod table, in the order in which the pods were tried."""
        return self._decisions.rows

    @property
    def placements(self) -> pa.Table:
        """One row a pod in the order in which they were tried.

        Columns: namespace, name, node (null if none), node_index (index into ``node_names``, -1), score (null where
        nothing was scored), reason (why it did not fit; null if it did at once), nominated_node, victims, devices (the
        numbers of its GPU devices; null where it has none, or GPUs are not shared).
        """
        if self._placements is None:
            self._placements = self._make_placements()
        return self._placements

    def _make_placements(self) -> pa.Table:
        import pyarrow as pa

        state, decisions = self._state, self._decisions
        slot_index = np.full(max(len(state.nodes.nodes), 1), -1, dtype=np.int32)
        slot_index[self._slots] = np.arange(len(self._slots), dtype=np.int32)
        node = self._node
        node_index = np.where(node >= 0, slot_index[node], -1).astype(np.int32)
        absent = node_index < 0
        dictionary = pa.array(self.node_names, type=pa.string())
        nodes = pa.DictionaryArray.from_arrays(pa.array(node_index, mask=absent), dictionary)
        classes = state.pods.spec_class[decisions.rows]
        namespaces = pa.DictionaryArray.from_arrays(
            pa.array(classes), pa.array([one.namespace for one in state.classes], type=pa.string())
        )
        reasons: list[str | None] = [None] * len(node)
        for position, text in decisions.reason.items():
            reasons[position] = text
        for position, preemptor in self._evicted.items():
            reasons[position] = f"evicted again for {self._pod_name(preemptor)}"
        nominated: list[str | None] = [None] * len(node)
        victims: list[list[str] | None] = [None] * len(node)
        for position, found in decisions.preemptions.items():
            nominated[position] = self._node_name[found.node]
            victims[position] = [self._pod_name(row) for row in found.victims]
        unscored = absent.copy()
        unscored[list(decisions.preemptions)] = True
        return pa.table(
            {
                "namespace": namespaces.cast(pa.string()),
                "name": self._state.pods.names_array(self._decisions.rows),
                "node": nodes.cast(pa.string()),
                "node_index": pa.array(node_index),
                "score": pa.array(decisions.score, mask=unscored),
                "reason": pa.array(reasons, type=pa.string()),
                "nominated_node": pa.array(nominated, type=pa.string()),
                "victims": pa.array(victims, type=pa.list_(pa.string())),
                "devices": device_lists(self._devices, absent),
            }
        )

    def _pod_name(self, row: int) -> str:
        return f"{self._state.namespace(row)}/{self._state.pods.name(row)}"

    def to_dict(self) -> dict[str, Any]:
        """The object that ``-o json`` prints: summary, placements, explanations."""
        table = self.placements
        columns = [table.column(name).to_pylist() for name in _DICT_COLUMNS.values()]
        rows = [
            {key: value for key, value in zip(_DICT_COLUMNS, values, strict=True) if _shown(key, value)}
            for values in zip(*columns, strict=True)
        ]
        return {"summary": self.summary, "placements": rows, "explanations": self.explanations}

    # -- reasons

    def why(self, pod: str) -> dict[str, Any]:
        """Explain one pod, ``namespace/name``: per node the first rejection, or the scores of every plugin.

        The cluster is taken back to the moment of the decision. A pod that was never tried has empty ``filter`` and
        ``score`` and its ``reason``.

        Raises:
            InputError: no such pod was to be placed.
            KcoreError: the cluster has changed since the run.
        """
        namespace, _, name = pod.rpartition("/")
        row = self._state.find_pod(namespace or "default", name)
        return next(iter(self.explain_rows([row])))

    def explain_rows(self, rows: Iterable[int]) -> list[dict[str, Any]]:
        """Explain several pods of this run, given by row."""
        from kcore.api.errors import InputError

        where = {int(row): position for position, row in enumerate(self._decisions.rows)}
        positions = []
        for row in rows:
            if row not in where:
                raise InputError(f"{self._pod_name(row)} was not to be placed: it has a node already")
            positions.append(where[row])
        names = self._node_name
        found = {}
        for position, explanation in self._history.explain(positions):
            row = int(self._decisions.rows[position])
            namespace, name = self._state.namespace(row), self._state.pods.name(row)
            if explanation is None:
                entry: dict[str, Any] = {"namespace": namespace, "name": name, "filter": {}, "score": {}}
            else:
                entry = explanation.to_dict(namespace, name, names)
            slot = int(self._decisions.node[position])
            entry["node"] = names[slot] if slot >= 0 else None
            if position in self._decisions.reason:
                entry["reason"] = self._decisions.reason[position]
            found[position] = entry
        return [found[position] for position in positions]


def _outcome(decisions: Decisions) -> tuple[np.ndarray, dict[int, int]]:
    """Where every pod is after the run, and by position for whom a pod that was placed had to go again."""
    node = decisions.node.copy()
    evicted: dict[int, int] = {}
    acted = [
        (position, found)
        for position, found in decisions.preemptions.items()
        if decisions.node[position] >= 0
    ]
    if not acted:
        return node, evicted
    where = {int(row): position for position, row in enumerate(decisions.rows)}
    for position, found in acted:
        for victim in found.victims:
            if victim in where:
                evicted[where[victim]] = int(decisions.rows[position])
    node[list(evicted)] = -1
    return node, evicted


_DICT_COLUMNS = {
    "namespace": "namespace", "name": "name", "node": "node", "score": "score", "reason": "reason",
    "nominatedNode": "nominated_node", "victims": "victims", "devices": "devices",
}  # fmt: skip
_OPTIONAL = ("reason", "nominatedNode", "victims", "devices")


def _shown(key: str, value: object) -> bool:
    return value is not None or key not in _OPTIONAL
