"""Tables of pods and of nodes (Arrow IPC or Feather, Parquet, CSV) become PodColumns and Nodes.

A pods table has the columns ``name`` and any of ``namespace``, ``node``, ``priority``, ``cpu_milli`` (thousandths of
a core), ``memory_bytes``, ``ephemeral_storage_bytes``, ``request:<resource>`` (whole units), ``labels``
(map<string, string> or JSON text), ``spec`` (JSON text of the rest of the PodSpec), ``start_time`` (timestamp) and
``scheduler_name``. A nodes table has ``name`` and any of ``cpu_milli``, ``memory_bytes``, ``ephemeral_storage_bytes``,
``pods``, ``allocatable:<resource>``, ``labels``, ``taints`` (JSON text), ``unschedulable`` and ``images`` (JSON
text). docs/tables.md has them one by one. A million rows are read in well under a second: text columns are
dictionary-encoded, equal rows share one exemplar pod, and numbers stay in the table's own buffers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from kcore.api.errors import InputError
from kcore.api.objects import (
    ContainerImage,
    Node,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodColumns,
    PodSpec,
    Taint,
)
from kcore.sources import arrow_columns as columns
from kcore.sources.wrong_type import type_error

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

REQUEST_PREFIX, ALLOCATABLE_PREFIX = "request:", "allocatable:"
AMOUNT_COLUMNS = {
    "cpu_milli": "cpu",
    "memory_bytes": "memory",
    "ephemeral_storage_bytes": "ephemeral-storage",
}
POD_COLUMNS = ("namespace", "node", "priority", "spec", "start_time", "scheduler_name")
NODE_COLUMNS = ("pods", "taints", "unschedulable", "images")
SHARED_COLUMNS = ("name", "labels", *AMOUNT_COLUMNS)
PENDING = -1  # in PodColumns.node
NO_START_TIME_MS = -1  # in PodColumns.start_time_ms
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


def is_pods(names: Sequence[str], file: str) -> bool:
    """True for a pods table, False for a nodes table; InputError where the column names fit neither."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"the column {twice!r} is there twice", file=file, expected="each column once")
    if "name" not in names:
        raise InputError(
            f"the table has no column 'name', only {', '.join(names)}"[:200],
            file=file,
            expected="a pods or a nodes table",
        )
    of_pods = [name for name in names if name in POD_COLUMNS or name.startswith(REQUEST_PREFIX)]
    of_nodes = [name for name in names if name in NODE_COLUMNS or name.startswith(ALLOCATABLE_PREFIX)]
    if of_pods and of_nodes:
        raise InputError(
            f"the column {of_nodes[0]!r} is of a nodes table, {of_pods[0]!r} of a pods table",
            file=file,
            expected="one table a file",
        )
    if not of_pods and not of_nodes:
        raise InputError(
            "the table may be of pods or of nodes",
            file=file,
            expected=f"a column that tells: {', '.join(POD_COLUMNS)} or {', '.join(NODE_COLUMNS)}",
        )
    unknown = [name for name in names if name not in (*SHARED_COLUMNS, *of_pods, *of_nodes)]
    if unknown:
        known = (
            (*SHARED_COLUMNS, *POD_COLUMNS, "request:<resource>")
            if of_pods
            else (*SHARED_COLUMNS, *NODE_COLUMNS, "allocatable:<resource>")
        )
        raise InputError(f"the column {unknown[0]!r} is not known", file=file, expected=", ".join(known))
    return bool(of_pods)


def pods(table: pa.Table, file: str) -> PodColumns:
    """The rows of a pods table as columns; InputError with column and row where one is wrong."""
    import numpy as np

    requests = {
        resource: columns.amounts(table, name, file)
        for name, resource in _amount_columns(table.column_names, REQUEST_PREFIX)
    }
    codes, exemplars = _exemplars(table, file)
    node_names, node = None, None
    if "node" in table.column_names:
        node_codes, node_names = columns.text_codes(table, "node", file)
        node = node_codes
        if "" in node_names:  # an empty text is no node either
            empty = node_names.index("")
            node = np.where(node == empty, PENDING, node - (node > empty)).astype(np.int32)
            node_names = [name for name in node_names if name]
    priority = None
    if "priority" in table.column_names:
        wide = columns.integers(table, "priority", file, INT32_MIN, INT32_MAX)
        priority = wide.astype(np.int32)
    start = (
        columns.times_ms(table, "start_time", file, NO_START_TIME_MS)
        if "start_time" in table.column_names
        else None
    )
    return PodColumns(
        exemplars=exemplars,
        exemplar=codes,
        names=columns.names(table, file),
        requests=requests or None,
        priority=priority,
        node_names=node_names,
        node=node,
        start_time_ms=start,
        origin=file,
    )


def _amount_columns(names: Sequence[str], prefix: str) -> list[tuple[str, str]]:
    """Column name and resource of each column that holds amounts."""
    found = [(name, resource) for name, resource in AMOUNT_COLUMNS.items() if name in names]
    return found + [(name, name.removeprefix(prefix)) for name in names if name.startswith(prefix)]


