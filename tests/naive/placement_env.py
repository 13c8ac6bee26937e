"""An episode the slow way: a cluster that is really scheduled on, pod by pod, and rewards in plain Python.

The twin of ``kcore.gym``: the mask is what :meth:`Engine.filter` leaves for one pod, the rewards are written out.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from kcore import Cluster

TYPICAL_MAX = 32


class NaiveEpisode:
    """One episode over a cluster of its own, which it changes."""

    def __init__(self, cluster: Cluster, rows: list[int], coefficients: dict[str, float]) -> None:
        self.engine = cluster.engine()
        self.state = cluster.state
        self.profile = self.engine.configuration.profiles[0]
        self.engine.compile_demands(np.array(rows, dtype=np.int32))
        self.rows = rows
        self.coefficients = coefficients
        self.slots = sorted(self.state.nodes.index.values())
        asked = [tuple(self._amount(row).tolist()) for row in rows]
        # equal counts in the order of the amounts, as numpy.unique has them
        self.typical = sorted(Counter(asked).items(), key=lambda kind: (-kind[1], kind[0]))[:TYPICAL_MAX]
        self.turn = 0
        self.passed = 0
        self._skip()

    def _amount(self, row: int) -> np.ndarray:
        world = self.state.world()
        amount: np.ndarray = world.requests.amount[world.pods.request[row]]
        return amount

    def _skip(self) -> int:
        passed = 0
        while self.turn < len(self.rows) and not any(self.mask()):
            self.turn += 1
            passed += 1
        self.passed += passed
        return passed

    def mask(self) -> list[int]:
        """Where the pod whose turn it is fits; all 0 at the end."""
        if self.turn >= len(self.rows):
            return [0] * len(self.slots)
        self.engine.filter(self.profile, self.rows[self.turn])
        verdict = self.engine.scratch(self.state.world()).verdict
        return [int(verdict[slot] == 0) for slot in self.slots]

    def step(self, node: int) -> float:
        """Place the pod on the node; return the reward."""
        slot, row = self.slots[node], self.rows[self.turn]
        before = self._potential(slot)
        self.state.place(row, slot)
        self.turn += 1
        reward = self._potential(slot) - before + self.coefficients.get("placed", 0.0)
        reward += self.coefficients.get("utilisation", 0.0) * self._utilised(row)
        return reward - self.coefficients.get("unschedulable", 0.0) * self._skip()

    def _resources(self) -> list[int]:
        nodes = self.state.nodes
        asked = np.max([self._amount(row) for row in self.rows], axis=0)
        return [row for row in range(len(nodes.resources)) if nodes.allocatable[row].any() or asked[row] > 0]

    def _scale(self, resource: int) -> int:
        nodes = self.state.nodes
        return max(1, int(nodes.allocatable[resource].max()), int(nodes.requested[resource].max()))

    def _utilised(self, row: int) -> float:
        resources = self._resources()
        shares = [
            self._amount(row)[one] / self.state.nodes.allocatable[one].sum()
            for one in resources
            if self.state.nodes.allocatable[one].any()
        ]
        return float(sum(shares) / len(resources))

    def _potential(self, slot: int) -> float:
        nodes, wanted = self.state.nodes, self.coefficients
        resources = self._resources()
        shares = [
            nodes.requested[one, slot] / nodes.allocatable[one, slot]
            for one in resources
            if nodes.allocatable[one, slot] > 0
        ]
        found = -wanted.get("balance", 0.0) * (float(np.std(shares)) if shares else 0.0)
        free = [max(0, int(nodes.allocatable[one, slot] - nodes.requested[one, slot])) for one in resources]
        shown = np.mean([left / self._scale(one) for left, one in zip(free, resources, strict=True)])
        whole = sum(count for _, count in self.typical)
        lost = sum(count for amount, count in self.typical if not self._fits(amount, slot)) / whole
        found -= wanted.get("fragmentation", 0.0) * float(lost * shown)
        return found - wanted.get("nodes_used", 0.0) * float(nodes.pod_count[slot] > 0)

    def _fits(self, amount: tuple[Any, ...], slot: int) -> bool:
        nodes = self.state.nodes
        return bool(
            nodes.pod_count[slot] < nodes.pods_allowed[slot]
            and all(
                asked == 0 or asked <= nodes.allocatable[row, slot] - nodes.requested[row, slot]
                for row, asked in enumerate(amount)
            )
        )
