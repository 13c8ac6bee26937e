"""Which nodes labels select, for the selectors of volumes and storage classes: columns of their own, made when asked for.

The engine's label columns belong to pods' selectors and are never widened in the middle of a cycle.
Source: component-helpers/scheduling/corev1/nodeaffinity, pkg/apis/core/v1/helper of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from kcore.api.objects import LabelSelector, NodeSelectorRequirement, NodeSelectorTerm, TopologyTerm
from kcore.api.selectors import from_label_selector
from kcore.scheduler.nodes import NodeTable
from kcore.scheduler.selection import is_label_value
from kcore.scheduler.vocab import Vocab, label_number

MASKS_MAX = 20_000
"""Selectors whose nodes are remembered; then all are forgotten."""


class NodeLabels:
    """The labels of all nodes, by key, as they are now."""

    def __init__(self, nodes: NodeTable) -> None:
        self._nodes = nodes
        self._changed = -1
        self._values: Vocab[str] = Vocab()
        self._columns: dict[str, np.ndarray] = {}
        self._masks: dict[Hashable, np.ndarray] = {}

    def _refresh(self) -> None:
        if self._changed != self._nodes.changed:
            self._changed = self._nodes.changed
            self._columns.clear()
            self._masks.clear()

    def column(self, key: str) -> np.ndarray:
        """``int64[slot]``: the number of the node's value of a label, -1 without."""
        self._refresh()
        found = self._columns.get(key)
        if found is None:
            found = np.full(len(self._nodes.nodes), -1, dtype=np.int64)
            for slot, node in enumerate(self._nodes.nodes):
                value = None if node is None else (node.metadata.labels or {}).get(key)
                if value is not None:
                    found[slot] = self._values.intern(value)
            self._columns[key] = found
        return found

    def has_any(self, keys: Iterable[str]) -> np.ndarray:
        """``bool[slot]``: the nodes that have one of the labels."""
        found = np.zeros(len(self._nodes.nodes), dtype=bool)
        for key in keys:
            found |= self.column(key) >= 0
        return found

    def among(self, key: str, values: Iterable[str]) -> np.ndarray:
        """``bool[slot]``: the nodes whose label has one of the values."""
        wanted = [self._values.intern(value) for value in values]
        return np.isin(self.column(key), wanted)

    def _remembered(self, key: Hashable) -> np.ndarray | None:
        self._refresh()
        if len(self._masks) > MASKS_MAX:
            self._masks.clear()
        return self._masks.get(key)

    def matching(self, terms: Sequence[NodeSelectorTerm]) -> np.ndarray:
        """``bool[slot]``: the nodes that one of the terms selects by their labels; names of nodes count as empty.

        A term that cannot be parsed selects none. Source: CheckNodeAffinity, MatchNodeSelectorTerms.
        """
        key = ("terms", tuple(_term_key(term) for term in terms))
        found = self._remembered(key)
        if found is None:
            found = np.zeros(len(self._nodes.nodes), dtype=bool)
            for term in terms:
                if term.match_expressions or term.match_fields:
                    found |= self._term(term)
            self._masks[key] = found
        return found

    def _term(self, term: NodeSelectorTerm) -> np.ndarray:
        found = np.ones(len(self._nodes.nodes), dtype=bool)
        for one in term.match_expressions or ():
            found &= self._requirement(one)
        # there is no name to compare with, and fields are not looked at then; but they must be such that can be parsed
        is_parsed = all(
            one.operator in ("In", "NotIn") and len(one.values or ()) == 1 for one in term.match_fields or ()
        )
        return found if is_parsed else np.zeros_like(found)

    def _requirement(self, one: NodeSelectorRequirement) -> np.ndarray:
        values = one.values or []
        column, present = self.column(one.key), self.has_any((one.key,))
        never = np.zeros(len(column), dtype=bool)
        if not all(map(is_label_value, values)):
            return never
        if one.operator in ("In", "NotIn") and values:
            chosen = self.among(one.key, values)
            return chosen if one.operator == "In" else ~chosen
        if one.operator in ("Exists", "DoesNotExist") and not values:
            return present if one.operator == "Exists" else ~present
        if one.operator in ("Gt", "Lt") and len(values) == 1:
            bound = label_number(values[0])
            return never if bound is None else self._compared(column, one.operator, bound)
        return never

    def _compared(self, column: np.ndarray, operator: str, bound: int) -> np.ndarray:
        found = np.zeros(len(column), dtype=bool)
        for value in np.unique(column[column >= 0]).tolist():
            number = label_number(self._values.values[value])
            if number is not None and (number > bound if operator == "Gt" else number < bound):
                found |= column == value
        return found

    def allowed(self, terms: Sequence[TopologyTerm] | None) -> np.ndarray:
        """``bool[slot]``: the nodes in the topologies of a storage class. Source: MatchTopologySelectorTerms."""
        if not terms:
            return np.ones(len(self._nodes.nodes), dtype=bool)
        key = ("topologies", tuple(
            tuple((one.key, tuple(one.values or ())) for one in term.match_label_expressions or ()) for term in terms
        ))  # fmt: skip
        found = self._remembered(key)
        if found is None:
            found = np.zeros(len(self._nodes.nodes), dtype=bool)
            for term in terms:
                found |= self._topology(term)
            self._masks[key] = found
        return found

    def _topology(self, term: TopologyTerm) -> np.ndarray:
        expressions = term.match_label_expressions or ()
        found = np.full(len(self._nodes.nodes), bool(expressions))
        for one in expressions:
            values = one.values or []
            found &= bool(values) and all(map(is_label_value, values))
            found &= self.among(one.key, values)
        return found

    def selected(self, selector: LabelSelector) -> np.ndarray:
        """``bool[slot]``: the nodes whose labels a label selector selects; InputError where it is none."""
        parsed = from_label_selector(selector)
        key = ("selector", parsed)
        found = self._remembered(key)
        if found is None:
            found = np.array(
                [
                    node is not None and parsed.matches(node.metadata.labels or {})
                    for node in self._nodes.nodes
                ],
                dtype=bool,
            )
            self._masks[key] = found
        return found


def _term_key(term: NodeSelectorTerm) -> Hashable:
    return tuple(
        (kind, one.key, one.operator, tuple(one.values or ()))
        for kind, side in (("label", term.match_expressions), ("field", term.match_fields))
        for one in side or ()
    )
