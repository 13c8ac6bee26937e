"""The CP-SAT model of an instance: how many pods of each kind go on each node."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from ortools.sat.python import cp_model

from kcore.sim.instance import DEVICE_MILLI, Instance

FAR = 2**62
"""A bound that says nothing."""


class Model:
    """Variables ``x[kind, node]`` under everything that an instance demands; then one objective."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._model = cp_model.CpModel()
        self._room = instance.room()
        self._x: dict[tuple[int, int], Any] = {
            (kind, node): self._model.new_int_var(0, int(self._room[kind, node]), "")
            for kind, node in np.argwhere(self._room > 0).tolist()
        }
        self._on: list[list[tuple[int, Any]]] = [[] for _ in instance.nodes]
        self._of: list[list[Any]] = [[] for _ in instance.amount]
        for (kind, node), variable in self._x.items():
            self._on[node].append((kind, variable))
            self._of[kind].append(variable)
        for kind, count in enumerate(instance.counts.tolist()):
            if int(self._room[kind].sum()) > count:
                self._model.add(sum(self._of[kind]) <= count)
        self._upper: int | None = None
        self._used: list[Any] = []
        for node in range(len(instance.nodes)):
            self._limit_node(node)
        self._order_equal_nodes()

    def _limit_node(self, node: int) -> None:
        instance, here = self._instance, self._on[node]
        for index in range(len(instance.resources)):
            sizes = instance.amount[[kind for kind, _ in here], index]
            most = int(self._room[[kind for kind, _ in here], node] @ sizes)
            free = int(instance.free[index, node])
            if most > free:
                unit = max(int(np.gcd.reduce(sizes)), 1)
                terms = [int(size) // unit * one for size, (_, one) in zip(sizes, here, strict=True) if size]
                self._model.add(sum(terms) <= free // unit)
        known = dict(here)
        for first, second in instance.rivals:
            if first != second and first in known and second in known:
                self._model.add(known[first] + known[second] <= 1)
        if instance.device is not None:
            self._limit_devices(node)

    def _limit_devices(self, node: int) -> None:
        """Every device is shared by parts, or taken whole; devices are alike, so they are filled in order."""
        instance, model = self._instance, self._model
        assert instance.device is not None and instance.device_count is not None
        asked = instance.amount[:, instance.resources.index(instance.device)]
        count = int(instance.device_count[node])
        parts = [(kind, one) for kind, one in self._on[node] if 0 < asked[kind] < DEVICE_MILLI]
        wholes = [(kind, one) for kind, one in self._on[node] if asked[kind] >= DEVICE_MILLI]
        if not parts:
            if wholes:
                model.add(sum(int(asked[kind]) // DEVICE_MILLI * one for kind, one in wholes) <= count)
            return
        taken = [model.new_bool_var("") for _ in range(count)]
        model.add(sum(int(asked[kind]) // DEVICE_MILLI * one for kind, one in wholes) <= sum(taken))
        loads = []
        on_device: dict[int, list[Any]] = {kind: [] for kind, _ in parts}
        for device in range(count):
            terms = []
            for kind, _ in parts:
                most = min(DEVICE_MILLI // int(asked[kind]), int(self._room[kind, node]))
                here = model.new_int_var(0, most, "")
                on_device[kind].append(here)
                terms.append(int(asked[kind]) * here)
            loads.append(sum(terms))
            model.add(sum(terms) + DEVICE_MILLI * taken[device] <= DEVICE_MILLI)
        for kind, one in parts:
            model.add(sum(on_device[kind]) == one)
        for before, after in itertools.pairwise(range(count)):
            model.add(loads[before] >= loads[after])
            model.add_implication(taken[before], taken[after])

    def _order_equal_nodes(self) -> None:
        """Of nodes that nothing tells apart an earlier one gets no fewer pods: the others are the same answer again."""
        self._twins = [group.tolist() for group in self._instance.node_groups() if len(group) > 1]
        for group in self._twins:
            if not self._on[group[0]]:
                continue
            for before, after in itertools.pairwise(group):
                first, second = (sum(one for _, one in self._on[node]) for node in (before, after))
                self._model.add(first >= second)

    def maximize(self, gain: np.ndarray, upper: int) -> None:
        """Maximize what placed pods gain, of which ``upper`` is the most."""
        unit = max(int(np.gcd.reduce(gain)), 1)
        terms = [int(gain[kind]) // unit * one for (kind, _), one in self._x.items() if gain[kind]]
        self._model.add(sum(terms) <= upper // unit)
        self._model.maximize(sum(terms))
        self._unit, self._upper = unit, upper

    def minimize_nodes(self, placed: int, lower: int) -> None:
        """Minimize the nodes with pods, of which ``lower`` is the least, with ``placed`` pods placed."""
        instance, model = self._instance, self._model
        model.add(sum(self._x.values()) == placed)
        busy = int(instance.busy.sum())
        used = []
        for node, here in enumerate(self._on):
            if instance.busy[node] or not here:
                continue
            one = model.new_bool_var("")
            used.append(one)
            for kind, variable in here:
                model.add(variable <= int(self._room[kind, node]) * one)
            for index in range(len(instance.resources)):
                sizes = instance.amount[[kind for kind, _ in here], index]
                if sizes.any():
                    terms = [
                        int(size) * variable for size, (_, variable) in zip(sizes, here, strict=True) if size
                    ]
                    model.add(sum(terms) <= int(instance.free[index, node]) * one)
        model.add(sum(used) + busy >= lower)
        model.minimize(sum(used) + busy)
        self._unit = 1

    def hint(self, placed: np.ndarray) -> None:
        """Begin the search at this placement, equal nodes in the order that the model wants them in."""
        ordered = placed.copy()
        for group in self._twins:
            order = np.argsort(-placed[:, group].sum(axis=0), kind="stable")
            ordered[:, group] = placed[:, [group[one] for one in order.tolist()]]
        for (kind, node), variable in self._x.items():
            self._model.add_hint(variable, int(ordered[kind, node]))

    def solve(
        self,
        seconds: float,
        workers: int | None,
        seed: int,
        effort: float | None,
        progress: Callable[[int, int], None] | None,
    ) -> tuple[np.ndarray | None, int]:
        """Search; return ``placed[kind, node]`` (None where nothing was found in time) and the proven bound."""
        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = seconds
        solver.parameters.num_workers = workers or cores()
        solver.parameters.random_seed = seed
        if effort is not None:
            solver.parameters.max_deterministic_time = effort
        told = None if progress is None else _Told(progress, self._unit)
        status = solver.solve(self._model, told)
        maximizing = self._upper is not None
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None, FAR if maximizing else 0
        placed = np.zeros(self._room.shape, dtype=np.int64)
        for (kind, node), variable in self._x.items():
            placed[kind, node] = solver.value(variable)
        proven = round(solver.best_objective_bound if status == cp_model.FEASIBLE else solver.objective_value)
        return placed, proven * self._unit


def cores() -> int:
    """How many cores this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


class _Told(cp_model.CpSolverSolutionCallback):
    """Passes news of the search on."""

    def __init__(self, progress: Callable[[int, int], None], unit: int) -> None:
        super().__init__()
        self._progress = progress
        self._unit = unit

    def on_solution_callback(self) -> None:
        """CP-SAT has found a better placement."""
        self._progress(
            round(self.objective_value) * self._unit, round(self.best_objective_bound) * self._unit
        )
