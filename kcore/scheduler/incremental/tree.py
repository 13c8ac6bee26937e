"""Tournament trees over the local scores of a group's nodes: the best is at ``tree[start]``, the first of equals leftmost.

Sixteen scores, a cache line, compete at a time: of 5,000 nodes a changed score passes four lines on its way up where a
binary tree has thirteen. A tree's leaves stand at ``tree[start + FANOUT:]``, then the winners of each sixteen, and so
on to the last sixteen, whose winner is at ``tree[start]``; unused places hold -1.
"""

from __future__ import annotations

import numpy as np

from kcore.kernel import inner_kernel, kernel

FANOUT = 16
SHIFT = 4


def leaves_of(nodes: int) -> int:
    """Leaves of a tree for so many nodes: whole cache lines."""
    return max(-(-nodes // FANOUT), 1) * FANOUT


def places_of(size: int) -> int:
    """Places of a tree with ``size`` leaves."""
    places = FANOUT
    while size > FANOUT:
        places += size
        size = leaves_of(size // FANOUT)
    return places + FANOUT


@kernel
def upper_size(size):
    """Places of the level above one with ``size``."""
    return (((size >> SHIFT) + FANOUT - 1) >> SHIFT) << SHIFT


@inner_kernel
def best_of(tree, first):
    """The best of the sixteen places from ``first`` on."""
    best = tree[first]
    for place in range(first + 1, first + FANOUT):
        best = max(best, tree[place])
    return best


@inner_kernel
def set_leaf(tree, start, size, leaf, score):
    """Give a leaf its score and bring the winners above it up to date."""
    level, place = start + FANOUT, leaf
    while True:
        before = tree[level + place]
        tree[level + place] = score
        block = place >> SHIFT
        last = size <= FANOUT
        above = start if last else level + size + block
        best = tree[above]
        if score > best:
            best = score
        elif before == best and score < best:
            best = best_of(tree, level + (block << SHIFT))
        if best == tree[above]:
            return
        if last:
            tree[above] = best
            return
        level, size, place, score = level + size, upper_size(size), block, best


@kernel
def build_tree(tree, start, size):
    """Fill the upper places from the leaves."""
    level = start + FANOUT
    while size > FANOUT:
        for block in range(size >> SHIFT):
            tree[level + size + block] = best_of(tree, level + (block << SHIFT))
        for place in range(level + size + (size >> SHIFT), level + size + upper_size(size)):
            tree[place] = -1
        level, size = level + size, upper_size(size)
    tree[start] = best_of(tree, level)


@build_tree.over_arrays("size")
def build_tree_arrays(tree, start, size):
    """As :func:`build_tree`."""
    level = start + FANOUT
    while size > FANOUT:
        above, blocks = upper_size(size), size >> SHIFT
        best = np.full(above, -1, dtype=tree.dtype)
        best[:blocks] = tree[level : level + size].reshape(blocks, FANOUT).max(axis=1)
        tree[level + size : level + size + above] = best
        level, size = level + size, above
    tree[start] = tree[level : level + FANOUT].max()


@kernel
def level_above(start, size, leaf, height):
    """The first place of the level ``height`` above the leaves, and the leaf's place in it."""
    level = start + FANOUT
    for _ in range(height):
        level, size = level + size, upper_size(size)
        leaf >>= SHIFT
    return level, leaf


@kernel
def height_of(size):
    """Levels above the leaves, the root's place not counted."""
    height = 0
    while size > FANOUT:
        size = upper_size(size)
        height += 1
    return height


@kernel
def descend(tree, start, size, height, place):
    """The leftmost leaf with the best score below a place ``height`` levels up that holds it."""
    best = tree[start]
    while height > 0:
        height -= 1
        level, _ = level_above(start, size, 0, height)
        place <<= SHIFT
        while tree[level + place] != best:
            place += 1
    return place


@kernel
def first_leaf(tree, start, size):
    """The leftmost leaf with the best score."""
    best = tree[start]
    height = height_of(size)
    level, _ = level_above(start, size, 0, height)
    place = 0
    while tree[level + place] != best:
        place += 1
    return descend(tree, start, size, height, place)


@kernel
def next_leaf(tree, start, size, leaf):
    """The next leaf after ``leaf`` with the best score, or -1."""
    best = tree[start]
    for height in range(height_of(size) + 1):
        level, place = level_above(start, size, leaf, height)
        stop = ((place >> SHIFT) + 1) << SHIFT
        for other in range(place + 1, stop):
            if tree[level + other] == best:
                return descend(tree, start, size, height, other)
    return -1
