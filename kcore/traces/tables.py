"""Objects as two Arrow tables, the columns of which :mod:`kcore.traces.write` lists.

A pod stands in a table where its containers say all that it asks for. Where more counts (init containers, overhead,
pod-level resources, claims, a status of its own), or where some pods ask for cpu or memory and others leave it open,
which is not the same as zero, pods are written as documents: so that they keep their order, all that come before too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kcore.api.objects import ClusterObjects, Pod, PodColumns, PodSpec, Quantity
from kcore.api.quantity import milli_value, parse_quantity, unit_value
from kcore.traces.documents import milliseconds

# resource -> column, for those with a column of their own
NATIVE = {"cpu": "cpu_milli", "memory": "memory_bytes", "ephemeral-storage": "ephemeral_storage_bytes"}
# left open, the scheduler assumes an amount of these when it scores
ASSUMED = frozenset({"cpu", "memory"})

Pods = list[Pod] | PodColumns


def column_of(resource: str, prefix: str) -> str:
    """The name of the resource's column; ``prefix`` is request or allocatable."""
    return NATIVE.get(resource, f"{prefix}:{resource}")


def _amounts(quantities: Mapping[str, Quantity]) -> dict[str, int]:
    return {
        name: (milli_value if name == "cpu" else unit_value)(parse_quantity(quantity))
        for name, quantity in quantities.items()
    }


def _json(value: Any) -> str | None:
    return msgspec.json.encode(value).decode() if value else None


def nodes_table(objects: ClusterObjects) -> pa.Table:
    """One row a node, in order."""
    nodes = objects.nodes
    allocatable = [_amounts(node.status.allocatable or node.status.capacity or {}) for node in nodes]
    others = sorted({name for amounts in allocatable for name in amounts} - {"cpu", "memory", "pods"})
    columns: dict[str, pa.Array] = {"name": pa.array([node.metadata.name for node in nodes], pa.string())}
    for resource in ("cpu", "memory", "pods", *others):
        name = "pods" if resource == "pods" else column_of(resource, "allocatable")
        columns[name] = pa.array([amounts.get(resource, 0) for amounts in allocatable], pa.int64())
    columns["labels"] = pa.array([_json(node.metadata.labels) for node in nodes], pa.string())
    columns["taints"] = pa.array([_json(node.spec.taints) for node in nodes], pa.string())
    columns["unschedulable"] = pa.array([bool(node.spec.unschedulable) for node in nodes], pa.bool_())
    if any(node.status.images for node in nodes):
        columns["images"] = pa.array([_json(node.status.images) for node in nodes], pa.string())
    return pa.table(columns)


def split(objects: ClusterObjects) -> tuple[list[Pods], list[Pods]]:
    """The pods that have to be documents, and those that can be rows; first the ones, then the others, in order."""
    parts: list[Pods] = [objects.pods] if objects.pods else []
    parts += [columns for columns in objects.pod_columns if len(columns.exemplar)]
    first = len(parts)
    assumed = _assumed(parts[-1]) if parts else None
    while first and assumed is not None and _assumed(parts[first - 1]) == assumed:
        first -= 1
    return parts[:first], parts[first:]


def _assumed(part: Pods) -> frozenset[str] | None:
    """Those of cpu and memory that all pods of the part ask for; None where the part cannot be rows."""
    if isinstance(part, PodColumns) and part.requests is not None:
        return ASSUMED.intersection(part.requests)
    found: set[frozenset[str]] = set()
    for pod in part if isinstance(part, list) else part.exemplars:
        asked = _plain_requests(pod)
        if asked is None:
            return None
        found.add(ASSUMED.intersection(asked))
    return found.pop() if len(found) == 1 else None


def _plain_requests(pod: Pod) -> dict[str, int] | None:
    """The sum over the containers; None where that is not the whole truth."""
    spec, status = pod.spec, pod.status
    if spec.init_containers or spec.overhead or spec.resources or spec.resource_claims:
        return None
    if status.container_statuses or status.resources or status.allocated_resources or status.conditions:
        return None
    if status.nominated_node_name or pod.metadata.deletion_timestamp or pod.metadata.owner_references:
        return None
    total: dict[str, int] = {}
    given: set[frozenset[str]] = set()
    for container in spec.containers or ():
        resources = container.resources
        if resources is not None and resources.claims:
            return None
        asked = _amounts({**(resources.limits or {}), **(resources.requests or {})}) if resources else {}
        given.add(ASSUMED.intersection(asked))
        for name, amount in asked.items():
            total[name] = total.get(name, 0) + amount
    return total if len(given) <= 1 else None


