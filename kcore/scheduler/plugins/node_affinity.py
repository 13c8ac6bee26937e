"""NodeAffinity: node selectors and affinity as small programs over label columns.

A selector program is a row of OR-ed terms; a term is a run of AND-ed requirements; a requirement compares one label
column. Source: plugins/nodeaffinity and component-helpers/scheduling/corev1/nodeaffinity of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kcore.kernel import kernel
from kcore.scheduler.codes import OUTSIDE, REJECT_AFFINITY, REJECT_AFFINITY_ENFORCED

# operators of a requirement
IN = 0
NOT_IN = 1
EXISTS = 2
DOES_NOT_EXIST = 3
GREATER_THAN = 4
LESS_THAN = 5
NEVER = 6
"""A requirement that could not be parsed: the term matches no node."""

# columns of a requirement
LABEL = 0
OPERATOR = 1
VALUE_START = 2
VALUE_STOP = 3
NUMBER = 4


@kernel
def requirement_matches(value_id, requirement, value, number, is_number):
    """Tell whether a node whose label has ``value_id`` (-1 absent) meets one requirement."""
    operator = requirement[OPERATOR]
    if operator == EXISTS:
        return value_id >= 0
    if operator == DOES_NOT_EXIST:
        return value_id < 0
    if operator in (IN, NOT_IN):
        found = False
        for index in range(requirement[VALUE_START], requirement[VALUE_STOP]):
            if value[index] == value_id:
                found = True
        return (found and value_id >= 0) if operator == IN else (not found or value_id < 0)
    if operator == NEVER or value_id < 0 or is_number[value_id] == 0:
        return False
    if operator == GREATER_THAN:
        return number[value_id] > requirement[NUMBER]
    return number[value_id] < requirement[NUMBER]


@kernel
def program_matches(program, term, requirement, value, label, number, is_number, node):
    """Tell whether any term of the program matches the node; a program without terms matches none."""
    for index in range(term.ptr[program], term.ptr[program + 1]):
        matches = True
        for row in range(term.item[index, 0], term.item[index, 1]):
            test = requirement[row]
            if not requirement_matches(label[test[LABEL], node], test, value, number, is_number):
                matches = False
                break
        if matches:
            return True
    return False


def program_matches_arrays(
    program: int,
    term: Any,
    requirement: Any,
    value: Any,
    label: Any,
    number: Any,
    is_number: Any,
    nodes: slice,
) -> Any:
    """As :func:`program_matches`, of a range of nodes: ``bool[node]``."""
    found = np.zeros(label[0, nodes].shape, dtype=bool)
    for first, last in term.item[term.ptr[program] : term.ptr[program + 1]].tolist():
        matches = np.ones(len(found), dtype=bool)
        for test in requirement[first:last].tolist():
            ids = label[test[LABEL], nodes]
            matches &= _matches(ids, test, value, number, is_number)
        found |= matches
    return found


def _matches(ids: Any, test: list[int], value: Any, number: Any, is_number: Any) -> Any:
    """As :func:`requirement_matches`, of every node's value id."""
    operator, present = test[OPERATOR], ids >= 0
    if operator == EXISTS:
        return present
    if operator == DOES_NOT_EXIST:
        return ~present
    if operator in (IN, NOT_IN):
        inside = present & np.isin(ids, value[test[VALUE_START] : test[VALUE_STOP]])
        return inside if operator == IN else ~inside
    if operator == NEVER or not present.any():
        return np.zeros(len(ids), dtype=bool)
    known = np.maximum(ids, 0)
    is_more = number[known] > test[NUMBER] if operator == GREATER_THAN else number[known] < test[NUMBER]
    return present & (is_number[known] != 0) & is_more


@kernel
def select_nodes(
    selector, affinity, term, requirement, value, label, number, is_number, start, stop, selected
):
    """Mark the nodes that the pod's nodeSelector and required affinity match (programs, -1 where absent)."""
    for node in range(start, stop):
        matches = True
        if selector >= 0:
            matches = program_matches(selector, term, requirement, value, label, number, is_number, node)
        if matches and affinity >= 0:
            matches = program_matches(affinity, term, requirement, value, label, number, is_number, node)
        selected[node] = 1 if matches else 0


@select_nodes.over_arrays("stop")
def select_nodes_arrays(
    selector, affinity, term, requirement, value, label, number, is_number, start, stop, selected
):
    """As :func:`select_nodes`."""
    nodes = slice(start, stop)
    matches = np.ones(stop - start, dtype=bool)
    for program in (selector, affinity):
        if program >= 0:
            matches &= program_matches_arrays(
                program, term, requirement, value, label, number, is_number, nodes
            )
    selected[nodes] = matches


@kernel
def affinity_filter(
    needs_selection,
    enforced,
    selected,
    term,
    requirement,
    value,
    label,
    number,
    is_number,
    start,
    stop,
    verdict,
):
    """Reject nodes outside the profile's added affinity (``enforced`` program) and those not ``selected``."""
    for node in range(start, stop):
        if verdict[node] != 0:
            continue
        if enforced >= 0 and not program_matches(
            enforced, term, requirement, value, label, number, is_number, node
        ):
            verdict[node] = REJECT_AFFINITY_ENFORCED
        elif needs_selection and selected[node] == 0:
            verdict[node] = REJECT_AFFINITY


@affinity_filter.over_arrays("stop")
def affinity_filter_arrays(
    needs_selection, enforced, selected, term, requirement, value, label, number, is_number, start, stop, verdict
):  # fmt: skip
    """As :func:`affinity_filter`."""
    nodes = slice(start, stop)
    passed = verdict[nodes] == 0
    if needs_selection:
        verdict[nodes][passed & (selected[nodes] == 0)] = REJECT_AFFINITY
    if enforced >= 0:
        matches = program_matches_arrays(enforced, term, requirement, value, label, number, is_number, nodes)
        verdict[nodes][passed & ~matches] = REJECT_AFFINITY_ENFORCED


@kernel
def restrict_to_names(name, names, first, last, start, stop, verdict):
    """Mark nodes outside the set of names that matchFields ask for (``names.item[first:last]``)."""
    for node in range(start, stop):
        if verdict[node] != 0:
            continue
        inside = False
        for index in range(first, last):
            if names.item[index, 0] == name[node]:
                inside = True
                break
        if not inside:
            verdict[node] = OUTSIDE


@restrict_to_names.over_arrays("stop")
def restrict_to_names_arrays(name, names, first, last, start, stop, verdict):
    """As :func:`restrict_to_names`."""
    inside = np.isin(name[start:stop], names.item[first:last, 0])
    verdict[start:stop][(verdict[start:stop] == 0) & ~inside] = OUTSIDE


@kernel
def affinity_score(
    preferred, first, last, term, requirement, value, label, number, is_number, start, stop, verdict, raw
):
    """Sum the weights of the preferred terms that match each feasible node."""
    for node in range(start, stop):
        score = 0
        if verdict[node] == 0:
            for index in range(first, last):
                program = preferred.item[index, 0]
                if program_matches(program, term, requirement, value, label, number, is_number, node):
                    score += preferred.item[index, 1]
        raw[node] = score


@affinity_score.over_arrays("stop")
def affinity_score_arrays(
    preferred, first, last, term, requirement, value, label, number, is_number, start, stop, verdict, raw
):
    """As :func:`affinity_score`."""
    nodes = slice(start, stop)
    raw[nodes] = 0
    for program, weight in preferred.item[first:last].tolist():
        matches = program_matches_arrays(program, term, requirement, value, label, number, is_number, nodes)
        raw[nodes] += np.where(matches & (verdict[nodes] == 0), weight, 0)