def _exemplars(table: pa.Table, file: str) -> tuple[np.ndarray, list[Pod]]:
    """For each row the number of its combination of namespace, labels, spec and scheduler; and a pod for each."""
    import numpy as np

    parts: dict[str, tuple[np.ndarray, list[Any]]] = {}
    for name in ("namespace", "scheduler_name", "spec"):
        if name in table.column_names:
            parts[name] = columns.text_codes(table, name, file)
    if "labels" in table.column_names:
        parts["labels"] = columns.label_codes(table, file)
    codes, combinations = columns.combine([part[0] for part in parts.values()], table.num_rows)
    first_rows = np.full(len(combinations), -1, np.int64)
    first_rows[codes[::-1]] = np.arange(table.num_rows - 1, -1, -1)
    specs = _specs(parts.get("spec"), first_rows, file)
    exemplars = []
    for row in first_rows.tolist():
        value = {name: _at(part, row) for name, part in parts.items()}
        spec = msgspec.structs.replace(specs[int(parts["spec"][0][row])]) if "spec" in parts else PodSpec()
        if value.get("scheduler_name"):
            spec.scheduler_name = value["scheduler_name"]
        metadata = ObjectMeta(namespace=value.get("namespace") or "", labels=value.get("labels"))
        exemplars.append(Pod(metadata=metadata, spec=spec))
    return codes, exemplars


def _at(part: tuple[np.ndarray, list[Any]], row: int) -> Any:
    code = int(part[0][row])
    return part[1][code] if code >= 0 else None


def _specs(
    part: tuple[np.ndarray, list[Any]] | None, first_rows: np.ndarray, file: str
) -> dict[int, PodSpec]:
    """The decoded spec of each distinct text, by its code; -1 is no text."""
    specs = {-1: PodSpec()}
    if part is None:
        return specs
    for row in first_rows.tolist():
        code = int(part[0][row])
        if code not in specs:
            specs[code] = (
                PodSpec() if not part[1][code] else decode_cell(part[1][code], PodSpec, file, "spec", row)
            )
    return specs


def decode_cell(text: str, type_: Any, file: str, column: str, row: int) -> Any:
    """The JSON text of one cell as its type; InputError with column, row and the field inside."""
    place = columns.place(column, row)
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InputError(f"is not JSON: {error}", file=file, document=place, expected="JSON text") from None
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise type_error(str(error), value).at(file=file, document=place) from None


def nodes(table: pa.Table, file: str) -> list[Node]:
    """The rows of a nodes table; InputError with column and row where one is wrong."""
    names = columns.names(table, file).to_pylist()
    amounts: list[tuple[str, list[int]]] = []
    for name, resource in _amount_columns(table.column_names, ALLOCATABLE_PREFIX):
        amounts.append((resource, columns.amounts(table, name, file).tolist()))
    if "pods" in table.column_names:
        amounts.append(("pods", columns.amounts(table, "pods", file).tolist()))
    labels = columns.label_codes(table, file) if "labels" in table.column_names else None
    taints = _cells(table, "taints", list[Taint], file)
    images = _cells(table, "images", list[ContainerImage], file)
    unschedulable = (
        columns.booleans(table, "unschedulable", file) if "unschedulable" in table.column_names else None
    )
    result = []
    for row, name in enumerate(names):
        allocatable: dict[str, str | int | float] = {
            resource: f"{values[row]}m" if resource == "cpu" else values[row] for resource, values in amounts
        }
        label_set = _at(labels, row) if labels is not None else None
        result.append(
            Node(
                metadata=ObjectMeta(name=name, labels=dict(label_set) if label_set else None),
                spec=NodeSpec(
                    taints=taints[row] if taints is not None else None,
                    unschedulable=(unschedulable[row] or None) if unschedulable is not None else None,
                ),
                status=NodeStatus(
                    allocatable=allocatable, images=images[row] if images is not None else None
                ),
            )
        )
    return result


def _cells(table: pa.Table, column: str, type_: Any, file: str) -> list[Any] | None:
    """The decoded JSON of every row of a text column, equal texts decoded once; None without the column."""
    if column not in table.column_names:
        return None
    codes, texts = columns.text_codes(table, column, file)
    decoded: dict[int, Any] = {-1: None}
    result = []
    for row, code in enumerate(codes.tolist()):
        if code not in decoded:
            decoded[code] = decode_cell(texts[code], type_, file, column, row) if texts[code] else None
        result.append(decoded[code])
    return result


def _ascending(names: pa.Array) -> bool:
    """True where each name is greater than the one before, as in most tables, so that all differ."""
    import pyarrow.compute as pc

    return len(names) < 2 or bool(pc.all(pc.less(names[:-1], names[1:])).as_py())


def check_row_names(tables: Sequence[PodColumns], taken: Collection[tuple[str, str]]) -> None:
    """No row has the namespace and name of another row or of a pod in ``taken``; InputError with its row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def name_array(each: PodColumns) -> pa.Array:
        return each.names if isinstance(each.names, pa.Array) else pa.array(each.names, pa.string())

    arrays = [name_array(each).cast(pa.string()) for each in tables]
    every = pa.chunked_array(arrays, pa.string())
    distinct = len(arrays) == 1 and _ascending(arrays[0])
    if not distinct:  # forty times the price
        distinct = pc.count_distinct(every).as_py() == len(every)
    if distinct and not taken:
        return
    if distinct and not pc.any(pc.is_in(every, pa.array({name for _, name in taken}, pa.string()))).as_py():
        return
    seen = set(taken)
    for each, array in zip(tables, arrays, strict=True):
        namespaces = [pod.metadata.namespace for pod in each.exemplars]
        for row, (name, code) in enumerate(zip(array.to_pylist(), each.exemplar.tolist(), strict=True)):
            key = (namespaces[code], name)
            if key in seen:
                raise InputError(
                    f"the pod {'/'.join(key)!r} is there twice",
                    file=each.origin,
                    document=columns.place("name", row),
                    expected="each name once",
                )
            seen.add(key)
