"""Selector programs: node selectors and affinity compiled to rows that kernels run over label columns.

Source: component-helpers/scheduling/corev1/nodeaffinity of Kubernetes 1.36. A term that upstream cannot parse
matches no node, as there.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable

import numpy as np

from kcore.api.objects import Labels, NodeSelectorRequirement, NodeSelectorTerm
from kcore.scheduler.columns import I32, I64, Ragged, ragged
from kcore.scheduler.nodes import NAME_LABEL, NodeTable
from kcore.scheduler.plugins.node_affinity import (
    DOES_NOT_EXIST,
    EXISTS,
    GREATER_THAN,
    IN,
    LESS_THAN,
    NEVER,
    NOT_IN,
)
from kcore.scheduler.vocab import label_number

_OPERATORS = {
    "In": IN, "NotIn": NOT_IN, "Exists": EXISTS, "DoesNotExist": DOES_NOT_EXIST, "Gt": GREATER_THAN, "Lt": LESS_THAN,
}  # fmt: skip
NAME_FIELD = "metadata.name"
_NEVER = (0, NEVER, 0, 0, 0)
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


def is_label_value(text: str) -> bool:
    """Tell whether the text may be a label's value; upstream refuses to parse a requirement with any other."""
    return _LABEL_VALUE.fullmatch(text) is not None


class Programs:
    """All selector programs of a cluster; equal ones are compiled once."""

    def __init__(self, nodes: NodeTable) -> None:
        self._nodes = nodes
        self._known: dict[Hashable, int] = {}
        self._programs: list[list[tuple[int, int]]] = []
        self._requirements: list[tuple[int, int, int, int, int]] = []
        self._values: list[int] = []

    def of_labels(self, labels: Labels) -> int:
        """The program of a pod's nodeSelector: one term that asks for every label."""
        key = ("labels", tuple(sorted(labels.items())))
        if key not in self._known:
            rows = [self._requirement(name, IN, (value,)) for name, value in sorted(labels.items())]
            self._known[key] = self._add([rows])
        return self._known[key]

    def of_terms(self, terms: Iterable[NodeSelectorTerm]) -> int:
        """The program of OR-ed terms; empty terms match nothing and are left out."""
        terms = [term for term in terms if term.match_expressions or term.match_fields]
        key = ("terms", tuple(_term_key(term) for term in terms))
        if key not in self._known:
            self._known[key] = self._add([self._term(term) for term in terms])
        return self._known[key]

    def _add(self, terms: list[list[tuple[int, int, int, int, int]]]) -> int:
        bounds = []
        for rows in terms:
            start = len(self._requirements)
            self._requirements.extend(rows)
            bounds.append((start, len(self._requirements)))
        self._programs.append(bounds)
        return len(self._programs) - 1

    def _term(self, term: NodeSelectorTerm) -> list[tuple[int, int, int, int, int]]:
        rows = [self._expression(one) for one in term.match_expressions or ()]
        rows.extend(self._field(one) for one in term.match_fields or ())
        return rows

    def _expression(self, one: NodeSelectorRequirement) -> tuple[int, int, int, int, int]:
        operator = _OPERATORS.get(one.operator, NEVER)
        values = tuple(one.values or ())
        if operator in (IN, NOT_IN) and not values:
            return _NEVER
        if operator in (EXISTS, DOES_NOT_EXIST) and values:
            return _NEVER
        if not all(map(is_label_value, values)):
            return _NEVER
        if operator in (GREATER_THAN, LESS_THAN):
            number = label_number(values[0]) if len(values) == 1 else None
            if number is None:
                return _NEVER
            return (self._nodes.label_row(one.key), operator, 0, 0, number)
        return _NEVER if operator == NEVER else self._requirement(one.key, operator, values)

    def _field(self, one: NodeSelectorRequirement) -> tuple[int, int, int, int, int]:
        values = one.values or []
        if one.operator not in ("In", "NotIn") or len(values) != 1:
            return _NEVER
        equal = one.operator == "In"
        if one.key == NAME_FIELD:
            return self._requirement(NAME_LABEL, IN if equal else NOT_IN, tuple(values))
        # any other field reads as the empty string
        if (values[0] == "") == equal:
            return (0, EXISTS, 0, 0, 0)
        return _NEVER

    def _requirement(
        self, key: str, operator: int, values: tuple[str, ...]
    ) -> tuple[int, int, int, int, int]:
        row = self._nodes.label_row(key)
        start = len(self._values)
        self._values.extend(self._nodes.label_values.intern(value) for value in values)
        return (row, operator, start, len(self._values), 0)

    def columns(self) -> tuple[Ragged, I64, I32]:
        """The kernel's view: terms by program, requirements, values."""
        requirements = np.array(self._requirements, dtype=np.int64).reshape(len(self._requirements), 5)
        return ragged(self._programs, 2), requirements, np.array(self._values, dtype=np.int32)


def _term_key(term: NodeSelectorTerm) -> Hashable:
    return tuple(
        (kind, one.key, one.operator, tuple(one.values or ()))
        for kind, side in (("label", term.match_expressions), ("field", term.match_fields))
        for one in side or ()
    )
