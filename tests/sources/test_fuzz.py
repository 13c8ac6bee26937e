"""Whatever bytes come in, the answer is a ClusterObjects or an InputError of one line."""

from __future__ import annotations

import gzip
import io
import json
import random
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, feather, parquet

from bench.dump import dump, node, pod
from kcore.api.errors import InputError
from kcore.sources import decode_objects, read, validate
from tests.sources.test_tables import NODES, PODS
from tests.sources.test_workloads import workload

OBJECTS = [
    node(0),
    pod(1, 1),
    workload("Deployment", replicas=2),
    workload("StatefulSet", replicas=2),
    workload("DaemonSet"),
    workload("Job", "batch/v1", parallelism=2),
]


def table_bytes(columns: dict[str, Any], form: str) -> bytes:
    sink, table = io.BytesIO(), pa.table(columns)
    if form == "parquet":
        parquet.write_table(table, sink)
    elif form == "csv":
        csv.write_csv(table, sink)
    elif form == "stream":
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        feather.write_feather(table, sink, compression="uncompressed")
    return sink.getvalue()


SEEDS = [
    dump(2, 1, indent=False),
    dump(1, 1),
    b"\n".join(json.dumps(each).encode() for each in OBJECTS),
    yaml.dump_all(OBJECTS).encode(),
    yaml.dump({"kind": "List", "items": OBJECTS}).encode(),
    gzip.compress(dump(1, 1)),
    pa.Codec("zstd").compress(dump(1, 1), asbytes=True),
    *(
        table_bytes(columns, form)
        for columns in (PODS, NODES)
        for form in ("parquet", "csv", "stream", "feather")
    ),
]
SCRAPS = [
    b"",
    b"\0",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b":",
    b"- ",
    b"&a ",
    b"*a",
    b"<<: ",
    b"null",
    b"-1",
    b"1e999",
]
SCRAPS += [
    b"\n---\n",
    b"9" * 30,
    b"\\ud800",
    b"!!int ",
    b"? ",
    b"\t",
    b"|",
    b",",
    b'"kind"',
    b"List",
    b"Pod",
    b"true",
]


def outcome(data: bytes) -> None:
    """The bytes are read, or refused in one line."""
    message = ""
    try:
        validate(read(["-"], stdin=io.BytesIO(data)))
    except InputError as error:
        message = str(error)
    assert "\n" not in message


@given(st.data())
@settings(max_examples=600, deadline=None)
def test_changed_files(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        scrap = data.draw(st.sampled_from(SCRAPS))
        content[at : at + data.draw(st.sampled_from([0, 1, len(scrap), 20]))] = scrap
    outcome(bytes(content[: data.draw(st.one_of(st.none(), st.integers(0, len(content))))]))


@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    outcome(content)


@given(st.text("-:[]{}#&*!|>'\"%@`?, \n\tayn01<~.", max_size=60))
def test_any_yaml(text: str) -> None:
    outcome(text.encode())


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "a", "-1", "10m", "Exists", "In"]),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)


@given(st.integers(0, len(OBJECTS) - 1), st.integers(0, 10_000), VALUES)
@settings(max_examples=400)
def test_any_value_anywhere(index: int, seed: int, value: Any) -> None:
    """One field of an object replaced by anything at all."""
    changed = json.loads(json.dumps(OBJECTS[index]))
    chance, at = random.Random(seed), changed
    while True:
        key = chance.choice(list(at) if isinstance(at, dict) else range(len(at)))
        if not isinstance(at[key], dict | list) or not at[key] or chance.random() < 0.2:
            break
        at = at[key]
    at[key] = value
    with suppress(InputError):
        decode_objects([changed, node(7)])


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_every_beginning(seed: int) -> None:
    content = SEEDS[seed]
    for length in {*range(0, len(content), max(len(content) // 40, 1)), *range(min(len(content), 30))}:
        outcome(content[:length])
