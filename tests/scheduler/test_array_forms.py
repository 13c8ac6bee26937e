"""What the interpreter makes of many nodes at once, before there is machine code, is what the loops make of them."""

from __future__ import annotations

import pytest

from kcore import Cluster, kernel
from kcore.scheduler.incremental.choice import draw_tied
from tests.scheduler.cluster_objects import ZONE, node_dict, pod_dict
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


def test_ties_are_drawn_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    def outcomes() -> list[list[object]]:
        made = []
        for seed in range(4):
            labels = [{ZONE: f"z{number % 3}"} for number in range(20 + 90 * (seed % 2))]
            nodes = [node_dict(f"n{number}", labels=each) for number, each in enumerate(labels)]
            pods = [pod_dict(f"p{number}", "1", labels={"app": str(number % 2)}) for number in range(60)]
            cluster = Cluster.from_objects([*nodes, *pods])
            result = cluster.schedule(engine="incremental", tie_break="random", seed=seed)
            made.append(result.placements["node"].to_pylist())
        return made

    arrays = outcomes()
    asked: list[int] = []
    monkeypatch.setattr(draw_tied, "array_form", lambda *_: asked.append(1) or NotImplemented)
    assert outcomes() == arrays
    assert len(asked) > 100


def test_a_difference_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from kcore.scheduler.cycle import fit_filter

    monkeypatch.setattr(fit_filter, "array_form", lambda *_: None)
    assert any(mismatches(seed) for seed in range(25))
