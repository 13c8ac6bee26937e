"""Each kernel of taints, affinity, ports, images, spreading and inter-pod affinity against the obvious computation."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.api.objects import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from kcore.scheduler import codes
from kcore.scheduler.columns import NodeColumns, Ragged, ragged
from kcore.scheduler.nodes import NodeTable
from kcore.scheduler.plugins import (
    image_locality,
    inter_pod_affinity,
    node_affinity,
    node_ports,
    node_static,
)
from kcore.scheduler.plugins import pod_topology_spread as spread
from kcore.scheduler.selection import Programs
from tests.naive.arithmetic import round_half_up
from tests.naive.selectors import node_selector_matches
from tests.scheduler.cluster_objects import node_of
from tests.scheduler.kernel_forms import agreed

pytestmark = pytest.mark.differential

drawn = settings(max_examples=100, deadline=None)
counts = st.integers(1, 6)


def column(draw: st.DrawFn, count: int, low: int, high: int, dtype: type = np.int64) -> np.ndarray:
    values = draw(st.lists(st.integers(low, high), min_size=count, max_size=count))
    return np.array(values, dtype=dtype)


def kept(verdict: np.ndarray, rejected: Iterable[bool], code: int) -> list[int]:
    """The verdicts after one more filter: the first rejection stays."""
    return [old or (code if bad else 0) for old, bad in zip(verdict.tolist(), rejected, strict=True)]


# -- columns of the nodes alone


@drawn
@given(data=st.data(), count=counts)
def test_static_filters_reject_by_one_column(data: st.DataObject, count: int) -> None:
    draw = data.draw
    verdict = column(draw, count, 0, 1, np.uint8)
    cordon = column(draw, count, 0, 1, np.uint8)
    found = agreed(node_static.unschedulable_filter, cordon, verdict)[1][-1]
    assert found.tolist() == kept(verdict, cordon == 1, codes.REJECT_UNSCHEDULABLE)
    name = column(draw, count, -1, 2, np.int32)
    found = agreed(node_static.name_filter, name, 1, verdict)[1][-1]
    assert found.tolist() == kept(verdict, name != 1, codes.REJECT_NODE_NAME)
    taints = column(draw, count, 0, 2, np.int32)
    tolerates = column(draw, 3, 0, 5, np.int32)
    found = agreed(node_static.taint_filter, taints, tolerates, verdict)[1][-1]
    assert found.tolist() == kept(verdict, tolerates[taints] % 2 == 1, codes.REJECT_TAINT)
    raw = agreed(node_static.taint_score, taints, tolerates, count, np.zeros(count, dtype=np.int64))[1][-1]
    assert raw.tolist() == (tolerates[taints] // 2).tolist()


@drawn
@given(data=st.data(), count=counts)
def test_a_port_is_free_if_no_conflicting_row_counts_the_node(data: st.DataObject, count: int) -> None:
    ledger = np.vstack([column(data.draw, count, 0, 2, np.int32) for _ in range(3)])
    rows = data.draw(st.lists(st.integers(0, 2), unique=True))
    start = data.draw(st.integers(0, count - 1))
    verdict = column(data.draw, count, 0, 1, np.uint8)[start:]
    ports = ragged([[(row,) for row in rows]], 1)
    found = agreed(node_ports.ports_filter, ports, 0, len(rows), ledger, start, verdict)[1][-1]
    taken = [any(ledger[row, node] for row in rows) for node in range(start, count)]
    assert found.tolist() == kept(verdict, taken, codes.REJECT_PORTS)


@drawn
@given(data=st.data(), count=counts, containers=st.integers(1, 3))
def test_images_are_scored_by_their_bytes_between_two_thresholds(
    data: st.DataObject, count: int, containers: int
) -> None:
    image = np.vstack([column(data.draw, count, 0, 3 << 30) for _ in range(3)])
    rows = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=3))
    raw = agreed(
        image_locality.image_score, ragged([[(row,) for row in rows]], 1), 0, len(rows), containers, image, count,
        np.full(count, 5, dtype=np.int64),
    )[1][-1]  # fmt: skip
    low, high = 23 << 20, 1000 * containers << 20
    for node in range(count):
        present = min(max(sum(int(image[row, node]) for row in rows), low), high)
        assert raw[node] == 100 * (present - low) // (high - low)


# -- selector programs

KEYS = ("zone", "gen")
VALUES = ("a", "b", "3", "-5", "07", "")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))


@st.composite
def requirements(draw: st.DrawFn) -> NodeSelectorRequirement:
    operator = draw(st.sampled_from(OPERATORS))
    least, most = {"In": (1, 3), "NotIn": (1, 3), "Gt": (1, 1), "Lt": (1, 1)}.get(operator, (0, 0))
    values = draw(st.lists(st.sampled_from(VALUES), min_size=least, max_size=most, unique=True))
    if operator in ("Gt", "Lt"):
        values = [draw(st.sampled_from(("-5", "0", "3", "7", "12")))]
    return NodeSelectorRequirement(key=draw(st.sampled_from(KEYS)), operator=operator, values=values or None)


@st.composite
def terms(draw: st.DrawFn) -> NodeSelectorTerm:
    names = NodeSelectorRequirement(
        key="metadata.name",
        operator=draw(st.sampled_from(("In", "NotIn"))),
        values=[draw(st.sampled_from("nm"))],
    )
    return NodeSelectorTerm(
        match_expressions=draw(st.lists(requirements(), max_size=2)) or None,
        match_fields=[names] if draw(st.booleans()) else None,
    )


class Compiled:
    """Two nodes, n and m, and the programs of one node selector."""

    def __init__(self, given_terms: list[NodeSelectorTerm], given_labels: list[dict[str, str]]) -> None:
        self.nodes = [node_of(name, labels=own) for name, own in zip("nm", given_labels, strict=True)]
        table = NodeTable()
        programs = Programs(table)
        for node in self.nodes:
            table.add(node)
        self.number = programs.of_terms(given_terms)
        term, requirement, value = programs.columns()
        empty = np.zeros((0, table.capacity))
        view: NodeColumns = table.columns(empty.astype(np.int32), empty.astype(np.int64))
        self.name = view.label[0]
        self.tables = (term, requirement, value, view.label, view.number, view.is_number)


@drawn
@given(selector=st.lists(terms(), max_size=3), own=st.lists(labels, min_size=2, max_size=2))
def test_a_program_matches_the_nodes_that_its_selector_matches(
    selector: list[NodeSelectorTerm], own: list[dict[str, str]]
) -> None:
    compiled = Compiled(selector, own)
    wanted = [
        node_selector_matches(NodeSelector(node_selector_terms=selector), node) for node in compiled.nodes
    ]
    for slot, expected in enumerate(wanted):
        found = agreed(node_affinity.program_matches, compiled.number, *compiled.tables, slot)[0]
        assert bool(found) is expected
    number, zeros = compiled.number, np.zeros(2, dtype=np.uint8)
    for selecting, affinity in ((number, -1), (-1, number), (number, number)):
        arguments = (selecting, affinity, *compiled.tables, 0, 2, zeros)
        assert agreed(node_affinity.select_nodes, *arguments)[1][-1].tolist() == wanted
    for enforced in (-1, number):
        selected = np.array([1, 0], dtype=np.uint8)
        arguments = (True, enforced, selected, *compiled.tables, 0, 2, zeros)
        found = agreed(node_affinity.affinity_filter, *arguments)[1][-1].tolist()
        refused = [enforced >= 0 and not one for one in wanted]
        assert found == [codes.REJECT_AFFINITY_ENFORCED if refused[0] else 0,
                         codes.REJECT_AFFINITY_ENFORCED if refused[1] else codes.REJECT_AFFINITY]  # fmt: skip
    preferred = ragged([[(number, 7), (number, -2)]], 2)
    verdict = np.array([0, 1], dtype=np.uint8)
    arguments = (preferred, 0, 2, *compiled.tables, 0, 2, verdict, np.full(2, 9, dtype=np.int64))
    assert agreed(node_affinity.affinity_score, *arguments)[1][-1].tolist() == [5 * wanted[0], 0]


def test_only_nodes_of_the_named_set_are_asked() -> None:
    name = np.array([4, 5, 6], dtype=np.int32)
    verdict = np.array([0, 1, 0], dtype=np.uint8)
    names = ragged([[], [(4,), (9,)]], 1)
    found = agreed(node_affinity.restrict_to_names, name, names, 0, 2, 0, 3, verdict)[1][-1]
    assert found.tolist() == [0, 1, codes.OUTSIDE]


# -- pods around the node


class Topology:
    """Domains of two keys, ledger rows of pods, and a few nodes."""

    def __init__(self, draw: st.DrawFn, count: int) -> None:
        self.count = count
        self.domain = np.vstack([column(draw, count, -1, 2, np.int32) for _ in range(2)])
        self.domain_count = np.array([3, 3], dtype=np.int64)
        self.ledger = np.vstack([column(draw, count, 0, 3, np.int32) for _ in range(2)])
        self.verdict = column(draw, count, 0, 1, np.uint8)
        self.start = draw(st.integers(0, count - 1))

    def around(self, row: int, topology: int, node: int) -> int:
        """Pods of the row in the node's domain; the node must have one."""
        mine = self.domain[topology, node]
        assert mine >= 0
        return int(self.ledger[row][self.domain[topology] == mine].sum())

    def has(self, topology: int, node: int) -> bool:
        return bool(self.domain[topology, node] >= 0)


items = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(-5, 5)), max_size=3)


@drawn
@given(data=st.data(), count=counts, term=items, alone=st.booleans())
def test_inter_pod_terms_count_the_pods_of_the_nodes_domains(
    data: st.DataObject, count: int, term: list[tuple[int, int, int]], alone: bool
) -> None:
    world = Topology(data.draw, count)
    item = np.array(term, dtype=np.int64).reshape(len(term), 3)
    sums = np.full((3, 4), 99, dtype=np.int64)
    columns = (item, 0, len(term), world.domain, world.domain_count, world.ledger, count)
    everything, arguments = agreed(inter_pod_affinity.count_terms, *columns, sums)
    sums = arguments[-1]
    labelled = sum(int(world.ledger[row][world.domain[key] >= 0].sum()) for row, key, _ in term)
    assert everything == labelled
    verdict, start = world.verdict[world.start :], world.start
    nodes = range(start, count)
    found = agreed(
        inter_pod_affinity.affinity_filter, item, 0, len(term), world.domain, sums, alone, start, verdict
    )[1][-1]
    bad = [
        any(not world.has(k, n) or not (alone or world.around(r, k, n)) for r, k, _ in term) for n in nodes
    ]
    assert found.tolist() == kept(verdict, bad, codes.REJECT_POD_AFFINITY)
    found = agreed(
        inter_pod_affinity.anti_affinity_filter, item, 0, len(term), world.domain, sums, 42, start, verdict
    )[1][-1]
    bad = [any(world.has(k, n) and world.around(r, k, n) > 0 for r, k, _ in term) for n in nodes]
    assert found.tolist() == kept(verdict, bad, 42)
    ran, arguments = agreed(
        inter_pod_affinity.preference_score, *columns, sums, np.zeros(count, dtype=np.int64)
    )
    assert ran == (1 if term and labelled else 0)
    if ran:
        for node in range(count):
            wanted = sum(w * world.around(r, k, node) for r, k, w in term if world.has(k, node))
            assert arguments[-1][node] == wanted


