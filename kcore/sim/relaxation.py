"""How good a placement could possibly be: a linear relaxation with cuts, and a bound that rounding cannot break.

The program has a variable for each kind of pods and group of equal nodes: how many of the one go on the other. Cuts
of Chvatal and Gomory say what fractions cannot: with u = 1/s for a size s, sum of floor(u a) x <= floor(u c) holds on
every node of capacity c for pods of sizes a (the dual feasible functions of Fekete and Schepers, New Classes of Fast
Lower Bounds for Bin Packing Problems, 2001, come from the same rounding). GLOP solves it in floating point; the bound is then
computed from its dual prices in whole numbers, where any prices give a true bound (weak duality).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from kcore.sim.instance import DEVICE_MILLI, PODS, Instance, groups_of

CELLS_MAX = 60_000
"""Kinds times groups of nodes; beyond that nodes are grouped by who may go there alone."""
ENTRIES_MAX = 600_000
"""Coefficients of the program; cuts are left out beyond that."""
CUTS_MAX = 24
"""Cuts for each resource and group."""
PRICE_UNIT = 2**60
"""Dual prices are rounded to multiples of its reciprocal."""


@dataclass
class Program:
    """Maximize ``gain`` x, where each row's ``entries`` x <= its limit, and 0 <= x <= ``most``; whole numbers all."""

    gain: list[int] = field(default_factory=list)
    most: list[int] = field(default_factory=list)
    rows: list[tuple[list[tuple[int, int]], int]] = field(default_factory=list)

    def variable(self, gain: int, most: int) -> int:
        """Add a variable and return its number."""
        self.gain.append(gain)
        self.most.append(most)
        return len(self.gain) - 1

    def limit(self, entries: list[tuple[int, int]], most: int) -> None:
        """Add a row; one that cannot bind is left out."""
        if entries and sum(max(0, factor) * self.most[one] for one, factor in entries) > most:
            self.rows.append((entries, most))

    def solve(self) -> tuple[list[float], int]:
        """GLOP's x, and a whole number that no solution in whole numbers exceeds.

        Where GLOP finds no optimum x is 0, and the bound that of prices 0.
        """
        from ortools.linear_solver import pywraplp

        solver = pywraplp.Solver.CreateSolver("GLOP")
        x = [solver.NumVar(0, most, "") for most in self.most]
        constraints = []
        for entries, most in self.rows:
            constraint = solver.Constraint(-solver.infinity(), most)
            for one, factor in entries:
                constraint.SetCoefficient(x[one], factor)
            constraints.append(constraint)
        objective = solver.Objective()
        for one, gain in enumerate(self.gain):
            objective.SetCoefficient(x[one], gain)
        objective.SetMaximization()
        if solver.Solve() != pywraplp.Solver.OPTIMAL:
            return [0.0] * len(x), self.bound([0.0] * len(self.rows))
        prices = [constraint.dual_value() for constraint in constraints]
        return [one.solution_value() for one in x], self.bound(prices)

    def bound(self, prices: list[float]) -> int:
        """What no solution in whole numbers exceeds, by weak duality; true for any prices."""
        left = [gain * PRICE_UNIT for gain in self.gain]
        total = 0
        for price, (entries, most) in zip(prices, self.rows, strict=True):
            whole = round(max(0.0, price) * PRICE_UNIT)
            if whole == 0:
                continue
            total += whole * most
            for one, factor in entries:
                left[one] -= whole * factor
        total += sum(most * rest for most, rest in zip(self.most, left, strict=True) if rest > 0)
        return total // PRICE_UNIT


def most_of(instance: Instance, gain: np.ndarray) -> int:
    """No placement gains more than this, where each pod of a kind that is placed gains ``gain[kind]``."""
    return relaxed(instance, gain)[0]


def relaxed(instance: Instance, gain: np.ndarray) -> tuple[int, list[tuple[np.ndarray, np.ndarray]]]:
    """:func:`most_of`, and the fractional answer: nodes of a group with ``float64[kind]``, pods on all of them."""
    program = Program()
    groups = _groups(instance)
    cells = _cells(program, instance, groups, gain)
    for kind, count in enumerate(instance.counts.tolist()):
        program.limit([(one[kind], 1) for one in cells if kind in one], count)
    for group, cell in zip(groups, cells, strict=True):
        for entries, limits in _inequalities(instance, group, cell, len(groups)):
            program.limit(entries, int(limits.sum()))
    x, most = program.solve()
    shares = []
    for group, cell in zip(groups, cells, strict=True):
        share = np.zeros(len(instance.amount))
        share[list(cell)] = [x[one] for one in cell.values()]
        shares.append((group, share))
    return most, shares


