"""Parts become tables: one row a run, its parameters first, then its figures; and the tables that were kept.

Rows stand in the study's order and columns in one that depends on the content alone, so that the files are the same,
byte for byte, whoever ran the points, in whatever order. How long runs took depends on the machine: that is a file of
its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kcore.sim import parts
from kcore.sim.parts import Part
from kcore.sim.points import Figure, Point
from kcore.sim.study import POINT_COLUMNS, Scalar, Study

if TYPE_CHECKING:
    import pyarrow as pa

COMPRESSION = "zstd"
FIGURE_PREFIX = "run:"  # of a figure or a table's column that is named as a column of the point
NOT_RUN = "not run"  # a sweep that was told to stop early


def tidy(study: Study, points: Sequence[Point], found: Mapping[str, Part]) -> pa.Table:
    """One row a point: point, workload, policy, seed, the parameters, status (done, failed), error, then all figures.

    A figure that a run lacks is null. ``found`` has the part of every point that was run, by id.
    """
    import pyarrow as pa

    columns = point_columns(study, points)
    errors = [found[point.id].error if point.id in found else NOT_RUN for point in points]
    columns["status"] = pa.array(["failed" if error else "done" for error in errors], pa.string())
    columns["error"] = pa.array([error or None for error in errors], pa.string())
    summaries = [found[point.id].summary if point.id in found else {} for point in points]
    for name in figure_names(summaries):
        shown = FIGURE_PREFIX + name if name in columns else name
        columns[shown] = array_of([summary.get(name) for summary in summaries])
    return pa.table(columns)


def point_columns(study: Study, points: Sequence[Point]) -> dict[str, Any]:
    """The columns that say which run a row is of."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        "point": pa.array([point.id for point in points], pa.string()),
        "workload": pa.array([point.workload for point in points], pa.string()),
        "policy": pa.array([point.policy for point in points], pa.string()),
        "seed": pa.array([point.seed for point in points], pa.int64()),
    }
    for name, values in study.parameters.items():
        type_ = array_of(values).type
        columns[name] = _typed([point.parameters[name] for point in points], type_)
    return columns


def figure_names(summaries: Iterable[Mapping[str, Figure]]) -> list[str]:
    """All names, in the order of their first appearance."""
    names: dict[str, None] = {}
    for summary in summaries:
        names |= dict.fromkeys(summary)
    return list(names)


def array_of(values: Sequence[Figure | Scalar]) -> pa.Array:
    """The narrowest of bool, int64, float64 and text that holds all values; float64 where there is none."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        type_ = pa.bool_()
    elif kinds == {int}:
        type_ = pa.int64()
    elif kinds <= {int, float}:
        type_ = pa.float64()
    else:
        type_ = pa.string()
    return _typed(values, type_)


def _typed(values: Sequence[Figure | Scalar], type_: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if type_ == pa.string():
        return pa.array([None if value is None else _text(value) for value in values], type_)
    if type_ == pa.float64():
        return pa.array([None if value is None else float(value) for value in values], type_)
    return pa.array(values, type_)


def _text(value: Figure | Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def times(points: Sequence[Point], found: Mapping[str, Part]) -> pa.Table:
    """Seconds that each run took, which differ from machine to machine."""
    import pyarrow as pa

    seconds = [found[point.id].seconds if point.id in found else None for point in points]
    ids = pa.array([point.id for point in points], pa.string())
    return pa.table({"point": ids, "seconds": pa.array(seconds, pa.float64())})


def write_tidy(path: Path, table: pa.Table) -> None:
    """The Parquet file holds the table; after a crash, that or what it held before."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, compression=COMPRESSION)
    parts.write_whole(path, sink.getvalue().to_pybytes())


def write_kept(path: Path, name: str, study: Study, points: Sequence[Point], folder: Path) -> None:
    """The Parquet file holds the runs' tables of that name one after another, the point's columns before theirs.

    The parts are read one by one, twice: all tables together need not fit into memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    done = [point for point in points if (part := parts.read(folder, point.id)) and name in part.tables]
    if not done:
        path.unlink(missing_ok=True)
        return
    schemas = [_with_point(study, point, name, folder).schema for point in done]
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    temporary = path.with_name(f".{path.name}.{os.getpid()}{parts.TEMPORARY}")
    try:
        with pq.ParquetWriter(temporary, schema, compression=COMPRESSION) as writer:
            for point in done:
                table = _with_point(study, point, name, folder)
                absent = [field for field in schema if field.name not in table.column_names]
                for field in absent:
                    table = table.append_column(field, pa.nulls(len(table), field.type))
                writer.write_table(table.select(schema.names).cast(schema).combine_chunks())
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    parts.flush_folder(path.parent)


def _with_point(study: Study, point: Point, name: str, folder: Path) -> pa.Table:
    import pyarrow as pa

    part = parts.read(folder, point.id)
    assert part is not None, "it was there a moment ago"
    table = part.table(name)
    columns = {
        column: pa.repeat(array[0], len(table)) for column, array in point_columns(study, [point]).items()
    }
    for column in table.column_names:
        shown = FIGURE_PREFIX + column if column in columns or column in POINT_COLUMNS else column
        columns[shown] = table[column]
    return pa.table(columns)