@st.composite
def constraints(draw: st.DrawFn) -> list[tuple[int, ...]]:
    """Row, topology, max skew, min domains or is-hostname, both inclusion policies, whether the pod matches itself."""
    flag = st.integers(0, 1)
    one = st.tuples(flag, flag, st.integers(1, 3), st.integers(0, 4), flag, flag, flag)
    return draw(st.lists(one, min_size=1, max_size=2))


class Policies:
    """Which nodes the inclusion policies admit."""

    def __init__(self, draw: st.DrawFn, world: Topology) -> None:
        self.selected = column(draw, world.count, 0, 1, np.uint8)
        self.taint_set = column(draw, world.count, 0, 1, np.int32)
        self.tolerates = np.array([0, draw(st.integers(0, 3))], dtype=np.int32)
        self.world = world

    def admits(self, one: tuple[int, ...], complete: bool, node: int) -> bool:
        tainted = self.tolerates[self.taint_set[node]] % 2 == 1
        return complete and not (one[4] and not self.selected[node]) and not (one[5] and tainted)


@drawn
@given(data=st.data(), count=counts, constraint=constraints())
def test_hard_spreading_bounds_the_skew_over_the_admitted_domains(
    data: st.DataObject, count: int, constraint: list[tuple[int, ...]]
) -> None:
    world = Topology(data.draw, count)
    policies = Policies(data.draw, world)
    item = np.array(constraint, dtype=np.int64)
    last = len(constraint)
    counted = agreed(
        spread.count_hard, item, 0, last, world.domain, world.domain_count, world.ledger, policies.selected,
        policies.taint_set, policies.tolerates, count, np.zeros(count, dtype=np.uint8),
        np.full((2, 4), 99, dtype=np.int64), np.zeros((2, 4), dtype=np.int64),
        np.full((2, count), 9, dtype=np.uint8),
    )[1]  # fmt: skip
    sums, least, eligible = counted[-3:]
    start, verdict = world.start, world.verdict[world.start :]
    found = agreed(spread.spread_filter, item, 0, last, world.domain, sums, least, start, verdict)[1][-1]
    wanted = verdict.tolist()
    for index, one in enumerate(constraint):
        row, key, most, domains, *_, own = one
        complete = [all(world.has(other[1], node) for other in constraint) for node in range(count)]
        admitted = [policies.admits(one, complete[node], node) for node in range(count)]
        assert eligible[index].tolist() == admitted
        pods: dict[int, int] = {}
        for node in np.flatnonzero(admitted):
            mine = int(world.domain[key, node])
            pods[mine] = pods.get(mine, 0) + int(world.ledger[row, node])
        lowest = min(pods.values(), default=spread.NO_COUNT) if len(pods) >= domains else 0
        for node in range(start, count):
            mine = int(world.domain[key, node])
            code = codes.REJECT_SPREAD if pods.get(mine, 0) + own - lowest > most else 0
            code = code if mine >= 0 else codes.REJECT_SPREAD_LABEL
            wanted[node - start] = wanted[node - start] or code
    assert found.tolist() == wanted


