"""The tournament tree finds what a look at all leaves finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.scheduler.incremental.tree import build_tree, first_leaf, leaves_of, next_leaf, places_of, set_leaf

pytestmark = pytest.mark.differential


def all_best(tree: np.ndarray, start: int, size: int) -> list[int]:
    found = [first_leaf(tree, start, size)]
    while (following := next_leaf(tree, start, size, found[-1])) >= 0:
        found.append(following)
    return found


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), nodes=st.sampled_from((1, 15, 16, 17, 200, 256, 257, 300, 4_096, 4_500)))
def test_best_leaves_in_order(seed: int, nodes: int) -> None:
    random = np.random.default_rng(seed)
    size, start = leaves_of(nodes), 32
    tree = np.full(start + places_of(size) + 8, 7, dtype=np.int32)
    tree[start : start + places_of(size)] = -1
    scores = random.integers(-1, 5, nodes)
    tree[start + 16 : start + 16 + nodes] = scores
    build_tree(tree, start, size)
    for _ in range(30):
        best = scores.max()
        assert tree[start] == best
        if best >= 0:
            assert all_best(tree, start, size) == np.flatnonzero(scores == best).tolist()
        leaf = int(random.integers(nodes))
        scores[leaf] = random.integers(-1, 6)
        set_leaf(tree, start, size, leaf, scores[leaf])
    assert (tree[:start] == 7).all() and (tree[-8:] == 7).all()
