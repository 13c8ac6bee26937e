"""Which nodes a pod may be on, by its node selector, its required node affinity and its tolerations.

Source: component-helpers/scheduling/corev1/nodeaffinity, helpers.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from kcore.api.objects import Toleration
from kcore.api.selectors import Requirement, int64
from kcore.api.tolerations import tolerates
from kcore.controllers.contract import Object

NAME_FIELD = "metadata.name"
Fits = Callable[[Object], bool]


def affinity_of(spec: Object) -> Fits:
    """Tells of a node whether the node selector and the required node affinity of a pod's spec let it there."""
    selector: Mapping[str, str] = spec.get("nodeSelector") or {}
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    terms = None if required is None else [_term(term) for term in required.get("nodeSelectorTerms") or ()]

    def fits(node: Object) -> bool:
        labels = node["metadata"].get("labels") or {}
        if not selector.items() <= labels.items():
            return False
        return terms is None or any(term(node) for term in terms)

    return fits


def _term(term: Object) -> Fits:
    expressions = [_requirement(each) for each in term.get("matchExpressions") or ()]
    fields = [_requirement(each) for each in term.get("matchFields") or ()]
    is_valid = None not in expressions and None not in fields and bool(expressions or fields)

    def matches(node: Object) -> bool:
        if not is_valid:
            return False
        labels = node["metadata"].get("labels") or {}
        named = {NAME_FIELD: node["metadata"]["name"]}
        return all(each.matches(labels) for each in expressions if each) and all(
            each.matches(named) for each in fields if each
        )

    return matches


def _requirement(given: Object) -> Requirement | None:
    """None where it is not valid: the term matches nothing then."""
    operator, values = given["operator"], tuple(given.get("values") or ())
    if operator in ("In", "NotIn"):
        is_valid = bool(values)
    elif operator in ("Exists", "DoesNotExist"):
        is_valid = not values
    else:
        is_valid = operator in ("Gt", "Lt") and len(values) == 1 and int64(values[0]) is not None
    return Requirement(given["key"], operator, tuple(sorted(set(values)))) if is_valid else None


def tolerations_of(given: Iterable[Object]) -> list[Toleration]:
    """As the API's rows have them."""
    return msgspec.convert(list(given), list[Toleration])


def is_tolerated(taints: Sequence[Object], tolerations: Sequence[Toleration], effects: Sequence[str]) -> bool:
    """Each taint of one of those effects is."""
    return all(
        any(tolerates(each, taint["key"], taint.get("value", ""), taint["effect"]) for each in tolerations)
        for taint in taints
        if taint["effect"] in effects
    )
