"""Inputs on a shelf: read once, written as columns, and mapped into the memory of every process that needs them.

An input is a folder named by its key: ``objects.msgpack`` (nodes, pods, exemplars and all that is small),
``pods-N.arrow`` (one Arrow file for each set of pod columns: its pages are shared by all processes that map it),
``trace.msgpack`` and ``trace.arrow`` for a trace, and ``shelf.json`` with the SHA-256 of each file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec
import numpy as np

from kcore import sources, traces
from kcore.api.objects import ClusterObjects, Pod, PodColumns
from kcore.sim.parts import code_digest
from kcore.sim.points import Source

if TYPE_CHECKING:
    import pyarrow as pa

INDEX, OBJECTS = "shelf.json", "objects.msgpack"
TRACE, TRACE_ARRAYS = "trace.msgpack", "trace.arrow"
REQUEST = "request:"
COLUMNS = "pod_columns"  # the field of ClusterObjects that holds arrays

Files = Mapping[str, Any]  # name -> what Arrow can read without copying: a path's map, or a buffer


class Index(msgspec.Struct):
    """What is in an input's folder: the SHA-256 of each file, the kcore that read it, and how large it is."""

    code: str
    digests: dict[str, str]
    nodes: int
    pods: int


class _Columns(msgspec.Struct):
    """What of PodColumns is no array."""

    exemplars: list[Pod]
    origin: str
    requests: list[str] | None
    node_names: list[str] | None


# -- reading what the user gave


def load(source: Source) -> Any:
    """The ClusterObjects, or the Trace, that the source describes.

    Raises:
        InputError: anything wrong with it.
    """
    if source.trace:
        return import_module("kcore.traces").load_trace(
            source.paths[0], source.form, **dict(source.parameters)
        )
    files = [path for path in source.paths if not traces.is_spec(path)]
    read = sources.read(files, trace_loaders=(traces.load_openb,))
    found = ClusterObjects(**{name: getattr(read, name) for name in ClusterObjects.__struct_fields__})
    for path in source.paths:
        if traces.is_spec(path):
            made = traces.from_spec(path)
            for name in ClusterObjects.__struct_fields__:
                getattr(found, name).extend(getattr(made, name))
    return found


def objects_of(loaded: Any) -> ClusterObjects:
    """The objects of a trace, or the objects themselves."""
    found: ClusterObjects = loaded if isinstance(loaded, ClusterObjects) else loaded.objects
    return found


def pod_count(loaded: Any) -> int:
    """How many pods there are."""
    objects = objects_of(loaded)
    return len(objects.pods) + sum(len(columns.exemplar) for columns in objects.pod_columns)


# -- writing


