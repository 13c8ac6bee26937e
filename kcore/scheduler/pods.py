"""The pod table and the table of distinct requests: columns that grow, and the names behind the rows."""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from kcore.api.errors import InputError
from kcore.scheduler.columns import PodColumns, Ragged, Requests
from kcore.scheduler.devices import NO_GPU, GpuRequest
from kcore.scheduler.requests import PodRequest
from kcore.scheduler.vocab import Vocab

if TYPE_CHECKING:
    import pyarrow as pa

START_UNKNOWN = 2**62
"""``start`` of a pod without status.startTime: it counts as starting now, so as the youngest."""

_COLUMNS: tuple[tuple[str, type, int], ...] = (
    ("spec_class", np.int32, -1),
    ("demand", np.int32, -1),
    ("request", np.int32, 0),
    ("node", np.int32, -1),
    ("nominated", np.int32, -1),
    ("priority", np.int32, 0),
    ("start", np.int64, START_UNKNOWN),
    ("next", np.int32, -1),
    ("previous", np.int32, -1),
    ("devices", np.int32, 0),
    ("gone", np.uint8, 0),
)


@functools.lru_cache(maxsize=100_000)
def parse_start(text: str | None) -> int:
    """Microseconds since the epoch of an RFC 3339 time; START_UNKNOWN for None.

    Raises:
        InputError: not a time.
    """
    if text is None:
        return START_UNKNOWN
    wrong = InputError(
        f"{text!r} is not a time", field="status.startTime", expected="RFC 3339, e.g. 2026-06-01T00:00:00Z"
    )
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise wrong from None
    if moment.tzinfo is None or text[4:5] != "-" or text[10:11] not in ("T", "t"):
        raise wrong
    return int(moment.timestamp() * 1_000_000)


