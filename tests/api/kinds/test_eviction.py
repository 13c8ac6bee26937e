"""A pod is evicted where its budget allows it, and the budget counts it."""

from __future__ import annotations

import pytest

from kcore.api.kinds.eviction import covering, ignores_budgets, is_free, mark_evicted, take
from kcore.api.status import ApiError
from tests.api.kinds.samples import Object, budget, created, pod

NOW = "2026-01-01T00:00:00Z"


def running(ready: bool = True) -> Object:
    made = created(pod())
    made["metadata"]["labels"] = {"app": "web"}
    ready_condition = {"type": "Ready", "status": "True" if ready else "False"}
    made["status"] |= {"phase": "Running", "conditions": [ready_condition]}
    return made


def observed(**status: int) -> Object:
    made = created(budget())
    made["status"] |= {"observedGeneration": 1, **status}
    return made


def test_a_pod_that_has_not_begun_ignores_budgets() -> None:
    assert ignores_budgets(created(pod()))
    assert not ignores_budgets(running())


def test_a_budget_covers_what_it_selects() -> None:
    mine, other = observed(), observed()
    other["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    assert covering(running(), [mine, other]) == [mine]


def test_an_eviction_takes_one_disruption() -> None:
    made = observed(disruptionsAllowed=1)
    take(made, "web", NOW)
    assert made["status"]["disruptionsAllowed"] == 0
    assert made["status"]["disruptedPods"] == {"web": NOW}
    assert made["status"]["conditions"][0]["reason"] == "InsufficientPods"
    with pytest.raises(ApiError) as refused:
        take(made, "web", NOW)
    assert refused.value.status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Cannot evict pod as it would violate the pod's disruption budget.",
        "reason": "TooManyRequests",
        "details": {
            "causes": [
                {
                    "reason": "DisruptionBudget",
                    "message": "The disruption budget web needs 0 healthy pods and has 0 currently",
                }
            ]
        },
        "code": 429,
    }


def test_a_budget_that_nobody_looked_at_refuses() -> None:
    made = created(budget())
    with pytest.raises(ApiError, match="disruption budget") as refused:
        take(made, "web", NOW)
    assert refused.value.retry_after_seconds == 10


def test_a_pod_that_is_not_ready_may_be_free() -> None:
    healthy = observed(currentHealthy=2, desiredHealthy=2)
    assert is_free(running(ready=False), healthy)
    assert not is_free(running(), healthy)
    assert not is_free(running(ready=False), observed(currentHealthy=1, desiredHealthy=2))


def test_an_evicted_pod_says_so() -> None:
    made = running()
    mark_evicted(made, NOW)
    mark_evicted(made, "2026-01-02T00:00:00Z")
    assert made["status"]["conditions"][1:] == [
        {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
            "lastTransitionTime": NOW,
        }
    ]
