"""The counters: pods of a ledger row per topology domain, made from the ledger when a view first asks for them."""

from __future__ import annotations

import numpy as np

from kcore.scheduler.columns import NodeColumns, ragged
from kcore.scheduler.incremental.columns import Counters


class CounterTable:
    """All counters in use; placements keep them true (``groups.count_pod``)."""

    def __init__(self, nodes: NodeColumns) -> None:
        self._nodes = nodes
        self._index: dict[tuple[int, int, int], int] = {}
        self._masks: dict[bytes, int] = {}
        self._mask_rows: list[np.ndarray] = []
        self._fixed: list[tuple[int, int, int, int]] = []
        self._rows: list[int] = []
        self._count: list[np.ndarray] = []
        self._used = 0
        self._present: list[np.ndarray] = []
        self._total: list[int] = []
        self._columns: Counters | None = None
        slots = int(nodes.slots[0])
        self.single = [
            bool(np.bincount(values[values >= 0], minlength=1).max() <= 1)
            for values in nodes.domain[:, :slots]
        ]

    def mask(self, admitted: np.ndarray) -> int:
        """The number of a mask ``uint8[node]``; -1 where it admits every node that is there."""
        slots = int(self._nodes.slots[0])
        if admitted[:slots][self._nodes.alive[:slots] != 0].all():
            return -1
        key = admitted.tobytes()
        number = self._masks.get(key)
        if number is None:
            number = self._masks[key] = len(self._mask_rows)
            self._keep_counts()
            self._mask_rows.append(admitted)
        return number

    def find(self, row: int, topology: int, mask: int) -> int:
        """The counter of a ledger row by a topology over a mask (-1: all nodes)."""
        key = (row, topology, mask)
        known = self._index.get(key)
        if known is None:
            self._keep_counts()
            known = self._index[key] = self._make(row, topology, mask)
        return known

    def _make(self, row: int, topology: int, mask: int) -> int:
        nodes = self._nodes
        slots = int(nodes.slots[0])
        domain = nodes.domain[topology, :slots]
        counted = domain >= 0
        if mask >= 0:
            counted &= self._mask_rows[mask][:slots] != 0
        pods = nodes.ledger[row, :slots][counted]
        start, size = -1, 0
        if not self.single[topology]:
            start, size = self._used, max(int(nodes.domain_count[topology]), 1)
            # sums of pods are exact as doubles
            count = np.bincount(domain[counted], weights=pods, minlength=size).astype(np.int64)
            present = np.zeros(size, dtype=np.uint8)
            present[domain[counted]] = 1
            self._count.append(count)
            self._present.append(present)
            self._used += size
        self._total.append(int(pods.sum(dtype=np.int64)))
        self._fixed.append((topology, mask, start, size))
        self._rows.append(row)
        return len(self._fixed) - 1

    @property
    def size(self) -> int:
        """Domains of all counters."""
        return self._used + 1

    def domains(self, counter: int) -> int:
        """How many domains the counter's mask has nodes of."""
        topology, mask, _, _ = self._fixed[counter]
        slots = int(self._nodes.slots[0])
        domain = self._nodes.domain[topology, :slots]
        counted = domain >= 0
        if mask >= 0:
            counted &= self._mask_rows[mask][:slots] != 0
        seen = np.zeros(int(self._nodes.domain_count[topology]), dtype=bool)
        seen[domain[counted]] = True
        return int(seen.sum())

    def _keep_counts(self) -> None:
        """Take the counts back from the arrays that placements change."""
        if self._columns is not None:
            self._count = [self._columns.pods[: self._used].copy()]
            self._present = [self._columns.present[: self._used].copy()]
            self._total = self._columns.total[: len(self._fixed)].tolist()
            self._columns = None

    def columns(self) -> Counters:
        """The kernels' view; live until the next counter is made."""
        if self._columns is None:
            of_row: list[list[tuple[int]]] = [[] for _ in range(self._nodes.ledger.shape[0])]
            for counter, row in enumerate(self._rows):
                of_row[row].append((counter,))
            masks = np.zeros((max(len(self._mask_rows), 1), self._nodes.alive.shape[0]), dtype=np.uint8)
            for number, admitted in enumerate(self._mask_rows):
                masks[number] = admitted
            empty: list[np.ndarray] = [np.zeros(1, dtype=np.int64)]
            self._columns = Counters(
                ragged(of_row, 1),
                np.array(self._fixed, dtype=np.int64).reshape(len(self._fixed), 4),
                np.array(self._total, dtype=np.int64),
                np.concatenate(self._count + empty),
                np.concatenate([*self._present, np.zeros(1, dtype=np.uint8)]),
                masks,
            )
        return self._columns
