"""Objects are checked against each other and for amounts that cannot be; each error is one line with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, Container, Node, Pod, Quantity
from kcore.api.quantity import parse_quantity

Origin = tuple[str, str]


def validate(objects: ClusterObjects) -> None:
    """Names are unique, amounts are possible, and every bound pod's node is there; InputError otherwise."""
    check_names(objects)
    check_amounts(objects)
    check_bindings(objects)


def validate_read(objects: ClusterObjects) -> None:
    """The same for objects of one reading, whose names and amounts have been checked."""
    check_bindings(objects)


def check_names(objects: ClusterObjects) -> None:
    """No two nodes have one name, and no two pods one namespace and name."""
    node_names = [node.metadata.name for node in objects.nodes]
    if len(set(node_names)) < len(node_names):
        _raise_duplicate("node", node_names, objects.node_origins)
    if len({pod.metadata.name for pod in objects.pods}) < len(objects.pods):
        pod_names = [f"{pod.metadata.namespace}/{pod.metadata.name}" for pod in objects.pods]
        if len(set(pod_names)) < len(pod_names):
            _raise_duplicate("pod", pod_names, objects.pod_origins)
    if objects.pod_columns:
        from kcore.sources.tables import check_row_names

        taken = {(pod.metadata.namespace, pod.metadata.name) for pod in objects.pods}
        check_row_names(objects.pod_columns, taken)


def _raise_duplicate(noun: str, names: Sequence[str], origins: Sequence[Origin]) -> None:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        earlier = first.setdefault(name, index)
        if earlier != index:
            file, document = _origin(origins, index)
            where = ": ".join(part for part in _origin(origins, earlier) if part)
            raise InputError(
                f"the {noun} {name!r} is there twice" + (f", first in {where}" if where else ""),
                file=file,
                document=document,
                field="metadata.name",
                expected="each name once",
            )


def check_bindings(objects: ClusterObjects) -> None:
    """Every pod that is bound is bound to a node that is there."""
    names = {node.metadata.name for node in objects.nodes}
    for index, pod in enumerate(objects.pods):
        if pod.spec.node_name and pod.spec.node_name not in names:
            file, document = _origin(objects.pod_origins, index)
            raise _unknown_node(pod.spec.node_name, _title(pod)).at(file=file, document=document)
    for columns in objects.pod_columns:
        unknown = [name for name in columns.node_names or () if name not in names]
        if unknown and columns.node is not None and columns.node_names is not None:
            code = columns.node_names.index(unknown[0])
            rows = (columns.node == code).nonzero()[0]
            if len(rows):
                raise _unknown_node(unknown[0], f"row {int(rows[0]) + 1}").at(file=columns.origin)


def _unknown_node(name: str, title: str) -> InputError:
    return InputError(
        f"{title} is bound to the unknown node {name!r}",
        field="spec.nodeName",
        expected="a node of the input",
    )


def _title(pod: Pod) -> str:
    return f"pod {pod.metadata.namespace}/{pod.metadata.name}"


def _origin(origins: Sequence[Origin], index: int) -> Origin:
    return origins[index] if index < len(origins) else ("", "")


def check_amounts(objects: ClusterObjects) -> None:
    """Every quantity parses and none is negative. Distinct texts are parsed once; only a bad one is searched for."""
    seen: set[Quantity] = set()
    _gather_amounts(objects.pods, seen)
    for columns in objects.pod_columns:
        _gather_amounts(columns.exemplars, seen)
    for node in objects.nodes:
        for stated in (node.status.allocatable, node.status.capacity):
            if stated:
                seen.update(stated.values())
    bad = {value for value in seen if _problem(value) is not None}
    if bad:
        _raise_amount(objects, bad)


def _gather_amounts(pods: Iterable[Pod], seen: set[Quantity]) -> None:
    """All quantities of the pods' specs are in ``seen``; spelled out, as it runs once per pod of a large dump."""
    update = seen.update
    last = None
    for pod in pods:
        spec = pod.spec
        if spec is last:
            continue  # replicas share their spec
        last = spec
        for containers in (spec.containers, spec.init_containers):
            if containers:
                for container in containers:
                    resources = container.resources
                    if resources is not None:
                        if resources.requests:
                            update(resources.requests.values())
                        if resources.limits:
                            update(resources.limits.values())
        if spec.overhead:
            update(spec.overhead.values())
        if spec.resources is not None:
            update((spec.resources.requests or {}).values())
            update((spec.resources.limits or {}).values())


def _problem(value: Quantity) -> InputError | None:
    try:
        nanos = parse_quantity(value)
    except InputError as error:
        return error
    if nanos < 0:
        return InputError(f"{value} is negative", expected="zero or more")
    return None


def _raise_amount(objects: ClusterObjects, bad: set[Quantity]) -> None:
    pods = [(pod, _origin(objects.pod_origins, index)) for index, pod in enumerate(objects.pods)]
    pods += [(pod, (columns.origin, "")) for columns in objects.pod_columns for pod in columns.exemplars]
    for pod, origin in pods:
        _raise_within(_pod_fields(pod), bad, origin, _title(pod))
    for index, node in enumerate(objects.nodes):
        title = f"node {node.metadata.name}"
        _raise_within(_node_fields(node), bad, _origin(objects.node_origins, index), title)


def _raise_within(
    fields: Iterable[tuple[str, Mapping[str, Quantity] | None]],
    bad: set[Quantity],
    origin: Origin,
    title: str,
) -> None:
    for path, amounts in fields:
        for name, value in (amounts or {}).items():
            problem = _problem(value) if value in bad else None
            if problem is not None:
                file, document = origin
                place = f"{document} ({title})" if document else title
                raise problem.at(file=file, document=place, field=f"{path}.{name}")


def _node_fields(node: Node) -> Iterator[tuple[str, Mapping[str, Quantity] | None]]:
    yield "status.allocatable", node.status.allocatable
    yield "status.capacity", node.status.capacity


def _pod_fields(pod: Pod) -> Iterator[tuple[str, Mapping[str, Quantity] | None]]:
    spec: Any = pod.spec
    lists: tuple[tuple[str, list[Container] | None], ...] = (
        ("containers", spec.containers),
        ("initContainers", spec.init_containers),
    )
    for name, containers in lists:
        for index, container in enumerate(containers or ()):
            if container.resources is not None:
                yield f"spec.{name}[{index}].resources.requests", container.resources.requests
                yield f"spec.{name}[{index}].resources.limits", container.resources.limits
    yield "spec.overhead", spec.overhead
    if spec.resources is not None:
        yield "spec.resources.requests", spec.resources.requests
        yield "spec.resources.limits", spec.resources.limits
