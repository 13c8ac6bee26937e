"""PodDisruptionBudgets as preemption reads them."""

from __future__ import annotations

from typing import NamedTuple

from kcore.api.objects import PodDisruptionBudget
from kcore.api.selectors import Selector, from_label_selector


class Budget(NamedTuple):
    """A PodDisruptionBudget as preemption reads it."""

    namespace: str
    selector: Selector
    allowed: int
    disrupted: frozenset[str]


def read_budget(budget: PodDisruptionBudget) -> Budget:
    """The budget of an object."""
    return Budget(
        budget.metadata.namespace,
        from_label_selector(budget.spec.selector, "spec.selector"),
        budget.status.disruptions_allowed,
        frozenset(budget.status.disrupted_pods or ()),
    )
