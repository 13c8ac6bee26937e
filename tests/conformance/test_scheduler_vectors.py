"""Every recorded decision of the real kube-scheduler is reproduced, by the naive twin and by the engine."""

from __future__ import annotations

import pytest

from tests.conformance.scheduler_vectors import (
    ENGINES,
    PUBLIC_SCENARIO_COUNT,
    compare,
    engine,
    measure,
    read_vectors,
    shared_folder,
    theme_of,
    vectors_are_there,
)

THEMES = (
    "config", "defaultspread", "images", "mix", "nodeaffinity", "podaffinity", "ports", "preemption", "resources",
    "spread", "taints",
)  # fmt: skip

needs_vectors = pytest.mark.skipif(
    not vectors_are_there(), reason=f"no scheduler vectors in {shared_folder()} (set KCORE_SHARED)"
)


@needs_vectors
@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("theme", THEMES)
def test_every_decision_agrees(theme: str, name: str) -> None:
    agreement, count = measure(engine(name), f"-{theme}$")
    assert count > 0
    assert agreement.mismatches[:5] == [], agreement.table()


@needs_vectors
def test_the_themes_cover_all_scenarios() -> None:
    names = [scenario["name"] for scenario, _ in read_vectors()]
    assert len(names) == PUBLIC_SCENARIO_COUNT
    assert {theme_of(name) for name in names} == set(THEMES)


def _line() -> dict[str, object]:
    placed = {
        "pod": "default/p",
        "filter": [0, 1, 0],
        "rejects": [{"plugin": "NodeName", "code": "Unschedulable", "reasons": ["r"]}],
        "feasible": [0, 2],
        "scores": {"ImageLocality": {"raw": [1, 2], "norm": [50, 100]}},
        "skipped": [],
        "total": [50, 100],
        "max": ["c"],
        "node": "c",
    }
    failed = {
        "pod": "default/q",
        "filter": [1, 1, 1],
        "rejects": [{"plugin": "NodeName", "code": "Unschedulable", "reasons": ["r"]}],
        "fitError": "0/3 nodes are available: 3 r.",
        "preemption": {
            "eligible": True,
            "status": "Success",
            "candidates": [],
            "best": ["a"],
            "victims": ["v"],
        },
    }
    return {"name": "x-0-mix", "nodes": ["a", "b", "c"], "pods": [placed, failed]}


def test_a_line_agrees_with_itself() -> None:
    agreement = compare(_line(), _line())
    assert agreement.is_complete
    assert agreement.total["feasible"] == 6
    assert agreement.total["rejects"] == 4
    assert agreement.total["raw"] == 2


@pytest.mark.parametrize(
    ("pod", "changes", "category"),
    [
        (0, {"filter": [0, 0, 0], "feasible": [0, 1, 2]}, "feasible"),
        (0, {"rejects": [{"plugin": "NodeName", "code": "Unschedulable", "reasons": ["s"]}]}, "rejects"),
        (0, {"scores": {"ImageLocality": {"raw": [1, 3], "norm": [50, 100]}}}, "raw"),
        (0, {"scores": {"ImageLocality": {"raw": [1, 2]}}}, "norm"),
        (0, {"scores": {}}, "raw"),
        (0, {"skipped": ["NodeAffinity"]}, "skipped"),
        (0, {"total": [50, 99]}, "total"),
        (0, {"max": ["a", "c"]}, "max"),
        (0, {"node": "a"}, "node"),
        (1, {"fitError": ""}, "fitError"),
        (1, {"preFilter": {}}, "preFilter"),
        (1, {"preemption": None}, "candidates"),
        (
            1,
            {"preemption": {"eligible": False, "status": "Success", "candidates": [], "best": ["a"]}},
            "eligible",
        ),
        (1, {"pod": "default/other"}, "header"),
    ],
)
def test_a_change_is_seen(pod: int, changes: dict[str, object], category: str) -> None:
    changed = _line()
    pods = changed["pods"]
    assert isinstance(pods, list)
    pods[pod] |= changes
    assert category in {mismatch.category for mismatch in compare(_line(), changed).mismatches}


def test_a_missing_pod_is_seen() -> None:
    shorter = _line()
    assert isinstance(shorter["pods"], list)
    shorter["pods"].pop()
    assert not compare(_line(), shorter).is_complete
    assert not compare(shorter, _line()).is_complete
