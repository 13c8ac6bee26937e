"""Label selectors, node selectors and tolerations.

Source: apimachinery pkg/labels/selector.go and meta/v1/helpers.go, component-helpers scheduling/corev1 (nodeaffinity
and helpers), api core/v1/toleration.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kcore.api.objects import (
    LabelSelector,
    Node,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PreferredSchedulingTerm,
    Taint,
    Toleration,
)

Labels = Mapping[str, str] | None

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", re.ASCII)
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)


class InvalidSelectorError(ValueError):
    """The selector does not parse (the API server would have refused it)."""


def is_qualified_name(text: str) -> bool:
    """Whether ``text`` is a valid label key or resource name: ``[prefix/]name``."""
    prefix, slash, name = text.rpartition("/")
    if slash and (not prefix or len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        return False
    return len(name) <= 63 and _NAME.fullmatch(name) is not None


def is_label_value(text: str) -> bool:
    """Whether ``text`` is a valid label value; "-5" is not, as it starts with a dash."""
    return len(text) <= 63 and (text == "" or _NAME.fullmatch(text) is not None)


def parse_int64(text: str) -> int | None:
    """The integer as Go's ParseInt(text, 10, 64) reads it, or None."""
    if not _INTEGER.fullmatch(text):
        return None
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


@dataclass(frozen=True)
class Requirement:
    """One condition on labels. ``operator`` is In, NotIn, Exists, DoesNotExist, Gt or Lt; Equals is In of one."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Whether the labels (None is the empty set) satisfy the condition."""
        value = (labels or {}).get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
        number = None if value is None else parse_int64(value)
        bound = parse_int64(self.values[0])
        if number is None or bound is None:
            return False
        return number > bound if self.operator == "Gt" else number < bound


def new_requirement(key: str, operator: str, values: Sequence[str] | None) -> Requirement:
    """A requirement that is valid, or InvalidSelectorError."""
    values = tuple(values or ())
    if not is_qualified_name(key):
        raise InvalidSelectorError(f"key: Invalid value: {key!r}")
    if operator in ("In", "NotIn"):
        valid = len(values) > 0
    elif operator in ("Exists", "DoesNotExist"):
        valid = len(values) == 0
    elif operator in ("Gt", "Lt"):
        valid = len(values) == 1 and parse_int64(values[0]) is not None
    else:
        raise InvalidSelectorError(f"operator: Unsupported value: {operator!r}")
    if not valid or not all(is_label_value(value) for value in values):
        raise InvalidSelectorError(f"values: Invalid value: {list(values)!r} for {operator}")
    return Requirement(key, operator, values)


@dataclass(frozen=True)
class Selector:
    """A conjunction of requirements; None in their place matches nothing."""

    requirements: tuple[Requirement, ...] | None

    def matches(self, labels: Labels) -> bool:
        """Whether every requirement holds; false for NOTHING."""
        return self.requirements is not None and all(r.matches(labels) for r in self.requirements)

    def is_empty(self) -> bool:
        """Whether it restricts nothing (upstream ``Empty()``); NOTHING is not empty."""
        return self.requirements == ()

    def plus(self, other: Selector) -> Selector:
        """Both conjunctions together; neither may be NOTHING."""
        assert self.requirements is not None and other.requirements is not None
        return Selector(self.requirements + other.requirements)


NOTHING = Selector(None)
EVERYTHING = Selector(())


def selector_of_labels(labels: Labels) -> Selector:
    """Equality with each label, not validated; EVERYTHING for none."""
    return Selector(tuple(Requirement(key, "In", (value,)) for key, value in sorted((labels or {}).items())))


def selector_of(label_selector: LabelSelector | None) -> Selector:
    """The parsed selector: absent is NOTHING, ``{}`` is EVERYTHING; raises InvalidSelectorError."""
    if label_selector is None:
        return NOTHING
    requirements = [
        new_requirement(key, "In", [value]) for key, value in (label_selector.match_labels or {}).items()
    ]
    for expression in label_selector.match_expressions or ():
        if expression.operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            raise InvalidSelectorError(f"{expression.operator!r} is not a valid label selector operator")
        requirements.append(new_requirement(expression.key, expression.operator, expression.values))
    return Selector(tuple(requirements))


def _field_matches(requirement: NodeSelectorRequirement, node_name: str) -> bool:
    """Whether a matchFields requirement holds; only metadata.name has a value, all other fields read as ""."""
    if requirement.operator not in ("In", "NotIn") or len(requirement.values or ()) != 1:
        raise InvalidSelectorError(f"matchFields: {requirement.operator} {requirement.values!r}")
    assert requirement.values is not None
    value = node_name if requirement.key == "metadata.name" else ""
    return (value == requirement.values[0]) == (requirement.operator == "In")


def _term_matches(term: NodeSelectorTerm, node: Node) -> bool:
    """Whether all expressions and fields hold; raises InvalidSelectorError if any of them does not parse."""
    labels = Selector(
        tuple(new_requirement(e.key, e.operator, e.values) for e in term.match_expressions or ())
    )
    fields = [_field_matches(requirement, node.metadata.name) for requirement in term.match_fields or ()]
    return labels.matches(node.metadata.labels) and all(fields)


def _is_empty_term(term: NodeSelectorTerm) -> bool:
    return not term.match_expressions and not term.match_fields


def node_selector_matches(selector: NodeSelector, node: Node) -> bool:
    """Whether any term matches; empty terms and terms that do not parse never do."""
    for term in selector.node_selector_terms or ():
        if _is_empty_term(term):
            continue
        try:
            if _term_matches(term, node):
                return True
        except InvalidSelectorError:
            continue
    return False


def preferred_terms_score(terms: Iterable[PreferredSchedulingTerm], node: Node) -> int:
    """The sum of the weights of the matching terms; raises InvalidSelectorError, even for terms of other nodes."""
    return sum(
        term.weight
        for term in terms
        if term.weight != 0 and not _is_empty_term(term.preference) and _term_matches(term.preference, node)
    )


def required_node_affinity_matches(pod: Pod, node: Node) -> bool:
    """Whether the node satisfies the pod's nodeSelector and its required node affinity."""
    if not selector_of_labels(pod.spec.node_selector).matches(node.metadata.labels):
        return False
    affinity = pod.spec.affinity.node_affinity if pod.spec.affinity else None
    if affinity is None or affinity.required is None:
        return True
    return node_selector_matches(affinity.required, node)


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Whether the toleration covers the taint; Gt and Lt never do (their feature gate is off in 1.36)."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator in ("", "Equal"):
        return toleration.value == taint.value
    return toleration.operator == "Exists"


def tolerated(tolerations: Iterable[Toleration] | None, taint: Taint) -> bool:
    """Whether any toleration covers the taint."""
    return any(tolerates(toleration, taint) for toleration in tolerations or ())


def untolerated_taint(node: Node, pod: Pod) -> Taint | None:
    """The first NoSchedule or NoExecute taint of the node that the pod does not tolerate."""
    for taint in node.spec.taints or ():
        if taint.effect in ("NoSchedule", "NoExecute") and not tolerated(pod.spec.tolerations, taint):
            return taint
    return None