class PodTable:
    """One row a pod, in the order in which they came; removed pods keep their row with ``gone`` set."""

    spec_class: np.ndarray
    demand: np.ndarray
    request: np.ndarray
    node: np.ndarray
    nominated: np.ndarray
    priority: np.ndarray
    start: np.ndarray
    next: np.ndarray
    previous: np.ndarray
    devices: np.ndarray
    gone: np.ndarray

    def __init__(self) -> None:
        self.count = 0
        self._capacity = 0
        self._names: list[Sequence[object]] = [[]]
        self._first_rows: list[int] = [0]
        for name, dtype, _ in _COLUMNS:
            setattr(self, name, np.empty(0, dtype=dtype))

    def __len__(self) -> int:
        return self.count

    @property
    def capacity(self) -> int:
        """Rows allocated."""
        return self._capacity

    def reserve(self, more: int) -> None:
        """Make room for ``more`` rows beyond those in use."""
        needed = self.count + more
        if needed <= self._capacity:
            return
        capacity = max(needed, self._capacity + self._capacity // 2, 64)
        for name, dtype, fill in _COLUMNS:
            array: np.ndarray = np.full(capacity, fill, dtype=dtype)
            array[: self.count] = getattr(self, name)[: self.count]
            setattr(self, name, array)
        self._capacity = capacity

    def add(self, name: str, spec_class: int, request: int, priority: int, start: int) -> int:
        """Append one pending pod and return its row."""
        self.reserve(1)
        row = self.count
        last = self._names[-1]
        if not isinstance(last, list):
            last = []
            self._names.append(last)
            self._first_rows.append(row)
        last.append(name)
        self.spec_class[row] = spec_class
        self.request[row] = request
        self.priority[row] = priority
        self.start[row] = start
        self.count = row + 1
        return row

    def extend(
        self,
        names: Sequence[object],
        spec_class: np.ndarray,
        request: np.ndarray,
        priority: np.ndarray,
        start: np.ndarray,
    ) -> range:
        """Append many pending pods at once; ``names`` is kept as it is, not copied."""
        self.reserve(len(spec_class))
        rows = range(self.count, self.count + len(spec_class))
        self._names.append(names)
        self._first_rows.append(rows.start)
        self._names.append([])
        self._first_rows.append(rows.stop)
        part = slice(rows.start, rows.stop)
        self.spec_class[part] = spec_class
        self.request[part] = request
        self.priority[part] = priority
        self.start[part] = start
        self.count = rows.stop
        return rows

    def name(self, row: int) -> str:
        """The pod's name, without namespace."""
        chunk = bisect_right(self._first_rows, row) - 1
        return str(self._names[chunk][row - self._first_rows[chunk]])

    def chunks(self) -> list[Sequence[object]]:
        """All names in row order, as the sequences in which they came."""
        return self._names

    def names_array(self, rows: np.ndarray) -> pa.Array:
        """The names of some rows as an Arrow array of strings."""
        import pyarrow as pa

        chunks = [
            chunk if isinstance(chunk, pa.Array | pa.ChunkedArray) else pa.array(chunk, type=pa.string())
            for chunk in self._names
        ]
        whole = pa.chunked_array(
            [
                part
                for chunk in chunks
                for part in (chunk.chunks if isinstance(chunk, pa.ChunkedArray) else [chunk])
            ],
            type=pa.string(),
        )
        return whole.combine_chunks().take(pa.array(rows))

    def columns(self, contribution: Ragged, budget: Ragged) -> PodColumns:
        """The kernel's view."""
        return PodColumns(
            self.spec_class, self.demand, self.request, self.node, self.nominated, self.priority, self.start,
            self.next, self.previous, self.devices, contribution, budget,
        )  # fmt: skip


class RequestTable:
    """Distinct requests; equal ones of single pods share a row."""

    def __init__(self) -> None:
        self.count = 0
        self._amount = np.zeros((16, 3), dtype=np.int64)
        self._nonzero = np.zeros((16, 2), dtype=np.int64)
        self._exception = np.full(16, -1, dtype=np.int32)
        self._scores: list[dict[int, int]] = []
        self._gpu = np.zeros((16, 3), dtype=np.int64)
        self._model_sets: Vocab[tuple[str, ...]] = Vocab()
        self._model_sets.intern(())
        self._index: dict[tuple[object, ...], int] = {}

    def _reserve(self, more: int, resources: int) -> None:
        rows, columns = self._amount.shape
        needed = self.count + more
        if needed <= rows and resources <= columns:
            return
        capacity = rows if needed <= rows else max(needed, rows + rows // 2)
        amount = np.zeros((capacity, max(resources, columns)), dtype=np.int64)
        amount[:rows, :columns] = self._amount
        nonzero = np.zeros((capacity, 2), dtype=np.int64)
        nonzero[:rows] = self._nonzero
        exception = np.full(capacity, -1, dtype=np.int32)
        exception[:rows] = self._exception
        gpu = np.zeros((capacity, 3), dtype=np.int64)
        gpu[:rows] = self._gpu
        self._gpu = gpu
        self._amount, self._nonzero, self._exception = amount, nonzero, exception

    def find(self, key: tuple[object, ...]) -> int | None:
        """The row known under a key, if any."""
        return self._index.get(key)

    def model_set(self, models: tuple[str, ...]) -> int:
        """The number of a set of GPU models that a pod may use; 0 for any."""
        return self._model_sets.intern(models)

    @property
    def has_gpus(self) -> bool:
        """Whether any pod asks for GPU devices."""
        return bool(self._gpu[: self.count, 0].any())

    def models(self, number: int) -> tuple[str, ...]:
        """The models of a set."""
        return self._model_sets.values[number]

    def add(
        self,
        key: tuple[object, ...],
        request: PodRequest,
        resource_row: Callable[[str], int],
        gpu: GpuRequest = NO_GPU,
    ) -> int:
        """Store a request under its key; ``resource_row`` numbers the resources."""
        amounts = {resource_row(name): value for name, value in request.amount}
        self._reserve(1, max(amounts, default=0) + 1)
        row = self.count
        for resource, value in amounts.items():
            self._amount[row, resource] = value
        self._nonzero[row] = request.nonzero
        self._gpu[row] = (gpu.devices, gpu.milli, self.model_set(gpu.models))
        if request.score is not None:
            self._exception[row] = len(self._scores)
            self._scores.append({resource_row(name): value for name, value in request.score})
        self._index[key] = row
        self.count = row + 1
        return row

    def extend(self, amount: np.ndarray, nonzero: np.ndarray, gpu: np.ndarray | None = None) -> range:
        """Append many requests: ``amount[request, resource]``, ``nonzero[request, 2]``, ``gpu[request, 3]`` or none."""
        self._reserve(len(amount), amount.shape[1])
        rows = range(self.count, self.count + len(amount))
        part = slice(rows.start, rows.stop)
        self._amount[part, : amount.shape[1]] = amount
        self._nonzero[part] = nonzero
        self._gpu[part] = 0 if gpu is None else gpu
        self.count = rows.stop
        return rows

    def allows(self, models: Sequence[str]) -> np.ndarray:
        """``uint8[set, 1 + model]``: 1 where pods of the set may use the model; column 0 for nodes without one."""
        table = np.zeros((len(self._model_sets), 1 + len(models)), dtype=np.uint8)
        for row, wanted in enumerate(self._model_sets.values):
            table[row, 0] = not wanted
            for column, model in enumerate(models, start=1):
                table[row, column] = not wanted or model in wanted
        return table

    def columns(self, resource_count: int, models: Sequence[str] = ()) -> Requests:
        """The kernel's view, one column for every resource row; ``models`` are the GPU models of nodes by number."""
        self._reserve(0, resource_count)
        used = max(self.count, 1)
        score = np.zeros((len(self._scores), resource_count), dtype=np.int64)
        for row, amounts in enumerate(self._scores):
            for resource, value in amounts.items():
                score[row, resource] = value
        amount = np.ascontiguousarray(self._amount[:used, :resource_count])
        return Requests(
            amount, self._nonzero[:used], self._exception[:used], score, self._gpu[:used], self.allows(models)
        )
