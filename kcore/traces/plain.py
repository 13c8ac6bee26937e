"""A trace of one's own as a table: the columns of a pods table (docs/tables.md) and when each pod comes and goes.

CSV, Parquet or Arrow. Beside ``name`` and any of the columns that pods have there (all but ``node`` and ``start_time``):

- ``submit`` (seconds, with fractions) or ``submit_ms`` (whole): when the pod arrives, since any moment
- ``duration`` or ``duration_ms``: how long it runs; empty: it never ends by itself
- ``estimate`` or ``estimate_ms``: what its user promised; empty: nothing
- ``job`` (text or number): pods with one job; absent: each pod is its own. ``owner`` (text): for fair shares
- ``gpu_count``, ``gpu_milli`` (thousandths of each of these devices; 1000 where absent), ``gpu_model`` (``A|B``)

Nodes come from a nodes table (``nodes.csv``, ...) in the same folder. Rows are counted from 1 without the header.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kcore.api.errors import InputError
from kcore.api.objects import Node, NodeSelectorRequirement, Pod
from kcore.sources import files, table_files, tables
from kcore.sources.arrow_columns import combine
from kcore.sources.files import ARROW_SUFFIXES, CSV_SUFFIXES, PARQUET_SUFFIXES
from kcore.traces.arrivals import Arrivals, codes_of
from kcore.traces.csv_rows import first_row, read_csv
from kcore.traces.layout import folder_or_file, table_file
from kcore.traces.openb import GPU_MILLI, NAMESPACE
from kcore.traces.rows import ERROR, Rows
from kcore.traces.shapes import MILLI_PER_GPU, kinds, pod
from kcore.traces.tables import nodes_table, pods_table
from kcore.traces.trace import NEVER_MS, NO_OWNER, Trace
from kcore.traces.write import write_table

SUFFIXES = (*CSV_SUFFIXES, *PARQUET_SUFFIXES, *ARROW_SUFFIXES)
FORMS = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow"}
TIMES = ("submit", "duration", "estimate")
TEXTS = ("namespace", "labels", "spec", "scheduler_name")
OWN = ("job", "owner", "gpu_count", "gpu_milli", "gpu_model", *TIMES, *(f"{name}_ms" for name in TIMES))
KNOWN = ("name", "priority", *TEXTS, *OWN, *tables.AMOUNT_COLUMNS)
BYTES_MAX = 1 << 62
TRACE_STEMS = ("trace", "pods", "jobs")


def plain(*, path: str, gang: str, on_bad: str = ERROR) -> Trace:
    """The trace in the table, or in ``trace.*`` and ``nodes.*`` of a folder; InputError where a cell is wrong."""
    folder_or_file(path, "plain")
    file = _file(Path(path))
    nodes: list[Node] = []
    nodes_file = table_file(path, "nodes", SUFFIXES) if Path(path).is_dir() else None
    if nodes_file is not None:
        nodes = tables.nodes(table_files.table_of(files.read(str(nodes_file))), str(nodes_file))
    rows = _rows(file, on_bad)
    _check_columns(rows)
    if gang == "yes":
        _check_gangs(rows)
    arrivals = _arrivals(rows, nodes)
    return arrivals.trace(origin=str(file), nodes=nodes, gang=gang == "yes", skipped=rows.skipped)


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    for stem in TRACE_STEMS:
        found = table_file(path, stem, SUFFIXES)
        if found is not None:
            return found
    raise InputError("holds no trace", file=str(path), expected="trace.csv or trace.parquet")


def _rows(file: Path, on_bad: str) -> Rows:
    if files.plain_suffix(file.name) in CSV_SUFFIXES:
        return read_csv(file, ("name",), optional=first_row(file), on_bad=on_bad, count_header=False)
    return Rows(table_files.table_of(files.read(str(file))), str(file), on_bad=on_bad)


def _check_columns(rows: Rows) -> None:
    """Every column is known, and each time is there in one unit."""
    given = rows.table.column_names
    for name in given:
        if name not in KNOWN and not name.startswith(tables.REQUEST_PREFIX):
            raise InputError(
                f"the column {name!r} is not known",
                file=rows.file,
                expected=", ".join((*KNOWN, "request:<resource>")),
            )
    for name in TIMES:
        if name in given and f"{name}_ms" in given:
            raise InputError(
                f"there are both {name} and {name}_ms", file=rows.file, expected="one of the two"
            )
    if "name" not in given or not {"submit", "submit_ms"}.intersection(given):
        raise InputError(
            f"there is no column 'submit', only {', '.join(given)}"[:200]
            if "name" in given
            else f"there is no column 'name', only {', '.join(given)}"[:200],
            file=rows.file,
            expected="name and submit or submit_ms",
        )
    if "gpu_milli" in given and "gpu_count" not in given:
        raise InputError("gpu_milli stands without gpu_count", file=rows.file, expected="both, or gpu_count")
    if "gpu_count" in given and f"{tables.REQUEST_PREFIX}{GPU_MILLI}" in given:
        raise InputError(
            "GPUs are asked for twice", file=rows.file, expected=f"gpu_count or request:{GPU_MILLI}"
        )


def _time_ms(rows: Rows, name: str) -> np.ndarray:
    """The column in ms; NEVER_MS where it is absent, or empty and may be."""
    missing = None if name == "submit" else NEVER_MS
    if rows.has(f"{name}_ms"):
        most = 1 << 53
        return rows.integers(f"{name}_ms", missing=missing, least=-most if name == "submit" else 0, most=most)
    if rows.has(name):
        return rows.times_ms(name, missing=missing, least=-float(1 << 43) if name == "submit" else 0)
    return np.full(rows.count, NEVER_MS, np.int64)


def _arrivals(rows: Rows, nodes: list[Node]) -> Arrivals:
    names = rows.texts("name")
    submit, duration, estimate = (_time_ms(rows, name) for name in TIMES)
    requests = {
        resource: rows.integers(column, most=BYTES_MAX)
        for column, resource in (
            *tables.AMOUNT_COLUMNS.items(),
            *((name, name.removeprefix(tables.REQUEST_PREFIX)) for name in rows.table.column_names
              if name.startswith(tables.REQUEST_PREFIX)),
        )
        if rows.has(column)
    }  # fmt: skip
    priority = (
        rows.integers("priority", least=tables.INT32_MIN, most=tables.INT32_MAX)
        if rows.has("priority")
        else None
    )
    count = each = None
    if rows.has("gpu_count"):
        count = rows.integers("gpu_count", missing=0, most=1 << 20)
        each = np.full(rows.count, MILLI_PER_GPU)
        if rows.has("gpu_milli"):
            each = rows.integers("gpu_milli", missing=MILLI_PER_GPU, most=MILLI_PER_GPU)
        each = np.where(count > 0, each, 0)
        requests[GPU_MILLI] = count * each
    job = codes_of(rows.texts("job"))[0] if rows.has("job") else None
    owner, owners = None, [NO_OWNER]
    if rows.has("owner"):
        texts = rows.texts("owner", required=False)
        owner, owners = codes_of(pc.if_else(pc.equal(texts, ""), NO_OWNER, texts))
    exemplar, exemplars = _exemplars(rows, nodes)
    rows.unique(_full_names(names, exemplar, exemplars), "name")
    return Arrivals(
        names=rows.kept(names),
        submit_ms=rows.kept(submit),
        duration_ms=rows.kept(duration),
        estimate_ms=rows.kept(estimate),
        requests={resource: rows.kept(amounts) for resource, amounts in requests.items()},
        exemplars=exemplars,
        exemplar=rows.kept(exemplar),
        job=None if job is None else rows.kept(job),
        owner=None if owner is None else rows.kept(owner),
        owners=owners,
        priority=None if priority is None else rows.kept(priority),
        gpu_count=None if count is None else rows.kept(count),
        gpu_milli=None if each is None else rows.kept(each),
    )


def _full_names(names: pa.StringArray, exemplar: np.ndarray, exemplars: list[Pod]) -> pa.StringArray:
    """The names, with their namespaces where there are several."""
    spaces = [each.metadata.namespace for each in exemplars]
    if len(set(spaces)) < 2:
        return names
    of_row = pa.array(spaces, pa.string()).take(pa.array(exemplar))
    return pc.binary_join_element_wise(of_row, names, "/")


def _exemplars(rows: Rows, nodes: list[Node]) -> tuple[np.ndarray, list[Pod]]:
    """For each row the number of its kind of pod, and the kinds."""
    given = [name for name in TEXTS if rows.has(name)]
    codes, exemplars = np.zeros(rows.count, np.int32), [pod()]
    if given:
        stand_in = pa.array(np.zeros(rows.count, np.int8)).cast(pa.string())  # names are checked elsewhere
        table = pa.table({"name": stand_in, **{name: rows.table.column(name) for name in given}})
        found = tables.pods(table, rows.file)
        codes, exemplars = found.exemplar, found.exemplars
        for each in exemplars:
            each.metadata.namespace = each.metadata.namespace or NAMESPACE
            each.metadata.labels = each.metadata.labels or None
            each.spec.containers = each.spec.containers or pod().spec.containers
    if not rows.has("gpu_model"):
        return codes, exemplars
    models, wanting = kinds(rows, rows.texts("gpu_model", required=False), "gpu_model", nodes)
    both, first = combine([codes, models], rows.count)
    return both, [_bound(exemplars[codes[row]], wanting[models[row]]) for row in first.tolist()]


def _bound(exemplar: Pod, wanting: Pod) -> Pod:
    """The pod with the model constraint of the other one beside its own."""
    if wanting.spec.affinity is None:
        return exemplar
    result = msgspec.json.decode(msgspec.json.encode(exemplar), type=Pod)
    affinity = result.spec.affinity
    required = affinity.node_affinity.required if affinity and affinity.node_affinity else None
    if affinity is None:
        result.spec.affinity = wanting.spec.affinity
    elif affinity.node_affinity is None:
        affinity.node_affinity = wanting.spec.affinity.node_affinity
    elif required is None or not required.node_selector_terms:
        assert wanting.spec.affinity.node_affinity is not None
        affinity.node_affinity.required = wanting.spec.affinity.node_affinity.required
    else:
        for term in required.node_selector_terms:
            term.match_expressions = [*(term.match_expressions or ()), _requirement(wanting)]
    return result


def _requirement(wanting: Pod) -> NodeSelectorRequirement:
    affinity = wanting.spec.affinity
    assert (
        affinity is not None
        and affinity.node_affinity is not None
        and affinity.node_affinity.required is not None
    )
    terms = affinity.node_affinity.required.node_selector_terms
    assert terms and terms[0].match_expressions
    return terms[0].match_expressions[0]


def _check_gangs(rows: Rows) -> None:
    """The pods of a job arrive together; those that do not arrive with the first of their job are refused."""
    if not rows.has("job"):
        return
    job = codes_of(rows.texts("job"))[0]
    submit = _time_ms(rows, "submit")
    good = np.flatnonzero(rows.good)
    first = np.zeros(int(job.max(initial=-1)) + 1, np.int64)
    first[job[good][::-1]] = submit[good][::-1]
    column = "submit_ms" if rows.has("submit_ms") else "submit"
    rows.refuse(
        submit != first[job], column, "differs from that of its job's first pod", "one time for a gang"
    )


def trace_table(trace: Trace) -> pa.Table:
    """The trace as a table that :func:`plain` reads back, times in ms; its nodes and their events are not in it."""
    table = pods_table([trace.columns])
    columns = {name: table.column(name) for name in table.column_names}
    if trace.gpu_count is not None and trace.gpu_milli is not None:
        columns.pop(f"{tables.REQUEST_PREFIX}{GPU_MILLI}", None)
        columns |= {"gpu_count": pa.array(trace.gpu_count), "gpu_milli": pa.array(trace.gpu_milli)}
    columns = {"name": columns.pop("name"), "submit_ms": pa.array(trace.submit_ms), **columns}
    for name, values in (("duration_ms", trace.duration_ms), ("estimate_ms", trace.estimate_ms)):
        columns[name] = pa.array(values, mask=values < 0)
    columns["job"] = pa.array(trace.job)
    columns["owner"] = pa.array(trace.owners, pa.string()).take(pa.array(trace.owner))
    return pa.table(columns)


def write_trace(trace: Trace, path: str | Path) -> list[Path]:
    """The trace as a table (``.csv``, ``.parquet``, ``.arrow``), its nodes as ``nodes.*`` beside it; returns the paths."""
    path = Path(path)
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise InputError("is no name of a table", file=str(path), expected="an ending in " + ", ".join(FORMS))
    written = [path]
    try:
        write_table(trace_table(trace), path, form)
        if trace.objects.nodes:
            written.append(path.with_name("nodes" + path.suffix))
            write_table(nodes_table(trace.objects), written[-1], form)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", file=str(path)) from None
    return written


def is_header(names: list[str]) -> bool:
    """Whether the columns are those of a trace in a table."""
    return "name" in names and bool({"submit", "submit_ms"}.intersection(names))
