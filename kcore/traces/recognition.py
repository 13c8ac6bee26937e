"""Which of the published formats a file or folder is in, by names first and by content where they say nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kcore.api.errors import InputError
from kcore.sources.files import ARROW_FILE_MAGIC, JSON_SUFFIXES, PARQUET_MAGIC, YAML_SUFFIXES, plain_suffix
from kcore.traces import alibaba2018, azure_packing, borg2019, openb, pai2020, philly, plain, swf
from kcore.traces.csv_rows import first_row, head, opened
from kcore.traces.layout import stem_of

HEAD_BYTES = 16_384
NAMES = (
    ("batch_task", "alibaba2018"),
    ("batch_instance", "alibaba2018"),
    ("pai_task_table", "pai2020"),
    ("instance_events", "borg2019"),
    ("cluster_job_log", "philly"),
)  # what a file's name begins with
PLAIN = "plain"
MANIFESTS = (*JSON_SUFFIXES, *YAML_SUFFIXES)


def form_of(path: str | Path) -> str | None:
    """The name of the format; None where it is none of them, InputError where a folder holds several."""
    path = Path(path)
    if not path.is_dir():
        return _of_file(path) if path.is_file() else None
    for module, name in ((alibaba2018, "alibaba2018"), (pai2020, "pai2020"), (borg2019, "borg2019")):
        if module.is_here(path):
            return name
    if any(openb.files(path)):
        return "openb"
    found = {_of_file(file) for file in sorted(path.iterdir()) if _may_be(file)}
    found.discard(None)
    if len(found) > 1:
        raise InputError(
            f"holds traces of several forms: {', '.join(sorted(map(str, found)))}",
            file=str(path),
            expected="the form to be named",
        )
    return found.pop() if found else None


def _may_be(file: Path) -> bool:
    """Whether a file of a folder is looked into: a folder may hold any number of manifests."""
    named = stem_of(file).startswith(tuple(beginning for beginning, _ in NAMES))
    return file.is_file() and (named or (file.name[0] != "." and plain_suffix(file.name) not in MANIFESTS))


def _of_file(path: Path) -> str | None:
    stem = stem_of(path)
    for beginning, name in NAMES:
        if stem.startswith(beginning):
            return name
    if swf.is_named(path):
        return "swf"
    try:
        start = head(path, HEAD_BYTES)
    except InputError:
        return None
    if azure_packing.is_file(start):
        return "azure_packing"
    if start[:4] == PARQUET_MAGIC or start[:6] == ARROW_FILE_MAGIC:
        return _of_table(path, start)
    text = start.lstrip()
    if text[:1] == b"[":
        return "philly" if philly.is_job(_first_entry(text)) else None
    if text[:1] == b"{":
        return "borg2019" if _is_borg(text) else None
    if swf.is_head(start):
        return "swf"
    return _of_csv(path)


def _of_csv(path: Path) -> str | None:
    cells = first_row(path)
    if openb.is_node(set(cells)) or openb.is_pod(set(cells)):
        return "openb"
    if plain.is_header(cells):
        return PLAIN
    return "alibaba2018" if alibaba2018.is_task_row(cells) else None


def _of_table(path: Path, start: bytes) -> str | None:
    try:
        with opened(path) as stream:
            if start[:4] == PARQUET_MAGIC:
                source = stream if isinstance(stream, pa.OSFile) else pa.BufferReader(stream.read())
                names = pq.read_schema(source).names
            else:
                names = pa.ipc.open_file(pa.BufferReader(stream.read())).schema.names
    except (pa.ArrowException, OSError):
        return None
    if {"collection_id", "instance_index"} <= set(names):
        return "borg2019"
    return PLAIN if plain.is_header(names) else None


def _first_entry(text: bytes) -> object:
    """The first value of a JSON list, of which only the beginning may be there."""
    try:
        return json.JSONDecoder().raw_decode(text[1:].decode("utf-8", "replace").lstrip())[0]
    except ValueError:
        return None


def _is_borg(text: bytes) -> bool:
    try:
        record = json.loads(text.split(b"\n", 1)[0])
    except ValueError:
        return False
    return {"collection_id", "instance_index"} <= set(record)
