"""Why a pod fits nowhere, node by node and in one sentence. Source: framework/types.go, framework/interface.go."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.naive.framework import UNRESOLVABLE, Status

UNRESOLVABLE_STATUS = Status(UNRESOLVABLE)


@dataclass
class NodeStatuses:
    """Statuses by node name; ``absent`` is the status of every node that has none of its own."""

    by_node: dict[str, Status] = field(default_factory=dict)
    absent: Status = UNRESOLVABLE_STATUS

    def of(self, node_name: str) -> Status:
        """The node's status."""
        return self.by_node.get(node_name, self.absent)


@dataclass
class Diagnosis:
    """What one attempt found out about a pod that fits nowhere."""

    node_count: int
    statuses: NodeStatuses = field(default_factory=NodeStatuses)
    unschedulable_plugins: set[str] = field(default_factory=set)
    pre_filter_message: str = ""

    def fit_error(self, post_filter_message: str = "") -> str:
        """The text of the FailedScheduling event: counted reasons in the order of their text."""
        text = f"0/{self.node_count} nodes are available:"
        if self.pre_filter_message:
            text += f" {self.pre_filter_message}."
        else:
            reasons: Counter[str] = Counter()
            for status in self.statuses.by_node.values():
                reasons.update(status.reasons)
            absent_count = self.node_count - len(self.statuses.by_node)
            if absent_count > 0:
                for reason in self.statuses.absent.reasons:
                    reasons[reason] += absent_count
            counted = sorted(f"{count} {reason}" for reason, count in reasons.items())
            if counted:
                text += f" {', '.join(counted)}."
        return f"{text} {post_filter_message}" if post_filter_message else text
