"""Objects as two Arrow tables, the columns of which :mod:`kcore.traces.write` lists.

A pod that asks only by its plain containers has its requests as numbers. Where more counts (init containers, overhead,
pod-level resources, claims) the request columns are null and the requests stay in ``spec``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kcore.api.objects import ClusterObjects, Node, Pod, PodColumns, PodSpec, Quantity
from kcore.api.quantity import milli_value, parse_quantity, unit_value
from kcore.traces.documents import timestamp

# resource -> column, for those with a column of their own
NATIVE = {"cpu": "cpu_milli", "memory": "memory_bytes", "ephemeral-storage": "ephemeral_storage_bytes"}


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
    allocatable = [_amounts(node.status.allocatable or node.status.capacity or {}) for node in objects.nodes]
    resources = [
        "cpu",
        "memory",
        *sorted({name for amounts in allocatable for name in amounts} - {"cpu", "memory"}),
    ]
    nodes = objects.nodes
    columns: dict[str, pa.Array] = {"name": pa.array([node.metadata.name for node in nodes], pa.string())}
    for resource in resources:
        name = "pods" if resource == "pods" else column_of(resource, "allocatable")
        columns[name] = pa.array([amounts.get(resource) for amounts in allocatable], pa.int64())
    columns["labels"] = pa.array([_json(node.metadata.labels) for node in nodes], pa.string())
    columns["taints"] = pa.array([_json(node.spec.taints) for node in nodes], pa.string())
    columns["unschedulable"] = pa.array([bool(node.spec.unschedulable) for node in nodes], pa.bool_())
    if any(node.status.images for node in nodes):
        columns["images"] = pa.array([_images(node) for node in nodes], pa.string())
    return pa.table(columns)


def _images(node: Node) -> str | None:
    return _json(node.status.images)


def pods_table(objects: ClusterObjects) -> pa.Table:
    """One row a pod: the pods first, then those of the columns, in order."""
    parts = [_columns_table(columns) for columns in objects.pod_columns]
    if objects.pods:
        parts.insert(0, _pods_table(objects.pods))
    if not parts:
        return pa.table({"namespace": pa.array([], pa.string()), "name": pa.array([], pa.string())})
    table = pa.concat_tables(parts, promote_options="default").combine_chunks()
    order = ["namespace", "name", "node", "priority", *NATIVE.values()]
    order += sorted(name for name in table.column_names if name.startswith("request:"))
    order += ["labels", "spec", "start_time", "scheduler_name"]
    # a column that says nothing is left out
    empty = {name for name in table.column_names if table[name].null_count == len(table)}
    return table.select([name for name in order if name in set(table.column_names) - empty])


def _rest_of_spec(spec: PodSpec, *, with_requests: bool) -> str | None:
    rest = msgspec.structs.replace(spec, node_name="", priority=None, scheduler_name="")
    if not with_requests:
        rest.containers = [
            msgspec.structs.replace(one, resources=None) for one in spec.containers or ()
        ] or None
    plain = msgspec.to_builtins(rest)
    return json.dumps(plain, separators=(",", ":")) if plain else None


def _plain_requests(pod: Pod) -> dict[str, int] | None:
    """The sum over the containers; None where that is not the whole truth."""
    spec, status = pod.spec, pod.status
    if spec.init_containers or spec.overhead or spec.resources or spec.resource_claims:
        return None
    if status.container_statuses or status.resources or status.allocated_resources or status.conditions:
        return None
    total: dict[str, int] = {}
    for container in spec.containers or ():
        if container.resources is None:
            continue
        limits, requests = container.resources.limits or {}, container.resources.requests or {}
        if container.resources.claims:
            return None
        for name, amount in _amounts({**limits, **requests}).items():
            total[name] = total.get(name, 0) + amount
    return total


def _pods_table(pods: list[Pod]) -> pa.Table:
    requests = [_plain_requests(pod) for pod in pods]
    resources = sorted({name for amounts in requests if amounts for name in amounts})
    columns: dict[str, pa.Array] = {
        "namespace": pa.array([pod.metadata.namespace or "default" for pod in pods], pa.string()),
        "name": pa.array([pod.metadata.name for pod in pods], pa.string()),
        "node": pa.array([pod.spec.node_name or None for pod in pods], pa.string()),
        "priority": pa.array([pod.spec.priority for pod in pods], pa.int32()),
        "labels": pa.array([_json(pod.metadata.labels) for pod in pods], pa.string()),
        "spec": pa.array(
            [
                _rest_of_spec(pod.spec, with_requests=amounts is None)
                for pod, amounts in zip(pods, requests, strict=True)
            ],
            pa.string(),
        ),
        "start_time": pa.array([pod.status.start_time for pod in pods], pa.string()),
        "scheduler_name": pa.array([pod.spec.scheduler_name or None for pod in pods], pa.string()),
    }
    for resource in resources:
        amounts = [None if asked is None else asked.get(resource, 0) for asked in requests]
        columns[column_of(resource, "request")] = pa.array(amounts, pa.int64())
    return pa.table(columns)


def _columns_table(rows: PodColumns) -> pa.Table:
    """Texts are made once an exemplar and taken by row."""
    taken = pa.array(rows.exemplar)

    def per_exemplar(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
        return pa.array(list(values), kind).take(taken)

    pods = rows.exemplars
    sums: list[dict[str, int] | None] | None = None
    if rows.requests is None:
        sums = [_plain_requests(pod) for pod in pods]
    columns: dict[str, pa.Array] = {
        "namespace": per_exemplar((pod.metadata.namespace or "default" for pod in pods), pa.string()),
        "name": rows.names if isinstance(rows.names, pa.Array) else pa.array(rows.names, pa.string()),
        "labels": per_exemplar((_json(pod.metadata.labels) for pod in pods), pa.string()),
        "spec": per_exemplar(
            (
                _rest_of_spec(pod.spec, with_requests=sums is not None and sums[at] is None)
                for at, pod in enumerate(pods)
            ),
            pa.string(),
        ),
        "scheduler_name": per_exemplar((pod.spec.scheduler_name or None for pod in pods), pa.string()),
    }
    if rows.priority is not None:
        columns["priority"] = pa.array(rows.priority, pa.int32())
    else:
        columns["priority"] = per_exemplar((pod.spec.priority for pod in pods), pa.int32())
    if rows.node is not None and rows.node_names is not None:
        bound = pa.array(rows.node, mask=rows.node < 0)
        columns["node"] = pa.array(rows.node_names, pa.string()).take(bound)
        if rows.start_time_ms is not None:
            columns["start_time"] = _timestamps(rows.start_time_ms, rows.node >= 0)
    if sums is None:
        for resource, amounts in (rows.requests or {}).items():
            columns[column_of(resource, "request")] = pa.array(amounts, pa.int64())
    else:
        for resource in sorted({name for amounts in sums if amounts for name in amounts}):
            each = (None if asked is None else asked.get(resource, 0) for asked in sums)
            columns[column_of(resource, "request")] = per_exemplar(each, pa.int64())
    return pa.table(columns)


def _timestamps(milliseconds: np.ndarray, bound: np.ndarray) -> pa.Array:
    distinct, at = np.unique(milliseconds, return_inverse=True)
    texts = pa.array([timestamp(int(value)) for value in distinct], pa.string())
    return pc.if_else(pa.array(bound), texts.take(pa.array(at)), pa.scalar(None, pa.string()))
