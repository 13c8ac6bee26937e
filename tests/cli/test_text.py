"""Texts for people."""

from __future__ import annotations

import pytest

from kcore.cli.text import plural, reason_kinds, table_lines


@pytest.mark.parametrize(
    ("reason", "kinds"),
    [
        ("0/5 nodes are available: 2 Too many pods, 5 Insufficient cpu.", "Insufficient cpu, Too many pods"),
        (
            "0/9 nodes are available: 9 Insufficient cpu. preemption: 0/9 nodes are available: 9 No.",
            "Insufficient cpu",
        ),
        ("no nodes available to schedule pods", "no nodes available to schedule pods"),
        (None, "no reason given"),
    ],
)
def test_pods_that_failed_for_the_same_causes_count_together(reason: str | None, kinds: str) -> None:
    assert reason_kinds(reason) == kinds


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert list(table_lines(["A", "B"], [["long", "x"], ["s", ""]])) == ["A      B", "long   x", "s"]


def test_plural() -> None:
    assert (plural(1, "pod"), plural(2000, "pod")) == ("1 pod", "2,000 pods")
