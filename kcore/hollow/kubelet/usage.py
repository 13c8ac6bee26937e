"""What the containers use: as annotated, as configured, else a share of what they ask for.

Source: kwok ResourceUsage and ClusterResourceUsage, kustomize/metrics/usage; metrics-server's API metrics.k8s.io/v1beta1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from kcore.api.errors import InputError
from kcore.api.quantity import parse_quantity
from kcore.hollow.expressions import cel_program
from kcore.hollow.kubelet.answers import Whose
from kcore.hollow.shape import Shape

RESOURCES: Final = ("cpu", "memory")
ANNOTATION: Final = "kwok.x-k8s.io/usage-"
SHARE: Final = 0.5  # of its request that a container uses
LEAST: Final = {"cpu": 0.001, "memory": float(1 << 20)}  # of a container that asks for nothing
NANO: Final = 1_000_000_000
KINDS: Final = ("ResourceUsage", "ClusterResourceUsage")
Amount = Callable[[Mapping[str, Any], Mapping[str, Any]], float | None]  # of a pod and its container


class Usage(NamedTuple):
    """What containers use. ``containers`` empty: any."""

    containers: tuple[str, ...]
    amounts: Mapping[str, Amount]


class Usages:
    """What every container uses."""

    def __init__(self, rows: Sequence[tuple[Whose, Usage]] = ()) -> None:
        self._rows = rows

    def of(self, pod: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, float]:
        """Cores and bytes."""
        metadata = pod["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        found = next(
            (
                usage
                for whose, usage in self._rows
                if whose.has(namespace, name)
                and (not usage.containers or container["name"] in usage.containers)
            ),
            None,
        )
        return {each: self._one(found, each, pod, container) for each in RESOURCES}

    def _one(
        self, usage: Usage | None, resource: str, pod: Mapping[str, Any], container: Mapping[str, Any]
    ) -> float:
        if usage is not None and resource in usage.amounts:
            value = usage.amounts[resource](pod, container)
            if value is not None:
                return value
        said = (pod["metadata"].get("annotations") or {}).get(ANNOTATION + resource)
        value = amount_of(said) if said is not None else None
        if value is not None:
            return value
        requests = (container.get("resources") or {}).get("requests") or {}
        asked = amount_of(requests[resource]) if resource in requests else None
        return asked * SHARE if asked else LEAST[resource]


def amount_of(text: Any) -> float | None:
    """A quantity as a number; None where it is none."""
    try:
        return parse_quantity(text) / NANO
    except InputError:
        return None


def gathered(documents: Iterable[tuple[str, Any]]) -> Usages:
    """The usages of documents, each with its kind; those for single pods come first."""
    single: list[tuple[Whose, Usage]] = []
    general: list[tuple[Whose, Usage]] = []
    for kind, document in documents:
        top = Shape(document, "")
        top.raw("apiVersion"), top.raw("kind"), top.raw("status")
        metadata = Shape(top.raw("metadata") or {}, "metadata")
        named = metadata.needed("name")
        spec = top.shape("spec")
        if spec is None:
            raise top.wrong("spec", "is missing", "an object")
        if kind == "ResourceUsage":
            whose, rows = Whose((metadata.text("namespace") or "default",), (named,)), single
        else:
            selector = spec.shape("selector")
            whose = Whose()
            if selector is not None:
                whose = Whose(selector.texts("matchNamespaces"), selector.texts("matchNames"))
                selector.end()
            rows = general
        for each in spec.shapes("usages"):
            usage = each.shape("usage")
            amounts = (
                {} if usage is None else {name: _amount(usage, name) for name in RESOURCES if usage.raw(name)}
            )
            if usage is not None:
                usage.end()
            rows.append((whose, Usage(each.texts("containers"), amounts)))
            each.end()
        spec.end()
        top.end()
    return Usages((*single, *general))


def _amount(usage: Shape, name: str) -> Amount:
    shape = usage.shape(name)
    assert shape is not None
    value, expression = shape.raw("value"), shape.text("expression")
    shape.end()
    if expression:
        try:
            program = cel_program(expression, ("pod", "container"))
        except InputError as error:
            raise error.at(field=shape.place("expression")) from None

        def evaluated(pod: Mapping[str, Any], container: Mapping[str, Any]) -> float | None:
            found = program({"pod": pod, "container": container})
            return float(found) if isinstance(found, int | float) else None

        return evaluated
    fixed = amount_of(value) if value is not None else None
    if fixed is None:
        raise shape.wrong("value", f"{value!r} is no quantity", "one like 100m or 64Mi")
    return lambda pod, container: fixed
