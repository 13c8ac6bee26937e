"""Each kernel of arithmetic, resources, normalization and selection: compiled, interpreted and obvious agree."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kcore.kernel import Kernel
from kcore.scheduler import codes
from kcore.scheduler.cycle import count_feasible, select_node, start_verdicts
from kcore.scheduler.plugins import arithmetic, normalize
from kcore.scheduler.plugins import node_resources as resources
from kcore.scheduler.plugins.pod_topology_spread import add_soft_normalized
from kcore.scheduler.profile import ResourceSpec, ScoringStrategy
from tests.naive.arithmetic import divide, round_half_up
from tests.naive.framework import default_normalize
from tests.naive.plugins import resource_scoring as twin
from tests.naive.plugins.node_resources_balanced_allocation import balance
from tests.scheduler.kernel_forms import agreed

pytestmark = pytest.mark.differential

NAMES = ("cpu", "memory", "ephemeral-storage", "example.com/gpu")
STRATEGIES = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
drawn = settings(max_examples=120, deadline=None)


def ints(count: int, low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=count, max_size=count)


# -- arithmetic


@st.composite
def quotients(draw: st.DrawFn) -> tuple[int, int]:
    """Numerators and denominators, close to a multiple more often than not, with a quotient below 2**50."""
    denominator = draw(st.one_of(st.integers(1, 1000), st.integers(1, 2**62)))
    most = min(2**50 - 1, (2**63 - 1) // denominator)
    numerator = draw(st.integers(0, most)) * denominator + draw(
        st.one_of(st.integers(-2, 2), st.integers(0, denominator - 1))
    )
    return min(max(numerator, 0), 2**63 - 1, 2**50 * denominator - 1), denominator


@drawn
@given(pair=quotients())
@example(pair=(2**63 - 1, 2**62))
@example(pair=(2**63 - 1, 2**63 - 1))
@example(pair=(2**63 - 8, codes.QUANTITY_MAX))
@example(pair=(100 * (codes.QUANTITY_MAX - 1), codes.QUANTITY_MAX))
@example(pair=(2**53 + 1, 2**3 + 1))
@example(pair=(0, 1))
def test_division_is_exact(pair: tuple[int, int]) -> None:
    assert agreed(arithmetic.divide, *pair)[0] == pair[0] // pair[1]


@drawn
@given(numerator=st.integers(-(2**62), 2**62), denominator=st.integers(1, 2**62))
def test_division_rounds_toward_zero_as_in_go(numerator: int, denominator: int) -> None:
    assert agreed(arithmetic.divide_toward_zero, numerator, denominator)[0] == divide(numerator, denominator)


@drawn
@given(value=st.one_of(st.floats(0, 2**52), st.integers(0, 2**30).map(lambda half: half / 2)))
@example(value=0.49999999999999994)
@example(value=0.5)
@example(value=2.5)
def test_halves_are_rounded_away_from_zero(value: float) -> None:
    exact = Fraction(value)
    rounded = agreed(arithmetic.round_half_away, value)[0]
    assert rounded == round_half_up(value)
    assert exact - Fraction(1, 2) < rounded <= exact + Fraction(1, 2)


# -- resources


@drawn
@given(capacity=st.integers(1, codes.QUANTITY_MAX), used=st.integers(0, codes.QUANTITY_MAX))
@example(capacity=3, used=1)
@example(capacity=codes.QUANTITY_MAX, used=codes.QUANTITY_MAX)
@example(capacity=codes.QUANTITY_MAX, used=codes.QUANTITY_MAX - 1)
def test_allocation_is_scored_in_whole_per_cent(capacity: int, used: int) -> None:
    share = min(Fraction(used, capacity), Fraction(1))
    load = twin.Load(used, 0, capacity)
    least = agreed(resources.least_allocated, capacity, used)[0]
    most = agreed(resources.most_allocated, capacity, used)[0]
    assert (least, most) == (int(100 * (1 - share)), int(100 * share))
    assert (least, most) == (twin.least_allocated(load), twin.most_allocated(load))


@st.composite
def shapes(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    """Points of a broken line: utilisation and score of 0..10."""
    places = sorted(draw(st.sets(st.integers(0, 100), min_size=1, max_size=4)))
    return tuple((place, draw(st.integers(0, 10))) for place in places)


@drawn
@given(shape=shapes(), capacity=st.integers(1, 10**12), used=st.integers(0, 10**12))
@example(shape=((0, 10), (100, 0)), capacity=7, used=5)
@example(shape=((50, 3),), capacity=1, used=2)
def test_a_ratio_is_scored_by_the_broken_line(
    shape: tuple[tuple[int, int], ...], capacity: int, used: int
) -> None:
    points = np.array([(place, 10 * score) for place, score in shape], dtype=np.int64)
    wanted = twin.requested_to_capacity_ratio(shape, twin.Load(used, 0, capacity))
    assert agreed(resources.ratio_by_shape, capacity, used, points)[0] == wanted


class Nodes:
    """Drawn columns of a few nodes and a pod, and the rows of a strategy's resources."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.count = draw(st.integers(1, 5))
        high = draw(st.sampled_from((8, 1000, 10**14)))

        def table(rows: int, most: int) -> np.ndarray:
            return np.array([draw(ints(self.count, 0, most)) for _ in range(rows)], dtype=np.int64)

        self.allocatable = table(len(NAMES), high)
        self.requested = table(len(NAMES), high)
        self.nonzero = table(2, high)
        self.amount = np.array(draw(ints(len(NAMES), 0, high // 2)), dtype=np.int64)
        self.pod_nonzero = np.array(draw(ints(2, 0, high // 2)), dtype=np.int64)
        self.verdict = np.array(draw(ints(self.count, 0, 1)), dtype=np.uint8)
        names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=4))
        if draw(st.booleans()):
            names = draw(st.permutations(["cpu", "memory"]))
        weights = draw(ints(len(names), 1, 10))
        self.specs = tuple(ResourceSpec(*pair) for pair in zip(names, weights, strict=True))
        rows = [(NAMES.index(one.name), one.weight, int(one.name == NAMES[3])) for one in self.specs]
        self.rows = np.array(rows, dtype=np.int64)
        self.weight = draw(st.integers(1, 5))
        self.total = np.array(draw(ints(self.count, 0, 100)), dtype=np.int64)

    def loads(self, node: int, wanted: Sequence[int], used: np.ndarray) -> list[twin.Load]:
        """What the twin scores: one load for each resource of the strategy."""
        found = []
        for spec in self.specs:
            row = NAMES.index(spec.name)
            capacity = int(self.allocatable[row, node])
            if capacity == 0 or (row == 3 and wanted[row] == 0):
                found.append(twin.Load(0, 0, 0))
            else:
                before = int(used[row, node])
                found.append(twin.Load(before + int(wanted[row]), before, capacity))
        return found


@drawn
@given(data=st.data(), strategy=st.sampled_from(STRATEGIES), shape=shapes(), exception=st.booleans())
def test_fit_scores_are_the_weighted_mean_of_the_strategys_resources(
    data: st.DataObject, strategy: str, shape: tuple[tuple[int, int], ...], exception: bool
) -> None:
    nodes = Nodes(data.draw)
    other = np.array([data.draw(ints(len(NAMES), 0, 9))], dtype=np.int64)
    points = np.array([(place, 10 * score) for place, score in shape], dtype=np.int64).reshape(-1, 2)
    arguments = (
        nodes.allocatable, nodes.requested, nodes.nonzero, nodes.amount, nodes.pod_nonzero,
        0 if exception else -1, other, STRATEGIES.index(strategy), nodes.rows, points, nodes.weight, nodes.count,
        np.zeros((2, 60)), nodes.total,
    )  # fmt: skip
    total = agreed(resources.add_fit_score, *arguments)[1][-1]
    used = np.vstack([nodes.nonzero, nodes.requested[2:]])
    wanted = other[0] if exception else np.concatenate([nodes.pod_nonzero, nodes.amount[2:]])
    spec = ScoringStrategy(strategy, nodes.specs, shape)
    for node in range(nodes.count):
        score = twin.strategy_score(spec, nodes.loads(node, wanted, used))
        assert total[node] == nodes.total[node] + nodes.weight * score


@drawn
@given(data=st.data())
def test_balanced_allocation_scores_the_change_of_the_deviation(data: st.DataObject) -> None:
    nodes = Nodes(data.draw)
    total = agreed(
        resources.add_balanced_score, nodes.allocatable, nodes.requested, nodes.amount, nodes.rows, nodes.weight,
        nodes.count, nodes.verdict, np.zeros((2, 60)), nodes.total,
    )[1][-1]  # fmt: skip
    for node in np.flatnonzero(nodes.verdict == 0):
        loads = [one for one in nodes.loads(node, nodes.amount, nodes.requested) if one.allocatable]
        after = balance([(one.with_pod, one.allocatable) for one in loads])
        before = balance([(one.without_pod, one.allocatable) for one in loads])
        assert total[node] == nodes.total[node] + nodes.weight * (50 + (50 + after - before) // 2)


@drawn
@given(data=st.data())
def test_only_a_pod_that_asks_for_none_of_the_resources_is_best_effort(data: st.DataObject) -> None:
    nodes = Nodes(data.draw)
    asks = any(nodes.amount[NAMES.index(spec.name)] for spec in nodes.specs)
    assert bool(agreed(resources.is_best_effort, nodes.amount, nodes.rows)[0]) is not asks


@drawn
@given(data=st.data())
def test_a_node_fits_if_every_resource_and_one_more_pod_do(data: st.DataObject) -> None:
    nodes = Nodes(data.draw)
    allowed = np.array(data.draw(ints(nodes.count, 0, 3)), dtype=np.int64)
    pods = np.array(data.draw(ints(nodes.count, 0, 3)), dtype=np.int64)
    ignored = np.array(data.draw(ints(len(NAMES), 0, 1)), dtype=np.uint8)
    start = data.draw(st.integers(0, nodes.count - 1))
    verdict, detail = agreed(
        resources.fit_filter, nodes.allocatable, nodes.requested, allowed[start:], pods[start:], nodes.amount,
        ignored, start, nodes.verdict[start:], np.full(nodes.count - start, 77, dtype=np.int64),
    )[1][-2:]  # fmt: skip
    for node in range(start, nodes.count):
        wanted = codes.DETAIL_PODS if pods[node] >= allowed[node] else 0
        for row, amount in enumerate(nodes.amount):
            capacity, used = nodes.allocatable[row, node], nodes.requested[row, node]
            if amount and not ignored[row] and amount + used > capacity:
                wanted |= 1 << (row + 1) | (codes.DETAIL_UNRESOLVABLE if amount > capacity else 0)
        assert detail[node - start] == wanted
        first = nodes.verdict[node] or (codes.REJECT_FIT if wanted else 0)
        assert verdict[node - start] == first


# -- normalization


@st.composite
def scores(draw: st.DrawFn, least: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Verdicts and raw scores of a few nodes."""
    count = draw(st.integers(1, 6))
    most = draw(st.sampled_from((3, 100, 10**9)))
    verdict = np.array(draw(ints(count, 0, 1)), dtype=np.uint8)
    return verdict, np.array(draw(ints(count, least * most, most)), dtype=np.int64)


def added(
    kernel: Kernel, drawn_scores: tuple[np.ndarray, np.ndarray], *arguments: Any, weight: int
) -> list[int]:
    """What the kernel adds to the feasible nodes, per unit of weight."""
    verdict, raw = drawn_scores
    total = np.full(len(raw), 7, dtype=np.int64)
    after = agreed(kernel, verdict, raw, *arguments, weight, len(raw), total)[1][-1]
    found = (after - 7)[verdict == 0]
    assert (found % weight == 0).all()
    return (found // weight).tolist()


def feasible(drawn_scores: tuple[np.ndarray, np.ndarray]) -> list[int]:
    verdict, raw = drawn_scores
    return raw[verdict == 0].tolist()


@drawn
@given(both=scores(), reverse=st.booleans(), weight=st.integers(1, 9))
def test_default_normalization_scales_by_the_highest_feasible_score(
    both: tuple[np.ndarray, np.ndarray], reverse: bool, weight: int
) -> None:
    found = added(normalize.add_default_normalized, both, reverse, weight=weight)
    assert found == default_normalize(feasible(both), reverse=reverse)


@drawn
@given(both=scores(least=-1), weight=st.integers(1, 9))
def test_min_max_normalization_spans_the_feasible_scores(
    both: tuple[np.ndarray, np.ndarray], weight: int
) -> None:
    raw = feasible(both)
    least, most = min(raw, default=0), max(raw, default=0)
    wanted = [int(100 * (float(one - least) / float(most - least))) if most > least else 0 for one in raw]
    assert added(normalize.add_min_max_normalized, both, weight=weight) == wanted


@drawn
@given(both=scores(), weight=st.integers(1, 9), lacking=st.sets(st.integers(0, 5)))
def test_soft_spreading_prefers_few_matching_pods_and_ignores_unlabelled_nodes(
    both: tuple[np.ndarray, np.ndarray], weight: int, lacking: set[int]
) -> None:
    verdict, raw = both
    raw[[node for node in lacking if node < len(raw)]] = -1
    counted = [one for one in feasible(both) if one >= 0]
    least, most = min(counted, default=0), max(counted, default=0)
    wanted = [
        0 if one < 0 else 100 if most == 0 else 100 * (most + least - one) // most for one in feasible(both)
    ]
    assert added(add_soft_normalized, (verdict, raw), weight=weight) == wanted


# -- selection


@drawn
@given(both=scores(), data=st.data())
def test_the_best_node_is_the_first_by_name_or_the_one_drawn(
    both: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    verdict, total = both
    count = len(total)
    total %= 3
    rank = np.array(data.draw(st.permutations(range(count))), dtype=np.int32)
    best = [node for node in range(count) if verdict[node] == 0]
    best = [node for node in best if total[node] == max(total[one] for one in best)]
    first = agreed(select_node, verdict, total, rank, -1.0, count)[0]
    assert first == min(best, key=rank.__getitem__, default=-1)
    draw = data.draw(st.floats(0, 1, exclude_max=True))
    found = agreed(select_node, verdict, total, rank, draw, count)[0]
    assert found == (best[int(draw * len(best))] if best else -1)


@pytest.mark.parametrize("ties", [1, 2, 3, 7])
def test_draws_are_spread_evenly_over_the_ties(ties: int) -> None:
    total = np.array([5, *[9] * ties, 9, 2], dtype=np.int64)
    verdict = np.array([0] * (ties + 1) + [1, 0], dtype=np.uint8)
    rank = np.arange(len(total), dtype=np.int32)
    draws = (np.arange(ties * 100) + 0.5) / (ties * 100)
    chosen = [select_node(verdict, total, rank, draw, len(total)) for draw in draws]
    assert np.bincount(chosen, minlength=len(total)).tolist() == [0, *[100] * ties, 0, 0]


def test_negative_totals_can_win() -> None:
    total = np.array([-30, -10, 0], dtype=np.int64)
    verdict = np.array([0, 0, 1], dtype=np.uint8)
    assert agreed(select_node, verdict, total, np.arange(3, dtype=np.int32), -1.0, 3)[0] == 1


@drawn
@given(alive=st.lists(st.integers(0, 1), min_size=1, max_size=8))
def test_dead_slots_are_neither_nodes_nor_feasible(alive: list[int]) -> None:
    column = np.array(alive, dtype=np.uint8)
    verdict = agreed(start_verdicts, column, np.full(len(alive), 3, dtype=np.uint8))[1][-1]
    assert verdict.tolist() == [codes.PASS if one else codes.DEAD for one in alive]
    assert agreed(count_feasible, verdict, len(alive))[0] == sum(alive)
