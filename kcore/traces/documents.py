"""Objects as the documents that kubectl shows: plain data with apiVersion and kind, pods of columns included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, Container, Pod, PodColumns, Quantity, Resources

# field of ClusterObjects -> apiVersion, kind; in the order in which they are written
KINDS: tuple[tuple[str, str, str], ...] = (
    ("namespaces", "v1", "Namespace"),
    ("priority_classes", "scheduling.k8s.io/v1", "PriorityClass"),
    ("services", "v1", "Service"),
    ("replication_controllers", "v1", "ReplicationController"),
    ("replica_sets", "apps/v1", "ReplicaSet"),
    ("stateful_sets", "apps/v1", "StatefulSet"),
    ("pdbs", "policy/v1", "PodDisruptionBudget"),
    ("nodes", "v1", "Node"),
    ("pods", "v1", "Pod"),
)
# Their pods are in the list already, so a reader that expands workloads must make none.
EXPANDED = {"ReplicationController", "ReplicaSet", "StatefulSet"}
NAME_MARK = "@name@"  # no object can be called so

Render = Callable[[dict[str, Any]], str]


def document(api_version: str, kind: str, value: msgspec.Struct) -> dict[str, Any]:
    """The object as plain data."""
    plain: dict[str, Any] = msgspec.to_builtins(value)
    if kind in EXPANDED:
        plain.setdefault("spec", {})["replicas"] = 0
    return {"apiVersion": api_version, "kind": kind, **plain}


def documents(objects: ClusterObjects) -> Iterator[dict[str, Any]]:
    """Every object but the pods of columns."""
    for name, api_version, kind in KINDS:
        for value in getattr(objects, name):
            yield document(api_version, kind, value)


def rendered_pods(columns: PodColumns, render: Render, quote: Callable[[str], str]) -> Iterator[str]:
    """The text of every pod of the columns: rows that differ only by name are rendered once."""
    templates: dict[tuple[Any, ...], tuple[str, str]] = {}
    requests = columns.requests or {}
    no_column = np.zeros(0, np.int64)
    amounts = zip(*(column.tolist() for column in requests.values()), strict=True) if requests else None
    priority, node, started = (
        (no_column if column is None else column).tolist()
        for column in (columns.priority, columns.node, columns.start_time_ms)
    )
    for row, name in enumerate(names_of(columns)):
        key = (
            int(columns.exemplar[row]),
            next(amounts) if amounts is not None else None,
            priority[row] if priority else None,
            node[row] if node else -1,
            started[row] if started else None,
        )
        template = templates.get(key)
        if template is None:
            before, _, after = render(document("v1", "Pod", _pod(columns, list(requests), key))).partition(
                NAME_MARK
            )
            # a quoted mark leaves its quotes behind
            template = (before.removesuffix('"'), after.removeprefix('"'))
            templates[key] = template
        yield f"{template[0]}{quote(name)}{template[1]}"


def names_of(columns: PodColumns) -> list[str]:
    """The pods' names as texts."""
    names: list[str] = columns.names if isinstance(columns.names, list) else columns.names.to_pylist()
    return names


def timestamp(since_1970_ms: int) -> str:
    """RFC 3339, as the API writes it, to the millisecond where that says more."""
    whole, part = divmod(since_1970_ms, 1000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{part:03d}Z" if part else f"{text}Z"


def milliseconds(text: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 text; InputError where it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{text!r} is not a time", field="startTime", expected="2026-01-02T03:04:05Z"
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _pod(columns: PodColumns, resources: list[str], key: tuple[Any, ...]) -> Pod:
    """The pod of a row, its requests on the first container."""
    exemplar, amounts, priority, node, started = key
    pod = columns.exemplars[exemplar]
    spec, status = msgspec.structs.replace(pod.spec), msgspec.structs.replace(pod.status)
    if amounts is not None:
        containers = [_without_resources(one) for one in spec.containers or [Container(name="main")]]
        asked: dict[str, Quantity] = {
            name: _quantity(name, amount)
            for name, amount in zip(resources, amounts, strict=True)
            if amount
            or name in ("cpu", "memory")  # asking for none of these is not the same as leaving it open
        }
        containers[0].resources = Resources(requests=asked) if asked else None
        spec.containers = containers
        spec.init_containers = [_without_resources(one) for one in spec.init_containers or ()] or None
        spec.overhead, spec.resources = None, None
    if priority is not None:
        spec.priority = priority
    if columns.node is not None:
        spec.node_name = columns.node_names[node] if node >= 0 and columns.node_names else ""
    if started is not None and started >= 0:
        status.start_time = timestamp(started)
    metadata = msgspec.structs.replace(pod.metadata, name=NAME_MARK)
    return Pod(metadata=metadata, spec=spec, status=status)


def _without_resources(container: Container) -> Container:
    return msgspec.structs.replace(container, resources=None)


def _quantity(resource: str, amount: int) -> str:
    """The amount as people write it: 1500m, 512Mi, 2."""
    if resource == "cpu":
        return f"{amount}m" if amount % 1000 else str(amount // 1000)
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        for shift, suffix in ((30, "Gi"), (20, "Mi"), (10, "Ki")):
            if amount and amount % (1 << shift) == 0:
                return f"{amount >> shift}{suffix}"
    return str(amount)