@drawn
@given(data=st.data(), count=counts, constraint=constraints(), require_all=st.booleans())
def test_soft_spreading_counts_pods_in_the_domains_of_feasible_nodes(
    data: st.DataObject, count: int, constraint: list[tuple[int, ...]], require_all: bool
) -> None:
    world = Topology(data.draw, count)
    policies = Policies(data.draw, world)
    constraint = [(*one[:3], one[3] % 2, *one[4:6]) for one in constraint]
    item = np.array(constraint, dtype=np.int64)
    bytes_ = np.zeros(count, dtype=np.uint8)
    raw = agreed(
        spread.soft_score, item, 0, len(constraint), require_all, world.domain, world.domain_count, world.ledger,
        policies.selected, policies.taint_set, policies.tolerates, world.verdict, count, bytes_, bytes_.copy(),
        np.full((2, 4), 99, dtype=np.int64), np.full((2, 4), 9, dtype=np.uint8), np.zeros(count),
        np.zeros(count, dtype=np.int64),
    )[1][-1]  # fmt: skip
    complete = [
        not require_all or all(world.has(one[1], node) for one in constraint) for node in range(count)
    ]
    scored = [node for node in range(count) if complete[node] and world.verdict[node] == 0]
    for node in scored:
        number = 0.0
        for one in constraint:
            row, key, most, hostname, *_ = one
            if not world.has(key, node):
                continue
            if hostname:
                pods, size = int(world.ledger[row, node]), len(scored)
            else:
                same = [
                    other for other in range(count) if world.domain[key, other] == world.domain[key, node]
                ]
                admitted = [other for other in same if policies.admits(one, complete[other], other)]
                pods = sum(int(world.ledger[row, other]) for other in admitted)
                size = len({int(world.domain[key, other]) for other in scored})
            number += pods * math.log(size + 2) + (most - 1)
        assert raw[node] == round_half_up(number)
    assert all(raw[node] == -1 for node in range(count) if not complete[node])


def test_the_two_least_counts_and_their_domain_are_found() -> None:
    for sums, wanted in (
        ([5, 3, 4], [3, 1, 4, 3]),
        ([3, 3], [3, 0, 3, 2]),
        ([spread.ABSENT, 2], [2, 1, spread.NO_COUNT, 1]),
        ([], [spread.NO_COUNT, -1, spread.NO_COUNT, 0]),
    ):
        array = np.array([*sums, 0], dtype=np.int64)
        found = agreed(spread.find_least, array, len(sums), np.zeros(4, dtype=np.int64))[1][-1]
        assert found.tolist() == wanted


def test_rows_of_different_length_are_packed() -> None:
    packed = ragged([[(1, 2)], [], [(3, 4), (5, 6)]], 2)
    assert isinstance(packed, Ragged)
    assert packed.ptr.tolist() == [0, 1, 1, 3]
    assert packed.item.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert ragged([], 3).item.shape == (0, 3)
