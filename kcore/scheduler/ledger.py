"""The ledger: for every question that pods ask about other pods, a row that counts the answers per node.

A row stands for a set of pods: those that a selector matches, those that own an affinity term, those that hold a
host port. Binding a pod adds its contributions to the rows at its node, so that a full pass reads one array instead
of walking pods, and the incremental engine knows exactly which rows a placement touches.

A contribution is ``(row, counted, shifted, is port)``: how much the pod adds to the row, and how much the counts of
PodTopologySpread move when the pod is put on or taken off during preemption. The two differ, as upstream's do: a
terminating pod, or any pod under an empty selector, is not counted at first but is subtracted when evicted
(podtopologyspread/common.go countPodsMatchSelector against filtering.go updateWithPod). Port rows hold 0 or 1, not
counts: upstream keeps a node's ports as a set, so the first of two users that leaves frees the port.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from kcore.api.selectors import NOTHING, Selector
from kcore.scheduler.vocab import Vocab

Labels = dict[str, str]


class Scope(NamedTuple):
    """Pods in some namespaces that a selector matches; ``everywhere`` stands for all namespaces."""

    namespaces: frozenset[str]
    everywhere: bool
    selector: Selector

    def covers(self, namespace: str, labels: Labels) -> bool:
        """Tell whether a pod of that namespace and with those labels is in the set."""
        return (self.everywhere or namespace in self.namespaces) and self.selector.matches(labels)


class OwnTerm(NamedTuple):
    """An affinity term of a pod, as other pods meet it: ``kind`` is 'anti', 'hard' or 'soft' (weight signed)."""

    kind: str
    weight: int
    topology_key: str
    namespaces: frozenset[str]
    namespace_selector: Selector
    selector: Selector

    def covers(self, namespace: str, namespace_labels: Labels, labels: Labels) -> bool:
        """Tell whether the term matches an incoming pod."""
        if namespace not in self.namespaces and not self.namespace_selector.matches(namespace_labels):
            return False
        return self.selector.matches(labels)


class Port(NamedTuple):
    """A host port in use: address, protocol, number."""

    address: str
    protocol: str
    port: int

    def conflicts(self, other: Port) -> bool:
        """Tell whether two pods cannot hold both on one node."""
        same = self.protocol == other.protocol and self.port == other.port
        return same and (self.address == other.address or "0.0.0.0" in (self.address, other.address))


class MatchRow(NamedTuple):
    """Pods that every scope covers. ``spread`` rows leave out terminating pods and what an empty selector matches."""

    scopes: tuple[Scope, ...]
    spread: bool


class OwnRow(NamedTuple):
    """Pods that own the term."""

    term: OwnTerm


class PortRow(NamedTuple):
    """Pods that hold the port."""

    port: Port


Row = MatchRow | OwnRow | PortRow


class Contributor(NamedTuple):
    """What of a pod decides its contributions; one per spec class."""

    namespace: str
    labels: Labels
    terminating: bool
    terms: tuple[OwnTerm, ...]
    ports: tuple[Port, ...]


class LabelIndex:
    """Numbers found by the labels that their selectors ask for, so that few selectors are tried on a pod."""

    def __init__(self) -> None:
        self._by_label: dict[tuple[str, str], list[int]] = {}
        self._others: list[int] = []

    def add(self, number: int, selectors: Iterable[Selector]) -> None:
        """File a number whose pods every one of ``selectors`` matches."""
        selectors = tuple(selectors)
        for selector in selectors:
            for requirement in selector.requirements:
                if requirement.operator == "In":
                    for value in requirement.values:
                        self._by_label.setdefault((requirement.key, value), []).append(number)
                    return
        if NOTHING not in selectors:
            self._others.append(number)

    def candidates(self, labels: Labels) -> list[int]:
        """The numbers whose selectors may match these labels."""
        found = list(self._others)
        for label in labels.items():
            found.extend(self._by_label.get(label, ()))
        return found


class Ledger:
    """The rows, what each spec class contributes to them, and the counts ``int32[row, node]``."""

    def __init__(self) -> None:
        self.rows: Vocab[Row] = Vocab()
        self.contributors: list[Contributor] = []
        self.contributions: list[list[tuple[int, int, int, int]]] = []
        self.counts = np.zeros((0, 0), dtype=np.int32)
        self._linked_rows = 0
        self._linked_classes = 0
        self._matches = LabelIndex()

    def row(self, row: Row) -> int:
        """The number of a row, new if it was unknown (its counts are right after the next :meth:`link`)."""
        return self.rows.intern(row)

    def add_class(self, contributor: Contributor) -> None:
        """Take the next spec class: its own terms and ports become rows."""
        self.contributors.append(contributor)
        own: dict[int, int] = {}
        for term in contributor.terms:
            row = self.row(OwnRow(term))
            own[row] = own.get(row, 0) + 1
        found = [(row, count, count, 0) for row, count in own.items()]
        found += [(self.row(PortRow(port)), 1, 0, 1) for port in dict.fromkeys(contributor.ports)]
        self.contributions.append(found)

    def link(self) -> list[int]:
        """Match new rows with old classes and new classes with all rows; return the rows that need a recount."""
        new_rows = list(range(self._linked_rows, len(self.rows)))
        old_classes = range(self._linked_classes)
        for number in new_rows:
            row = self.rows.values[number]
            if isinstance(row, MatchRow):
                self._matches.add(number, (scope.selector for scope in row.scopes))
        fresh = [row for row in new_rows if isinstance(self.rows.values[row], MatchRow)]
        if fresh and old_classes:
            wanted = set(fresh)
            for number in old_classes:
                found = self._matches.candidates(self.contributors[number].labels)
                self._contribute(number, [row for row in found if row in wanted])
        for number in range(self._linked_classes, len(self.contributors)):
            self._contribute(number, self._matches.candidates(self.contributors[number].labels))
        self._linked_rows = len(self.rows)
        self._linked_classes = len(self.contributors)
        return new_rows

    def _contribute(self, number: int, rows: list[int]) -> None:
        one = self.contributors[number]
        for row_number in rows:
            row = self.rows.values[row_number]
            assert isinstance(row, MatchRow)
            if not all(scope.covers(one.namespace, one.labels) for scope in row.scopes):
                continue
            uncounted = row.spread and (one.terminating or row.scopes[0].selector.empty)
            self.contributions[number].append((row_number, 0 if uncounted else 1, 1, 0))

    def resize(self, capacity: int) -> None:
        """Give ``counts`` its present number of rows and ``capacity`` nodes, keeping what is there."""
        shape = (len(self.rows), capacity)
        if self.counts.shape != shape:
            counts = np.zeros(shape, dtype=np.int32)
            rows, nodes = self.counts.shape
            counts[:rows, :nodes] = self.counts
            self.counts = counts
