"""Which pods a run is offered: a cluster's running pods, a workload's pending ones, shuffled, cut or repeated to a load.

The load is what the pods ask for of one resource, over what the nodes can allocate of it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, Pod, PodColumns
from kcore.api.quantity import milli_value, parse_quantity, unit_value
from kcore.scheduler.requests import pod_requests
from kcore.traces.tables import Pods

PODS_MAX = 50_000_000  # that a load may come to


def together(cluster: ClusterObjects | None, workload: ClusterObjects) -> ClusterObjects:
    """Nodes and running pods of the cluster with the workload's pods; without a cluster, the workload as it is.

    Of the cluster, pods that wait for a node do not count; of the workload, nodes do not.
    """
    if cluster is None:
        return _copied(workload)
    running, origins = [], []
    for index, pod in enumerate(cluster.pods):
        if pod.spec.node_name:
            running.append(pod)
            origins.append(cluster.pod_origins[index] if index < len(cluster.pod_origins) else ("", ""))
    joined = _copied(cluster)
    joined.pods, joined.pod_origins = running, origins
    joined.pod_columns = [
        rows(columns, np.flatnonzero(columns.node >= 0))
        for columns in cluster.pod_columns
        if columns.node is not None
    ]
    for name in ClusterObjects.__struct_fields__:
        if name not in ("nodes", "node_origins"):
            getattr(joined, name).extend(getattr(workload, name))
    return joined


def _copied(objects: ClusterObjects) -> ClusterObjects:
    """The same objects in lists of their own."""
    return ClusterObjects(**{name: list(getattr(objects, name)) for name in ClusterObjects.__struct_fields__})


def rows(columns: PodColumns, chosen: np.ndarray) -> PodColumns:
    """The chosen rows, ``int64[row]``, in that order; a row that is chosen again gets ``-2``, ``-3``, ... after its name."""
    import pyarrow as pa

    names = columns.names if not isinstance(columns.names, list) else pa.array(columns.names, pa.string())
    taken = names.take(pa.array(chosen))
    again = _repetition(chosen)
    if again.any():
        texts = taken.to_pylist()
        for at in np.flatnonzero(again).tolist():
            texts[at] = f"{texts[at]}-{again[at] + 1}"
        taken = pa.array(texts, pa.string())
    requests = columns.requests
    return msgspec.structs.replace(
        columns,
        exemplar=columns.exemplar[chosen],
        names=taken,
        requests=None if requests is None else {name: amounts[chosen] for name, amounts in requests.items()},
        priority=None if columns.priority is None else columns.priority[chosen],
        node=None if columns.node is None else columns.node[chosen],
        start_time_ms=None if columns.start_time_ms is None else columns.start_time_ms[chosen],
    )


def _repetition(chosen: np.ndarray) -> np.ndarray:
    """How often each row has been chosen before, ``int64[row]``."""
    order = np.argsort(chosen, kind="stable")
    ordered = chosen[order]
    starts = (
        np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, np.int64)
    )
    lengths = np.diff(np.r_[starts, len(ordered)])
    before = np.empty(len(chosen), np.int64)
    before[order] = np.arange(len(ordered)) - np.repeat(starts, lengths)
    return before


def offered(
    workload: ClusterObjects,
    nodes: ClusterObjects,
    *,
    load: float | None,
    resource: str,
    random: np.random.Generator | None,
) -> ClusterObjects:
    """The workload's pods shuffled by ``random``, then cut or repeated until they ask for ``load`` of the resource.

    The pod that reaches the load is the last one. A workload that is too small begins again, each time in the same
    order, under other names.

    Raises:
        InputError: the nodes have none of the resource, or no pod asks for any.
    """
    if load is None and random is None:
        return workload
    columns = as_columns(workload)
    order = np.arange(len(columns.exemplar), dtype=np.int64)
    if random is not None:
        order = random.permutation(order)
    if load is not None:
        order = _to_load(order, amounts_of(columns, resource), load * capacity(nodes, resource), resource)
    chosen = _copied(workload)
    chosen.pods, chosen.pod_origins, chosen.pod_columns = [], [], [rows(columns, order)]
    return chosen


def _to_load(order: np.ndarray, amounts: np.ndarray, wanted: float, resource: str) -> np.ndarray:
    if wanted <= 0:
        raise InputError(f"no node has {resource}", field="load_resource", expected="a resource of the nodes")
    total = int(amounts.sum())
    if total <= 0:
        raise InputError(
            f"no pod asks for {resource}", field="load_resource", expected="a resource of the pods"
        )
    whole = max(int(wanted // total), 0)
    if (whole + 1) * len(order) > PODS_MAX:
        raise InputError(f"more than {PODS_MAX:,} pods would be needed", field="load", expected="less")
    repeated = np.tile(order, whole + 1)
    reached = np.cumsum(amounts[repeated])
    return repeated[: int(np.searchsorted(reached, wanted, side="left")) + 1]


def capacity(objects: ClusterObjects, resource: str) -> int:
    """What all nodes can allocate of the resource: milli-CPU, bytes, counts."""
    unit = milli_value if resource == "cpu" else unit_value
    total = 0
    for node in objects.nodes:
        stated = node.status.allocatable or node.status.capacity or {}
        if resource in stated:
            total += unit(parse_quantity(stated[resource]))
    return total


def amounts_of(columns: PodColumns, resource: str) -> np.ndarray:
    """What each pod asks for of the resource, ``int64[row]``: milli-CPU, bytes, counts."""
    if columns.requests is not None:
        given = columns.requests.get(resource)
        return np.zeros(len(columns.exemplar), np.int64) if given is None else given.astype(np.int64)
    unit = milli_value if resource == "cpu" else unit_value
    asked = [
        unit(pod_requests(exemplar, {}, use_status=False).get(resource, 0)) for exemplar in columns.exemplars
    ]
    found: np.ndarray = np.array(asked, dtype=np.int64)[columns.exemplar]
    return found


def as_columns(objects: ClusterObjects) -> PodColumns:
    """All pods as one set of columns, in order.

    Raises:
        InputError: some pods are documents and others rows of a table, or several tables differ in their columns.
    """
    parts: list[Pods] = [objects.pods] if objects.pods else []
    parts += [columns for columns in objects.pod_columns if len(columns.exemplar)]
    if not parts:
        raise InputError("the workload has no pods", field="load", expected="a workload with pods")
    if len(parts) > 1:
        raise InputError(
            "the workload's pods are in several tables, or in tables and manifests",
            field="load, shuffle",
            expected="one table, or manifests alone",
        )
    part = parts[0]
    return part if isinstance(part, PodColumns) else _columns_of(part)


def _columns_of(pods: list[Pod]) -> PodColumns:
    """Pods as rows; those that differ in nothing but their names share an exemplar."""
    import pyarrow as pa

    codes: dict[bytes, int] = {}
    exemplars: list[Pod] = []
    exemplar: list[int] = []
    names: list[Any] = []
    for pod in pods:
        names.append(pod.metadata.name)
        plain = msgspec.structs.replace(pod, metadata=msgspec.structs.replace(pod.metadata, name="", uid=""))
        text = msgspec.msgpack.encode(plain)
        code = codes.setdefault(text, len(codes))
        if code == len(exemplars):
            exemplars.append(plain)
        exemplar.append(code)
    return PodColumns(
        exemplars=exemplars, exemplar=np.array(exemplar, np.int32), names=pa.array(names, pa.string())
    )
