"""Tournament trees over the local scores of a group's nodes: the best is at the root, the first of equals leftmost."""

from __future__ import annotations

from kcore.kernel import kernel


@kernel
def set_leaf(tree, start, size, leaf, score):
    """Give a leaf its score and bring its ancestors up to date: ``log2(size)`` steps at most."""
    place = size + leaf
    tree[start + place] = score
    while place > 1:
        other = tree[start + (place ^ 1)]
        score = max(score, other)
        place >>= 1
        if tree[start + place] == score:
            return
        tree[start + place] = score


@kernel
def build_tree(tree, start, size):
    """Fill the inner places from the leaves."""
    for place in range(size - 1, 0, -1):
        tree[start + place] = max(tree[start + 2 * place], tree[start + 2 * place + 1])


@kernel
def first_leaf(tree, start, size):
    """The leftmost leaf with the best score."""
    best = tree[start + 1]
    place = 1
    while place < size:
        place *= 2
        place += 1 if tree[start + place] != best else 0
    return place - size


@kernel
def next_leaf(tree, start, size, leaf):
    """The next leaf after ``leaf`` with the best score, or -1."""
    best = tree[start + 1]
    place = size + leaf
    while place > 1:
        if place % 2 == 0 and tree[start + place + 1] == best:
            place += 1
            while place < size:
                place *= 2
                place += 1 if tree[start + place] != best else 0
            return place - size
        place //= 2
    return -1
