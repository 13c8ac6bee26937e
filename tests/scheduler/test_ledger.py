"""The ledger: which classes count in which rows, whoever came first."""

from __future__ import annotations

import itertools

import pytest

from kcore.api.selectors import EVERYTHING, NOTHING, Requirement, Selector, from_labels
from kcore.scheduler.ledger import (
    Contributor,
    LabelIndex,
    Ledger,
    MatchRow,
    OwnRow,
    OwnTerm,
    Port,
    PortRow,
    Scope,
)

WEB = from_labels({"app": "web"})
PROD = Selector((Requirement("env", "Exists"),))


def scope(selector: Selector = WEB, namespace: str = "default", *, everywhere: bool = False) -> Scope:
    return Scope(frozenset((namespace,)), everywhere, selector)


def pod_class(
    namespace: str = "default",
    *,
    terminating: bool = False,
    terms: tuple[OwnTerm, ...] = (),
    ports: tuple[Port, ...] = (),
    **labels: str,
) -> Contributor:
    return Contributor(namespace, labels, terminating, terms, ports)


def term(kind: str = "anti", weight: int = 0, selector: Selector = WEB) -> OwnTerm:
    return OwnTerm(kind, weight, "zone", frozenset(("default",)), NOTHING, selector)


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        (("0.0.0.0", "TCP", 80), ("0.0.0.0", "TCP", 80), True),
        (("0.0.0.0", "TCP", 80), ("10.0.0.1", "TCP", 80), True),
        (("10.0.0.1", "TCP", 80), ("10.0.0.1", "TCP", 80), True),
        (("10.0.0.1", "TCP", 80), ("10.0.0.2", "TCP", 80), False),
        (("0.0.0.0", "TCP", 80), ("0.0.0.0", "UDP", 80), False),
        (("0.0.0.0", "TCP", 80), ("0.0.0.0", "TCP", 81), False),
    ],
)
def test_ports_conflict_on_one_address_or_the_wildcard(
    one: tuple[str, str, int], other: tuple[str, str, int], conflict: bool
) -> None:
    assert Port(*one).conflicts(Port(*other)) is conflict
    assert Port(*other).conflicts(Port(*one)) is conflict


@pytest.mark.parametrize(
    ("one", "namespace", "labels", "covered"),
    [
        (scope(), "default", {"app": "web"}, True),
        (scope(), "other", {"app": "web"}, False),
        (scope(everywhere=True), "other", {"app": "web"}, True),
        (scope(), "default", {}, False),
        (scope(EVERYTHING), "default", {}, True),
        (scope(NOTHING), "default", {}, False),
    ],
)
def test_a_scope_covers_pods_of_its_namespaces_that_its_selector_matches(
    one: Scope, namespace: str, labels: dict[str, str], covered: bool
) -> None:
    assert one.covers(namespace, labels) is covered


@pytest.mark.parametrize(
    ("names", "selector", "namespace_labels", "covered"),
    [
        (("default",), NOTHING, {}, True),
        (("other",), NOTHING, {}, False),
        ((), PROD, {"env": "x"}, True),
        ((), PROD, {}, False),
        ((), EVERYTHING, {}, True),
    ],
)
def test_an_owned_term_covers_pods_by_namespace_or_by_its_labels(
    names: tuple[str, ...], selector: Selector, namespace_labels: dict[str, str], covered: bool
) -> None:
    one = OwnTerm("anti", 0, "zone", frozenset(names), selector, WEB)
    assert one.covers("default", namespace_labels, {"app": "web"}) is covered
    assert one.covers("default", namespace_labels, {"app": "db"}) is False


CLASSES = (
    pod_class(app="web"),
    pod_class(app="web", terminating=True),
    pod_class(app="db", env="x"),
    pod_class("other", app="web"),
    pod_class(),
)
ROWS = (
    MatchRow((scope(),), spread=False),
    MatchRow((scope(),), spread=True),
    MatchRow((scope(EVERYTHING),), spread=True),
    MatchRow((scope(EVERYTHING),), spread=False),
    MatchRow((scope(PROD, everywhere=True),), spread=False),
    MatchRow((scope(), scope(PROD)), spread=False),
    MatchRow((scope(NOTHING),), spread=False),
)


def contributions(order: tuple[str, ...]) -> list[dict[MatchRow, tuple[int, int]]]:
    """What each class adds to each row (counted, shifted), after things came in that order."""
    ledger = Ledger()
    for step in order:
        if step == "classes":
            for one in CLASSES:
                ledger.add_class(one)
        elif step == "rows":
            for row in ROWS:
                ledger.row(row)
        ledger.link()
    return [
        {ledger.rows.values[row]: (counted, shifted) for row, counted, shifted, _ in found}  # type: ignore[misc]
        for found in ledger.contributions
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(("classes", "rows"))))
def test_classes_and_rows_meet_whichever_came_first(order: tuple[str, ...]) -> None:
    plain, spread, all_spread, everything, exists = ROWS[:5]
    assert contributions(order) == [
        {plain: (1, 1), spread: (1, 1), all_spread: (0, 1), everything: (1, 1)},
        {plain: (1, 1), spread: (0, 1), all_spread: (0, 1), everything: (1, 1)},
        {exists: (1, 1), all_spread: (0, 1), everything: (1, 1)},
        {},
        {all_spread: (0, 1), everything: (1, 1)},
    ]


def test_linking_again_adds_nothing() -> None:
    ledger = Ledger()
    for row in ROWS:
        ledger.row(row)
    for one in CLASSES:
        ledger.add_class(one)
    assert ledger.link() == list(range(len(ROWS)))
    before = [list(found) for found in ledger.contributions]
    assert ledger.link() == []
    assert ledger.contributions == before


def test_a_pod_counts_once_for_each_equal_term_that_it_owns_and_holds_a_port_once() -> None:
    ledger = Ledger()
    port = Port("0.0.0.0", "TCP", 80)
    ledger.add_class(pod_class(terms=(term(), term(), term("soft", 5)), ports=(port, port)))
    ledger.link()
    found = {ledger.rows.values[row]: tuple(rest) for row, *rest in ledger.contributions[0]}
    assert found == {
        OwnRow(term()): (2, 2, 0),
        OwnRow(term("soft", 5)): (1, 1, 0),
        PortRow(port): (1, 0, 1),
    }


def test_counts_are_kept_as_rows_and_nodes_become_more() -> None:
    ledger = Ledger()
    ledger.row(ROWS[0])
    ledger.resize(2)
    ledger.counts[0] = (3, 4)
    ledger.row(ROWS[1])
    ledger.resize(5)
    assert ledger.counts.tolist() == [[3, 4, 0, 0, 0], [0] * 5]


def test_every_matching_selector_is_among_the_candidates_of_its_labels() -> None:
    index = LabelIndex()
    either = Selector((Requirement("app", "In", ("db", "web")),))
    for number, selector in enumerate((WEB, either, EVERYTHING, PROD, NOTHING)):
        index.add(number, (selector,))
    index.add(5, (WEB, NOTHING))
    assert sorted(index.candidates({"app": "db"})) == [1, 2, 3]
    assert sorted(index.candidates({"app": "web", "x": "y"})) in ([0, 1, 2, 3], [0, 1, 2, 3, 5])
    assert sorted(index.candidates({})) == [2, 3]
