"""PodDisruptionBudgets as preemption reads them."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import NamedTuple

from kcore.api.objects import PodDisruptionBudget
from kcore.api.selectors import Selector, from_label_selector
from kcore.scheduler.spec import SpecClass


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


def rows_by_class(
    budgets: Sequence[Budget], classes: Sequence[SpecClass], named: Set[tuple[str, str]]
) -> list[list[tuple[int]]]:
    """The budgets that cover the pods of each class, as a kernel takes them; ``named`` pods are classes of their own."""
    if not budgets:
        return [[] for _ in classes]
    rows = []
    for one in classes:
        name = one.exemplar.metadata.name if one.exemplar.metadata.labels else None
        rows.append([
            (index,)
            for index, budget in enumerate(budgets)
            if one.exemplar.metadata.labels
            and budget.namespace == one.namespace
            and not budget.selector.empty
            and budget.selector.matches(one.labels)
            and not (name in budget.disrupted and (one.namespace, name) in named)
        ])  # fmt: skip
    return rows
