"""Views: what a demand asks of nodes, split into what placements can change and what they cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kcore.kernel import Kernel
from kcore.scheduler import codes, fields
from kcore.scheduler.columns import Scratch, Settings, ragged
from kcore.scheduler.incremental import columns as names
from kcore.scheduler.incremental.columns import Views
from kcore.scheduler.incremental.counters import CounterTable
from kcore.scheduler.incremental.placing import view_columns
from kcore.scheduler.incremental.tree import leaves_of, places_of
from kcore.scheduler.plugins import pod_topology_spread as spread
from kcore.scheduler.state import World

_STATIC_FILTERS = (codes.NODE_UNSCHEDULABLE, codes.NODE_NAME, codes.TAINT_TOLERATION, codes.NODE_AFFINITY)
_TABLE_SHARE = 8
"""Numbers up to so many times their count are renumbered by a table, others by sorting."""
_STATIC_SHARE_MAX = 4
"""With more static groups than one in so many nodes, a pass over groups saves nothing."""
STATIC_GROUPS_MIN = 64


@dataclass
class View:
    """One row of :class:`~kcore.scheduler.incremental.columns.Views` while it is put together."""

    fixed: list[int]
    allowed: np.ndarray
    addend: np.ndarray
    static: list[np.ndarray] = field(default_factory=list)
    keys: dict[Any, int] = field(default_factory=dict)
    term: list[list[int]] = field(default_factory=list)
    dynamic: list[list[int]] = field(default_factory=list)
    dynamic_keys: list[Any] = field(default_factory=list)
    empty: list[tuple[int, int]] = field(default_factory=list)
    matters: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """Nodes that count although no filter lets the pod there: domains of hard constraints."""

    def column(self, key: Any, values: np.ndarray) -> int:
        """The static column of that key."""
        if key not in self.keys:
            self.keys[key] = len(self.static)
            self.static.append(values.astype(np.int64))
        return self.keys[key]

    def counted(self, key: Any) -> int:
        """The dynamic column of that key, numbered after the static ones when these are complete."""
        if key not in self.dynamic_keys:
            self.dynamic_keys.append(key)
        return self.dynamic_keys.index(key)


class ViewTable:
    """The views of a run; ``rows[demand]`` is a view's row, or -1 where its nodes fall into too many groups."""

    def __init__(
        self,
        world: World,
        counters: CounterTable,
        scratch: Scratch,
        run: Callable[[Kernel], Callable[..., Any]],
    ) -> None:
        self._world = world
        self._counters = counters
        self._scratch = scratch
        self._run = run
        self._slots = int(world.nodes.slots[0])
        self.rows: dict[int, int] = {}
        self._made: list[View] = []
        self._arrays: dict[str, list[np.ndarray]] = {"group": [], "leaf": [], "node_at": []}
        self._static_value: list[np.ndarray] = []
        self._static_offset: list[int] = []
        self.static_size: list[int] = []
        self.static_nodes: list[int] = []
        self._columns: Views | None = None

    def find(self, demand: int, settings: Settings) -> int:
        """The row of a demand's view, made on first sight; -1 if it cannot be kept."""
        if demand not in self.rows:
            self.rows[demand] = self._add(self._make(demand, settings))
        return self.rows[demand]

    def width(self, row: int) -> int:
        """Columns of a group of the view."""
        return self._made[row].fixed[names.COLUMNS]

    def terms(self, row: int) -> int:
        """Terms of the view."""
        return len(self._made[row].term)

    def is_simple(self, row: int) -> bool:
        """Whether only the local score decides."""
        return self._made[row].fixed[names.SIMPLE] != 0

    def looks_beyond_the_node(self, row: int) -> bool:
        """Whether a filter of the view depends on other nodes."""
        return self._made[row].fixed[names.FILTERS_DOMAINS] != 0

    def is_dynamic(self, row: int) -> bool:
        """Whether placements move nodes between groups."""
        return self.width(row) > self._made[row].fixed[names.STATIC_COLUMNS]

    def static_groups(self, row: int) -> range:
        """The view's static groups."""
        first = self._made[row].fixed[names.FIRST_GROUP]
        return range(first, first + self._made[row].fixed[names.STATIC_GROUPS])

    # -- one view

    def _make(self, demand: int, settings: Settings) -> View:
        nodes, demands = self._world.nodes, self._world.demands
        fixed_demand = demands.fixed[demand]
        filters, weights = (
            settings.filters.tolist(),
            dict(zip(settings.scores.tolist(), settings.weights.tolist(), strict=True)),
        )
        static = np.array([one for one in filters if one in _STATIC_FILTERS], dtype=np.int64)
        allowed, addend = self._ask(demand, settings, static, codes.IMAGE_LOCALITY, weights)
        selected = self._scratch.selected[: self._slots].copy()
        view = View([-1] * names.VIEW_FIELDS, allowed == 0, addend)
        fixed = view.fixed
        fixed[names.DEMAND] = demand
        fixed[names.FIT_WEIGHT] = weights.get(codes.NODE_RESOURCES_FIT, 0)
        fixed[names.BALANCED_WEIGHT] = weights.get(codes.BALANCED_ALLOCATION, 0)
        fixed[names.FILTERS_FIT] = int(codes.NODE_RESOURCES_FIT in filters)
        fixed[names.FILTERS_GPU] = int(codes.GPU_SHARE in filters)
        fixed[names.POLICY] = int(any(plugin >= codes.FIRST_POLICY for plugin in weights))
        fixed[names.SELF] = int(fixed_demand[fields.SELF_AFFINITY])
        fixed[names.CONSTANT] = 0
        view.matters = np.zeros(self._slots, dtype=bool)
        tolerates = demands.tolerates[fixed_demand[fields.TOLERATION]]
        intolerable = tolerates[nodes.taint_set[: self._slots]]
        weight = fixed[names.TAINT_WEIGHT] = weights.get(codes.TAINT_TOLERATION, 0)
        if fixed_demand[fields.ANY_SOFT_TAINT] == 0:
            fixed[names.CONSTANT] = weight * codes.MAX_NODE_SCORE
        elif weight:
            fixed[names.TAINT] = view.column("taint", intolerable >> 1)
        weight = fixed[names.AFFINITY_WEIGHT] = weights.get(codes.NODE_AFFINITY, 0)
        if weight and fixed_demand[fields.SCORES_AFFINITY]:
            self._ask(demand, settings, static, codes.NODE_AFFINITY, weights)
            fixed[names.AFFINITY] = view.column("affinity", self._scratch.raw[: self._slots].copy())
        passes_taints = (intolerable & 1) == 0
        if codes.NODE_PORTS in filters:
            view.empty += [(int(row), -1) for (row,) in _items(demands.ports, demand)]
        if codes.POD_TOPOLOGY_SPREAD in filters:
            self._hard(view, demand, selected != 0, passes_taints)
        if codes.INTER_POD_AFFINITY in filters:
            self._required(view, demand)
        # InterPodAffinity skips pods without terms of their own while no term of others meets them anywhere, even
        # those that a nominated pod would bring: that is no question of the node alone
        own = len(_items(demands.affinity, demand)) + len(_items(demands.anti_affinity, demand))
        met = len(_items(demands.existing_anti_affinity, demand))
        fixed[names.FILTERS_DOMAINS] = int(bool(view.term) or (met > 0 and own == 0))
        self._soft(view, demand, weights, selected != 0, passes_taints)
        self._preferred(view, demand, weights)
        return view

    def _ask(
        self, demand: int, settings: Settings, filters: np.ndarray, plugin: int, weights: dict[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Verdicts of ``filters`` and totals of one score plugin, from the kernels of the full pass."""
        scores = [plugin] if plugin in weights else []
        only = settings._replace(
            filters=filters,
            scores=np.array(scores, dtype=np.int64),
            weights=np.array([weights[one] for one in scores], dtype=np.int64),
        )
        world = self._world
        self._run(view_columns)(world.nodes, world.demands, world.requests, only, demand, self._scratch)
        verdict, total = self._scratch.verdict[: self._slots], self._scratch.total[: self._slots]
        return verdict.copy(), total.astype(np.int32)

    def _domain(self, view: View, topology: int) -> tuple[bool, int, np.ndarray]:
        """Whether a topology has one node a domain, the column of the node's domain, and who has the label."""
        values = self._world.nodes.domain[topology, : self._slots]
        single = self._counters.single[topology]
        column = view.column(("domain", topology), np.where(values >= 0, 0, -1) if single else values)
        return single, column, values >= 0

    def _admitted(self, nodes: np.ndarray) -> np.ndarray:
        admitted = np.zeros(self._world.nodes.alive.shape[0], dtype=np.uint8)
        admitted[: self._slots] = nodes
        return admitted

    def _complete(self, items: np.ndarray) -> np.ndarray:
        complete: np.ndarray = self._world.nodes.alive[: self._slots] != 0
        for item in items:
            complete = complete & (self._world.nodes.domain[item[1], : self._slots] >= 0)
        return complete

    def _hard(self, view: View, demand: int, selected: np.ndarray, passes_taints: np.ndarray) -> None:
        items = _items(self._world.demands.spread_hard, demand)
        complete = self._complete(items)
        for item in items:
            row, topology = int(item[spread.ROW]), int(item[spread.TOPOLOGY])
            single, column, labelled = self._domain(view, topology)
            eligible = complete & (selected | (item[spread.HONOR_AFFINITY] == 0))
            eligible &= passes_taints | (item[spread.HONOR_TAINTS] == 0)
            view.allowed &= labelled
            term = _term(
                names.HARD_SINGLE if single else names.HARD_DOMAIN, column, int(item[spread.MAX_SKEW])
            )
            term[names.DOMAINS_MIN] = int(item[spread.MIN_DOMAINS])
            term[names.OWN] = int(item[spread.SELF_MATCH])
            if single:
                term[names.DOMAINS] = int(eligible.sum())
                term[names.ELIGIBLE] = view.column(("eligible", eligible.tobytes()), eligible)
                self._count(view, term, row, -1)
                view.matters |= eligible
            else:
                mask = self._counters.mask(self._admitted(eligible))
                term[names.COUNTER] = self._counters.find(row, topology, mask)
                term[names.DOMAINS] = self._counters.domains(term[names.COUNTER])
            view.term.append(term)

    def _count(self, view: View, term: list[int], row: int, mask: int) -> None:
        """Give the term a dynamic column with the row's pods on the node."""
        key = ("count", row, mask)
        known = key in view.dynamic_keys
        term[names.COUNT] = view.counted(key)
        if not known:
            view.dynamic.append([term[names.COUNT], names.ADD, row, 1, -1, mask])

    def _required(self, view: View, demand: int) -> None:
        demands = self._world.demands
        for row, topology in _items(demands.affinity, demand).tolist():
            single, column, labelled = self._domain(view, topology)
            view.allowed &= labelled
            term = _term(names.AFFINITY_SINGLE if single else names.AFFINITY_DOMAIN, column, 0)
            term[names.COUNTER] = self._counters.find(row, topology, -1)
            if single:
                term[names.COUNT] = view.counted("unmatched")
                view.dynamic.append([term[names.COUNT], names.ALL_POSITIVE, row, 1, -1, -1])
            view.term.append(term)
        for terms in (demands.anti_affinity, demands.existing_anti_affinity):
            for row, topology in _items(terms, demand).tolist():
                if self._counters.single[topology]:
                    view.empty.append((row, topology))
                    continue
                _, column, _ = self._domain(view, topology)
                term = _term(names.ANTI_DOMAIN, column, 0)
                term[names.COUNTER] = self._counters.find(row, topology, -1)
                view.term.append(term)

    def _soft(
        self,
        view: View,
        demand: int,
        weights: dict[int, int],
        selected: np.ndarray,
        passes_taints: np.ndarray,
    ) -> None:
        items = _items(self._world.demands.spread_soft, demand)
        weight = weights.get(codes.POD_TOPOLOGY_SPREAD, 0) if len(items) else 0
        view.fixed[names.SOFT_WEIGHT] = weight
        if not weight:
            return
        complete = self._world.nodes.alive[: self._slots] != 0
        if self._world.demands.fixed[demand, fields.REQUIRE_ALL_TOPOLOGIES]:
            complete = self._complete(items)
        view.fixed[names.COMPLETE] = view.column("complete", complete)
        for item in items:
            row, topology = int(item[spread.ROW]), int(item[spread.TOPOLOGY])
            single, column, _ = self._domain(view, topology)
            admitted = complete & (selected | (item[spread.HONOR_AFFINITY] == 0))
            admitted &= passes_taints | (item[spread.HONOR_TAINTS] == 0)
            term = _term(names.SOFT_DOMAIN, column, int(item[spread.MAX_SKEW]))
            if item[spread.IS_HOSTNAME]:
                term[names.KIND] = names.SOFT_HOSTNAME
                self._count(view, term, row, -1)
            elif single:
                term[names.KIND] = names.SOFT_SINGLE
                self._count(view, term, row, self._counters.mask(self._admitted(admitted)))
            else:
                mask = self._counters.mask(self._admitted(admitted))
                term[names.COUNTER] = self._counters.find(row, topology, mask)
            view.term.append(term)

    def _preferred(self, view: View, demand: int, weights: dict[int, int]) -> None:
        demands = self._world.demands
        items = _items(demands.pod_preference, demand).tolist()
        scores = demands.fixed[demand, fields.SCORES_PODS] and items
        view.fixed[names.PREFERENCE_WEIGHT] = weights.get(codes.INTER_POD_AFFINITY, 0) if scores else 0
        if not view.fixed[names.PREFERENCE_WEIGHT]:
            return
        for row, topology, weight in items:
            if self._counters.single[topology]:
                term = _term(names.PREFERENCE_SINGLE, -1, weight)
                view.fixed[names.PREFERENCE] = target = view.counted("preference")
                view.dynamic.append([target, names.ADD, row, weight, topology, -1])
            else:
                _, column, _ = self._domain(view, topology)
                term = _term(names.PREFERENCE_DOMAIN, column, weight)
            term[names.COUNTER] = self._counters.find(row, topology, -1)
            view.term.append(term)

    # -- all of them

    def _add(self, view: View) -> int:
        """Number the view's static groups and its columns, and file it."""
        nodes = self._world.nodes
        relevant = np.flatnonzero((view.allowed | view.matters) & (nodes.alive[: self._slots] != 0))
        group = np.zeros(len(relevant), dtype=np.int64)
        for values in view.static:
            span = int(values.max(initial=0)) + 2
            group = _dense(group * span + values[relevant] + 1)
        count = int(group.max(initial=-1)) + 1
        if count > max(STATIC_GROUPS_MIN, len(relevant) // _STATIC_SHARE_MAX):
            return -1
        static, fixed = len(view.static), view.fixed
        fixed[names.STATIC_COLUMNS], fixed[names.COLUMNS] = static, static + len(view.dynamic_keys)
        for dynamic in view.dynamic:
            dynamic[names.TARGET] += static
        for term in view.term:
            if term[names.COUNT] >= 0:
                term[names.COUNT] += static
        if fixed[names.PREFERENCE] >= 0:
            fixed[names.PREFERENCE] += static
        first = len(self._static_offset)
        fixed[names.FIRST_GROUP], fixed[names.STATIC_GROUPS] = first, count
        special = view.term or view.dynamic_keys or fixed[names.TAINT] >= 0 or fixed[names.AFFINITY] >= 0
        fixed[names.SIMPLE] = int(count == 1 and not special)
        order = np.argsort(nodes.rank[relevant], kind="stable")
        order = order[np.argsort(group[order], kind="stable")]
        sizes = np.bincount(group, minlength=count)
        offsets = np.cumsum(sizes) - sizes
        capacity = nodes.alive.shape[0]
        of_node, leaf, node_at = (np.full(capacity, -1, dtype=np.int32) for _ in range(3))
        of_node[relevant] = first + group
        node_at[: len(relevant)] = relevant[order]
        leaf[relevant[order]] = np.arange(len(relevant)) - np.repeat(offsets, sizes)
        for name, array in (("group", of_node), ("leaf", leaf), ("node_at", node_at)):
            self._arrays[name].append(array)
        values = np.zeros((count, max(static, 1)), dtype=np.int32)
        for column, of_all in enumerate(view.static):
            values[group, column] = of_all[relevant]
        self._static_value.append(values)
        self._static_offset += offsets.tolist()
        self.static_nodes += sizes.tolist()
        self.static_size += [leaves_of(size) for size in sizes.tolist()]
        self._made.append(view)
        self._columns = None
        return len(self._made) - 1

    def columns(self) -> Views:
        """The kernels' view of all views."""
        if self._columns is None:
            capacity = self._world.nodes.alive.shape[0]
            width = max((one.shape[1] for one in self._static_value), default=1)
            values = [np.pad(one, ((0, 0), (0, width - one.shape[1]))) for one in self._static_value]
            allowed = np.zeros((len(self._made), capacity), dtype=np.uint8)
            addend = np.zeros((len(self._made), capacity), dtype=np.int32)
            for row, view in enumerate(self._made):
                allowed[row, : self._slots] = view.allowed
                addend[row, : self._slots] = view.addend

            def stacked(name: str) -> np.ndarray:
                return np.array(self._arrays[name], dtype=np.int32).reshape(len(self._made), capacity)

            of_demand = np.full(self._world.demands.fixed.shape[0], -1, dtype=np.int32)
            for demand, row in self.rows.items():
                of_demand[demand] = row
            self._columns = Views(
                of_demand,
                np.array([view.fixed for view in self._made], dtype=np.int64).reshape(-1, names.VIEW_FIELDS),
                allowed,
                addend,
                stacked("group"),
                stacked("leaf"),
                stacked("node_at"),
                np.array(self._static_offset, dtype=np.int64),
                np.array(self.static_size, dtype=np.int64),
                np.array([places_of(size) for size in self.static_size], dtype=np.int64),
                np.concatenate([*values, np.zeros((0, width), dtype=np.int32)]),
                ragged((view.term for view in self._made), names.TERM_FIELDS),
                ragged((view.dynamic for view in self._made), names.DYNAMIC_FIELDS),
                ragged((view.empty for view in self._made), 2),
            )
        return self._columns


def _items(table: Any, demand: int) -> np.ndarray:
    found: np.ndarray = table.item[table.ptr[demand] : table.ptr[demand + 1]]
    return found


def _term(kind: int, column: int, limit: int) -> list[int]:
    term = [-1] * names.TERM_FIELDS
    term[names.KIND], term[names.DOMAIN], term[names.LIMIT] = kind, column, limit
    return term


def _dense(numbers: np.ndarray) -> np.ndarray:
    """The same classes of equal numbers (none negative), numbered from 0 in ascending order."""
    most = int(numbers.max(initial=-1))
    if most < _TABLE_SHARE * len(numbers):
        used = np.zeros(most + 1, dtype=bool)
        used[numbers] = True
        places: np.ndarray = (np.cumsum(used) - 1)[numbers]
        return places
    found: np.ndarray = np.unique(numbers, return_inverse=True)[1].reshape(-1)
    return found.astype(np.int64)