def shelve(loaded: Any, folder: Path) -> None:
    """The input stands in the folder, whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    if isinstance(loaded, ClusterObjects):
        _write_objects(loaded, temporary)
    else:
        _write_trace(loaded, temporary)
    digests = {file.name: _digest(file) for file in sorted(temporary.iterdir())}
    index = Index(code_digest(), digests, len(objects_of(loaded).nodes), pod_count(loaded))
    (temporary / INDEX).write_bytes(msgspec.json.encode(index))
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def index_of(folder: Path) -> Index | None:
    """The index of the input in the folder; None where there is none that is whole and of this kcore."""
    try:
        index = msgspec.json.decode((folder / INDEX).read_bytes(), type=Index)
        whole = all(_digest(folder / name) == digest for name, digest in index.digests.items())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return index if whole and index.code == code_digest() else None


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _object_types() -> dict[str, Any]:
    """The fields of ClusterObjects that hold no arrays, with their types."""
    return {name: hint for name, hint in get_type_hints(ClusterObjects).items() if name != COLUMNS}


def _write_objects(objects: ClusterObjects, folder: Path) -> None:
    import pyarrow as pa

    described = []
    for index, columns in enumerate(objects.pod_columns):
        names = columns.names if not isinstance(columns.names, list) else pa.array(columns.names, pa.string())
        arrays: dict[str, Any] = {"name": names, "exemplar": columns.exemplar}
        for name in ("priority", "node", "start_time_ms"):
            if getattr(columns, name) is not None:
                arrays[name] = getattr(columns, name)
        requests = None if columns.requests is None else list(columns.requests)
        arrays |= {REQUEST + name: amounts for name, amounts in (columns.requests or {}).items()}
        _write_arrow(folder / f"pods-{index}.arrow", pa.table(arrays))
        described.append(_Columns(columns.exemplars, columns.origin, requests, columns.node_names))
    plain = {name: getattr(objects, name) for name in _object_types()}
    (folder / OBJECTS).write_bytes(msgspec.msgpack.encode({**plain, COLUMNS: described}))


def _write_arrow(file: Path, table: pa.Table) -> None:
    import pyarrow as pa

    with pa.OSFile(str(file), "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def _write_trace(trace: Any, folder: Path) -> None:
    """A dataclass of one ClusterObjects, arrays of equal length, and plain values."""
    import pyarrow as pa

    arrays: dict[str, np.ndarray] = {}
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(trace):
        value = getattr(trace, field.name)
        if isinstance(value, ClusterObjects):
            _write_objects(value, folder)
        elif isinstance(value, np.ndarray):
            arrays[field.name] = value
        else:
            plain[field.name] = value
    _write_arrow(folder / TRACE_ARRAYS, pa.table(arrays))
    home = f"{type(trace).__module__}:{type(trace).__qualname__}"
    (folder / TRACE).write_bytes(msgspec.msgpack.encode({"home": home, "plain": plain}))


# -- opening


def mapped(folder: Path) -> Files:
    """The files of an input on this machine, mapped into memory."""
    import pyarrow as pa

    return {file.name: pa.memory_map(str(file)) for file in sorted(folder.iterdir())}


def contents(folder: Path) -> dict[str, np.ndarray]:
    """The files of an input as ``uint8`` arrays, which an object store takes without copying them again."""
    return {file.name: np.fromfile(file, np.uint8) for file in sorted(folder.iterdir())}


def buffers(arrays: Mapping[str, np.ndarray]) -> Files:
    """Arrays as :func:`contents` made them, as files."""
    import pyarrow as pa

    return {name: pa.BufferReader(pa.py_buffer(array)) for name, array in arrays.items()}


def opened(files: Files) -> Any:
    """The ClusterObjects, or the Trace; numbers and names stay where the files are."""
    objects = _objects(files)
    if TRACE not in files:
        return objects
    head = msgspec.msgpack.decode(files[TRACE].read())
    module, _, name = head["home"].partition(":")
    kind = getattr(import_module(module), name)
    hints = get_type_hints(kind)
    given = {name: _typed(value, hints[name]) for name, value in head["plain"].items()}
    table = _table(files[TRACE_ARRAYS])
    given |= {name: _array(table, name) for name in table.column_names}
    at = next(field.name for field in dataclasses.fields(kind) if field.name not in given)
    return kind(**given, **{at: objects})


def _typed(value: Any, hint: Any) -> Any:
    """The value as its field declares it: msgpack has lists for tuples."""
    return None if value is None else msgspec.convert(value, hint)


def _table(file: Any) -> pa.Table:
    import pyarrow as pa

    return pa.ipc.open_file(file).read_all()


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _array(table: pa.Table, name: str) -> np.ndarray:
    found: np.ndarray = _whole(table[name]).to_numpy(zero_copy_only=False)
    return found


def _objects(files: Files) -> ClusterObjects:
    raw = msgspec.msgpack.decode(files[OBJECTS].read(), type=dict[str, msgspec.Raw])
    types = _object_types()
    objects = ClusterObjects(
        **{name: msgspec.msgpack.decode(raw[name], type=type_) for name, type_ in types.items()}
    )
    for index, columns in enumerate(msgspec.msgpack.decode(raw[COLUMNS], type=list[_Columns])):
        table = _table(files[f"pods-{index}.arrow"])
        objects.pod_columns.append(_pod_columns(columns, table))
    return objects


def _pod_columns(columns: _Columns, table: pa.Table) -> PodColumns:
    optional = {
        name: _array(table, name)
        for name in ("priority", "node", "start_time_ms")
        if name in table.column_names
    }
    requests = columns.requests
    return PodColumns(
        exemplars=columns.exemplars,
        exemplar=_array(table, "exemplar"),
        names=_whole(table["name"]),
        requests=None if requests is None else {name: _array(table, REQUEST + name) for name in requests},
        node_names=columns.node_names,
        origin=columns.origin,
        **optional,
    )
