"""What the interpreter makes of many nodes at once, before there is machine code, is what the loops make of them."""

from __future__ import annotations

import pytest

from kcore import kernel
from tests.scheduler.test_differential import assert_agreement, mismatches
from tests.scheduler.test_incremental import assert_equal_decisions

pytestmark = pytest.mark.differential

SEEDS = range(20_000, 20_020)


@pytest.fixture(autouse=True)
def _arrays_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "ARRAYS_FROM", 0)
    monkeypatch.setattr(kernel, "JIT", True)


def test_the_full_pass_agrees_with_the_twin() -> None:
    for seed in SEEDS:
        assert_agreement(seed)


def test_both_engines_agree() -> None:
    for seed in SEEDS:
        assert_equal_decisions(seed)


def test_a_difference_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from kcore.scheduler.cycle import fit_filter

    monkeypatch.setattr(fit_filter, "array_form", lambda *_: None)
    assert any(mismatches(seed) for seed in range(25))