def least_nodes(instance: Instance, placed: int) -> int:
    """No placement of ``placed`` pods leaves fewer nodes with pods than this, those that have some already counted."""
    program = Program()
    groups = _groups(instance, apart=instance.busy)
    cells = _cells(program, instance, groups, np.zeros(len(instance.amount), dtype=np.int64))
    for kind, count in enumerate(instance.counts.tolist()):
        program.limit([(one[kind], 1) for one in cells if kind in one], count)
    everything = [(variable, -1) for cell in cells for variable in cell.values()]
    program.rows.append((everything, -placed))
    for group, cell in zip(groups, cells, strict=True):
        idle = not bool(instance.busy[group[0]])
        opened = program.variable(-1, len(group)) if idle else -1
        for entries, limits in _inequalities(instance, group, cell, len(groups)):
            if not idle:
                program.limit(entries, int(limits.sum()))
            else:
                # a node that is used has at most the largest limit of its group
                program.rows.append(([*entries, (opened, -int(limits.max()))], 0))
    return int(instance.busy.sum()) - min(0, program.solve()[1])


def _groups(instance: Instance, apart: np.ndarray | None = None) -> list[np.ndarray]:
    """Equal nodes, or where these are too many groups, nodes on which the same kinds may go."""
    exact = instance.node_groups()
    if len(exact) * len(instance.amount) <= CELLS_MAX:
        return exact
    columns = instance.allowed.astype(np.int64)
    if apart is not None:
        columns = np.vstack([columns, apart[np.newaxis].astype(np.int64)])
    return groups_of(columns)


def _cells(
    program: Program, instance: Instance, groups: list[np.ndarray], gain: np.ndarray
) -> list[dict[int, int]]:
    """For each group the variable of every kind that fits there."""
    room, counts = instance.room(), instance.counts
    found = []
    for group in groups:
        most = np.minimum(room[:, group].sum(axis=1), counts)
        found.append(
            {
                kind: program.variable(int(gain[kind]), int(most[kind]))
                for kind in np.flatnonzero(most).tolist()
            }
        )
    return found


def _inequalities(
    instance: Instance, group: np.ndarray, cell: dict[int, int], groups: int
) -> Iterator[tuple[list[tuple[int, int]], np.ndarray]]:
    """What holds on every node of the group: factors of variables, and the limit for each node.

    Resources in their largest common unit, cuts by sizes, and one pod of all that want a host port.
    """
    kinds = list(cell)
    spread = max(1, groups * len(kinds) * len(instance.resources))
    cut_max = min(CUTS_MAX, ENTRIES_MAX // spread)
    for index, name in enumerate(instance.resources):
        sizes = instance.amount[kinds, index]
        unit = max(int(np.gcd.reduce(sizes)), 1)
        capacity = instance.free[index][group]
        asking = [(cell[kind], int(size)) for kind, size in zip(kinds, sizes.tolist(), strict=True) if size]
        if not asking:
            continue
        yield [(one, size // unit) for one, size in asking], capacity // unit
        if name == PODS:
            continue
        distinct = np.unique(sizes[sizes > unit])
        if len(distinct) > cut_max:
            distinct = distinct[np.linspace(0, len(distinct) - 1, cut_max).astype(np.int64)]
        for size in [int(one) for one in distinct]:
            yield [(one, asked // size) for one, asked in asking if asked >= size], capacity // size
    if instance.device is not None:
        yield from _by_devices(instance, group, cell)
    for first, second in instance.rivals:
        if first != second and first in cell and second in cell:
            yield [(cell[first], 1), (cell[second], 1)], np.ones(len(group), dtype=np.int64)


def _by_devices(
    instance: Instance, group: np.ndarray, cell: dict[int, int]
) -> Iterator[tuple[list[tuple[int, int]], np.ndarray]]:
    """Cuts by sizes on every device: a pod takes a part of one, or whole ones with all that would go on them."""
    assert instance.device_count is not None
    amount = instance.amount[:, instance.resources.index(str(instance.device))]
    sizes = {int(one) for one in amount[list(cell)] if 0 < one <= DEVICE_MILLI}
    for size in sorted({*sizes, DEVICE_MILLI}):
        each = DEVICE_MILLI // size
        entries = []
        for kind, variable in cell.items():
            asked = int(amount[kind])
            factor = asked // DEVICE_MILLI * each if asked >= DEVICE_MILLI else asked // size
            if factor:
                entries.append((variable, factor))
        yield entries, instance.device_count[group] * each