def pods_table(parts: list[Pods]) -> pa.Table:
    """One row a pod, in order."""
    with_priority = all(_has_priority(part) for part in parts)
    tables = [
        pa.table(
            _rows_of_columns(part, with_priority)
            if isinstance(part, PodColumns)
            else _rows_of_pods(part, with_priority)
        )
        for part in parts
    ]
    table = pa.concat_tables(tables, promote_options="default").combine_chunks()
    order = ["namespace", "name", "node", "priority", *NATIVE.values()]
    order += sorted(name for name in table.column_names if name.startswith("request:"))
    order += ["labels", "spec", "start_time", "scheduler_name"]
    columns: dict[str, pa.ChunkedArray] = {}
    for name in order:
        if name not in table.column_names or table[name].null_count == len(table):
            continue  # a column that says nothing is left out
        column = table[name]
        columns[name] = pc.fill_null(column, 0) if pa.types.is_integer(column.type) else column
    return pa.table(columns)


def _has_priority(part: Pods) -> bool:
    if isinstance(part, PodColumns) and part.priority is not None:
        return True
    pods = part if isinstance(part, list) else part.exemplars
    return all(pod.spec.priority is not None for pod in pods)


def _rest_of_spec(spec: PodSpec, with_priority: bool) -> str | None:
    """What has no column, as JSON."""
    containers = [msgspec.structs.replace(one, resources=None) for one in spec.containers or ()]
    rest = msgspec.structs.replace(spec, node_name="", scheduler_name="", containers=containers or None)
    if with_priority:
        rest.priority = None
    plain = msgspec.to_builtins(rest)
    return json.dumps(plain, separators=(",", ":")) if plain else None


def _texts(pods: list[Pod], with_priority: bool) -> Iterator[tuple[str, pa.Array]]:
    """The columns that depend on the pod, or the exemplar, alone."""
    yield "namespace", pa.array([pod.metadata.namespace or "default" for pod in pods], pa.string())
    yield "labels", pa.array([_json(pod.metadata.labels) for pod in pods], pa.string())
    yield "spec", pa.array([_rest_of_spec(pod.spec, with_priority) for pod in pods], pa.string())
    yield "scheduler_name", pa.array([pod.spec.scheduler_name or None for pod in pods], pa.string())
    if with_priority:
        yield "priority", pa.array([pod.spec.priority for pod in pods], pa.int32())


def _sums(pods: Iterable[Pod]) -> Iterator[tuple[str, pa.Array]]:
    requests = [_plain_requests(pod) or {} for pod in pods]
    for resource in sorted({name for amounts in requests for name in amounts}):
        amounts = [asked.get(resource, 0) for asked in requests]
        yield column_of(resource, "request"), pa.array(amounts, pa.int64())


def _rows_of_pods(pods: list[Pod], with_priority: bool) -> dict[str, pa.Array]:
    started = [pod.status.start_time for pod in pods]
    return {
        "name": pa.array([pod.metadata.name for pod in pods], pa.string()),
        "node": pa.array([pod.spec.node_name or None for pod in pods], pa.string()),
        "start_time": _times(None if text is None else milliseconds(text) for text in started),
        **dict(_texts(pods, with_priority)),
        **dict(_sums(pods)),
    }


def _rows_of_columns(rows: PodColumns, with_priority: bool) -> dict[str, pa.Array]:
    """Texts are made once an exemplar and taken by row."""
    at = pa.array(rows.exemplar)
    columns: dict[str, pa.Array] = {
        "name": rows.names if isinstance(rows.names, pa.Array) else pa.array(rows.names, pa.string()),
        **{name: column.take(at) for name, column in _texts(rows.exemplars, with_priority)},
    }
    if rows.priority is not None:
        columns["priority"] = pa.array(rows.priority, pa.int32())
    if rows.requests is None:
        columns |= {name: column.take(at) for name, column in _sums(rows.exemplars)}
    else:
        for resource, amounts in rows.requests.items():
            columns[column_of(resource, "request")] = pa.array(amounts, pa.int64())
    if rows.node is not None and rows.node_names is not None:
        bound = pa.array(rows.node, mask=rows.node < 0)
        columns["node"] = pa.array(rows.node_names, pa.string()).take(bound)
    if rows.start_time_ms is not None:
        unknown = rows.start_time_ms < 0
        columns["start_time"] = _times(np.where(unknown, 0, rows.start_time_ms), unknown)
    return columns


def _times(values: Iterable[int | None] | np.ndarray, unknown: np.ndarray | None = None) -> pa.Array:
    numbers = values if isinstance(values, np.ndarray) else list(values)
    return pa.array(numbers, pa.int64(), mask=unknown).cast(pa.timestamp("ms", tz="UTC"))
