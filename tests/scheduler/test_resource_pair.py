"""CPU and memory as doubles score as the integer kernels do, and their quotients are the division's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.kernel import JIT, kernel
from kcore.scheduler.codes import CPU, MEMORY
from kcore.scheduler.plugins import resource_pair
from kcore.scheduler.plugins.node_resources import LEAST_ALLOCATED, add_balanced_score, add_fit_score

pytestmark = pytest.mark.differential

RESOURCES = np.array([[CPU, 1, 0], [MEMORY, 1, 0]], dtype=np.int64)
NODES = 40


@kernel
def quotients(numerator, denominator, out):
    """Fill ``out`` with quotients."""
    for index in range(out.shape[0]):
        reciprocal = 1.0 / denominator[index]
        out[index] = resource_pair.quotient(numerator[index], denominator[index], reciprocal)


@kernel
def floors(numerator, denominator, out):
    """Fill ``out`` with floors of quotients."""
    for index in range(out.shape[0]):
        reciprocal = 1.0 / denominator[index]
        out[index] = resource_pair.floor_quotient(numerator[index], denominator[index], reciprocal)


def whole_numbers(random: np.random.Generator, count: int) -> np.ndarray:
    """Whole numbers of every size up to the largest capacity."""
    return np.floor(2.0 ** random.uniform(0, 46, count))


@pytest.mark.skipif(not JIT, reason="in the interpreter a quotient is a division")
def test_a_quotient_is_what_the_division_rounds_to() -> None:
    random = np.random.default_rng(1)
    numerator, denominator = whole_numbers(random, 1_000_000), whole_numbers(random, 1_000_000)
    numerator[:1000] = denominator[:1000]
    numerator[1000:2000] = 0
    found = np.zeros(1_000_000)
    quotients.compiled(numerator, denominator, found)
    np.testing.assert_array_equal(found, numerator / denominator)


def test_a_floor_is_the_integer_quotient() -> None:
    random = np.random.default_rng(2)
    denominator = whole_numbers(random, 5_000)
    free = np.minimum(whole_numbers(random, 5_000), denominator)
    free[:100] = denominator[:100]
    found = np.zeros(5_000)
    floors.compiled(100.0 * free, denominator, found)
    wanted = [100 * int(one) // int(other) for one, other in zip(free, denominator, strict=True)]
    assert found.tolist() == wanted


def random_nodes(random: np.random.Generator, top: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Capacities, some of them 0, and what is requested of them, here and there more than there is."""
    allocatable = random.integers(0, top, (3, NODES))
    allocatable[random.random((3, NODES)) < 0.1] = 0
    requested = (allocatable * random.uniform(0, 1.2, (3, NODES))).astype(np.int64)
    nonzero = requested[:2] + random.integers(0, max(top // 10, 1), (2, NODES))
    return allocatable, requested, nonzero


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), bits=st.sampled_from((3, 8, 13, 30, 45)))
def test_scores_are_those_of_the_integer_kernels(seed: int, bits: int) -> None:
    random = np.random.default_rng(seed)
    allocatable, requested, nonzero = random_nodes(random, 1 << bits)
    alive = np.ones(NODES, dtype=np.uint8)
    pair, exact = resource_pair.make_pair(allocatable, requested, nonzero, alive)
    assert exact[0] == 1
    amount = random.integers(1, 1 << bits, 3)
    scored = amount[:2] + random.integers(0, 2, 2)
    total, wanted = np.zeros(NODES, dtype=np.int64), np.zeros(NODES, dtype=np.int64)
    resource_pair.add_pair_scores(pair, amount, float(scored[0]), float(scored[1]), 3, 5, NODES, total)
    number, verdict = np.zeros((2, NODES)), np.zeros(NODES, dtype=np.uint8)
    shape = np.zeros((0, 2), dtype=np.int64)
    add_fit_score(
        allocatable, requested, nonzero, amount, scored, -1, np.zeros((0, 3), dtype=np.int64), LEAST_ALLOCATED,
        RESOURCES, shape, 3, NODES, number, wanted,
    )  # fmt: skip
    add_balanced_score(allocatable, requested, amount, RESOURCES, 5, NODES, verdict, number, wanted)
    assert total.tolist() == wanted.tolist()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_renewed_node_is_a_node_made_anew(seed: int) -> None:
    random = np.random.default_rng(seed)
    allocatable, requested, nonzero = random_nodes(random, 1 << 40)
    alive = np.ones(NODES, dtype=np.uint8)
    pair, _ = resource_pair.make_pair(allocatable, requested, nonzero, alive)
    more = random.integers(0, 1 << 36, (2, NODES))
    requested[:2] += more
    nonzero += more
    for node in range(NODES):
        resource_pair.renew_pair(pair, requested, nonzero, node)
    wanted, _ = resource_pair.make_pair(allocatable, requested, nonzero, alive)
    np.testing.assert_array_equal(pair, wanted)


def test_larger_capacities_are_told() -> None:
    huge = np.full((3, 2), (1 << 46) + 1, dtype=np.int64)
    alive = np.ones(2, dtype=np.uint8)
    _, exact = resource_pair.make_pair(huge, np.zeros_like(huge), np.zeros((2, 2), dtype=np.int64), alive)
    assert exact.tolist() == [0, 1]
    huge[0, 1] = 0
    _, exact = resource_pair.make_pair(huge, np.zeros_like(huge), np.zeros((2, 2), dtype=np.int64), alive)
    assert exact.tolist() == [0, 0]
