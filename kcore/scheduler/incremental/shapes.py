"""The table of shapes: which pods of a queue are alike, and the arrays of the shapes that are kept."""

from __future__ import annotations

import numpy as np

from kcore.scheduler.columns import Requests
from kcore.scheduler.incremental import columns as names
from kcore.scheduler.incremental.columns import Shapes
from kcore.scheduler.incremental.local import INFEASIBLE
from kcore.scheduler.incremental.placing import NEVER
from kcore.scheduler.incremental.tree import places_of
from kcore.scheduler.incremental.views import ViewTable
from kcore.scheduler.vocab import only

DYNAMIC_GROUPS_MIN = 32
"""Groups that a shape gets room for at least when placements move nodes between groups."""
GROUPS_SHARE_MAX = 2
"""With more groups than one in so many nodes, a pass over groups saves nothing."""
ROOM_MAX = 64
"""Trees that a shape may have room for, in multiples of its nodes."""
KEY_TABLE_MAX = 1 << 24


class ShapeTable:
    """Rows of kept shapes; a row is given up and made anew with more room where its groups do not fit."""

    def __init__(self, views: ViewTable, nodes_max: int) -> None:
        self._views = views
        self._nodes_max = nodes_max
        self.count = 0
        self._group_count = 0
        self._place_count = 0
        self._head_count = 0
        self.arrays = Shapes(
            np.zeros((0, names.SHAPE_FIELDS), dtype=np.int64),
            np.zeros((0, nodes_max), dtype=np.int32),
            np.zeros(0, dtype=np.int32),
            np.zeros((0, 1), dtype=np.int32),
            np.zeros(0, dtype=np.int64),
            np.zeros(0, dtype=np.int64),
            np.zeros(0, dtype=np.int32),
            np.zeros(0, dtype=np.int64),
            np.zeros(0, dtype=np.int32),
        )

    def add(self, view: int, request: int, priority: int, room: int) -> int:
        """Make a row with room for ``room`` times the trees of its static groups; -1 where that is too much."""
        groups = self._views.static_groups(view)
        static = len(groups)
        places = sum(places_of(self._views.static_size[one]) for one in groups)
        group_max = static
        if self._views.is_dynamic(view):
            group_max = max(static * room, DYNAMIC_GROUPS_MIN * (room // 4))
            places *= room
            if (
                group_max > max(self._nodes_max // GROUPS_SHARE_MAX, 2 * DYNAMIC_GROUPS_MIN)
                or room > ROOM_MAX
            ):
                return -1
        row = self.count
        arrays = self.arrays
        self.count += 1
        value = arrays.value
        width = max(value.shape[1], self._views.width(view) + 1)
        if width > value.shape[1]:
            value = np.pad(value, ((0, 0), (0, width - value.shape[1])))
        group_stop = self._group_count + group_max
        arrays = Shapes(
            fixed=_grown(arrays.fixed, self.count),
            group=_grown(arrays.group, self.count),
            head=_grown(arrays.head, self._head_count + static),
            value=_grown(value, group_stop),
            size=_grown(arrays.size, group_stop),
            feasible=_grown(arrays.feasible, group_stop),
            following=_grown(arrays.following, group_stop),
            tree_start=_grown(arrays.tree_start, group_stop),
            tree=_grown(arrays.tree, self._place_count + places),
        )
        fixed = arrays.fixed[row]
        fixed[:] = 0
        fixed[names.VIEW], fixed[names.REQUEST], fixed[names.PRIORITY] = view, request, priority
        fixed[names.FIRST], fixed[names.GROUPS_MAX] = self._group_count, group_max
        fixed[names.TREE], fixed[names.TREE_STOP] = self._place_count, self._place_count + places
        fixed[names.HEADS] = self._head_count
        self._group_count = group_stop
        self._place_count += places
        self._head_count += static
        self.arrays = arrays
        if self._views.is_simple(view):
            self._file_all(row, groups[0])
        return row

    def _file_all(self, row: int, static_group: int) -> None:
        """Give a simple shape its only group; as it has seen no touch yet, the first pod's full pass fills it."""
        fixed, arrays = self.arrays.fixed[row], self.arrays
        group = int(fixed[names.FIRST])
        fixed[names.GROUPS], fixed[names.CURSOR], fixed[names.TURN] = 1, NEVER, NEVER
        arrays.group[row] = group
        arrays.head[fixed[names.HEADS]] = group
        arrays.following[group] = -1
        arrays.size[group] = self._views.static_nodes[static_group]
        arrays.tree_start[group] = fixed[names.TREE]
        arrays.tree[fixed[names.TREE] : fixed[names.TREE_STOP]] = INFEASIBLE
        arrays.value[group, self._views.width(int(fixed[names.VIEW]))] = static_group


def _grown(array: np.ndarray, length: int) -> np.ndarray:
    """The array, or a longer copy of it, with room for ``length``."""
    if length <= array.shape[0]:
        return array
    longer = np.zeros(
        (max(length, array.shape[0] + array.shape[0] // 2), *array.shape[1:]), dtype=array.dtype
    )
    longer[: array.shape[0]] = array
    return longer


def number_shapes(
    demand: np.ndarray, request: np.ndarray, priority: np.ndarray, requests: Requests
) -> tuple[np.ndarray, np.ndarray]:
    """Number the pods' distinct (demand, request, priority): ``(int32[pod], int64[shape] how many pods)``."""
    if only(demand) is not None and only(request) is not None and only(priority) is not None:
        return np.zeros(len(demand), dtype=np.int32), np.array([len(demand)])
    key = np.multiply(demand, requests.amount.shape[0], dtype=np.int64)
    key += request
    low, high = (int(priority.min()), int(priority.max())) if len(priority) else (0, 0)
    if high > low:
        key *= high - low + 1
        key += priority
        key -= low
    if int(key.max(initial=0)) < KEY_TABLE_MAX:
        counts = np.bincount(key)
        used = counts > 0
        number = (np.cumsum(used) - 1).astype(np.int32)
        return number[key], counts[used]
    _, numbers, counts = np.unique(key, return_inverse=True, return_counts=True)
    return numbers.reshape(-1).astype(np.int32), counts
