"""Selector programs: compiled once, refused as upstream refuses them, and never mixed up with the node's name."""

from __future__ import annotations

import numpy as np
import pytest

from kcore.api.objects import NodeSelectorRequirement, NodeSelectorTerm
from kcore.scheduler.nodes import NodeTable
from kcore.scheduler.plugins.node_affinity import program_matches
from kcore.scheduler.selection import Programs, is_label_value
from kcore.scheduler.vocab import label_number
from tests.scheduler.cluster_objects import node_of


def matching(
    expressions: tuple[NodeSelectorRequirement, ...] = (),
    fields: tuple[NodeSelectorRequirement, ...] = (),
    selector: dict[str, str] | None = None,
) -> list[str]:
    """The names of the nodes that a term, or a nodeSelector, matches."""
    table = NodeTable()
    table.add(node_of("a", labels={"disk": "ssd", "gen": "7", "metadata.name": "z"}))
    table.add(node_of("b", labels={"disk": "", "gen": "+3"}))
    table.add(node_of("c", labels={"gen": "x"}))
    programs = Programs(table)
    if selector is not None:
        number = programs.of_labels(selector)
    else:
        number = programs.of_terms(
            [NodeSelectorTerm(match_expressions=list(expressions), match_fields=list(fields))]
        )
    term, requirement, value = programs.columns()
    empty = np.zeros((0, table.capacity), dtype=np.int64)
    view = table.columns(empty.astype(np.int32), empty)
    tables = (term, requirement, value, view.label, view.number, view.is_number)
    return [table.name(slot) for slot in range(3) if program_matches(number, *tables, slot)]


@pytest.mark.parametrize(
    ("key", "operator", "values", "names"),
    [
        ("disk", "In", ["ssd", "hdd"], "a"),
        ("disk", "In", [""], "b"),
        ("disk", "NotIn", ["ssd"], "bc"),
        ("disk", "Exists", [], "ab"),
        ("disk", "DoesNotExist", [], "c"),
        ("gen", "Gt", ["3"], "a"),
        ("gen", "Gt", ["2"], "ab"),
        ("gen", "Lt", ["7"], "b"),
        # what upstream cannot parse matches nothing
        ("disk", "In", [], ""),
        ("disk", "NotIn", [], ""),
        ("disk", "Exists", ["x"], ""),
        ("gen", "Gt", ["2", "3"], ""),
        ("gen", "Gt", ["many"], ""),
        ("gen", "Lt", ["99999999999999999999"], ""),
        ("gen", "Gt", ["-5"], ""),
        ("disk", "NotIn", ["not a value"], ""),
        ("disk", "Resembles", ["ssd"], ""),
    ],
)
def test_expressions_match_by_their_operator(key: str, operator: str, values: list[str], names: str) -> None:
    one = NodeSelectorRequirement(key=key, operator=operator, values=values or None)
    assert matching((one,)) == list(names)


@pytest.mark.parametrize(
    ("key", "operator", "values", "names"),
    [
        ("metadata.name", "In", ["b"], "b"),
        ("metadata.name", "NotIn", ["b"], "ac"),
        ("metadata.name", "In", ["b", "c"], ""),
        ("metadata.name", "Exists", [], ""),
        ("metadata.namespace", "In", [""], "abc"),
        ("metadata.namespace", "In", ["x"], ""),
        ("metadata.namespace", "NotIn", ["x"], "abc"),
    ],
)
def test_fields_know_the_name_and_read_empty_otherwise(
    key: str, operator: str, values: list[str], names: str
) -> None:
    one = NodeSelectorRequirement(key=key, operator=operator, values=values or None)
    assert matching(fields=(one,)) == list(names)


def test_a_label_called_metadata_name_is_a_label_and_not_the_nodes_name() -> None:
    one = NodeSelectorRequirement(key="metadata.name", operator="In", values=["z"])
    assert matching((one,)) == ["a"]
    assert matching(selector={"metadata.name": "z"}) == ["a"]
    assert matching(selector={"metadata.name": "b"}) == []


def test_a_node_selector_asks_for_every_label() -> None:
    assert matching(selector={"disk": "ssd"}) == ["a"]
    assert matching(selector={"disk": "ssd", "gen": "3"}) == []


def test_equal_programs_are_compiled_once() -> None:
    programs = Programs(NodeTable())
    one = NodeSelectorRequirement(key="a", operator="In", values=["x"])
    other = NodeSelectorRequirement(key="a", operator="NotIn", values=["x"])
    terms = [NodeSelectorTerm(match_expressions=[one])]
    number = programs.of_terms(terms)
    assert programs.of_terms([NodeSelectorTerm(match_expressions=[one]), NodeSelectorTerm()]) == number
    assert programs.of_terms([NodeSelectorTerm(match_expressions=[other])]) != number
    assert programs.of_terms([NodeSelectorTerm(match_fields=[one])]) != number
    assert programs.of_labels({"a": "x", "b": "y"}) == programs.of_labels({"b": "y", "a": "x"})


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("007", 7), ("-5", -5), ("+3", 3), ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)), ("9223372036854775808", None), ("", None), ("-", None), ("1.0", None),
        ("1_000", None), (" 1", None), ("٣", None), ("0x1", None), ("--1", None),
    ],
)  # fmt: skip
def test_numbers_in_labels_are_read_as_go_reads_them(text: str, number: int | None) -> None:
    assert label_number(text) == number


@pytest.mark.parametrize(
    ("text", "valid"),
    [("", True), ("a", True), ("a.b-c_d", True), ("-a", False), ("a-", False), ("a b", False), ("x" * 63, True),
     ("x" * 64, False), ("é", False), ("a\n", False)],
)  # fmt: skip
def test_label_values_are_those_that_upstream_accepts(text: str, valid: bool) -> None:
    assert is_label_value(text) is valid
