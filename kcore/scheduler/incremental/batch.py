"""A batch decided incrementally: what is kept between pods, and who decides each of them.

Most pods get their node from what is kept of their shape. The others go through the full pass, in their turn and
on the same state, so that the outcome is the sequential one whoever decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kcore.kernel import Kernel, compile_for
from kcore.scheduler.columns import Scratch, Settings
from kcore.scheduler.incremental.columns import GROUPS_MAX, SHAPE_FIELDS, VIEW, Choice, Touched
from kcore.scheduler.incremental.counters import CounterTable
from kcore.scheduler.incremental.groups import build_shape, note_many
from kcore.scheduler.incremental.placing import (
    CONTRADICTION,
    NOT_BUILT,
    NOT_KEPT,
    OVERFLOW,
    PROMISED,
    REJECTED,
    place_range,
    view_columns,
)
from kcore.scheduler.incremental.refuser import Means, Refusal, Refuser
from kcore.scheduler.incremental.shapes import ShapeTable, number_shapes
from kcore.scheduler.incremental.views import ViewTable
from kcore.scheduler.state import State, World
from kcore.scheduler.vocab import distinct, taken, window

KEEP_MIN = 8
"""Pods of a shape from which keeping it pays."""
SCAN_MIN = 4
"""Pods of a demand, each of a rare shape, from which its view pays."""
POLICY_KEEP_MIN = 2
"""The same where a policy scores, which is asked node by node."""
KEPT_BYTES_MAX = 1 << 28
"""Memory for shapes; those with the fewest pods go through the full pass."""
ROOM = 4
"""Trees that a shape gets room for at first, in multiples of its nodes."""


class Batch:
    """Everything kept while one queue is decided.

    ``rows`` are its pods and ``runnable`` the positions of those to try; a shape is kept from ``keep_min`` pods on.
    """

    def __init__(
        self,
        state: State,
        world: World,
        scratch: Scratch,
        run: Callable[[Kernel], Callable[..., Any]],
        rows: np.ndarray,
        runnable: np.ndarray,
        keep_min: int = KEEP_MIN,
    ) -> None:
        self._state = state
        self._world = world
        self._scratch = scratch
        self._run = run
        nodes = world.nodes
        capacity = nodes.alive.shape[0]
        self._counters = CounterTable(nodes)
        self._views = ViewTable(world, self._counters, scratch, run)
        self._shapes = ShapeTable(self._views, capacity)
        ring = 1 << max(capacity - 1, 1).bit_length()
        self._touched = Touched(
            np.zeros(1, dtype=np.int64),
            np.zeros(ring, dtype=np.int32),
            np.zeros(capacity, dtype=np.int64),
            np.zeros(capacity, dtype=np.uint8),
        )
        self._choice = _choice(world, 0, 0, 0, 0)
        pods = world.pods
        whole = len(runnable) == len(rows)
        tried = rows if whole else rows[runnable]
        number, counts = number_shapes(
            taken(pods.demand, tried), taken(pods.request, tried), taken(pods.priority, tried), world.requests
        )
        self._number = number
        self._whole = whole
        if not whole:
            self._number = np.full(len(rows), -1, dtype=np.int32)
            self._number[runnable] = number
        kept_max = max(KEPT_BYTES_MAX // (24 * capacity), 1)
        self._row_of = np.full(len(counts), NOT_KEPT, dtype=np.int32)
        many = np.argsort(-counts, kind="stable")[:kept_max]
        self._row_of[many[counts[many] >= keep_min]] = NOT_BUILT
        self._row_of_pod: np.ndarray | None = None
        self._scanned: set[int] = set()
        if (self._row_of == NOT_KEPT).any():
            rare = pods.demand[tried[self._row_of[number] == NOT_KEPT]]
            self._scanned = set(np.flatnonzero(np.bincount(rare) >= SCAN_MIN).tolist())
        self._scans = bool(self._scanned)
        self._room: dict[int, int] = {}
        self._refuser = Refuser(state, world, len(counts))
        self._promised = np.zeros(0, dtype=np.int32)
        self._promise = np.zeros(0, dtype=np.int32)

    def warm(self, settings: Settings) -> None:
        """Compile, or load from the cache, every kernel that a batch may need."""
        world, none = self._world, np.zeros(0, dtype=np.int32)
        nodes, pods, demands, requests = world
        views, counters = self._views.columns(), self._counters.columns()
        shapes, touched, choice = self._shapes.arrays, self._touched, self._choice
        compile_for(
            place_range, nodes, pods, demands, requests, settings, views, counters, shapes, touched, choice, none, none,
            none, np.zeros(0), 0, 0, none, self._scratch, self._refuser.trials, self._refuser.refusals, none,
            np.zeros(0, dtype=np.int64),
        )  # fmt: skip
        self.warm_parts(settings)

    def warm_parts(self, settings: Settings) -> None:
        """The same for those that prepare views and shapes."""
        world, none = self._world, np.zeros(0, dtype=np.int32)
        nodes, pods, demands, requests = world
        views, counters = self._views.columns(), self._counters.columns()
        shapes, touched, choice = self._shapes.arrays, self._touched, self._choice
        compile_for(
            build_shape, nodes, pods, requests, settings, views, counters, shapes, 0, touched, none, choice,
            self._scratch,
        )  # fmt: skip
        compile_for(view_columns, nodes, demands, requests, settings, 0, self._scratch)
        compile_for(note_many, nodes, pods, counters, touched, none, none, 1)

    @property
    def is_worthwhile(self) -> bool:
        """Whether any shape is kept, or any pod decided by a scan."""
        return bool((self._row_of == NOT_BUILT).any() or self._shapes.count or self._scans)

    def place(
        self,
        settings: Settings,
        means: Means,
        queue: np.ndarray,
        draws: np.ndarray,
        positions: np.ndarray,
        placed: np.ndarray,
        score: np.ndarray,
    ) -> tuple[int, list[Refusal], bool]:
        """Decide for the pods until one needs the caller: how many have been decided, the refused ones, and why.

        ``positions`` are the places of ``queue`` in the whole queue. The last value tells that the next pod has a
        nomination and fits nowhere, and that the verdicts on it are in scratch. Where it does not and there are pods
        left, the last of the refused ones is to get its promise first.
        """
        self._follow_nominations()
        self._refuser.use(means)
        world = self._world
        nominated = self._state.nominated
        number = window(self._number, positions)
        rows = window(self._rows(), positions)
        position = 0
        told: list[Refusal] = []
        for demand in self._scanned & set(distinct(world.pods.demand[queue])) if self._scanned else ():
            self._scanned.discard(demand)
            self._views.find(demand, settings)
        while position < len(queue):
            if rows[position] == NOT_BUILT:
                self._build_all(number[position:], queue[position:], settings, nominated)
                rows = window(self._rows(), positions)
            position, why = self._run(place_range)(
                world.nodes, world.pods, world.demands, world.requests, settings, self._views.columns(),
                self._counters.columns(), self._shapes.arrays, self._touched, self._choice, rows, number, queue, draws,
                position, len(queue), nominated, self._scratch, self._refuser.trials, self._refuser.refusals, placed,
                score,
            )  # fmt: skip
            assert why != CONTRADICTION, "the full pass finds a node where the shape has none"
            told += self._refuser.read()
            if why in (PROMISED, REJECTED):
                return int(position), told, why == REJECTED
            if why == OVERFLOW:
                self._build(int(number[position]), settings, int(queue[position]), nominated)
                rows = window(self._rows(), positions)
        return len(queue), told, False

    def note(self, rows: np.ndarray, slots: np.ndarray, sign: int) -> None:
        """Pods were put on nodes (sign 1) or taken off them (-1) by someone else."""
        if len(rows):
            world = self._world
            self._run(note_many)(
                world.nodes, world.pods, self._counters.columns(), self._touched,
                np.ascontiguousarray(rows, dtype=np.int32), np.ascontiguousarray(slots, dtype=np.int32), sign,
            )  # fmt: skip

    def _follow_nominations(self) -> None:
        """Touch the nodes that have been promised to a pod, or are so no more, since the last look."""
        pods, touched = self._world.pods, self._touched
        rows = self._state.nominated
        if not len(rows) and not len(self._promised):
            return
        if not len(self._promise):
            self._promise = np.full(self._state.pods.count, -1, dtype=np.int32)
        either = np.concatenate([self._promised, rows])
        now, before = pods.nominated[either], self._promise[either]
        moved = now != before
        changed = np.concatenate([now[moved], before[moved]])
        self._promise[either] = now
        self._promised = rows
        slots = pods.nominated[rows]
        touched.promised[:] = 0
        touched.promised[slots[slots >= 0]] = 1
        for slot in np.unique(changed[changed >= 0]).tolist():
            touched.sequence[0] += 1
            touched.ring[int(touched.sequence[0]) & (len(touched.ring) - 1)] = slot
            touched.last[slot] = touched.sequence[0]

    # -- shapes

    def _rows(self) -> np.ndarray:
        """The row of every pod's shape, by position in the queue."""
        if self._row_of_pod is None:
            if len(self._row_of) == 1 and self._whole:
                self._row_of_pod = np.full(len(self._number), self._row_of[0], dtype=np.int32)
            else:
                self._row_of_pod = self._row_of[self._number]
        return self._row_of_pod

    def _build_all(
        self, numbers: np.ndarray, queue: np.ndarray, settings: Settings, nominated: np.ndarray
    ) -> None:
        """Give every shape of these pods that is to be kept its row; first all rows, for tables grow as a whole."""
        found, first = np.unique(numbers, return_index=True)
        wanted = [
            (number, int(queue[place]))
            for number, place in zip(found.tolist(), first.tolist(), strict=True)
            if self._row_of[number] == NOT_BUILT
        ]
        added = [(number, pod, self._add(number, settings, pod)) for number, pod in wanted]
        for number, pod, row in added:
            if row >= 0:
                self._fill(number, row, settings, pod, nominated)

    def _build(self, number: int, settings: Settings, pod: int, nominated: np.ndarray) -> None:
        """Give the shape a row with twice the room that it had."""
        row = self._add(number, settings, pod)
        if row >= 0:
            self._fill(number, row, settings, pod, nominated)

    def _add(self, number: int, settings: Settings, pod: int) -> int:
        """Give the shape an empty row; -1, and leave it to the full pass, where it would take too much."""
        pods = self._world.pods
        self._room[number] = room = self._room.get(number, ROOM // 2) * 2
        view = self._views.find(int(pods.demand[pod]), settings)
        row = -1
        if view >= 0:
            row = self._shapes.add(view, int(pods.request[pod]), int(pods.priority[pod]), room)
        self._row_of[number] = row if row >= 0 else NOT_KEPT
        self._row_of_pod = None
        return row

    def _fill(self, number: int, row: int, settings: Settings, pod: int, nominated: np.ndarray) -> None:
        """Put the nodes into the shape's groups, in more room if it must be. Simple shapes fill in their first pass."""
        view = int(self._shapes.arrays.fixed[row, VIEW])
        self._make_room(view, row)
        if self._views.is_simple(view):
            return
        built = self._run(build_shape)(
            self._world.nodes, self._world.pods, self._world.requests, settings, self._views.columns(),
            self._counters.columns(), self._shapes.arrays, row, self._touched, nominated, self._choice,
            self._scratch,
        )  # fmt: skip
        if not built:
            self._build(number, settings, pod, nominated)

    def _make_room(self, view: int, row: int) -> None:
        """Give the choice as much working memory as a shape of the view needs."""
        shapes, held = self._shapes, self._choice
        needed = (
            shapes.arrays.value.shape[1],
            int(shapes.arrays.fixed[row, GROUPS_MAX]),
            self._views.terms(view),
            self._counters.size,
        )
        present = (held.value.shape[0], held.passes.shape[0], held.least.shape[0], held.seen.shape[0])
        if any(one > two for one, two in zip(needed, present, strict=True)):
            self._choice = _choice(self._world, *map(max, needed, present))


def _choice(world: World, columns: int, groups: int, terms: int, domains: int) -> Choice:
    return Choice(
        value=np.zeros(columns, dtype=np.int32),
        passes=np.zeros(groups, dtype=np.uint8),
        raw=np.zeros((2, groups), dtype=np.int64),
        least=np.zeros(terms, dtype=np.int64),
        factor=np.zeros(terms, dtype=np.float64),
        seen=np.zeros(domains, dtype=np.int64),
        mark=np.zeros(2, dtype=np.int64),
        amount=np.zeros(world.requests.amount.shape[1], dtype=np.int64),
        tied=np.zeros(world.nodes.alive.shape[0], dtype=np.uint8),
        shape=np.zeros(SHAPE_FIELDS, dtype=np.int64),
        total=np.zeros(world.nodes.alive.shape[0], dtype=np.int32),
        some=np.zeros(world.nodes.alive.shape[0] + 1, dtype=np.int32),
        gpu_left=np.zeros(world.nodes.gpu_left.shape[0], dtype=np.int64),
    )
