"""Any cluster as files that ``-f`` reads back: one JSON or YAML list, or two tables, nodes and pods.

Tables hold what is a number as a column and the rest as JSON text. Of ``pods``: namespace, name, node, priority,
cpu_milli, memory_bytes, ephemeral_storage_bytes, request:<resource>, labels, spec, start_time, scheduler_name. Of
``nodes``: name, cpu_milli, memory_bytes, ephemeral_storage_bytes, pods, allocatable:<resource>, labels, taints,
unschedulable, images. What is neither node nor pod, and pods that ask in ways that no number says, go into
``others.json`` beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, PodColumns
from kcore.traces.documents import documents, rendered_pods
from kcore.traces.yaml_text import lines, scalar

if TYPE_CHECKING:
    import pyarrow as pa

DOCUMENT_FORMS = ("json", "yaml")
TABLE_FORMS = ("parquet", "arrow", "csv")
FORMS = (*DOCUMENT_FORMS, *TABLE_FORMS)
CLUSTER_FILE = "cluster"  # of a document form in a folder
OTHERS_FILE = "others.json"
CHUNK_ITEMS = 1000  # written at once


def write_objects(objects: ClusterObjects, path: str | Path, form: str = "") -> list[Path]:
    """Writes every object and returns the files' paths; ``path`` is a folder, or a .json or .yaml file.

    ``form`` is one of FORMS; without it the file's ending decides, and a folder gets YAML. Exact on the way back, but
    that pods of columns carry their whole request on the first container in JSON and YAML.
    """
    path = Path(path)
    ending = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}.get(path.suffix.lower(), "")
    form = form or ending or "yaml"
    if form not in FORMS:
        raise InputError(f"{form!r} is not a form of files", expected="one of " + ", ".join(FORMS))
    if path.suffix.lower().lstrip(".") in TABLE_FORMS or (ending and ending != form):
        raise InputError(f"{form} files need a folder to stand in", file=str(path), expected="a folder")
    try:
        if ending:
            path.parent.mkdir(parents=True, exist_ok=True)
            return [_write_documents(objects, path, form)]
        path.mkdir(parents=True, exist_ok=True)
        if form in DOCUMENT_FORMS:
            return [_write_documents(objects, path / f"{CLUSTER_FILE}.{form}", form)]
        return _write_tables(objects, path, form)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", file=str(path)) from None


def _write_documents(objects: ClusterObjects, file: Path, form: str) -> Path:
    with file.open("w", encoding="utf-8") as stream:
        if form == "json":
            stream.write('{"apiVersion": "v1", "kind": "List", "items": [\n')
            _write_joined(stream, _json_items(objects), ",\n")
            stream.write("\n]}\n")
        else:
            some = objects.pod_columns or next(documents(objects), None) is not None
            stream.write("apiVersion: v1\nkind: List\nitems:" + ("\n" if some else " []\n"))
            _write_joined(stream, _yaml_items(objects), "")
    return file


def _write_joined(stream: TextIO, items: Iterator[str], separator: str) -> None:
    chunk: list[str] = []
    first = True
    for item in items:
        chunk.append(item if first else separator + item)
        first = False
        if len(chunk) == CHUNK_ITEMS:
            stream.writelines(chunk)
            chunk.clear()
    stream.writelines(chunk)


def _json_text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _json_items(objects: ClusterObjects) -> Iterator[str]:
    for document in documents(objects):
        yield _json_text(document)
    for columns in objects.pod_columns:
        yield from rendered_pods(columns, _json_text, json.dumps)


def _yaml_text(document: dict[str, Any]) -> str:
    return "\n".join(lines([document])) + "\n"


def _yaml_items(objects: ClusterObjects) -> Iterator[str]:
    for document in documents(objects):
        yield _yaml_text(document)
    for columns in objects.pod_columns:
        yield from rendered_pods(columns, _yaml_text, scalar)


def _write_tables(objects: ClusterObjects, folder: Path, form: str) -> list[Path]:
    from kcore.traces.tables import nodes_table, pods_table, split

    before, rows = split(objects)
    tables = {
        "nodes": nodes_table(objects) if objects.nodes else None,
        "pods": pods_table(rows) if rows else None,
    }
    written: list[Path] = []
    for name, table in tables.items():
        if table is not None:
            written.append(folder / f"{name}.{form}")
            write_table(table, written[-1], form)
    others = msgspec.structs.replace(
        objects,
        nodes=[],
        pods=next((part for part in before if isinstance(part, list)), []),
        pod_columns=[part for part in before if isinstance(part, PodColumns)],
    )
    if others.pod_columns or next(documents(others), None) is not None:
        written.append(_write_documents(others, folder / OTHERS_FILE, "json"))
    return written


def write_table(table: pa.Table, file: Any, form: str) -> None:
    """Writes the table to a path or a binary stream as Parquet, Arrow IPC file or CSV."""
    if form == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, file, compression="zstd")
    elif form == "arrow":
        import pyarrow as pa

        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    else:
        import pyarrow.csv as pa_csv

        pa_csv.write_csv(table, file)
