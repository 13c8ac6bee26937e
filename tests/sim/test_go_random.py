"""The draws are those of Go's math/rand: what Go 1.20 to 1.25 print for these seeds."""

from __future__ import annotations

import pytest

from kcore.sim.reproduce.go_random import GoRandom


def test_the_numbers_that_every_go_tutorial_shows() -> None:
    random = GoRandom(1)
    assert [random.intn(100) for _ in range(10)] == [81, 87, 47, 59, 81, 18, 25, 40, 56, 0]


def test_each_kind_of_draw() -> None:
    random = GoRandom(42)
    assert random.int63() == 3440579354231278675
    assert random.perm(8) == [7, 0, 1, 5, 6, 3, 2, 4]
    assert random.intn(1000003) == 78479
    items = list(range(10))
    random.shuffle(items)
    assert items == [6, 8, 5, 4, 9, 3, 0, 2, 1, 7]
    assert random.intn(64) == 16


@pytest.mark.parametrize("limit", [1, 2, 3, 607, 2**31 - 1])
def test_draws_are_below_their_limit(limit: int) -> None:
    random = GoRandom(limit)
    assert all(0 <= random.intn(limit) < limit for _ in range(200))
    assert sorted(random.perm(50)) == list(range(50))


def test_seeds_are_taken_modulo_the_generators() -> None:
    assert GoRandom(0).int63() == GoRandom(2**31 - 1).int63() == GoRandom(89482311).int63()
